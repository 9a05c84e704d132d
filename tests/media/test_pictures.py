"""Bytes of image files become 8-bit RGB, or one line that names the file which is no image."""

import cv2
import numpy as np
import pytest

from facenhance_jax.media.pictures import decode_image
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
