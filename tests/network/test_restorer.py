"""The restorer of low-res frames: what it starts as, and what its outputs do."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facenhance_jax.network.denoiser import DenoiserConfig
from facenhance_jax.network.restorer import Restorer, _signs_of_faults


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


def test_signs_of_faults_in_closed_form():
    """A checkerboard of 0.1 is rough by 0.2, a grey frame by 0. Half of the grey frame is a face with a hard edge."""
    board = 0.1 * (-1.0) ** np.indices((8, 8)).sum(0)
    low = jnp.asarray(np.repeat(board[None, ..., None], 3, axis=-1), jnp.float32)
    face = jnp.full((1, 8, 8, 3), -1.0).at[:, :4].set(1.0)
    found = np.asarray(_signs_of_faults(low, face.at[:].set(0.3), low + 0.3))[0]
    logs = np.log(np.float32([0.201, 0.001, 0.201, 0.301, 0.001])) + 3
    np.testing.assert_allclose(found, [*logs, 0.0], atol=1e-4)  # no black, so no edge
    # Of the face's four rows, the outermost has 8 pixels; the mean counts one more, so that it exists without an edge.
    np.testing.assert_allclose(_signs_of_faults(face, face, face)[0, 4:], [np.log(0.001) + 3, 3 * 8 / 9], rtol=1e-3)
    soft = face.at[:, 3].set(0.0).at[:, 4].set(-0.97)  # the edge is now a row of 0.03, beside one of 1
    np.testing.assert_allclose(_signs_of_faults(soft, face, face)[0, 4:], [np.log(0.126) + 3, 0.08], rtol=1e-2)


def test_it_needs_a_place_and_whole_squares():
    with pytest.raises(ValueError, match="restore_low needs place_low, and a low_size that is a multiple of 4"):
        dataclasses.replace(DenoiserConfig(), restore_low=True)
