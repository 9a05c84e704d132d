"""The place of the low-res face in the photo, found by comparing the two, without landmarks.

The low-res face is aligned, so every face fills its frame in the same way; the photo is not aligned. Laid on the right
square of the photo, the low-res face nearly coincides with the photo's.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.faces import placement

SMALLEST = 0.25  # side of the smallest square tried, in sides of the photo
GROWTH = 1.08  # from one size tried to the next
COARSE = 96  # pixels: side of the shrunk photo in which all positions are tried
FINE_STEPS = (-6, -4, -2, 0, 2, 4, 6)  # pixels added to the best side, to try these sides in the photo itself
REACH = 4  # pixels around the best position that are then tried


def find_face(low: UInt8[np.ndarray, "l l 3"], photo: UInt8[np.ndarray, "h h 3"]) -> Float32[np.ndarray, "4"]:
    """The place (left, top, side, angle; see `placement`) in the photo that fits the low-res face best.

    The fit is the normalised cross-correlation over the face (black pixels of `low` do not count). All sizes and
    positions are tried in a smaller photo, then those near the best in the photo itself, with parabolas between pixels.
    Without a face in `low` it is the whole photo.
    """
    size = photo.shape[0]
    mask = cv2.erode((low.max(axis=-1) > 0).astype(np.float32), np.ones((3, 3)))
    face, grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in (low, photo))
    if mask.sum() < 9 or face[mask > 0].std() < 1:
        return placement.whole(size)
    coarse = cv2.resize(grey, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    count = int(np.log(1 / SMALLEST) / np.log(GROWTH)) + 1
    sides = [round(COARSE * SMALLEST * GROWTH**step) for step in range(count)]
    best = max(_scores(coarse, face, mask, sides), key=lambda found: found[0])
    left, top, side = (value * size / COARSE for value in best[1:])
    tried = []
    for extra in FINE_STEPS:
        wide = round(side) + extra
        corner = np.round([left - extra / 2 - REACH, top - extra / 2 - REACH]).astype(int)
        window = _window(grey, corner, wide + 2 * REACH)
        tried += [(score, x + corner[0], y + corner[1], s) for score, x, y, s in _scores(window, face, mask, [wide])]
    return np.append(_between(tried), 0).astype(np.float32)


def _scores(
    grey: Float[np.ndarray, "h w"], face: Float[np.ndarray, "l l"], mask: Float[np.ndarray, "l l"], sides: list[int]
) -> list[tuple[float, float, float, int]]:
    """(correlation, left, top, side) of the best position for each side that is not larger than the photo."""
    found = []
    for side in sides:
        if side > min(grey.shape):
            continue
        how = cv2.INTER_AREA if side < face.shape[0] else cv2.INTER_LINEAR
        template = cv2.resize(face, (side, side), interpolation=how)
        inside = (cv2.resize(mask, (side, side), interpolation=how) > 0.99).astype(np.float32)
        scores = cv2.matchTemplate(grey, template, cv2.TM_CCOEFF_NORMED, mask=inside)
        scores = np.nan_to_num(scores, nan=-1, posinf=-1, neginf=-1)  # where the photo is flat
        y, x = map(int, np.unravel_index(scores.argmax(), scores.shape))
        found.append((float(scores[y, x]), x + _vertex(scores[y], x), y + _vertex(scores[:, x], y), side))
    return found


def _window(grey: Float[np.ndarray, "h w"], corner: np.ndarray, side: int) -> Float[np.ndarray, "s s"]:
    """A square of the photo, its edge pixels repeated beyond the edge."""
    rows, columns = (np.clip(np.arange(start, start + side), 0, len(grey) - 1) for start in corner[::-1])
    return grey[np.ix_(rows, columns)]


def _vertex(values: Float[np.ndarray, " n"], at: int) -> float:
    """The peak of the parabola through the maximum and its neighbours, relative to the maximum; 0 at the ends."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(value) for value in values[at - 1 : at + 2])
    curve = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / curve, -0.5, 0.5)) if curve < 0 else 0.0


def _between(tried: list[tuple[float, float, float, int]]) -> Float[np.ndarray, "3"]:
    """The best of the squares tried, interpolated towards the better of its neighbours in size."""
    scores = np.array([found[0] for found in tried])
    squares = np.array([found[1:] for found in tried], np.float64)
    at = int(scores.argmax())
    step = _vertex(scores, at)
    neighbour = at + (1 if step > 0 else -1)
    return squares[at] if step == 0 else squares[at] + abs(step) * (squares[neighbour] - squares[at])
