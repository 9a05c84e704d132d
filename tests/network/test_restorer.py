"""The restorer of low-res frames: what it starts as, and what its outputs do."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facenhance_jax.network.denoiser_config import DenoiserConfig
from facenhance_jax.network.restorer import Restorer


def images(seed, shape=(2, 16, 16, 3)):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def test_it_starts_as_the_identity():
    restorer = Restorer(dtype=jnp.float32, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(restorer(images(0), images(1)).frame, images(0))


def with_output(channel, value):
    """A fresh restorer whose output is `value` in one channel: 24 taps, 8 of the photo's, a share, 3 of colour."""
    restorer = Restorer(dtype=jnp.float32, rngs=nnx.Rngs(0))
    bias = np.zeros((4, 36), np.float32)  # of four pixels each
    bias[:, channel] = value
    restorer.exit.bias[...] = jnp.asarray(bias.ravel())
    return restorer


def test_a_share_of_one_gives_the_photos_own_face():
    np.testing.assert_allclose(with_output(32, 1.0)(images(0), images(1)).frame, images(1), atol=1e-6)


def test_a_tap_gives_the_neighbour():
    """Tap 13 of the 5x5 kernel, whose middle is left out, is two to the right; tap 1 of the photo's 3x3 is above."""
    low, own = images(0), images(1)
    shifted = with_output(13, 1.0)(low, own).frame
    np.testing.assert_allclose(shifted[:, :, :-2], low[:, :, 2:], atol=1e-6)
    detail = with_output(24 + 1, 1.0)(low, own).frame
    np.testing.assert_allclose((detail - low)[:, 1:], (own[:, :-1] - own[:, 1:]), atol=1e-6)


def test_it_needs_a_place_and_whole_squares():
    with pytest.raises(ValueError, match="restore_low needs place_low, and a low_size that is a multiple of 8"):
        dataclasses.replace(DenoiserConfig(), restore_low=True)
