"""The place of the low-res face in the photo, found by comparing the two, without landmarks.

The low-res face is aligned, so every face fills its frame in the same way; the photo is not aligned. Laid on the right
place in the photo, the low-res face nearly coincides with the photo's.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from facenhance_jax.faces import alignment, framing, placement

# All positions, sizes and turns are tried in a small photo.
COARSE = 48  # pixels: its side
SMALLEST = 0.25  # side of the smallest square tried, in sides of the photo
GROWTH = 1.16  # from one size tried to the next
TURNS = range(-24, 25, 8)  # degrees
# What the correlation loses there by each of these: twice or half the usual side, half a photo away, 24 degrees.
UNUSUAL = 0.2
BLURS = (2.0, 1.0, 0.0)  # low-res pixels: sigma of the Gaussian blurs under which the best of them is then made exact
STEPS = 10  # at most, for each blur
FLAT = 0.1  # grey levels of standard deviation, up to which a part of the photo has no correlation
FARTHEST = 0.25  # sides that the exact place's corners may be from the best one in the small photo
TRIED = 5  # frames of a clip
GOOD = 0.98  # correlation from which no further frame is tried: that of the same face with the same expression

Face, Grey = Float32[np.ndarray, "l l"], Float32[np.ndarray, "h w"]


def find_face(low: UInt8[np.ndarray, "*n l l 3"], photo: UInt8[np.ndarray, "h h 3"]) -> Float32[np.ndarray, "4"]:
    """The place (left, top, side, angle; see `placement`) in the photo that fits the low-res face best.

    The fit is the normalised cross-correlation over the face (the black around it does not count). All places are tried
    in a small photo, turned by up to 24 degrees either way, where usual ones are preferred a little; then least squares
    make the best one exact.

    Of a clip, up to five frames are tried, from the first to the last, because a strong expression hides the fit: the
    place is that of the first that fits well, or else of the one that fits best. Without a face in `low` it is the
    whole photo.
    """
    clip = low.reshape(-1, *low.shape[-3:])
    grey, best = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32), (-2.0, placement.whole(len(photo)))
    for frame in clip[np.linspace(0, len(clip) - 1, min(len(clip), TRIED)).round().astype(int)]:
        best = max(best, _find(frame, grey), key=lambda found: found[0])
        if best[0] >= GOOD:
            break
    return best[1]


def _find(low: UInt8[np.ndarray, "l l 3"], grey: Grey) -> tuple[float, Float32[np.ndarray, "4"]]:
    """(correlation, place) for one frame."""
    inside = cv2.erode(alignment.seen_face(low), np.ones((3, 3))) > 0
    face = cv2.cvtColor(low, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if inside.sum() < 9 or face[inside].std() < 1:
        return -1.0, placement.whole(len(grey))
    place = coarse = _coarse(face, inside, grey)
    for blur in BLURS:
        place, fit = _exact(place, face, inside, grey, blur)
    went = np.abs(placement.corners(place) - placement.corners(coarse)).max()
    return fit, place if went < FARTHEST * coarse[2] else coarse  # far away it follows something else


def _coarse(face: Face, inside: Bool[np.ndarray, "l l"], grey: Grey) -> Float32[np.ndarray, "4"]:
    """The best place in a small photo, among all its positions and a few sizes and turns."""
    small = cv2.resize(grey, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    middle, best, found = (COARSE - 1) / 2, -np.inf, placement.whole(COARSE)
    for turn in TURNS:
        # The photo is turned back instead of the face: so the templates stay squares.
        back = cv2.getRotationMatrix2D((middle, middle), turn, 1.0)
        turned = cv2.warpAffine(small, back, small.shape, borderMode=cv2.BORDER_REPLICATE)
        for step in range(int(np.log(1 / SMALLEST) / np.log(GROWTH)) + 1):
            side = round(COARSE * SMALLEST * GROWTH**step)
            scores = _scores(turned, face, inside, side)
            scores -= UNUSUAL * (abs(np.log2(side / COARSE / framing.CROP)) + abs(turn) / max(TURNS))
            top, left = np.unravel_index(scores.argmax(), scores.shape)
            if scores[top, left] > best:
                best = scores[top, left]
                found = placement.moved(np.array([left, top, side, 0.0]), cv2.invertAffineTransform(back))
    return found * np.float32([*[len(grey) / COARSE] * 3, 1])


def _scores(grey: Grey, face: Face, inside: Bool[np.ndarray, "l l"], side: int) -> Float32[np.ndarray, "y x"]:
    """The correlation at each position (top, left) of the face, `side` pixels wide, less what is lost far away."""
    how = cv2.INTER_AREA if side < len(face) else cv2.INTER_LINEAR
    template = cv2.resize(face, (side, side), interpolation=how)
    mask = (cv2.resize(inside.astype(np.float32), (side, side), interpolation=how) > 0.99).astype(np.float32)
    scores = cv2.matchTemplate(grey, template, cv2.TM_CCOEFF_NORMED, mask=mask)
    scores = np.nan_to_num(scores, nan=-1, posinf=-1, neginf=-1)  # where the photo is flat
    usual_x, usual_y = framing.CROP_CENTRE
    x, y = ((np.arange(count) + side / 2) / len(grey) for count in scores.shape[::-1])
    return (scores - 2 * UNUSUAL * np.hypot(y[:, None] - usual_y, x[None] - usual_x)).astype(np.float32)


def _exact(
    place: Float32[np.ndarray, "4"], face: Face, inside: Bool[np.ndarray, "l l"], grey: Grey, blur: float
) -> tuple[Float32[np.ndarray, "4"], float]:
    """The place moved, turned and resized until the photo there fits the face best, and the correlation there.

    Gauss-Newton steps on |gain photo + offset - face|^2 over the face (Lucas and Kanade, 1981); its minimum is the
    maximum of the correlation. Both are blurred.
    """
    size, fit, best = len(face), -2.0, place
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    weights = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), blur) if blur else inside
    ours = cv2.GaussianBlur(face * inside, (0, 0), blur)[inside] / weights[inside] if blur else face[inside]
    coarser = max(place[2] / size, 1.0)  # photo pixels in a low-res pixel
    grey = cv2.GaussianBlur(grey, (0, 0), max(0.1, np.hypot(blur * coarser, 0.5 * (coarser**2 - 1) ** 0.5)))
    for _ in range(STEPS):
        matrix = placement.matrix(place, size)
        how = dict(flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.warpAffine(grey, matrix, (size, size), **how)
        here = float(np.corrcoef(seen[inside], ours)[0, 1]) if seen[inside].std() > FLAT else -1.0
        if here <= fit:
            break
        best, fit = place, here
        down, right = np.gradient(seen)
        changes = [right, down, x * right + y * down, x * down - y * right, seen, np.ones_like(seen)]
        found = np.linalg.lstsq(np.stack(changes, -1)[inside], ours, rcond=None)[0]
        across, below, larger, turned = found[:4] / max(found[4], 0.1)  # low-res pixels, a share, radians
        # In the low-res frame: larger and turned about its middle, then shifted.
        about = np.array([[1 + larger, -turned, across], [turned, 1 + larger, below]])
        about[:, 2] += (size - 1) / 2 - about[:, :2] @ np.full(2, (size - 1) / 2)
        place = placement.moved(placement.whole(size), _after(matrix, about))
    return best, fit


def _after(second: Float[np.ndarray, "2 3"], first: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """Two affine maps, one after the other."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])
