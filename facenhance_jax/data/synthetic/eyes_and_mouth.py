"""The features that are drawn in every frame: eyes, lips, teeth, tongue, glasses. In linear light, into the frame."""

import cv2
import numpy as np
from jaxtyping import Float, Float32

from facenhance_jax.data.synthetic.appearance import Appearance, Rgb
from facenhance_jax.data.synthetic.face_shape import FaceShape, smoothstep

Frame = Float32[np.ndarray, "s s 3"]
Grid = Float[np.ndarray, "h w"]


def curve(nodes: Float[np.ndarray, "n 2"], along: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """A smooth curve (cubic Hermite, Catmull-Rom slopes) through nodes whose first coordinate increases."""
    knots, values = nodes[:, 0], nodes[:, 1]
    slopes = np.gradient(values, knots)
    piece = np.clip(np.searchsorted(knots, along) - 1, 0, len(knots) - 2)
    span = knots[piece + 1] - knots[piece]
    t = np.clip((along - knots[piece]) / span, 0.0, 1.0)
    rise = values[piece + 1] - values[piece]
    start, end = slopes[piece] * span - rise, rise - slopes[piece + 1] * span
    return values[piece] + t * rise + t * (1.0 - t) * ((1.0 - t) * start + t * end)


class Window:
    """A patch of the frame around a feature; axes: along (-1 to 1 from corner to corner) and across (pixels)."""

    def __init__(self, frame: Frame, corners: Float[np.ndarray, "2 2"], reach: float, up: float, down: float) -> None:
        middle, half = corners.mean(0), (corners[1] - corners[0]) / 2
        self.half = max(float(np.hypot(*half)), 1e-3)
        self.axis, self.middle = half / self.half, middle
        size = frame.shape[0]
        left, top = np.clip(np.floor(middle - (reach * self.half, up)), 0, size - 2).astype(int)
        right, bottom = np.clip(np.ceil(middle + (reach * self.half, down)), (left + 2, top + 2), size).astype(int)
        self.patch = frame[top:bottom, left:right]
        x = np.arange(left, right, dtype=np.float32)[None] - np.float32(middle[0])
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(middle[1])
        self.along = (x * self.axis[0] + y * self.axis[1]) / self.half
        self.across = y * self.axis[0] - x * self.axis[1]

    def local(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Points of the frame in the window's coordinates."""
        offset = points - self.middle
        along = offset @ self.axis / self.half
        return np.stack([along, offset[:, 1] * self.axis[0] - offset[:, 0] * self.axis[1]], 1)

    def lay(self, colour: Float[np.ndarray, "h w 3"], mask: Grid) -> None:
        """Blends a colour over the patch."""
        self.patch += (np.asarray(colour, np.float32) - self.patch) * mask.astype(np.float32)[..., None]

    def tint(self, colour: Rgb, mask: Grid) -> None:
        """Multiplies the patch by a colour where the mask is 1."""
        self.patch *= 1.0 + (np.asarray(colour, np.float32) - 1.0) * mask.astype(np.float32)[..., None]


def cover(inside: Grid, soft: float = 1.0) -> Grid:
    """A mask from a signed distance in pixels; its edge is `soft` pixels wide."""
    return np.clip(inside / soft + 0.5, 0.0, 1.0)


def lid(points: Float[np.ndarray, "2 2"], along: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """A lid's line through both corners and two points: (1 - s^2)^0.75 (a + b s)."""
    lift = points[:, 1] / (1.0 - points[:, 0] ** 2) ** 0.75
    slope = (lift[1] - lift[0]) / (points[1, 0] - points[0, 0])
    return np.clip(1.0 - along * along, 0, 1) ** 0.75 * (lift[0] + slope * (along - points[0, 0]))


def draw_eye(
    frame: Frame,
    points: Float[np.ndarray, "6 2"],
    iris_at: Float[np.ndarray, "2"],
    shape: FaceShape,
    appearance: Appearance,
    unit: float,
    bright: float,
) -> None:
    """Draws one eye with its lids, lashes and the crease above it; `points` are its 6 landmarks in pixels."""
    w = Window(frame, points[[0, 3]], 1.45, 0.34 * unit, 0.25 * unit)
    local = w.local(points)
    s = np.clip(w.along, -1.25, 1.25)
    upper, lower = lid(local[1:3], s), lid(local[[5, 4]], s)
    open_by = np.clip((local[[5, 4], 1] - local[1:3, 1]).mean() / (0.12 * unit), 0.0, 1.0)
    within = cover((1.0 - np.abs(w.along)) * w.half * 0.8)
    opening = cover(w.across - upper) * cover(lower - w.across) * within
    ball = eyeball(w, upper, iris_at, shape, appearance, unit)
    w.lay(ball * bright, opening)
    thick = unit * (0.017 + 0.016 * appearance.makeup) * (1.0 - 0.5 * np.abs(w.along) ** 3)
    lash = cover(thick - np.abs(w.across - upper + 0.4 * thick)) * cover((1.04 - np.abs(w.along)) * w.half)
    w.tint((0.14, 0.11, 0.1), 0.85 * lash)
    under = np.exp(-0.5 * ((w.across - lower - 0.004 * unit) / (0.014 * unit)) ** 2) * within
    w.tint((0.6, 0.5, 0.48), (0.45 + 0.3 * appearance.makeup) * under)
    rest = 0.83 * shape.eye_upper * unit
    high = -(1.1 - s * s) * (rest + (shape.crease + 0.015 - 0.02 * open_by) * unit) * (0.86 + 0.14 * open_by)
    fold = np.exp(-0.5 * ((w.across - high) / (0.016 * unit)) ** 2) * smoothstep(1.25, 0.7, np.abs(w.along))
    w.tint((0.55, 0.47, 0.45), 0.75 * fold)


def eyeball(
    w: Window,
    upper: Grid,
    iris_at: Float[np.ndarray, "2"],
    shape: FaceShape,
    appearance: Appearance,
    unit: float,
) -> Float32[np.ndarray, "h w 3"]:
    """The white, the iris with its rays, the pupil, the reflected light, and the upper lid's shadow."""
    at = w.local(np.asarray(iris_at)[None])[0]
    dx, dy = (w.along - at[0]) * w.half, w.across - at[1]
    radius = shape.iris * unit
    r = np.hypot(dx, dy) / radius
    white = np.float32((0.66, 0.6, 0.57)) * (1.0 - 0.3 * np.abs(w.along) ** 2.5)[..., None]
    white = white * (1.0 - 0.12 * (np.abs(w.along) ** 2)[..., None] * np.float32((0.0, 1.0, 1.0)))
    rays = 1.0 + 0.25 * np.sin(np.arctan2(dy, dx) * 11.0 + appearance.texture % 7) * smoothstep(0.4, 0.7, r)
    depth = (0.75 + 0.55 * np.clip(dy / radius, -1, 1)) * rays * (1.0 - 0.75 * smoothstep(0.72, 1.0, r))
    iris = np.float32(appearance.iris) * depth[..., None]
    ball = white + (iris - white) * cover((1.0 - r) * radius, 1.3)[..., None]
    ball = ball * (1.0 - 0.97 * cover((0.42 - r) * radius, 1.2))[..., None]
    shadow = 0.45 + 0.55 * smoothstep(-0.01, 0.075, (w.across - upper) / unit)
    ball = ball * shadow[..., None]
    lx, ly = appearance.light[:2]
    glint = np.exp(-0.5 * ((dx / radius - 0.45 * lx) ** 2 + (dy / radius - 0.55 * ly) ** 2) / 0.17**2)
    return np.clip(ball + (0.9 * glint * (r < 1.1))[..., None], 0, 1).astype(np.float32)


def draw_mouth(
    frame: Frame,
    points: Float[np.ndarray, "20 2"],
    teeth_at: Float[np.ndarray, "2 2"],
    appearance: Appearance,
    unit: float,
    bright: float,
) -> None:
    """Draws the lips, and what shows between them: teeth, tongue and the dark inside.

    `points` are the mouth's 20 landmarks, `teeth_at` the edges of the upper and the lower teeth, in pixels.
    """
    w = Window(frame, points[[0, 6]], 1.25, 0.45 * unit, 0.95 * unit)
    local = w.local(points)
    s = np.clip(w.along, -1.0, 1.0)
    top, bottom = curve(local[:7], s), curve(local[[0, 11, 10, 9, 8, 7, 6]], s)
    left, right = local[[0]], local[[6]]
    above = curve(np.concatenate([left, local[12:17], right]), s)
    below = curve(np.concatenate([left, local[[12, 19, 18, 17, 16]], right]), s)
    within = cover((1.0 - np.abs(w.along)) * w.half)
    soft = 0.03 * unit + 0.7
    upper = cover(w.across - top, soft) * cover(above - w.across, 1.2) * within
    lower = cover(bottom - w.across, soft) * cover(w.across - below, 1.2) * within
    shade_lips(w, upper, lower, (top, above, below, bottom), appearance)
    gap = cover(w.across - above) * cover(below - w.across) * within * smoothstep(0.0, 0.03 * unit, below - above)
    w.lay(mouth_inside(w, teeth_at, above, below, unit) * bright, gap)
    seam = np.exp(-0.5 * ((w.across - above) / (0.018 * unit)) ** 2) * smoothstep(1.12, 0.95, np.abs(w.along))
    closed = 0.95 * smoothstep(0.1 * unit, 0.02 * unit, below - above)
    w.tint((0.22, 0.14, 0.14), np.clip(closed * seam, 0, 1))
    corner = np.exp(
        -0.5
        * (((np.abs(w.along) - 1.02) * w.half) ** 2 + (w.across - np.where(w.along > 0, local[6, 1], local[0, 1])) ** 2)
        / (0.035 * unit) ** 2
    )
    w.tint((0.55, 0.45, 0.43), 0.8 * corner)


def shade_lips(
    w: Window, upper: Grid, lower: Grid, lines: tuple[Grid, Grid, Grid, Grid], appearance: Appearance
) -> None:
    """Tints the skin to lips: the upper lip faces down, the lower lip faces up and shines."""
    top, above, below, bottom = lines
    up = np.clip((w.across - top) / np.maximum(above - top, 0.5), 0, 1)
    low = np.clip((w.across - below) / np.maximum(bottom - below, 0.5), 0, 1)
    high = -appearance.light[1]
    w.tint(appearance.lips, upper + lower)
    w.patch *= (1.0 + upper * (0.08 - (0.12 + 0.3 * high) * up) + lower * (0.22 * np.cos(3.0 * (low - 0.3)) - 0.1))[
        ..., None
    ].astype(np.float32)
    furrows = 0.05 * np.sin(w.along * 38.0 + 3.0 * np.sin(w.along * 7.0)) * (upper + lower)
    w.patch *= (1.0 + furrows)[..., None].astype(np.float32)
    gleam = (
        0.045
        * (1.0 + appearance.makeup)
        * lower
        * np.exp(-(((low - 0.38) / 0.2) ** 2) - ((w.along - 0.5 * appearance.light[0]) / 0.4) ** 2)
    )
    w.patch += gleam[..., None].astype(np.float32)


def mouth_inside(
    w: Window, teeth_at: Float[np.ndarray, "2 2"], above: Grid, below: Grid, unit: float
) -> Float32[np.ndarray, "h w 3"]:
    """Two rows of teeth, the tongue, and darkness towards the corners."""
    local = w.local(teeth_at)
    across, x = w.across / unit, w.along * w.half / unit
    inside = np.broadcast_to(np.float32((0.045, 0.014, 0.012)), (*w.across.shape, 3)).copy()
    tongue_y = local[1, 1] / unit + 0.02
    tongue = smoothstep(1.0, 0.6, (x / 0.24) ** 2 + ((across - tongue_y) / 0.13) ** 2)
    inside += (np.float32((0.2, 0.06, 0.05)) - inside) * (0.85 * tongue)[..., None]
    for row, sign in ((1, -1.0), (0, 1.0)):
        edge = local[row, 1] / unit - sign * 0.05 * x * x * 2.0
        biting = sign * (edge - across)
        width = 0.075 if row == 0 else 0.056
        gap = np.abs(np.sin(np.pi * (x / width))) ** 0.35
        body = cover(biting * unit) * cover((0.17 - biting) * unit) * smoothstep(0.34, 0.27, np.abs(x))
        bright = (0.62 + 0.38 * gap) * (1.0 - 0.75 * smoothstep(0.12, 0.34, np.abs(x))) * (0.5 if row else 0.85)
        inside += (np.float32((1.0, 0.9, 0.78)) * bright[..., None] - inside) * body[..., None]
    shade = 0.45 + 0.55 * smoothstep(0.0, 0.06, (w.across - above) / unit)
    shade = shade * (0.25 + 0.75 * smoothstep(0.0, 0.09, (below - w.across) / unit))
    return (inside * shade[..., None]).astype(np.float32)


def glasses_layer(
    shape: FaceShape,
    appearance: Appearance,
    x: Float32[np.ndarray, "h w"],
    y: Float32[np.ndarray, "h w"],
    unit: float | np.floating,
) -> Float32[np.ndarray, "h w"]:
    """A mask, 0 to 1, of the rims, bridge and temples of the glasses."""
    far = np.abs(x)
    wide, high = 0.31, 0.2 + 0.06 * ((appearance.texture // 7) % 5) / 4
    power = 2.0 + (appearance.texture % 5)
    ring = (np.abs(far - shape.eye_x) / wide) ** power + (np.abs(y - 0.05) / high) ** power
    off = np.abs(np.maximum(ring, 1e-6) ** (1.0 / power) - 1.0) * high
    rim = cover((appearance.glasses - off) * unit, 1.5)
    bridge = cover((appearance.glasses - np.abs(y + 0.02 + 0.5 * far * far)) * unit, 1.5) * (
        far < shape.eye_x - wide + 0.02
    )
    arm = cover((appearance.glasses - np.abs(y)) * unit, 1.5) * (far > shape.eye_x + wide - 0.02) * (far < 1.02)
    return np.maximum(rim, np.maximum(bridge, arm)).astype(np.float32)


def draw_glasses(
    window: Float32[np.ndarray, "h w 3"],
    layer: Float32[np.ndarray, "h w"],
    appearance: Appearance,
    shift: Float[np.ndarray, "2"],
) -> None:
    """Draws the glasses over a window of the frame, moved by `shift` (pixels)."""
    move = np.float32([[1, 0, shift[0]], [0, 1, shift[1]]])
    mask = cv2.warpAffine(layer, move, layer.shape[::-1])[..., None]
    window += (0.25 * np.float32(appearance.trim) ** 1.5 - window) * mask
