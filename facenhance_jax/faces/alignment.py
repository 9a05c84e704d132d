"""v_low, the aligned 64x64 face on black that expression generators make: cut out of a frame by its landmarks.

The layout is that of OpenFace's aligned faces (simscale 0.4 at 64 px); the mean shape and the code are our own.
Landmarks are 68 (x, y) pixel coordinates in iBUG order; whole numbers are pixel centres.
"""

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from facenhance_jax.media import pictures
from facenhance_jax.messages import InputError

# The points that expressions hardly move: cheeks, bridge and base of the nose, eye corners and lower lids (from 0).
RIGID = (*range(1, 5), *range(12, 16), *range(27, 30), *range(31, 37), *range(39, 43), *range(45, 48))
# Both ends of the jaw, and the brows: they are moved up, so that the mask covers the forehead.
BROW_LINE = (0, 16, *range(17, 27))
BROW_LIFT = 17 / 64
MARGIN = 3  # pixels of the crop: bilinear interpolation reads beyond its edge, and sizes are rounded
BLACK = 24  # grey levels, the most that the black around a face may have
_SHIFT = 4  # fractional bits of cv2's polygon corners

# The left half and the midline of a frontal face: pixels from the centre of a 64 px crop.
_HALF = {
    0: (-29.0, -11.0), 1: (-28.6, -3.6), 2: (-27.6, 3.9), 3: (-25.9, 11.3), 4: (-22.9, 18.0), 5: (-18.3, 23.3),
    6: (-12.7, 27.1), 7: (-6.5, 29.3), 8: (0.0, 29.9),
    17: (-24.3, -17.2), 18: (-20.4, -20.0), 19: (-15.4, -20.8), 20: (-10.3, -20.0), 21: (-5.6, -18.2),
    27: (0.0, -12.4), 28: (0.0, -7.4), 29: (0.0, -2.6), 30: (0.0, 2.3),
    31: (-6.0, 5.3), 32: (-3.1, 6.3), 33: (0.0, 7.0),
    36: (-18.4, -11.4), 37: (-15.3, -13.4), 38: (-11.4, -13.3), 39: (-8.1, -10.8), 40: (-11.6, -9.9), 41: (-15.2, -9.9),
    48: (-11.0, 15.2), 49: (-7.0, 13.0), 50: (-2.8, 11.8), 51: (0.0, 12.4),
    57: (0.0, 20.3), 58: (-3.2, 19.9), 59: (-7.3, 18.4),
    60: (-9.2, 15.2), 61: (-2.9, 14.3), 62: (0.0, 14.6), 66: (0.0, 16.9), 67: (-3.0, 16.7),
}  # fmt: skip
# The right half is the mirror image: point -> its partner on the other side.
MIRROR = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)


def mean_shape(size: int = 64) -> Float[np.ndarray, "68 2"]:
    """The frontal face that fills a crop of size x size, in that crop's pixel coordinates (float64)."""
    offsets = np.zeros((68, 2))
    for point, (x, y) in _HALF.items():
        offsets[point] = x, y
        offsets[MIRROR[point]] = -x, y
    return offsets * (size / 64) + (size - 1) / 2


