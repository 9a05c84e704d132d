"""Straightening warped low-res frames: shifts that are known, and taking them back."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from facenhance_jax.network import faults
from facenhance_jax.network.denoiser_config import GRID
from facenhance_jax.network.straightening import Straightener, shifts_between, shifts_of_squares

SIZE = 64


def picture(right, down):
    """Waves in three colours, sampled `right` and `down` pixels further on."""
    y, x = np.indices((SIZE, SIZE))
    x, y = x + right, y + down
    waves = [np.sin(0.35 * x + phase) + np.sin(0.27 * y + 0.4 * phase + 0.1 * x) for phase in (0.0, 1.0, 2.0)]
    return jnp.asarray(0.4 * np.stack(waves, axis=-1)[None], jnp.float32)


def inside(image):
    return np.asarray(image)[:, 8:-8, 8:-8]


def test_a_shift_is_found():
    own, low = picture(0, 0), picture(1.0, -0.5)
    found = inside(shifts_between(own, low, jnp.ones((1, SIZE, SIZE, 1))))
    np.testing.assert_allclose(found, np.broadcast_to([1.0, -0.5], found.shape), atol=0.1)


def test_only_the_face_counts():
    """Shifted one way on the left and the other way on the right, where it is not face: the left's shift is found."""
    own, low = picture(0, 0), picture(0.8, 0.0).at[:, :, SIZE // 2 :].set(picture(-0.8, 0.0)[:, :, SIZE // 2 :])
    face = jnp.zeros((1, SIZE, SIZE, 1)).at[:, :, : SIZE // 2].set(1.0)
    found = np.asarray(shifts_between(own, low, face))[:, 8:-8, 8 : SIZE // 2]
    np.testing.assert_allclose(found, np.broadcast_to([0.8, 0.0], found.shape), atol=0.1)


def test_the_shift_of_a_square_is_the_mean_of_its_face():
    """With squares that are half black: of the shift, 32 / 33 are left instead of 64 / 65."""
    own, low = picture(0, 0), picture(1.0, -0.5)
    low = low.at[:, :, 4::8].set(-1.0).at[:, :, 5::8].set(-1.0).at[:, :, 6::8].set(-1.0).at[:, :, 7::8].set(-1.0)
    face = faults.face_of(low)
    shifts = np.asarray(shifts_between(own, low, face))[0].reshape(8, 8, 8, 8, 2)[:, :, :, :4].mean(axis=(1, 3))
    found = shifts_of_squares(own, low)[0]
    assert found.shape == (GRID, GRID, 2)
    np.testing.assert_allclose(found, shifts * 32 / 33, rtol=1e-5)
    np.testing.assert_array_equal(shifts_of_squares(own, jnp.full_like(low, -1.0)), 0.0)


def straightener(share):
    """One that takes every shift back, as far as `share`."""
    made = Straightener(rngs=nnx.Rngs(0))
    made.moves.kernel[...] = -jnp.eye(2 * GRID**2)
    made.warped.logit.bias[...] = jnp.log(jnp.array([share / (1 - share)]))
    return made


def test_all_of_a_shift_or_half_of_it_is_taken_back():
    own, low = picture(0, 0), picture(1.0, -0.5)
    np.testing.assert_allclose(inside(straightener(0.9999)(low, own).frame), inside(own), atol=0.02)
    np.testing.assert_allclose(inside(straightener(0.5)(low, own).frame), inside(picture(0.5, -0.25)), atol=0.02)
    assert np.abs(inside(low - own)).max() > 0.15


def test_what_is_usual_in_a_clip_stays():
    """Of a shift that all frames have nothing is taken back, and of one that is usual by half, the other half."""
    own, low = picture(0, 0), picture(1.0, -0.5)
    one = straightener(0.9999)
    moves = one(low, own).moves
    np.testing.assert_allclose(one(low, own, moves).frame, low, atol=1e-6)
    half = one(low, own, moves / 2)
    np.testing.assert_allclose(inside(half.frame), inside(picture(0.5, -0.25)), atol=0.02)
    np.testing.assert_array_equal(half.moves, moves)


def test_it_starts_as_the_identity():
    own, low = picture(0, 0), picture(1.0, -0.5)
    np.testing.assert_array_equal(Straightener(rngs=nnx.Rngs(0))(low, own).frame, low)
