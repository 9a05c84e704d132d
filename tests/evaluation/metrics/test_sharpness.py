"""Sharpness: patterns whose Laplacian is halved exactly."""

import numpy as np
import pytest

from facenhance_jax.evaluation.metrics.sharpness import sharpness
from facenhance_jax.messages import InputError


def stripes(*strengths: int) -> np.ndarray:
    """A frame for each strength s: columns of 100, 100 + s, 100, 100 - s, and so on; 16 px."""
    wave = np.tile([0, 1, 0, -1], 4)
    return np.stack([np.tile((100 + strength * wave)[None, :, None], (16, 1, 3)) for strength in strengths]).astype(
        np.uint8
    )


FACE = np.zeros((2, 16, 16), bool)
FACE[:, 4:12, 4:12] = True


def test_a_blur_that_halves_the_stripes_halves_the_sharpness():
    """The mean of a column and half of both neighbours has half of the strength: (1 + cos(pi / 2)) / 2."""
    real = stripes(40, 20)
    wide = np.pad(real.astype(int), ((0, 0), (0, 0), (1, 1), (0, 0)), "wrap")
    blurred = ((wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]) // 4).astype(np.uint8)
    np.testing.assert_array_equal(blurred, stripes(20, 10))
    assert sharpness(blurred, real, FACE) == pytest.approx(0.5)
    assert sharpness(real, real, FACE) == 1 and sharpness(real, blurred, FACE) == pytest.approx(2)


def test_only_the_face_counts_and_strong_frames_count_more():
    made = stripes(40, 0)
    made[:, :2] = 255
    assert sharpness(made, stripes(40, 20), FACE) == pytest.approx(40 / 60)


def test_a_real_face_of_one_colour_is_refused():
    with pytest.raises(InputError, match="sharpness: the real face is of one colour"):
        sharpness(stripes(40, 40), stripes(0, 0), FACE)
