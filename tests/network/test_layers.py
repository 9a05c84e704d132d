"""The fast layers against the plain ones that they replace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facenhance_jax.network.denoiser_config import UNetConfig
from facenhance_jax.network.layers import GroupNorm, conv_of_doubled, conv_of_pixels, doubled, silu
from facenhance_jax.network.unet import UNet

RNG = np.random.default_rng(0)


def normal(*shape: int, dtype=jnp.float32) -> jax.Array:
    return jnp.asarray(RNG.standard_normal(shape), dtype)


def filled(module: nnx.Module) -> nnx.Module:
    """The module with random parameters everywhere, also where they start as zeros or ones."""
    for param in jax.tree.leaves(nnx.state(module, nnx.Param), is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)):
        param[...] = normal(*param.shape)
    return module


@pytest.mark.parametrize(("dtype", "precision"), [(jnp.float32, 1e-5), (jnp.bfloat16, 2**-6)])
def test_the_norm_is_flaxs_then_scaled_and_shifted(dtype, precision):
    """Also away from a mean of zero, where the variance is a difference of two larger numbers."""
    ours = filled(GroupNorm(64, dtype=dtype, rngs=nnx.Rngs(0)))
    plain = nnx.GroupNorm(64, num_groups=32, rngs=nnx.Rngs(0))
    nnx.update(plain, nnx.state(ours, nnx.Param))
    x, scale, shift = normal(2, 6, 5, 64, dtype=dtype) + 1, normal(2, 64), normal(2, 64)
    normalized = plain(x.astype(jnp.float32))
    modulated = normalized * scale[:, None, None] + shift[:, None, None]
    for found, wanted in ((ours(x), normalized), (ours(x, scale, shift), modulated)):
        assert found.dtype == dtype
        error = jnp.abs(found.astype(jnp.float32) - wanted) / (1 + jnp.abs(wanted))
        assert float(error.max()) < precision


@pytest.mark.parametrize(("side", "fast", "prepare"), [(3, conv_of_doubled, doubled), (1, conv_of_pixels, lambda x: x)])
def test_a_convolution_and_its_gradients_are_flaxs(side, fast, prepare):
    conv, x = filled(nnx.Conv(8, 5, (side, side), rngs=nnx.Rngs(0))), normal(2, 4, 3, 8)
    weights = normal(*prepare(normal(2, 4, 3, 5)).shape)
    graph, params = nnx.split(conv)

    def value_and_output(params, x, apply):
        output = apply(nnx.merge(graph, params), x)
        return (output * weights).sum(), output

    ways = {"fast": fast, "plain": lambda conv, x: conv(prepare(x))}
    found = {
        name: jax.grad(value_and_output, argnums=(0, 1), has_aux=True)(params, x, apply) for name, apply in ways.items()
    }
    for one, other in zip(*map(jax.tree.leaves, found.values()), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * float(jnp.abs(other).max()))


@pytest.mark.parametrize(("platform", "convolutions"), [("cpu", 4), ("cuda", 1), ("tpu", 1)])
def test_a_doubled_image_is_one_convolution_but_on_a_cpu(platform, convolutions):
    """What was tested above on the CPU is Flax's own convolution elsewhere."""
    graph, params = nnx.split(nnx.Conv(8, 5, (3, 3), rngs=nnx.Rngs(0)))
    run = jax.jit(lambda params, x: conv_of_doubled(nnx.merge(graph, params), x))
    program = run.trace(params, jnp.zeros((1, 4, 3, 8))).lower(lowering_platforms=(platform,)).as_text()
    assert program.count("stablehlo.convolution") == convolutions
    np.testing.assert_array_equal(doubled(jnp.arange(2.0).reshape(1, 1, 2, 1))[0, :, :, 0], [[0, 0, 1, 1]] * 2)


def test_silu_is_flaxs_with_its_gradient_and_without_overflow():
    x = jnp.asarray([-1e4, -30.0, -1.0, -1e-3, 0.0, 0.5, 20.0, 1e4])
    np.testing.assert_allclose(silu(x), nnx.silu(x), atol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(silu))(x), jax.vmap(jax.grad(nnx.silu))(x), atol=1e-6)


@pytest.mark.parametrize("patch", [1, 2])
def test_what_parts_of_the_channels_enter_adds_up_to_the_whole_entrance(patch):
    unet = UNet(UNetConfig(patch=patch, base=32, multipliers=(1,), attention_levels=()), 9, 3, rngs=nnx.Rngs(0))
    filled(unet.entrance)
    images = normal(1, 8, 8, 9)
    parts = [[0, 1, 2], [7, 3], [4, 5, 6, 8]]
    together = sum(unet.enter(images[..., np.asarray(part)], part) for part in parts)
    # The entrance itself: each square of pixels as one pixel with all of their channels, row by row.
    squares = images.reshape(1, 8 // patch, patch, 8 // patch, patch, 9).transpose(0, 1, 3, 2, 4, 5)
    whole = unet.entrance(squares.reshape(1, 8 // patch, 8 // patch, -1))
    bias = unet.entrance.bias[...].reshape(1, 1, 1, -1)
    # Up to 324 terms are added in another order, which depends on the threads; the sums reach 64.
    np.testing.assert_allclose(together + bias, whole, atol=1e-6 * float(jnp.abs(whole).max()))
