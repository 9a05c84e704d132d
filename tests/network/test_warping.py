"""Where low-res pixels lie in a frame, and what they cover, in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.network import warping


@pytest.mark.parametrize("scale", [1.2, 1.5])
def test_a_low_res_pixel_is_the_mean_of_what_it_covers(scale):
    """The mean of x^2 over a window is the square of its middle plus the window's variance.

    Of the kernel that is SPREAD scale^2 less what bilinear sampling adds on average. Bilinear sampling adds f(1 - f) at
    a fraction f between two pixels.
    """
    size, low_size = 24, 8
    frame = jnp.broadcast_to((jnp.arange(size, dtype=jnp.float32) ** 2)[None, None, :, None], (1, size, size, 3))
    side, left = scale * low_size, 4.25
    place = jnp.array([[left, left, side, 0.0]])
    middle = left + side / 2 - 0.5 + (np.arange(low_size) - (low_size - 1) / 2) * scale
    fraction = middle % 1
    expected = middle**2 + warping.SPREAD * scale**2 - warping.BILINEAR + fraction * (1 - fraction)
    found = warping.low_of(frame, place, low_size)
    np.testing.assert_allclose(found[0, :, :, 1], np.broadcast_to(expected, (low_size, low_size)), rtol=1e-5)
    turned = warping.low_of(jnp.swapaxes(frame, 1, 2), place, low_size)
    np.testing.assert_allclose(turned, jnp.swapaxes(found, 1, 2), rtol=1e-6)


def test_where_a_low_res_frame_is_no_coarser_nothing_is_blurred():
    frame = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 12, 12, 3)), jnp.float32)
    place = jnp.array([[2.0, 3.0, 6.4, 0.0]])  # 8 pixels on 6.4
    at = 2.0 + 3.2 - 0.5 + (np.arange(8) - 3.5) * 0.8
    left = np.floor(at).astype(int)
    row = 3.0 + 3.2 - 0.5 - 3.5 * 0.8  # of the first row: 2.9
    rows = (1 - row % 1) * frame[0, int(row)] + row % 1 * frame[0, int(row) + 1]
    expected = (1 - at % 1)[:, None] * rows[left] + (at % 1)[:, None] * rows[left + 1]
    np.testing.assert_allclose(warping.low_of(frame, place, 8)[0, 0], expected, atol=1e-5)


def smooth_frame(size=48):
    columns, rows = np.meshgrid(np.linspace(0, 9, size), np.linspace(0, 7, size))
    picture = np.stack([np.sin(columns + rows), np.cos(columns), np.sin(rows) * np.cos(columns)], axis=-1)
    return jnp.asarray(0.5 * picture[None], jnp.float32)


PLACE = jnp.array([[9.0, 8.0, 28.0, 25.0]])
EVERYWHERE = jnp.ones((1, 16, 16, 1))


def test_a_shifted_low_res_face_is_found_again():
    """0.8 px to the right and 1.1 up in the frame, though the place is turned by 25 degrees."""
    frame, true = smooth_frame(), PLACE + jnp.array([[0.8, -1.1, 0.0, 0.0]])
    low = warping.low_of(frame, true, 16)
    np.testing.assert_allclose(warping.settled(frame, low, EVERYWHERE, PLACE), true, atol=0.05)
    # So there is nothing to correct, where at the given place there would be.
    np.testing.assert_allclose(warping.agreeing(frame, low, EVERYWHERE, PLACE, 2), frame, atol=0.02)
    assert float(jnp.abs(warping.low_of(frame, PLACE, 16) - low).max()) > 0.05


def test_a_change_that_a_shift_explains_in_part_only_leaves_the_place():
    frame = smooth_frame()
    low = warping.low_of(frame, PLACE + jnp.array([[0.4, 0.0, 0.0, 0.0]]), 16).at[:, 10:14, 5:11].add(0.3)
    np.testing.assert_array_equal(warping.settled(frame, low, EVERYWHERE, PLACE), PLACE)
