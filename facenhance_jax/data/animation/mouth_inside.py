"""What shows between parting lips: teeth that stay with the skull and with the jaw, the tongue, darkness.

Painted in the photo's light, or the photo's own teeth where it shows them.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.data.animation.openings import Opening
from facenhance_jax.data.synthetic.face_shape import smoothstep

Map = Float32[np.ndarray, "h w"]
Colours = Float32[np.ndarray, "h w 3"]

FINE = 4  # the teeth are drawn so many times larger
# Widths of the teeth from the middle outwards as seen from the front, and how much higher each one ends; face units.
UPPER = ((0.118, 0.0), (0.086, 0.012), (0.088, 0.004), (0.062, 0.012), (0.05, 0.02), (0.04, 0.03))
LOWER = ((0.072, 0.0), (0.078, 0.002), (0.082, -0.004), (0.07, 0.006), (0.055, 0.012))
CROWN = 0.15  # face units, height of a tooth
ARC = 0.28  # by this times the square of the distance from the middle, teeth end higher
BITE = 0.06  # face units: the upper teeth end so far below the lips' seam
DARK, TONGUE, GUM = (0.045, 0.016, 0.014), (0.42, 0.15, 0.14), (0.62, 0.26, 0.24)  # over the teeth's green
Rgb = Float[np.ndarray, "3"]


class MouthInside:
    """The inside of one photo's mouth, in a window around it."""

    def __init__(
        self, photo: UInt8[np.ndarray, "h w 3"], opening: Opening, unit: float, is_open: bool, skin: Rgb
    ) -> None:
        """`skin` is the cheeks' colour in linear light."""
        height, width = photo.shape[:2]
        low = np.clip(np.floor(opening.middle - (1.5 * opening.half, 0.4 * unit)), 0, (width - 4, height - 4))
        high = np.ceil(opening.middle + (1.5 * opening.half, 0.85 * unit))
        low, high = low.astype(int), np.clip(high, low + 4, (width, height)).astype(int)
        self.box = slice(low[1], high[1]), slice(low[0], high[0])
        self.unit, self.opening = unit, opening
        self.x = opening.along[self.box] * opening.half / unit
        seam = (opening.upper + opening.lower)[self.box] / 2
        self.seam = float(np.median(seam[np.abs(opening.along[self.box]) < 0.5])) / unit
        self.y = opening.across[self.box] / unit - self.seam  # face units below the seam
        self.enamel = enamel(skin)
        self.bright = float(self.enamel[1])
        self.upper = self._row(UPPER, -1.0)
        self.lower = self._row(LOWER, 1.0)
        self.own = _own_teeth(photo, opening, self.box, unit, self.enamel) if is_open else None

    def _row(self, teeth: tuple[tuple[float, float], ...], sign: float) -> Float32[np.ndarray, "h w 4"]:
        """A row of teeth, colour and cover, whose edge is at the seam; `sign` -1: they hang down, 1: they stand up."""
        rows, columns = self.x.shape
        big = columns * FINE, rows * FINE
        x, y = (cv2.resize(part, big, interpolation=cv2.INTER_LINEAR) for part in (self.x, self.y))
        far, into = np.abs(x), sign * y  # `into`: from the edge to the gum
        colour = np.broadcast_to(np.float32(GUM) * self.bright, (*x.shape, 3)).copy()
        mask = np.zeros(x.shape, np.float32)
        start, pixel = 0.0, 1.0 / (self.unit * FINE)
        for width, higher in teeth:
            middle, half = start + width / 2, width / 2 - 0.0015
            across = (far - middle) / half
            corner = 0.016 * np.abs(across) ** 4 + ARC * far**2
            body = np.minimum((1.0 - np.abs(across) ** 6) * half * 0.5, into - higher - corner)
            root = CROWN * (1.0 - 0.12 * np.abs(across) ** 2) - into + 0.2 * higher
            cover = np.clip(np.minimum(body, root) / (2 * pixel) + 0.5, 0, 1)
            bright = (1.0 - 0.14 * np.abs(across) ** 4) * (0.86 + 0.14 * smoothstep(CROWN, 0.02, into))
            bright = bright * (1.0 - 0.25 * smoothstep(0.02, 0.0, into - higher))
            bright = bright * (1.0 - 0.75 * smoothstep(0.12, 0.42, far))
            tooth = np.float32(self.enamel) * bright[..., None]
            colour += (tooth - colour) * cover[..., None]
            start += width
        edge = np.interp(far, np.cumsum([0.0] + [w for w, _ in teeth[:-1]]), [h for _, h in teeth]) + ARC * far**2
        mask = np.clip((into - edge) / (3 * pixel) + 0.5, 0, 1) * smoothstep(start, start - 0.06, far)
        mask = mask * smoothstep(CROWN + 0.12, CROWN + 0.04, into)
        picture = np.concatenate([colour, mask[..., None]], -1).astype(np.float32)
        picture[..., :3] *= picture[..., 3:]
        return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)

    def seen(
        self,
        above: Map,
        below: Map,
        head: Float[np.ndarray, "2"],
        jaw: float,
    ) -> Colours:
        """The window's inside, 0..255. `above` and `below` are the covers of the two lips in the window.

        `head` is the skull's shift in pixels, `jaw` how far the jaw has dropped, face units.
        """
        inside = np.broadcast_to(np.float32(DARK) * self.bright, (*self.x.shape, 3)).copy()
        x, y = self.x - head[0] / self.unit, self.y - head[1] / self.unit
        top = BITE + 0.03 + 0.45 * jaw
        tongue = smoothstep(1.2, 0.2, (x / 0.25) ** 2 + ((y - top - 0.12) / 0.14) ** 2)
        inside += (np.float32(TONGUE) * self.bright - inside) * (0.8 * tongue)[..., None]
        for row, drop, share in ((self.lower, 0.075 + 1.15 * jaw, 0.6), (self.upper, BITE, 1.0)):
            move = np.array([[1.0, 0.0, head[0]], [0.0, 1.0, head[1] + drop * self.unit]])
            teeth = cv2.warpAffine(row, move, row.shape[1::-1], flags=cv2.INTER_LINEAR)
            inside = inside * (1.0 - teeth[..., 3:]) + share * teeth[..., :3]
        wide = 0.035 * self.unit
        lip = cv2.GaussianBlur(np.stack([above, below], -1), (0, 0), wide)
        shade = (1.0 - 0.6 * np.clip(lip[..., 0] * 1.3, 0, 1)) * (1.0 - 0.3 * np.clip(lip[..., 1] * 1.4, 0, 1))
        picture = 255.0 * np.clip(inside * shade[..., None], 0, 1) ** (1 / 2.2)
        if self.own is None:
            return picture.astype(np.float32)
        move = np.array([[1.0, 0.0, head[0]], [0.0, 1.0, head[1]]])
        own = cv2.warpAffine(self.own, move, self.own.shape[1::-1], flags=cv2.INTER_CUBIC)
        return (picture + (own[..., :3] - picture) * np.clip(own[..., 3:], 0, 1)).astype(np.float32)


