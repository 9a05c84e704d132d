"""Which square of a clip is kept, the middle one where that frames the face, else one around it; and how it shrinks."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

FACE = 1 / 2  # the face's extent (jaw to jaw, or brows to chin) in a square around it, in sides; MUG's is about that
SMALLEST = 1 / 3  # the same in a middle square; one that shows the face smaller does not frame it
ROOM = 1.1  # side of a square around a face that moves, over the extent of all its positions


class Square(NamedTuple):
    """A part of a frame, pixels."""

    left: int
    top: int
    side: int

    def cut(self, frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"]:
        """The part; s is `side`, which has to fit."""
        return frame[self.top : self.top + self.side, self.left : self.left + self.side]


def middle(height: int, width: int) -> Square:
    """The largest centred square, as `pixels.centre_square` cuts it."""
    side = min(height, width)
    return Square((width - side) // 2, (height - side) // 2, side)


def around(landmarks: Shaped[np.ndarray, "n 68 2"], height: int, width: int) -> Square:
    """One square for a whole clip of height x width pixels with these landmarks.

    The middle one if all the landmarks of all frames lie in it and the face is a third of it or more. Else a square
    twice as wide as the face, with all the landmarks around its middle as far as it stays in the frame; larger if the
    face moves much, but never larger than the frame. Frames whose landmarks are not finite do not count.
    """
    whole, known = middle(height, width), landmarks[np.isfinite(landmarks).all(axis=(1, 2))].astype(np.float64)
    if not len(known):
        return whole
    low, high = known.min((0, 1)), known.max((0, 1))
    face = float(np.median((known.max(1) - known.min(1)).max(-1)))
    corner = np.array([whole.left, whole.top])
    if (low >= corner).all() and (high <= corner + whole.side - 1).all() and face >= SMALLEST * whole.side:
        return whole
    side = int(np.clip(np.ceil(max(face / FACE, ROOM * (high - low).max())), 1, whole.side))
    left, top = np.clip(np.rint((low + high + 1 - side) / 2), 0, [width - side, height - side]).astype(int).tolist()
    return Square(left, top, side)


def shrink(image: UInt8[np.ndarray, "h w 3"], height: int, width: int) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """The area mean. What is to be four times smaller or more is halved first, which is exact and takes a third as long
    (and rounds once more: half a level)."""
    while image.shape[0] >= 4 * height and image.shape[1] >= 4 * width and not (image.shape[0] | image.shape[1]) % 2:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
