"""Bytes of image files become 8-bit RGB, or one line that names the file which is no image."""

import cv2
import numpy as np
import pytest

from facenhance_jax.media.drawing import spread
from facenhance_jax.media.pictures import decode_image, resize
from facenhance_jax.messages import InputError


def test_any_image_decodes_to_8_bit_rgb():
    rgb = np.array([[[200, 100, 50], [1, 2, 3]]], np.uint8)
    alpha = np.concatenate([rgb[..., ::-1], np.full((1, 2, 1), 7, np.uint8)], -1)
    grey = np.array([[9, 250]], np.uint8)
    encode = lambda image: cv2.imencode(".png", image)[1].tobytes()  # noqa: E731
    np.testing.assert_array_equal(decode_image(encode(rgb[..., ::-1]), "x"), rgb)
    np.testing.assert_array_equal(decode_image(encode(alpha), "x"), rgb)
    np.testing.assert_array_equal(decode_image(encode(grey), "x"), np.repeat(grey[..., None], 3, -1))
    np.testing.assert_array_equal(decode_image(encode(rgb[..., ::-1].astype(np.uint16) * 257), "x"), rgb)


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named(data):
    with pytest.raises(InputError, match="img_0007.jpg: not a readable image"):
        decode_image(data, "img_0007.jpg")


def test_resize_averages_areas_and_leaves_the_right_size_alone():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[0] * 3, [100] * 3], [[100] * 3, [200] * 3]]
    assert resize(image, 2)[0, 0].tolist() == [100, 100, 100]
    assert resize(image, 4) is image


def test_indices_are_spread_over_all():
    assert spread(3, 9) == [0, 4, 8]
    assert spread(4, 6) == [0, 2, 3, 5]  # of 0, 1.67, 3.33 and 5
    assert spread(1, 9) == [0]
    assert spread(9, 3) == spread(3, 3) == [0, 1, 2]
    assert spread(2, 0) == []
