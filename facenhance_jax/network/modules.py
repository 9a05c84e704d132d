"""The modules with the denoiser's parameters, and their structure."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from facenhance_jax.network.denoiser_config import DenoiserConfig
from facenhance_jax.network.expression import ExpressionEncoder
from facenhance_jax.network.restorer import Restorer
from facenhance_jax.network.unet import UNet


class Network(nnx.Module):
    """The parameters: the UNet and, if the config asks, E_exp and the restorer of low-res frames."""

    def __init__(self, config: DenoiserConfig, *, rngs: nnx.Rngs):
        dtype = jnp.dtype(config.dtype)
        self.unet = UNet(
            config.unet,
            config.in_channels,
            3 + bool(config.gate_std) + 5 * config.warp_photo,
            extra_channels=3 if config.warp_low and not config.warp_photo else 0,
            token_width=config.token_width,
            dtype=dtype,
            rngs=rngs,
        )
        self.expression = (
            ExpressionEncoder(config.low_size, config.expression_channels, dtype=dtype, rngs=rngs)
            if config.token_width
            else None
        )
        self.restorer = Restorer(dtype=dtype, rngs=rngs) if config.restore_low else None


def init(config: DenoiserConfig, seed: int) -> dict:
    """Fresh parameters."""
    return nnx.to_pure_dict(nnx.state(Network(config, rngs=nnx.Rngs(seed)), nnx.Param))


def with_params(config: DenoiserConfig, params: dict) -> Network:
    """The modules with these parameters."""
    return nnx.merge(_blueprint(config)[0], params)


def abstract_params(config: DenoiserConfig) -> dict:
    """The parameters' shapes and dtypes, without computing them."""
    return _blueprint(config)[1]


class _NoRngs(nnx.Rngs):
    """For tracing parameters' shapes: a real `nnx.Rngs` counts its keys in the trace, which takes quadratic time."""

    def __init__(self):
        pass

    def params(self) -> Array:
        return jax.random.key(0)


@functools.cache
def _blueprint(config: DenoiserConfig) -> tuple[nnx.GraphDef, dict]:
    """The network's structure and its parameters' shapes, traced once per process."""
    graphdef, shapes = nnx.split(nnx.eval_shape(lambda: Network(config, rngs=_NoRngs())), nnx.Param)
    return graphdef, nnx.to_pure_dict(shapes)
