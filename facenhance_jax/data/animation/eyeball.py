"""The eyeball behind the lids: the photo's own eye, completed where lids hide it."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.data.animation.openings import Opening
from facenhance_jax.data.synthetic.face_shape import smoothstep

SHADED = 0.022  # face units: so far down the upper lid's lashes and shadow are on the eyeball
IRIS = 0.088  # face units, radius: irises of all people are about 11.7 mm wide


class Eyeball:
    """One eye's picture without lids, in the window `box` of the photo."""

    def __init__(self, photo: UInt8[np.ndarray, "h w 3"], opening: Opening, unit: float) -> None:
        height, width = photo.shape[:2]
        reach = np.array([1.3 * opening.half, 0.3 * unit])
        low = np.clip(np.floor(opening.middle - reach), 0, (width - 4, height - 4)).astype(int)
        high = np.clip(np.ceil(opening.middle + reach) + 1, low + 4, (width, height)).astype(int)
        self.box = box = slice(low[1], high[1]), slice(low[0], high[0])
        along, across = opening.along[box], opening.across[box]
        depth = np.minimum(opening.lower[box] - across, (1.0 - np.abs(along)) * opening.half)
        below = across - opening.upper[box]
        inside = np.minimum(depth, below) > 0
        patch = np.ascontiguousarray(photo[box])
        rows = opening.lower[box] - (0.92 * IRIS * unit)
        centre = _iris(patch, inside, along * opening.half, across - rows, unit)
        known = inside & (depth > 0.012 * unit) & (below > SHADED * unit)
        self.lashes = np.float32(0.5) * np.median(patch, (0, 1)).astype(np.float32)
        self.picture = _complete(patch, known, centre, IRIS * unit)

    def seen(self, shift: Float[np.ndarray, "2"]) -> Float32[np.ndarray, "h w 3"]:
        """What the window shows if the eyeball turns by `shift` pixels."""
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        size = self.picture.shape[1::-1]
        return cv2.warpAffine(self.picture, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _iris(
    patch: UInt8[np.ndarray, "h w 3"], inside: np.ndarray, x: np.ndarray, y: np.ndarray, unit: float
) -> Float[np.ndarray, "2"]:
    """The iris' centre in the patch: the disc that is darkest against the rest of the eye.

    `x` and `y` are pixels from the eye's middle and from the height at which the disc stands on the lower lid.
    """
    dark = 255.0 - cv2.GaussianBlur(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), (0, 0), 0.6).astype(np.float32)
    columns = np.indices(dark.shape)[::-1]
    best, at = -np.inf, np.array([dark.shape[1] / 2, dark.shape[0] / 2])
    for cx in np.linspace(-0.1, 0.1, 21) * unit:
        for cy in np.linspace(-0.03, 0.03, 7) * unit:
            far = np.hypot(x - cx, y - cy)
            disc = inside & (far < IRIS * unit)
            rest = inside & ~disc
            if disc.sum() < 4 or rest.sum() < 4:
                continue
            score = dark[disc].mean() - dark[rest].mean() - 15 * (cy / (0.03 * unit)) ** 2 - 100 * (cx / unit) ** 2
            if score > best:
                best, at = score, np.array([part.flat[far.argmin()] for part in columns], np.float64)
    return at


def _complete(
    patch: UInt8[np.ndarray, "h w 3"], known: np.ndarray, centre: Float[np.ndarray, "2"], radius: float
) -> Float32[np.ndarray, "h w 3"]:
    """The patch where it is known; else the eye's other half, mirrored at the iris' centre; else grown from these."""
    rows, columns = np.indices(known.shape, np.float32)
    mirrored = columns, (2 * np.float32(centre[1]) - rows)
    there = cv2.remap(known.astype(np.float32), *mirrored, cv2.INTER_LINEAR) > 0.99
    other = cv2.remap(patch, *mirrored, cv2.INTER_LINEAR)
    disc = np.hypot(columns - centre[0], rows - centre[1]) < radius
    if (disc & known).sum() > 8:  # no second reflection of the lamp
        most = np.where(disc[..., None], np.percentile(patch[disc & known], 65, 0), np.percentile(patch[known], 85, 0))
        other = np.minimum(other, most)
    picture = np.where(known[..., None], patch, other).astype(np.uint8)
    missing = (~(known | there)).astype(np.uint8)
    if missing.all():
        return patch.astype(np.float32)
    grown = cv2.inpaint(picture, missing, 3, cv2.INPAINT_TELEA).astype(np.float32)
    soft = cv2.GaussianBlur(grown, (0, 0), 1.0)
    seam = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 1.0)
    seam = smoothstep(0.0, 0.35, np.minimum(seam, 1 - seam))[..., None] * ~known[..., None]
    return (grown + seam * (soft - grown)).astype(np.float32)