def enamel(skin: Rgb) -> Rgb:
    """The colour of teeth in the light in which the cheeks have this one; both linear, 0..1.

    Regression over 82 smiling photographs: brightness (residual 0.34 in its logarithm), red and blue against green.
    """
    red, green, blue = np.log(np.maximum(skin, 0.01))
    bright = np.exp(0.457 * np.log(max(float(np.mean(skin)), 0.01)) - 0.232)
    colour = np.exp([0.414 * (red - green) - 0.072, 0.0, 0.497 * (blue - green) - 0.037])
    return colour * bright / colour.mean()


def _own_teeth(
    photo: UInt8[np.ndarray, "h w 3"], opening: Opening, box: tuple[slice, slice], unit: float, teeth: Rgb
) -> Float32[np.ndarray, "a b 4"]:
    """What the open mouth of the photo shows, with its cover; grown upwards a little, for a lip that lifts."""
    across, upper, lower = opening.across[box], opening.upper[box], opening.lower[box]
    margin = np.minimum(0.012 * unit, (lower - upper) / 3)
    rows, columns = np.indices(across.shape, np.float32)
    into = np.clip(across, upper + margin, lower - margin) - across
    x, y = columns - into * np.float32(opening.axis[1]), rows + into * np.float32(opening.axis[0])
    picture = cv2.remap(np.ascontiguousarray(photo[box]), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    # Above the teeth's visible part comes more of them, without detail, and then gum.
    far = smoothstep(0.0, 0.05 * unit, upper + margin - across)[..., None].astype(np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), 0.06 * unit).astype(np.float32)
    gum = np.float32(255.0 * np.clip(np.array(GUM) * teeth[1], 0, 1) ** (1 / 2.2))
    picture = picture + far * (np.float32(0.45) * (blurred + gum) - picture)
    gap = smoothstep(0.01 * unit, 0.035 * unit, lower - upper)
    cover = gap * smoothstep(0.03 * unit, 0.0, across - lower) * smoothstep(-0.14 * unit, -0.1 * unit, across - upper)
    return np.concatenate([picture, cover[..., None]], -1).astype(np.float32)
