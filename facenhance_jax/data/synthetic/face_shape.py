"""The shape of a drawn head: its measures, the 68 points at rest, and how muscles move them.

Face coordinates: x to the right, y down, the origin between the eyes, 1 = half the width of the face.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

MUSCLES = (
    "inner_brow_raise",
    "outer_brow_raise",
    "brow_lower",
    "lid_raise",
    "lid_tighten",
    "nose_wrinkle",
    "upper_lip_raise",
    "smile",
    "dimple",
    "corner_depress",
    "chin_raise",
    "lip_stretch",
    "lip_press",
    "jaw_drop",
    "lips_part",
)


class Levels(NamedTuple):
    """The heights on a face that muscles depend on: y in face coordinates."""

    brow_y: float
    nose_tip: float
    mouth_y: float
    chin: float


@dataclass(frozen=True)
class FaceShape:
    """The geometry of one head, in face coordinates unless said otherwise."""

    half_width: float  # pixels in a frame of 192
    centre: tuple[float, float]  # the point between the eyes, pixels in a frame of 192
    chin: float  # y of the chin
    crown: float  # y of the top of the skull, negative
    jaw: float  # exponent of the jaw line: 2.2 pointed, 3.2 square
    eye_x: float
    eye_width: float  # half length of an eye
    eye_upper: float
    eye_lower: float
    eye_tilt: float
    iris: float
    crease: float
    brow_y: float
    brow_inner: float
    brow_outer: float
    brow_arch: float
    brow_tilt: float
    brow_thick: float
    nose_tip: float  # y
    nose_width: float
    nose_height: float
    bridge: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    bow: float  # depth of the cupid's bow
    corner: float  # y of the mouth's corners minus y of its middle
    cheek: float
    hollow: float
    depth: float
    neck: float

    @property
    def levels(self) -> Levels:
        return Levels(self.brow_y, self.nose_tip, self.mouth_y, self.chin)


def draw_shape(rng: np.random.Generator) -> FaceShape:
    """A random head."""
    around = lambda mean, spread: float(mean + spread * np.clip(rng.normal(), -2.2, 2.2))  # noqa: E731
    between = lambda low, high: float(rng.uniform(low, high))  # noqa: E731
    return FaceShape(
        half_width=between(38.5, 44.5),
        centre=(95.5 + between(-3.5, 3.5), 86.0 + between(-3.5, 4.0)),
        chin=around(1.62, 0.065),
        crown=around(-1.32, 0.06),
        jaw=between(2.2, 3.2),
        eye_x=around(0.44, 0.018),
        eye_width=around(0.172, 0.011),
        eye_upper=around(0.093, 0.012),
        eye_lower=around(0.053, 0.007),
        eye_tilt=around(0.012, 0.016),
        iris=around(0.088, 0.004),
        crease=between(0.025, 0.075),
        brow_y=around(-0.27, 0.028),
        brow_inner=around(0.17, 0.022),
        brow_outer=around(0.76, 0.03),
        brow_arch=around(0.085, 0.026),
        brow_tilt=around(0.0, 0.028),
        brow_thick=between(0.026, 0.062),
        nose_tip=around(0.54, 0.035),
        nose_width=around(0.205, 0.024),
        nose_height=around(0.27, 0.035),
        bridge=between(0.045, 0.11),
        mouth_y=around(0.96, 0.028),
        mouth_width=around(0.365, 0.03),
        upper_lip=between(0.06, 0.115),
        lower_lip=between(0.085, 0.155),
        bow=between(0.005, 0.03),
        corner=around(0.0, 0.014),
        cheek=between(0.02, 0.09),
        hollow=between(0.0, 0.06),
        depth=around(0.86, 0.05),
        neck=between(0.56, 0.78),
    )


def smoothstep(low: float, high: float, value: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """0 below `low`, 1 above `high`, smooth in between; it falls if `low` is the larger one."""
    part = np.clip((value - low) / (high - low), 0.0, 1.0)
    return part * part * (3.0 - 2.0 * part)


def bump(
    x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."], at: tuple[float, float], wide: float, high: float
) -> Float[np.ndarray, "..."]:
    """A Gaussian hill of height 1 at the point `at`; its sigmas are `wide` in x and `high` in y."""
    return np.exp(-0.5 * (((x - at[0]) / wide) ** 2 + ((y - at[1]) / high) ** 2))


def half_width(shape: FaceShape, y: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Half the width of the head at height y; 0 above the crown and below the chin."""
    jaw = np.clip(y / shape.chin, 0.0, 1.0)
    skull = np.clip(y / shape.crown, 0.0, 1.0)
    return np.where(y > 0, (1.0 - jaw**shape.jaw) ** 0.5, (1.0 - skull**2.5) ** 0.47)


