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


def test_resize_averages_areas_and_leaves_the_right_size_alone():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[0] * 3, [100] * 3], [[100] * 3, [200] * 3]]
    assert pixels.resize(image, 2)[0, 0].tolist() == [100, 100, 100]
    assert pixels.resize(image, 4) is image


def test_the_centre_square_is_centred():
    image = np.zeros((2, 6, 3), np.uint8)
    image[:, 2:4] = 9
    assert (pixels.centre_square(image) == np.full((2, 2, 3), 9)).all()
    assert (pixels.centre_square(image.transpose(1, 0, 2)) == np.full((2, 2, 3), 9)).all()


def test_indices_are_spread_over_all():
    assert pixels.spread(3, 9) == [0, 4, 8]
    assert pixels.spread(4, 6) == [0, 2, 3, 5]  # of 0, 1.67, 3.33 and 5
    assert pixels.spread(1, 9) == [0]
    assert pixels.spread(9, 3) == pixels.spread(3, 3) == [0, 1, 2]
    assert pixels.spread(2, 0) == []
