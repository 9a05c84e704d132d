"""The network's parts: exact sizes, zero output at initialisation, attention where the paper has it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import demo, mug
from facenhance_jax import settings
from facenhance_jax.network.denoiser_config import UNetConfig
from facenhance_jax.network.expression import ExpressionEncoder
from facenhance_jax.network.unet import Attention, ResBlock, UNet, timestep_embedding

TINY = UNetConfig(base=32, multipliers=(1, 2), attention_levels=(1,))


def size(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def abstract(config) -> dict:
    return settings.read_model(config).denoiser().abstract_params()


def test_the_papers_unet_has_195_million_parameters():
    unet = nnx.eval_shape(lambda: UNet(UNetConfig(), 9, 3, rngs=nnx.Rngs(0)))
    assert size(nnx.state(unet, nnx.Param)) == 195_309_955


@pytest.mark.parametrize("variant", ["", "paper"])
def test_the_parts_of_the_mug_configs(variant):
    params = abstract(mug.get_config(variant))
    token_kv = 3 * (512 * 1024 + 1024)  # three attention blocks take keys and values from the tokens
    assert size(params["unet"]) == 195_309_955 + token_kv
    assert size(params["expression"]) == 4_697_408


def test_the_parts_of_the_demo_config():
    params = abstract(demo.get_config())
    assert (size(params["unet"]), size(params["expression"])) == (5_732_784, 296_096)


def test_attention_is_at_12x12_and_in_the_middle_only():
    unet = nnx.eval_shape(lambda: UNet(UNetConfig(), 9, 3, token_width=512, rngs=nnx.Rngs(0)))
    attending = [stage.attention.qkv.in_features for stage in [*unet.downs, *unet.ups] if stage.attention]
    # One block down and two up, of the fifth level: 4 x 128 channels, 192 / 2^4 = 12.
    assert attending == [512, 512, 512]
    assert [i for i, stage in enumerate(unet.downs) if stage.attention] == [8]  # level 4 of [block, down] pairs
    assert unet.middle_attention.qkv.in_features == 1024


def test_the_output_is_zero_at_initialisation():
    unet = UNet(TINY, 6, 3, token_width=32, rngs=nnx.Rngs(0))
    images, tokens = jnp.ones((2, 16, 16, 6)), jnp.ones((2, 4, 32))
    assert not unet(images, jnp.array([1, 1000]), tokens).any()


def test_resblock_and_attention_start_as_the_identity():
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 32))
    block = ResBlock(32, 32, 8, dtype=jnp.float32, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(block(x, jnp.ones((2, 64))), x)
    attention = Attention(32, 0, dtype=jnp.float32, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(attention(x), x)


def test_resampling_averages_squares_and_repeats_pixels():
    x = jnp.broadcast_to(jnp.arange(16.0).reshape(1, 4, 4, 1), (1, 4, 4, 32))
    down = ResBlock(32, 32, 8, resample="down", dtype=jnp.float32, rngs=nnx.Rngs(0))(x, jnp.ones((1, 64)))
    np.testing.assert_array_equal(down[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
    up = ResBlock(32, 32, 8, resample="up", dtype=jnp.float32, rngs=nnx.Rngs(0))(x, jnp.ones((1, 64)))
    np.testing.assert_array_equal(up[0, :2, :4, 0], [[0, 0, 1, 1], [0, 0, 1, 1]])


def test_attention_over_equal_values_gives_that_value():
    """A softmax averages its values: if those of image and tokens are all equal, every position gets that value."""
    attention = Attention(32, 32, dtype=jnp.float32, rngs=nnx.Rngs(1))
    attention.qkv.kernel[...] = attention.qkv.kernel[...].at[:, 64:].set(0.0)
    attention.qkv.bias[...] = jnp.full(96, 3.0)
    attention.token_kv.kernel[...] = attention.token_kv.kernel[...].at[:, 32:].set(0.0)
    attention.token_kv.bias[...] = jnp.full(64, 3.0)
    attention.out.kernel[...] = jnp.eye(32)
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 32))
    tokens = jax.random.normal(jax.random.key(1), (2, 5, 32))
    np.testing.assert_allclose(attention(x, attention.token_kv(tokens)), x + 3.0, atol=1e-5)


def test_the_timestep_embedding_is_guided_diffusions():
    embedding = timestep_embedding(jnp.array([0, 7]), 4)
    expected = [[1, 1, 0, 0], [np.cos(7), np.cos(0.07), np.sin(7), np.sin(0.07)]]
    np.testing.assert_allclose(embedding, expected, atol=1e-6)


def test_a_patched_unet_outputs_full_resolution():
    config = UNetConfig(patch=2, base=32, multipliers=(1,), attention_levels=())
    unet = UNet(config, 3, 3, rngs=nnx.Rngs(0))
    unet.exit.bias[...] = jnp.arange(12.0)  # channels of the 2x2 square: (row, column, colour)
    out = unet(jnp.zeros((1, 16, 16, 3)), jnp.array([1]))
    np.testing.assert_array_equal(out[0, 2:4, 4:6], jnp.arange(12.0).reshape(2, 2, 3))


def test_bfloat16_computes_in_bfloat16_from_float32_parameters():
    exact, half = (
        UNet(TINY, 6, 3, token_width=32, dtype=dtype, rngs=nnx.Rngs(0)) for dtype in (jnp.float32, jnp.bfloat16)
    )
    for unet in (exact, half):
        unet.exit.kernel[...] = 0.1 * jax.random.normal(jax.random.key(2), unet.exit.kernel.shape)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(half, nnx.Param))} == {jnp.dtype("float32")}
    images = jax.random.normal(jax.random.key(3), (1, 16, 16, 6))
    tokens = jax.random.normal(jax.random.key(4), (1, 4, 32))
    one, other = (unet(images, jnp.array([500]), tokens) for unet in (exact, half))
    assert other.dtype == jnp.float32
    # bfloat16 keeps 8 bits: the outputs differ, by about a percent.
    assert 0 < float(jnp.abs(one - other).max() / jnp.abs(one).max()) < 0.05


def test_each_token_of_the_encoder_sees_mostly_its_own_part_of_the_frame():
    encoder = ExpressionEncoder(64, (32, 32, 64, 96), dtype=jnp.float32, rngs=nnx.Rngs(0))
    low = jnp.zeros((1, 64, 64, 3))
    tokens = encoder(low)
    assert tokens.shape == (1, 16, 96)
    moved = encoder(low.at[:, :8, :8].set(1.0)) - tokens
    # The convolutions reach about as far as one token; a change in the far corner arrives only through the norms.
    assert float(jnp.abs(moved[0, 0]).mean()) > 3 * float(jnp.abs(moved[0, 15]).mean())


@pytest.mark.parametrize(
    "bad, message",
    [
        (dict(base=48), "base must be a positive multiple of 32"),
        (dict(patch=0), "patch must be at least 1"),
        (dict(attention_levels=(6,)), "must lie in 0..5"),
    ],
)
def test_an_impossible_shape_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        UNetConfig(**bad)
