"""The simplest answer to the task: the low-res face, enlarged and laid on its place in the photo, with a soft edge."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.media.pictures import resize

BLACK = 24  # grey levels: what is darker, and lies at the border of a low-res frame, is no face
EDGE = 3  # px of the low-res frame over which the face fades out


def paste(
    low: UInt8[np.ndarray, "l l 3"], photo: UInt8[np.ndarray, "h h 3"], place: Float[np.ndarray, "3"]
) -> UInt8[np.ndarray, "h h 3"]:
    """Lays a low-res face, enlarged (bicubic), on the square (left, top, side) of the photo, in its pixels.

    The face's edge fades out inwards, so that the black around it is not seen.
    """
    low = resize(low, max(1, min(len(low), round(float(place[2])))))  # no pixel is skipped where it is made smaller
    matrix, size = to_photo(place, len(low)), (photo.shape[1], photo.shape[0])
    face = cv2.warpAffine(low, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(fading(low), matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    return np.rint(weight * face + (1 - weight) * photo).astype(np.uint8)


def to_photo(place: Float[np.ndarray, "3"], low_size: int) -> Float[np.ndarray, "2 3"]:
    """The affine matrix from the low-res frame's pixel centres to the photo's."""
    left, top, side = (float(value) for value in place)
    scale = side / low_size
    return np.array([[scale, 0, left + scale / 2 - 0.5], [0, scale, top + scale / 2 - 0.5]])


def fading(low: UInt8[np.ndarray, "l l 3"]) -> Float32[np.ndarray, "l l"]:
    """1 inside the face, falling to 0 at its edge. The face is the hull of the largest area that is not black."""
    bright = (cv2.blur(low.max(axis=-1), (3, 3)) > BLACK).astype(np.uint8)
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = np.zeros(low.shape[:2], np.uint8)
    if outlines:
        cv2.fillConvexPoly(mask, cv2.convexHull(max(outlines, key=cv2.contourArea)), 1)
    inside = cv2.distanceTransform(cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5)
    return np.clip((inside[1:-1, 1:-1] - 1) / EDGE, 0, 1).astype(np.float32)
