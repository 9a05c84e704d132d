"""The place of a low-res face in a photo: a turned square, (left, top, side, angle).

`left`, `top` and `side` are a square in the photo's pixels, counted from the corner of its first pixel. The square is
then turned about its own centre by `angle` degrees: a positive angle turns it clockwise as seen, so that
(1, 0) turns towards (0, 1), since y grows downwards. The low-res frame fills the turned square. Everywhere in the
package a place is four float32 numbers with this meaning.
"""

import numpy as np
from jaxtyping import Float, Float32, Float64, Shaped

from facenhance_jax.faces import alignment
from facenhance_jax.messages import InputError


def whole(size: int) -> Float32[np.ndarray, "4"]:
    """The place of a low-res frame that covers a whole photo of size x size pixels."""
    return np.array([0, 0, size, 0], np.float32)


def of_landmarks(landmarks: Shaped[np.ndarray, "68 2"]) -> Float32[np.ndarray, "4"]:
    """Where `alignment.low_frame` cuts its crop. Raises InputError for landmarks that cannot be aligned."""
    a, b, x, y = _numbers(alignment.crop_matrix(landmarks))
    scale = a + 1j * b  # of the crop's 64 pixels over the photo's; the inverse of w = scale z + shift
    centre = (31.5 + 31.5j - (x + 1j * y)) / scale + 0.5 + 0.5j
    side = 64 / abs(scale)
    left, top = centre.real - side / 2, centre.imag - side / 2
    return np.array([left, top, side, -np.rad2deg(np.angle(scale))], np.float32)


def matrix(place: Float[np.ndarray, "4"], low_size: int = 64) -> Float64[np.ndarray, "2 3"]:
    """The affine matrix from the low-res frame's pixels to the photo's; whole numbers are pixel centres in both."""
    left, top, side, angle = np.asarray(place, np.float64)
    scale, turn = side / low_size, np.deg2rad(angle)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.array([left, top]) + side / 2 - 0.5
    return np.column_stack([linear, centre - linear @ np.full(2, (low_size - 1) / 2)])


def corners(place: Float[np.ndarray, "4"]) -> Float64[np.ndarray, "4 2"]:
    """The corners of the turned square, (x, y) in pixels with whole numbers at pixel centres; clockwise as seen."""
    to_photo = matrix(place, 1)
    return np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) @ to_photo[:, :2].T + to_photo[:, 2]


def moved(place: Float[np.ndarray, "4"], motion: Float64[np.ndarray, "2 3"]) -> Float32[np.ndarray, "4"]:
    """The place in a photo that a similarity moved; `motion` maps the old photo's pixel centres to the new one's."""
    left, top, side, angle = np.asarray(place, np.float64)
    a, b, _, _ = _numbers(motion)
    x, y = motion @ (left + side / 2 - 0.5, top + side / 2 - 0.5, 1.0)
    wide = side * np.hypot(a, b)
    return np.array([x + 0.5 - wide / 2, y + 0.5 - wide / 2, wide, angle + np.rad2deg(np.arctan2(b, a))], np.float32)


def mirrored(place: Float[np.ndarray, "4"], width: int) -> Float32[np.ndarray, "4"]:
    """The place in the mirror image of a photo that is `width` pixels wide."""
    left, top, side, angle = place
    return np.array([width - left - side, top, side, -angle], np.float32)


def to_text(place: Float[np.ndarray, "4"]) -> str:
    """ "left top side angle", as records hold it."""
    return " ".join(f"{value:.3f}" for value in place)


def from_text(text: str) -> Float32[np.ndarray, "4"]:
    """The inverse of `to_text`. Sets prepared by older versions have no angle: it was 0.

    Raises InputError for anything else.
    """
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 4):
        raise InputError(f"place: {text!r} is not 'left top side angle'; prepare the data set again")
    return np.array([*numbers, 0.0][:4], np.float32)


def _numbers(similarity: Float64[np.ndarray, "2 3"]) -> tuple[float, float, float, float]:
    """(a, b, x, y) of the similarity w = (a + bi) z + (x + yi)."""
    return similarity[0, 0], similarity[1, 0], similarity[0, 2], similarity[1, 2]