def similarity(source: Shaped[np.ndarray, "n 2"], target: Shaped[np.ndarray, "n 2"]) -> Float[np.ndarray, "2 3"]:
    """The rotation, scale and shift from `source` to `target` by least squares, as an affine matrix (float64).

    Umeyama (1991) in the plane: with points as complex numbers it is the regression target = a source + b.
    Raises InputError if all points of `source` coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    centre, aim = source.mean(0), target.mean(0)
    z, w = (source - centre) @ [1, 1j], (target - aim) @ [1, 1j]
    spread = np.vdot(z, z).real
    if not spread > 1e-12:  # NaN too
        raise InputError("landmarks: no two points apart; find the face again or drop the frame")
    a = np.vdot(z, w) / spread
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return np.column_stack([linear, aim - linear @ centre])


def face_mask(aligned: Float[np.ndarray, "68 2"], size: int = 64) -> UInt8[np.ndarray, "{size} {size}"]:
    """1 inside the convex hull of landmarks in crop coordinates, the brow line moved up; 0 outside."""
    outline = aligned.copy()
    outline[list(BROW_LINE), 1] -= BROW_LIFT * size
    return hull_mask(outline, size, _SHIFT)


def hull_mask(points: Float[np.ndarray, "n 2"], size: int, shift: int = 0) -> UInt8[np.ndarray, "{size} {size}"]:
    """1 inside the convex hull of the points and on its border, else 0. Points are rounded to 1/2^shift of a pixel."""
    hull = cv2.convexHull(np.rint(points * 2**shift).astype(np.int32))
    return cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull, 1, lineType=cv2.LINE_8, shift=shift)


def seen_face(low: UInt8[np.ndarray, "l l 3"]) -> UInt8[np.ndarray, "l l"]:
    """1 inside the face of a low-res frame, else 0: the hull of the largest area that is not black.

    The black around a generator's face, or one that was stored as JPEG, is not quite black.
    """
    bright = cv2.morphologyEx((low.max(axis=-1) > BLACK).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = np.zeros(low.shape[:2], np.uint8)
    return cv2.fillConvexPoly(mask, cv2.convexHull(max(outlines, key=cv2.contourArea)), 1) if outlines else mask


def low_frame(
    frame: UInt8[np.ndarray, "h w 3"], landmarks: Shaped[np.ndarray, "68 2"], size: int = 64
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The aligned face on black. Raises InputError for landmarks that cannot be aligned."""
    to_crop = crop_matrix(landmarks, size)
    aligned = np.asarray(landmarks, np.float64) @ to_crop[:, :2].T + to_crop[:, 2]
    mask = face_mask(aligned, size)
    return warp(frame, to_crop, size) * mask[..., None]


def shrinking(landmarks: Shaped[np.ndarray, "68 2"], size: int = 64) -> float:
    """The factor by which `low_frame` shrinks a face; below 1 it enlarges it. Raises InputError as `low_frame` does."""
    return _shrink(crop_matrix(landmarks, size))


def crop_matrix(landmarks: Shaped[np.ndarray, "68 2"], size: int = 64) -> Float[np.ndarray, "2 3"]:
    """The affine matrix (float64) from the frame's pixels to the crop's. Raises InputError as `low_frame` does."""
    points = np.asarray(landmarks, np.float64)
    if not np.isfinite(points).all():
        raise InputError("landmarks: not finite; find the face again or drop the frame")
    return similarity(points[list(RIGID)], mean_shape(size)[list(RIGID)])


def _shrink(matrix: Float[np.ndarray, "2 3"]) -> float:
    return float(1 / np.hypot(matrix[0, 0], matrix[1, 0]))


def warp(
    frame: UInt8[np.ndarray, "h w 3"], matrix: Float[np.ndarray, "2 3"], size: int, how: int = cv2.INTER_LINEAR
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The frame moved by a similarity, its edges repeated beyond them; `how` is one of cv2's interpolations.

    To shrink by more than 2, the frame is shrunk by the area mean first, so that no pixel is skipped.
    """
    shrink = _shrink(matrix)
    if shrink > 2:
        left, top, right, bottom = _seen(frame, matrix, size, round(MARGIN * shrink))
        frame, matrix = frame[top:bottom, left:right], _from(matrix, np.array([left, top]), 1.0)
        height, width = frame.shape[:2]
        small = max(1, round(width / shrink)), max(1, round(height / shrink))
        frame = pictures.shrink(frame, small[1], small[0])
        matrix = _from(matrix, np.zeros(2), np.array([width / small[0], height / small[1]]))
    return cv2.warpAffine(frame, matrix, (size, size), flags=how, borderMode=cv2.BORDER_REPLICATE)


def _from(matrix: np.ndarray, corner: np.ndarray, step: np.ndarray | float) -> np.ndarray:
    """The matrix for a part of the frame that begins at `corner` and has pixels `step` times as large."""
    # Pixel x' of the part is at x = corner + step (x' + 0.5) - 0.5 in the frame.
    return np.column_stack([matrix[:, :2] * step, matrix[:, 2] + matrix[:, :2] @ (corner + (step - 1) / 2)])


def _seen(frame: np.ndarray, matrix: np.ndarray, size: int, margin: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the part of the frame that the crop shows, with `margin` around it.

    They are multiples of 4, except at the frame's edge, so that `pictures.shrink` can halve the part.
    """
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [0, size], [size, 0], [size, size]]) @ inverse[:, :2].T + inverse[:, 2]
    far = np.array(frame.shape[1::-1])
    low = np.clip(corners.min(0) - margin, 0, far - 1).astype(int) // 4 * 4
    high = np.clip(-((-corners.max(0) - margin) // 4) * 4, low + 1, far).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
