"""The part of a clip or photo that is kept: the middle square if it frames the face, else one around the face."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from facenhance_jax.faces.alignment import RIGID, mean_shape, similarity

FACE = 1 / 2  # extent of the face (jaw to jaw, or brows to chin) over the side of a square around it; about as in MUG
SMALLEST = 1 / 3  # the same for the middle square, at least; otherwise it does not frame the face
ROOM = 1.1  # side of a square around a moving face over the extent of all its positions
# How a photo is framed for training: as the drawn people are, on average over 12 of them.
CROP = 0.487  # side of the aligned face's crop over the frame's side
CROP_CENTRE = (0.5, 0.544)  # centre of that crop, in sides of the frame
# A frame that reaches beyond its photo is made smaller until `CROP` would be this, and shifted by so much of its side.
TIGHTEST = 0.62
FARTHEST = 0.1


class Square(NamedTuple):
    """A part of a frame, pixels."""

    left: int
    top: int
    side: int

    def cut(self, frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"]:
        """Cuts the square out of a frame; s is `side`."""
        return frame[self.top : self.top + self.side, self.left : self.left + self.side]


def middle(height: int, width: int) -> Square:
    """The largest centred square."""
    side = min(height, width)
    return Square((width - side) // 2, (height - side) // 2, side)


def around(landmarks: Shaped[np.ndarray, "n 68 2"], height: int, width: int) -> Square:
    """One square for all frames of a clip of height x width pixels with these landmarks.

    It is the middle square if the landmarks of all frames lie in it and the face is a third of it or more. Else it is
    twice as wide as the face, or wider if the face moves much, and centred on the landmarks of all frames; then it is
    moved, and made smaller if need be, to lie in the frame. Frames whose landmarks are not finite do not count.
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


def portrait(landmarks: Shaped[np.ndarray, "68 2"], size: int) -> Float[np.ndarray, "2 3"]:
    """The similarity (float64) from a photo to a frame of size x size pixels, in which the face is upright and centred.

    The aligned face's crop then has the side and the place that it has in the training's frames. The frame may reach
    beyond the photo. Raises InputError for landmarks that cannot be aligned.
    """
    crop = CROP * size
    corner = np.array(CROP_CENTRE) * size - crop / 2
    target = mean_shape()[list(RIGID)]
    return similarity(np.asarray(landmarks)[list(RIGID)], (target + 0.5) * (crop / 64) + corner - 0.5)


def inside(matrix: Float[np.ndarray, "2 3"], size: int, height: int, width: int) -> Float[np.ndarray, "2 3"]:
    """The frame of `portrait`, made smaller and shifted to lie in its photo of height x width pixels.

    It becomes as little smaller as will do. If all that is allowed does not do, the smallest frame is taken.
    """
    to_photo = cv2.invertAffineTransform(matrix)
    face, middle = np.array(CROP_CENTRE) * size - 0.5, np.full(2, (size - 1) / 2)
    anchor = to_photo[:, :2] @ face + to_photo[:, 2]
    for crop in np.linspace(CROP, TIGHTEST, 12):
        linear = to_photo[:, :2] * (CROP / crop)
        reach = np.abs(linear).sum(axis=1) * size / 2  # of the turned frame, to either side of its middle
        centre = anchor + linear @ (middle - face)
        room = np.array([width, height]) / 2 - reach  # may be negative
        photo_middle = np.array([width - 1, height - 1]) / 2
        wanted = photo_middle + np.clip(centre - photo_middle, -np.maximum(room, 0), np.maximum(room, 0)) - centre
        shift = np.clip(np.linalg.solve(linear, wanted), -FARTHEST * size, FARTHEST * size)
        centre = centre + linear @ shift
        if (np.abs(centre - photo_middle) <= room + 0.5).all():
            break
    return cv2.invertAffineTransform(np.column_stack([linear, centre - linear @ middle]))