def neutral_points(shape: FaceShape) -> Float[np.ndarray, "68 2"]:
    """The 68 iBUG points of the face at rest."""
    down = np.array([0.01, 0.17, 0.335, 0.49, 0.64, 0.775, 0.885, 0.97, 1.0]) * shape.chin
    left_jaw = np.stack([-half_width(shape, down), down], 1)
    along = np.array([1.0, 0.78, 0.52, 0.25, 0.0])
    brow_x = shape.brow_inner + along * (shape.brow_outer - shape.brow_inner)
    left_brow = np.stack([-brow_x, brow_line(shape, along)], 1)
    tip, wing = shape.nose_tip, shape.nose_width
    bridge = [(0.0, share * tip) for share in (-0.03, 0.31, 0.66, 1.0)]
    base = [(-wing, tip + 0.08), (-0.52 * wing, tip + 0.125), (0.0, tip + 0.15)]
    points = [left_jaw, mirror(left_jaw[:8])[::-1], left_brow, mirror(left_brow)[::-1]]
    points += [np.array(bridge), np.array(base), mirror(np.array(base[:2]))[::-1]]
    left_eye = eye_points(shape)
    points += [left_eye, mirror(left_eye)[[3, 2, 1, 0, 5, 4]], mouth_points(shape)]
    return np.concatenate(points)


