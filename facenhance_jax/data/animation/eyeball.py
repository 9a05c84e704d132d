"""The eyeball behind the lids: the photo's own eye, completed where lids hide it."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.data.animation.openings import Opening
from facenhance_jax.data.synthetic.face_shape import smoothstep

IRIS = 0.088  # face units, radius: irises of all people are about 11.7 mm wide


class Eyeball:
    """One eye's picture without lids, around `corner` (pixels of the photo)."""

    def __init__(self, photo: UInt8[np.ndarray, "h w 3"], opening: Opening, unit: float) -> None:
        height, width = photo.shape[:2]
        reach = np.array([1.3 * opening.half, 0.3 * unit])
        low = np.clip(np.floor(opening.middle - reach), 0, (width - 4, height - 4)).astype(int)
        high = np.clip(np.ceil(opening.middle + reach) + 1, low + 4, (width, height)).astype(int)
        self.corner = low
        box = slice(low[1], high[1]), slice(low[0], high[0])
        along, across = opening.along[box], opening.across[box]
        depth = np.minimum(across - opening.upper[box], opening.lower[box] - across)
        depth = np.minimum(depth, (1.0 - np.abs(along)) * opening.half)
        patch = np.ascontiguousarray(photo[box])
        centre = _iris(patch, depth > 0, along, across, opening, unit)
        self.picture = _complete(patch, depth > 0.014 * unit, centre)
        self.white = _white(patch, depth > 0.01 * unit)

    def seen(
        self, shift: Float[np.ndarray, "2"], height: int, width: int
    ) -> tuple[tuple[slice, slice], Float32[np.ndarray, "h w 3"]]:
        """The window of a frame and what it shows if the eyeball turns by `shift` pixels."""
        rows, columns = self.picture.shape[:2]
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        box = slice(self.corner[1], self.corner[1] + rows), slice(self.corner[0], self.corner[0] + columns)
        return box, cv2.warpAffine(
            self.picture, move, (columns, rows), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )


def _iris(
    patch: UInt8[np.ndarray, "h w 3"],
    inside: np.ndarray,
    along: np.ndarray,
    across: np.ndarray,
    o: Opening,
    unit: float,
) -> Float[np.ndarray, "2"]:
    """The iris' centre in the patch: the disc that is darkest against the rest of the eye."""
    dark = 255.0 - cv2.GaussianBlur(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), (0, 0), 0.6).astype(np.float32)
    rows, columns = np.indices(dark.shape)
    best, at = -np.inf, np.array([dark.shape[1] / 2, dark.shape[0] / 2])
    if not inside.any():
        return at
    x, y = along * o.half, across
    for cx in np.linspace(-0.5, 0.5, 15) * o.half:
        for cy in np.linspace(-0.06, 0.03, 7) * unit:
            disc = inside & (np.hypot(x - cx, y - cy) < IRIS * unit)
            rest = inside & ~disc
            if disc.sum() < 4 or rest.sum() < 4:
                continue
            score = dark[disc].mean() - dark[rest].mean() - 40 * abs(cy) / unit
            if score > best:
                nearest = np.hypot(x - cx, y - cy).argmin()
                best, at = score, np.array([columns.flat[nearest], rows.flat[nearest]], np.float64)
    return at


def _complete(
    patch: UInt8[np.ndarray, "h w 3"], known: np.ndarray, centre: Float[np.ndarray, "2"]
) -> Float32[np.ndarray, "h w 3"]:
    """The patch where it is known; else the eye's other half, mirrored at the iris' centre; else grown from these."""
    rows, columns = np.indices(known.shape, np.float32)
    mirrored = columns, (2 * np.float32(centre[1]) - rows)
    there = cv2.remap(known.astype(np.float32), *mirrored, cv2.INTER_LINEAR) > 0.99
    picture = np.where(known[..., None], patch, cv2.remap(patch, *mirrored, cv2.INTER_LINEAR))
    missing = (~(known | there)).astype(np.uint8)
    if missing.all():
        return patch.astype(np.float32)
    grown = cv2.inpaint(picture, missing, 3, cv2.INPAINT_TELEA)
    soft = cv2.GaussianBlur(grown, (0, 0), 1.0)
    seam = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 1.0)
    seam = smoothstep(0.0, 0.35, np.minimum(seam, 1 - seam))[..., None] * ~known[..., None]
    return (grown + seam * (soft.astype(np.float32) - grown)).astype(np.float32)


def _white(patch: UInt8[np.ndarray, "h w 3"], known: np.ndarray) -> float:
    """How bright the white of the eye is, 0..1 in linear light; 0 if too little of it is seen."""
    if known.sum() < 12:
        return 0.0
    return float(np.percentile(patch[known].mean(-1), 88) / 255) ** 2.2
