"""Two photographs of one person in one frame, and the morph from one to the other: a clip with real teeth and wrinkles.

The frames are `framing.portrait`'s: the face upright and centred. Landmarks are 68 (x, y) pixel coordinates in iBUG
order; whole numbers are pixel centres.
"""

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from facenhance_jax.faces import alignment, framing

FINE = 2  # frames are made this many times larger and then shrunk by the area mean, which keeps them sharp
_RIGID = list(alignment.RIGID)


def aligned_pair(
    neutral: UInt8[np.ndarray, "h w 3"],
    neutral_points: Shaped[np.ndarray, "68 2"],
    other: UInt8[np.ndarray, "h2 w2 3"],
    other_points: Shaped[np.ndarray, "68 2"],
    size: int,
) -> tuple[
    UInt8[np.ndarray, "{size} {size} 3"],
    UInt8[np.ndarray, "{size} {size} 3"],
    Float[np.ndarray, "68 2"],
    Float[np.ndarray, "68 2"],
]:
    """(identity, truth, their landmarks): a person's two photos in one frame of size x size pixels.

    The neutral photo is framed by `framing.portrait`; the other is laid on it by the similarity of the points that
    expressions hardly move (`alignment.RIGID`). Nothing else is changed: hair, neck and shoulders are where each photo
    has them. Raises InputError for landmarks that cannot be aligned.
    """
    identity, truth, identity_points, truth_points = _aligned(neutral, neutral_points, other, other_points, FINE * size)
    return _shrunk(identity), _shrunk(truth), _scaled(identity_points), _scaled(truth_points)


def _aligned(neutral, neutral_points, other, other_points, size):
    matrix = framing.portrait(neutral_points, size)
    identity_points = moved(neutral_points, matrix)
    other_points = np.asarray(other_points, np.float64)
    onto = alignment.similarity(other_points[_RIGID], identity_points[_RIGID])
    truth = alignment.warp(other, onto, size)
    return alignment.warp(neutral, matrix, size), truth, identity_points, moved(other_points, onto)


def moved(points: Shaped[np.ndarray, "n 2"], matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "n 2"]:
    """The points where the matrix brings them."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def _shrunk(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"]:
    side = len(image) // FINE
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _scaled(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    return (points + 0.5) / FINE - 0.5