def mirror(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """The same points on the other side of the face, in the same order."""
    return points * np.array([-1.0, 1.0])


def brow_line(shape: FaceShape, along: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """y of a brow's middle line; `along` is 0 at its inner end and 1 at its outer end."""
    arch = np.sin(np.pi * np.clip(along, 0, 1) ** 1.25) * shape.brow_arch
    return shape.brow_y + 0.05 - arch + (along - 0.4) * (0.05 - shape.brow_tilt)


def eye_points(shape: FaceShape) -> Float[np.ndarray, "6 2"]:
    """Points 36..41: the outer corner, two of the upper lid, the inner corner, two of the lower lid."""
    x, half, tilt = shape.eye_x, shape.eye_width, shape.eye_tilt
    upper, lower = shape.eye_upper * 0.89, shape.eye_lower * 0.89
    outer, inner = (-x - half, -tilt), (-x + half, tilt)
    lids = [(-x - half * 0.34, -upper - 0.34 * tilt), (-x + half * 0.34, -upper + 0.34 * tilt)]
    below = [(-x + half * 0.34, lower + 0.34 * tilt), (-x - half * 0.34, lower - 0.34 * tilt)]
    return np.array([outer, *lids, inner, *below])


def mouth_points(shape: FaceShape) -> Float[np.ndarray, "20 2"]:
    """Points 48..67 of the closed mouth: the outer contour, then the inner one."""
    wide, y, ends = shape.mouth_width, shape.mouth_y, shape.mouth_y + shape.corner
    up, low = shape.upper_lip, shape.lower_lip
    upper = [(-0.64, y - 0.76 * up), (-0.25, y - up), (0.0, y - up + shape.bow), (0.25, y - up), (0.64, y - 0.76 * up)]
    lower = [(0.64, y + 0.76 * low), (0.28, y + low), (0.0, y + 1.04 * low), (-0.28, y + low), (-0.64, y + 0.76 * low)]
    inner = [(-0.86, ends), (-0.3, y), (0.0, y + 0.008), (0.3, y), (0.86, ends)]
    inner += [(0.3, y + 0.006), (0.0, y + 0.014), (-0.3, y + 0.006)]
    points = np.array([(-1.0, ends), *upper, (1.0, ends), *lower, *inner])
    return points * np.array([wide, 1.0])


def by_side(sides: Float[np.ndarray, "2 m"], x: Float[np.ndarray, "*n"], blend: float) -> Float[np.ndarray, "*n m"]:
    """Muscle strengths at x: those of the left or the right side, blended within +-`blend` of the middle."""
    right = smoothstep(-blend, blend, x)[..., None]
    return sides[0] * (1.0 - right) + sides[1] * right


def move_mouth(points: Float[np.ndarray, "20 2"], sides: Float[np.ndarray, "2 m"]) -> Float[np.ndarray, "20 2"]:
    """The mouth's 20 points moved from rest by muscle strengths (row 0: left side, row 1: right side)."""
    pull = dict(zip(MUSCLES, by_side(sides, points[:, 0], 0.25).T, strict=True))
    wide, seam = points[6, 0], points[14, 1]
    along = points[:, 0] / wide
    order = np.arange(20)
    end, middle = np.abs(along) ** 1.7, 1.0 - np.abs(along) ** 2.2
    x, y = points[:, 0].copy(), points[:, 1].copy()
    thin = np.clip(
        0.4 * pull["lip_press"] + 0.22 * pull["smile"] + 0.22 * pull["lip_stretch"] + 0.18 * pull["jaw_drop"], 0.0, 0.7
    )
    y -= thin * (y - seam) * (order < 12) * (middle > 0.01)
    x += np.sign(along) * np.abs(along) ** 1.5 * _outwards(pull)
    y += end * _corner_drop(pull)
    lower = ((order > 6) & (order < 12)) | (order > 16)
    upper = ((order > 0) & (order < 6)) | ((order > 12) & (order < 16))
    round_off = np.sqrt(np.clip(1.0 - along**2, 0.0, 1.0))
    y += lower * round_off * 0.37 * pull["jaw_drop"]
    y += lower * middle * (0.075 * pull["lips_part"] - 0.055 * pull["chin_raise"])
    y += lower * middle * 0.05 * pull["smile"]
    y -= upper * middle * _upper_lift(pull)
    return np.stack([x, y], 1)


def _outwards(pull: dict[str, Float[np.ndarray, "20"]]) -> Float[np.ndarray, "20"]:
    """How far the corners of the mouth move outwards."""
    return (
        0.125 * pull["smile"]
        + 0.095 * pull["lip_stretch"]
        + 0.06 * pull["dimple"]
        + 0.015 * pull["corner_depress"]
        - 0.03 * pull["jaw_drop"]
        - 0.03 * pull["lip_press"]
    )


def _corner_drop(pull: dict[str, Float[np.ndarray, "20"]]) -> Float[np.ndarray, "20"]:
    """How far the corners of the mouth move down."""
    return (
        -0.135 * pull["smile"]
        + 0.125 * pull["corner_depress"]
        + 0.045 * pull["lip_stretch"]
        + 0.2 * pull["jaw_drop"]
        - 0.02 * pull["dimple"]
    )


def _upper_lift(pull: dict[str, Float[np.ndarray, "20"]]) -> Float[np.ndarray, "20"]:
    """How far the middle of the upper lip moves up."""
    return (
        0.115 * pull["upper_lip_raise"]
        + 0.05 * pull["nose_wrinkle"]
        + 0.055 * pull["lips_part"]
        + 0.035 * pull["chin_raise"]
        + 0.03 * pull["jaw_drop"]
    )


def move_eye(
    points: Float[np.ndarray, "6 2"], strength: Float[np.ndarray, " m"], blink: float | np.floating
) -> Float[np.ndarray, "6 2"]:
    """An eye's 6 points moved from rest by the muscle strengths of its side; `blink` = 1 closes it."""
    named = dict(zip(MUSCLES, strength, strict=True))
    tight = named["lid_tighten"] + 0.6 * named["smile"] + 0.5 * named["nose_wrinkle"]
    moved = points.copy()
    upper, lower = [1, 2], [4, 5]
    moved[upper, 1] += -0.06 * named["lid_raise"] + 0.016 * tight + 0.02 * named["brow_lower"]
    moved[lower, 1] += -0.024 * tight + 0.01 * named["lid_raise"]
    below = lower[::-1]  # 5 lies under 1, 4 under 2
    closed = 0.25 * moved[upper, 1] + 0.75 * moved[below, 1]
    moved[upper, 1] += blink * (closed - moved[upper, 1])
    moved[below, 1] += blink * (closed - moved[below, 1])
    return moved


def muscle_fields(
    levels: Levels, x: Float32[np.ndarray, "h w"], y: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "m 2 h w"]:
    """How far the skin that is seen at (x, y) has moved, per unit of each muscle of MUSCLES, on both sides."""
    field = np.zeros((len(MUSCLES), 2, *x.shape), np.float32)
    side, far = np.sign(x), np.abs(x)

    brow = levels.brow_y

    def push(name: str, at: tuple[float, float], wide: float, high: float, dx: float, dy: float) -> None:
        hill = bump(far, y, at, wide, high)
        if at[1] < brow + 0.1:  # a brow hardly moves the root of the nose
            hill = hill * smoothstep(0.1, -0.15, y)
        field[MUSCLES.index(name), 0] += dx * side * hill * smoothstep(0.0, 0.12, far)
        field[MUSCLES.index(name), 1] += dy * hill

    push("inner_brow_raise", (0.2, brow - 0.06), 0.2, 0.22, 0.0, -0.17)
    push("outer_brow_raise", (0.62, brow - 0.08), 0.24, 0.22, 0.0, -0.16)
    push("brow_lower", (0.24, brow + 0.04), 0.26, 0.2, -0.06, 0.125)
    push("lid_raise", (0.44, -0.08), 0.2, 0.06, 0.0, -0.02)
    push("lid_tighten", (0.48, 0.2), 0.24, 0.12, 0.0, -0.035)
    push("nose_wrinkle", (0.12, levels.nose_tip), 0.17, 0.2, 0.02, -0.075)
    push("nose_wrinkle", (0.12, brow + 0.08), 0.2, 0.16, -0.02, 0.055)
    push("nose_wrinkle", (0.38, 0.35), 0.2, 0.2, 0.0, -0.04)
    push("upper_lip_raise", (0.22, levels.mouth_y - 0.2), 0.2, 0.13, 0.02, -0.07)
    push("smile", (0.46, levels.mouth_y - 0.03), 0.22, 0.22, 0.11, -0.115)
    push("smile", (0.52, 0.5), 0.25, 0.22, 0.02, -0.065)
    push("smile", (0.1, levels.nose_tip + 0.06), 0.16, 0.1, 0.025, -0.01)
    push("dimple", (0.44, levels.mouth_y), 0.17, 0.18, 0.05, 0.0)
    push("corner_depress", (0.42, levels.mouth_y + 0.08), 0.2, 0.2, 0.015, 0.1)
    push("chin_raise", (0.0, levels.mouth_y + 0.36), 0.3, 0.16, 0.0, -0.06)
    push("lip_stretch", (0.46, levels.mouth_y + 0.04), 0.22, 0.22, 0.08, 0.04)
    push("lip_press", (0.0, levels.mouth_y + 0.2), 0.25, 0.12, 0.0, -0.02)
    falls = smoothstep(levels.mouth_y - 0.1, levels.chin - 0.05, y) * smoothstep(
        levels.chin + 0.7, levels.chin + 0.22, y
    )
    near = 1.0 - smoothstep(0.45, 1.08, far)
    field[MUSCLES.index("jaw_drop"), 1] += 0.27 * falls * near
    hollow = bump(far, y, (0.75, 0.95), 0.2, 0.3)
    field[MUSCLES.index("jaw_drop"), 0] -= 0.03 * side * hollow
    return field
