"""An enhanced frame back in its photo, at the photo's own size and with its own detail.

The frame is enlarged, and the photo's detail, which the enlarged framed photo lacks, is laid on it where the face
has moved to. That motion is found between the two small pictures (DIS optical flow, Kroeger et al. 2016), so any model
will do. Where the frame shows what the photo does not, such as teeth, there is no detail to lay on it.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.faces import alignment, placement
from facenhance_jax.faces.portrait import Portrait

# Distances in sides of the frame:
CHIN = 0.09  # so far below the photo's own chin and jaw the face counts as face: mouths open
FULL = 0.03  # up to here around the face the frame is shown
GONE = 0.12  # from here on the photo is
RIM = 0.07  # the same along the frame's own edges
# Grey levels by which the moved photo and the frame differ: up to here all detail is laid on it; from there none.
SAME, OTHER = 14.0, 44.0
SMOOTH = 1.2  # of the motion, pixels of the frame
FINER = 3  # times that a frame is enlarged before it is turned into its place
MARGIN = 3  # pixels of the frame around the mask: what is beyond them counts as black, and interpolation reads it


class Compositor:
    """Puts frames into one photo; what all of them share is computed once."""

    def __init__(self, photo: UInt8[np.ndarray, "h w 3"], framed: Portrait) -> None:
        """A photo of any size, and how its face was framed for the model."""
        self._photo = photo
        mask = face_mask(framed)
        self._part = _around(mask)
        self._still = framed.frame[self._part]
        self._box = _in_photo(self._part, framed.matrix, photo.shape)
        self._own = photo[self._box]
        linear, shift = framed.matrix[:, :2], framed.matrix[:, 2]
        self._matrix = np.column_stack([linear, shift + linear @ _corner(self._box) - _corner(self._part)])
        self._to_photo = np.linalg.inv(linear).astype(np.float32)
        self._pixels, self._grid = _pixels(self._still), _pixels(self._own)
        self._mask = self._enlarged(mask[self._part])
        self._outside = 1.0 - self._mask
        self._detail = self._own.astype(np.float32) - self._enlarged(self._still)
        self._grey = cv2.cvtColor(self._still, cv2.COLOR_RGB2GRAY)
        self._search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def paste(self, frame: UInt8[np.ndarray, "s s 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The photo with the face of a frame; outside of the soft mask around the face it is the photo, bit for bit.

        The framed photo itself gives the photo.
        """
        frame = frame[self._part]
        motion = self._motion(frame)
        moved = self._enlarged(motion @ self._to_photo.T)
        detail = cv2.remap(self._detail, moved + self._grid, None, cv2.INTER_LINEAR)
        detail *= self._enlarged(self._kept(frame, motion))[..., None]
        face = cv2.add(self._enlarged(frame), detail, dtype=cv2.CV_8U)
        whole = self._photo.copy()
        whole[self._box] = cv2.blendLinear(face, self._own, self._mask, self._outside)
        return whole

    def _motion(self, frame: UInt8[np.ndarray, "a b 3"]) -> Float32[np.ndarray, "a b 2"]:
        """Where in the framed photo each pixel of the frame lies, minus where it is in the frame."""
        found = self._search.calc(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), self._grey, None)
        return cv2.GaussianBlur(found, (0, 0), SMOOTH)

    def _kept(
        self, frame: UInt8[np.ndarray, "a b 3"], motion: Float32[np.ndarray, "a b 2"]
    ) -> Float32[np.ndarray, "a b"]:
        """The share of the photo's detail that is laid on each pixel of the frame."""
        moved = cv2.remap(self._still, motion + self._pixels, None, cv2.INTER_LINEAR)
        change = cv2.GaussianBlur(cv2.absdiff(frame, moved).max(-1).astype(np.float32), (0, 0), 2 * SMOOTH)
        return np.clip((OTHER - change) / (OTHER - SAME), 0.0, 1.0)

    def _enlarged(self, image: np.ndarray) -> np.ndarray:
        """A picture of the frame's part as the box in the photo shows it; pixels bicubic, other numbers bilinear."""
        matrix = self._matrix
        if image.dtype == np.uint8:  # bicubic to a multiple, then bilinear: half the time of bicubic all the way
            image = cv2.resize(image, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_CUBIC)
            matrix = FINER * matrix + np.array([[0, 0, 1], [0, 0, 1]]) * (FINER - 1) / 2
        return cv2.warpAffine(image, matrix, self._own.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def face_mask(framed: Portrait) -> Float32[np.ndarray, "s s"]:
    """1 on the face, 0 away from it and at the frame's edges, smooth between; without landmarks the frame's inside."""
    size = len(framed.frame)
    near = np.ones((size, size))
    if framed.landmarks is not None:
        face = alignment.mean_shape()
        face[list(alignment.BROW_LINE), 1] -= alignment.BROW_LIFT * 64
        to_frame = placement.matrix(placement.of_landmarks(framed.landmarks))
        points = face @ to_frame[:, :2].T + to_frame[:, 2]
        lower = points[:17] + CHIN * size * to_frame[:, 1] / np.hypot(*to_frame[:, 1])
        hull = alignment.hull_mask(np.concatenate([points, lower]), size)
        distance = cv2.distanceTransform(1 - hull, cv2.DIST_L2, 5) / size
        near = _smooth((GONE - distance) / (GONE - FULL))
    edge = np.minimum(np.arange(size), np.arange(size)[::-1])
    rim = _smooth((np.minimum(edge[:, None], edge) - MARGIN) / (RIM * size))
    return (near * rim).astype(np.float32)


def _smooth(ramp: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    ramp = np.clip(ramp, 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


Part = tuple[slice, slice]
"""Rows and columns."""


def _around(mask: Float32[np.ndarray, "s s"]) -> Part:
    """The part of the frame that holds all of the mask, with a margin."""
    rows, columns = (np.flatnonzero(mask.max(axis)) for axis in (1, 0))
    return tuple(slice(int(ends[0]) - MARGIN, int(ends[-1]) + 1 + MARGIN) for ends in (rows, columns))


def _in_photo(part: Part, matrix: Float[np.ndarray, "2 3"], shape: tuple[int, ...]) -> Part:
    """The part of the photo that shows a part of the frame."""
    rows, columns = part
    inverse = cv2.invertAffineTransform(matrix)
    ends = [(x, y) for x in (columns.start, columns.stop - 1) for y in (rows.start, rows.stop - 1)]
    corners = np.array(ends) @ inverse[:, :2].T + inverse[:, 2]
    ends = np.floor(corners.min(0)), np.ceil(corners.max(0)) + 1
    (left, top), (right, bottom) = (np.clip(end, 0, shape[1::-1]).astype(int).tolist() for end in ends)
    return slice(top, bottom), slice(left, right)


def _corner(part: Part) -> Float[np.ndarray, "2"]:
    """(x, y) of its first pixel."""
    return np.array([part[1].start, part[0].start], np.float64)


def _pixels(image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 2"]:
    """(x, y) of each pixel."""
    return np.stack(np.meshgrid(np.arange(image.shape[1]), np.arange(image.shape[0])), -1).astype(np.float32)
