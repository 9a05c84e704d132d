"""The simplest answer to the task: the low-res face, enlarged and laid on its place in the photo, with a soft edge."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.faces import alignment, placement
from facenhance_jax.media.pictures import resize

EDGE = 2  # px of the low-res frame over which the face fades out


def paste(
    low: UInt8[np.ndarray, "l l 3"], photo: UInt8[np.ndarray, "h h 3"], place: Float[np.ndarray, "4"]
) -> UInt8[np.ndarray, "h h 3"]:
    """Lays a low-res face, enlarged (bicubic), on its place in the photo (see `placement`).

    The face's edge fades out inwards, and the black around it is not seen.
    """
    low = resize(low, max(1, min(len(low), round(float(place[2])))))  # no pixel is skipped where it is made smaller
    mask, matrix, size = alignment.seen_face(low), placement.matrix(place, len(low)), (photo.shape[1], photo.shape[0])
    face = _without_black(low, mask)
    face = cv2.warpAffine(face, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(_fading(mask), matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    return np.rint(weight * face + (1 - weight) * photo).astype(np.uint8)


def _fading(mask: UInt8[np.ndarray, "l l"]) -> Float32[np.ndarray, "l l"]:
    """1 inside the mask, falling to 0 over its outermost `EDGE` pixels."""
    inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.clip(inside / (EDGE + 1), 0, 1)


def _without_black(low: UInt8[np.ndarray, "l l 3"], mask: UInt8[np.ndarray, "l l"]) -> UInt8[np.ndarray, "l l 3"]:
    """Every pixel outside the mask or on its edge gets the colour of the nearest one inside; enlarging mixes it in."""
    inside = cv2.erode(mask, np.ones((3, 3), np.uint8))  # a hull's edge runs over a few black pixels
    _, nearest = cv2.distanceTransformWithLabels(1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.zeros((nearest.max() + 1, 3), np.uint8)
    colours[nearest[inside > 0]] = low[inside > 0]
    return colours[nearest]
