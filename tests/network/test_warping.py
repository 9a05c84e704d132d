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
