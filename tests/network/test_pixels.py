"""Pixels and signals, and the folding of space into channels."""

import jax.numpy as jnp
import numpy as np

from facenhance_jax.network import pixels


def test_every_pixel_value_survives_the_round_trip():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    signal = pixels.to_signal(values)
    assert signal.min() == -1 and signal.max() == 1
    np.testing.assert_array_equal(pixels.to_pixels(signal), values)


def test_values_outside_are_clipped():
    np.testing.assert_array_equal(pixels.to_pixels(jnp.full((1, 1, 1), 7.0)), [[[255]]])
    np.testing.assert_array_equal(pixels.to_pixels(jnp.full((1, 1, 1), -7.0)), [[[0]]])


def test_space_to_depth_keeps_each_square_together_and_is_undone():
    image = jnp.arange(16.0).reshape(1, 4, 4, 1)
    folded = pixels.space_to_depth(image, 2)
    np.testing.assert_array_equal(folded[0, 0, 1], [2, 3, 6, 7])
    np.testing.assert_array_equal(folded[0, 1, 0], [8, 9, 12, 13])
    np.testing.assert_array_equal(pixels.depth_to_space(folded, 2), image)
