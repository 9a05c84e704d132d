"""The UNet, the expression encoder and the three conditions, behind one question: what is the velocity?"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from facenhance_jax import pixels
from facenhance_jax.diffusion import Schedule, gaussian_gain, velocity_of_step
from facenhance_jax.expression import ExpressionEncoder
from facenhance_jax.unet import UNet, UNetConfig

CHOICES = {
    "expression": ("encoder", "concat", "both"),
    "previous": ("noisy", "clean", "none"),
    "prediction": ("velocity", "x_prev"),
    "target": ("residual", "frame"),
    "dtype": ("float32", "bfloat16"),
}


@dataclass(frozen=True)
class DenoiserConfig:
    """What the denoiser is made of; the defaults are the paper's, to the letter.

    Attributes:
      resolution, low_size: sides of the frame and of the low-res frame, pixels.
      patch, base, multipliers, res_blocks, attention_levels: see `unet.UNetConfig`.
      expression: "encoder" (E_exp's tokens in the attention), "concat" (the low-res frame, enlarged, as three more
        input channels: the first ablation of the paper's Table 3) or "both".
      low_square: (left, top, side) of the square of the frame, in pixels, onto which concat and both lay the low-res
        frame; black around it. Empty for the whole frame. Faces that sit alike in their frames then nearly coincide.
      expression_channels: widths of E_exp's levels; each halves the grid.
      previous: "noisy" (previous frame + z), "clean" or "none" (the other ablations of Table 3).
      prediction: what the network prints, "x_prev" (x_{t-1}) or "velocity".
      target: what is diffused, "frame" (x_0) or "residual" (residual_scale (x_0 - identity)).
      residual_scale: k, near 1 / rms(x_0 - identity) over the training set.
      gate_std: where > 0, the network also prints a gate for each pixel, which lets the pixel's own guess at its
        velocity through: that of a pixel of this standard deviation, in units of the target (`gaussian_gain`). The
        noise of pixels that hardly change then need not squeeze through the channels, of which `patch` leaves few.
      dtype: of the computation, "float32" or "bfloat16". Parameters, norms' statistics, softmax and loss stay float32.
    """

    resolution: int = 192
    low_size: int = 64
    patch: int = 1
    base: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 8)
    res_blocks: int = 1
    attention_levels: tuple[int, ...] = (4,)
    expression: str = "encoder"
    low_square: tuple[int, ...] = ()
    expression_channels: tuple[int, ...] = (64, 128, 256, 512)
    previous: str = "noisy"
    prediction: str = "x_prev"
    target: str = "frame"
    residual_scale: float = 1.0
    gate_std: float = 0.0
    dtype: str = "float32"

    def __post_init__(self):
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {', '.join(choices)}, not {getattr(self, field)!r}")
        if self.expression != "concat" and (
            self.low_size % 2 ** len(self.expression_channels)
            or any(c % 32 or c < 32 for c in self.expression_channels)
        ):
            raise ValueError(
                f"expression_channels {self.expression_channels} must be multiples of 32, and low_size {self.low_size} "
                f"a multiple of {2 ** len(self.expression_channels)}"
            )
        if self.low_square and (len(self.low_square) != 3 or not self._fits(*self.low_square)):
            raise ValueError(f"low_square {self.low_square} must be (left, top, side) within {self.resolution} pixels")
        if not self.residual_scale > 0:
            raise ValueError(f"residual_scale must be positive, not {self.residual_scale}")
        if self.gate_std < 0 or (self.gate_std and self.prediction != "velocity"):
            raise ValueError(f"gate_std must be 0, or positive with prediction=velocity, not {self.gate_std}")
        self.unet  # noqa: B018 - the UNet's own checks

    def _fits(self, left: int, top: int, side: int) -> bool:
        return min(left, top) >= 0 < side <= self.resolution - max(left, top)

    @property
    def unet(self) -> UNetConfig:
        """The UNet that these conditions ask for."""
        images = 2 + (self.previous != "none") + (self.expression != "encoder")
        return UNetConfig(
            resolution=self.resolution,
            in_channels=3 * images,
            out_channels=4 if self.gate_std else 3,
            patch=self.patch,
            base=self.base,
            multipliers=self.multipliers,
            res_blocks=self.res_blocks,
            attention_levels=self.attention_levels,
            token_width=self.expression_channels[-1] if self.expression != "concat" else 0,
        )


class Expression(NamedTuple):
    """A low-res frame as the UNet takes it: E_exp's tokens, the frame laid on a canvas, or both."""

    tokens: Float[Array, "b n t"] | None
    image: Float[Array, "b h w 3"] | None


class Conditions(NamedTuple):
    """What guides one frame. `previous` already carries its noise z; `expression` comes from `Denoiser.encode`."""

    identity: Float[Array, "b h w 3"]
    previous: Float[Array, "b h w 3"]
    expression: Expression


class Network(nnx.Module):
    """The parameters: the UNet and, where the expression is encoded, E_exp."""

    def __init__(self, config: DenoiserConfig, *, rngs: nnx.Rngs):
        dtype = jnp.dtype(config.dtype)
        self.unet = UNet(config.unet, dtype=dtype, rngs=rngs)
        self.expression = (
            ExpressionEncoder(config.low_size, config.expression_channels, dtype=dtype, rngs=rngs)
            if config.expression != "concat"
            else None
        )


@dataclass(frozen=True)
class Denoiser:
    """A network's structure as pure functions of its parameters (a nested dict of float32 arrays)."""

    config: DenoiserConfig
    schedule: Schedule

    def init(self, seed: int) -> dict:
        """Fresh parameters."""
        return nnx.to_pure_dict(nnx.state(Network(self.config, rngs=nnx.Rngs(seed)), nnx.Param))

    def abstract_params(self) -> dict:
        """The parameters' shapes and dtypes, without computing them."""
        return jax.eval_shape(lambda: self.init(0))

    def encode(self, params: dict, low: Float[Array, "b l l 3"]) -> Expression:
        """The expression of low-res frames in [-1, 1]; computed once a frame."""
        config = self.config
        tokens = image = None
        if config.expression != "concat":
            tokens = self._network(params).expression(low.astype(config.dtype))
        if config.expression != "encoder":
            left, top, side = config.low_square or (0, 0, config.resolution)
            rows, columns = ((start, config.resolution - start - side) for start in (top, left))
            image = jnp.pad(pixels.enlarge(low, side), ((0, 0), rows, columns, (0, 0)), constant_values=-1.0)
        return Expression(tokens, image)

    def velocity(
        self, params: dict, noisy: Float[Array, "b h w 3"], timestep: Int[Array, " b"], conditions: Conditions
    ) -> Float[Array, "b h w 3"]:
        """v_t of `noisy` = x_t at `timestep` in 1..T. In "x_prev" form it is the velocity whose step is the output."""
        images = [noisy, conditions.identity]
        if self.config.previous != "none":
            images.append(conditions.previous)
        if conditions.expression.image is not None:
            images.append(conditions.expression.image)
        tokens = conditions.expression.tokens
        printed = self._network(params).unet(jnp.concatenate(images, axis=-1), timestep, tokens)
        if self.config.gate_std:
            gain = gaussian_gain(self.phi(timestep), self.config.gate_std)
            return printed[..., :3] + printed[..., 3:] * gain[:, None, None, None] * noisy
        if self.config.prediction == "velocity":
            return printed
        return velocity_of_step(noisy, printed, self.delta(timestep))

    def delta(self, timestep: Int[Array, "*b"]) -> Float[Array, "*b"]:
        """phi_t - phi_{t-1}, subtracted in float64: in float32 four digits of it would be lost."""
        return jnp.asarray(self.schedule.delta, jnp.float32)[timestep]

    def phi(self, timestep: Int[Array, "*b"]) -> Float[Array, "*b"]:
        """phi_t."""
        return jnp.asarray(self.schedule.phi, jnp.float32)[timestep]

    def to_target(self, frame: Float[Array, "b h w 3"], identity: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """What is diffused: the frame, or its scaled residual to the photo (SRDiff, the paper's [23])."""
        return self.config.residual_scale * (frame - identity) if self.config.target == "residual" else frame

    def to_frame(self, clean: Float[Array, "b h w 3"], identity: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """The inverse of `to_target`."""
        return identity + clean / self.config.residual_scale if self.config.target == "residual" else clean

    def noised_previous(self, previous: Float[Array, "b h w 3"], z: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """The previous frame as the network sees it: with unit noise z, so that only its silhouette survives."""
        return previous + z if self.config.previous == "noisy" else previous

    def _network(self, params: dict) -> Network:
        return nnx.merge(_graphdef(self.config), params)


@functools.cache
def _graphdef(config: DenoiserConfig) -> nnx.GraphDef:
    return nnx.graphdef(nnx.eval_shape(lambda: Network(config, rngs=nnx.Rngs(0))))
