"""The low-res face on its place: ramps, which bicubic enlarging keeps exactly, and faces on black."""

import numpy as np
import pytest

from facenhance_jax.evaluation import pasting

SIZE, LOW = 96, 32  # pixels


def ramp(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Colours that are linear in the photo's coordinates."""
    return np.stack([60 + x, 50 + y, 200 - x / 2 - y / 2], axis=-1)


def photo() -> np.ndarray:
    y, x = np.indices((SIZE, SIZE)).astype(float)
    return ramp(x, y).round().astype(np.uint8)


def low(place: tuple[float, float, float, float]) -> np.ndarray:
    """What the photo shows at the low-res frame's pixel centres."""
    left, top, side, angle = place
    at = (np.arange(LOW) + 0.5) * side / LOW - side / 2
    x, y = np.meshgrid(at, at)
    turned = (x + 1j * y) * np.exp(1j * np.deg2rad(angle))
    return ramp(left + side / 2 - 0.5 + turned.real, top + side / 2 - 0.5 + turned.imag).round().astype(np.uint8)


@pytest.mark.parametrize("place", [(10, 20, 64, 0), (12.4, 7.7, 50.3, 0), (40, 30, 20.0, 0), (16, 18, 50, 12.0)])
def test_a_photos_own_face_is_pasted_where_it_was(place):
    """Enlarged two times, by a fraction of a pixel, made smaller, and turned; off by the rounding of both."""
    pasted = pasting.paste(low(place), photo(), np.array(place, np.float32))
    assert np.abs(pasted.astype(int) - photo()).max() <= 2


def test_a_brighter_face_shows_on_its_place_and_fades_out_inwards():
    place = (16, 24, 64, 0)  # twice as large
    difference = pasting.paste(low(place) + np.uint8(40), photo(), np.array(place, np.float32)).astype(int) - photo()
    np.testing.assert_allclose(difference[24:88, 16:80][6:-6, 6:-6], 40, atol=2)
    difference[23:89, 15:81] = 0  # half a low-res pixel more than the square
    assert not difference.any()


def test_the_edge_rises_over_three_pixels():
    """By a third at each low-res pixel, which is two pixels of the photo wide."""
    place = np.array([16, 24, 64, 0], np.float32)
    white = pasting.paste(np.full((LOW, LOW, 3), 240, np.uint8), np.zeros_like(photo()), place)
    low_pixel = (np.arange(14, 25) - 16.5) / 2  # 0 at the centre of the first one
    np.testing.assert_allclose(white[56, 14:25, 0], 240 * np.clip((low_pixel + 1) / 3, 0, 1), atol=1)


def test_the_black_around_a_face_is_not_seen():
    y, x = np.indices((LOW, LOW)) - 15.5
    face = np.where((np.hypot(x, y) < 12)[..., None], np.uint8(200), np.uint8(0)) * np.ones(3, np.uint8)
    grey = np.full((SIZE, SIZE, 3), 200, np.uint8)
    pasted = pasting.paste(face, grey, np.array([8, 8, 80, 0], np.float32))
    assert np.abs(pasted.astype(int) - 200).max() <= 2


def test_a_frame_without_a_face_leaves_the_photo():
    black = np.zeros((LOW, LOW, 3), np.uint8)
    np.testing.assert_array_equal(pasting.paste(black, photo(), np.array([8, 8, 80, 0], np.float32)), photo())
