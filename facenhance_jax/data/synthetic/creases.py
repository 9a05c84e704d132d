"""The folds and bulges that muscles make in the skin, as changes of the skin's shading."""

import cv2
import numpy as np
from jaxtyping import Float, Float32

from facenhance_jax.data.synthetic.face_shape import smoothstep
from facenhance_jax.data.synthetic.portrait import Painter, Portrait

# Which muscles deepen each fold: muscle -> share. In the order of `fold_relief`.
FOLDS: tuple[dict[str, float], ...] = (
    dict(smile=0.8, nose_wrinkle=0.7, upper_lip_raise=0.7, lip_stretch=0.25),  # nose to mouth
    dict(brow_lower=1.0, nose_wrinkle=0.3),  # between the brows
    dict(inner_brow_raise=0.6, outer_brow_raise=0.5),  # across the forehead
    dict(lid_tighten=0.6, smile=0.6),  # crow's feet, and the raised cheeks
    dict(nose_wrinkle=1.0),  # on the nose
    dict(corner_depress=1.0, lip_stretch=0.3),  # below the corners of the mouth
    dict(chin_raise=1.0),  # the dimpled chin
    dict(dimple=1.0, smile=0.4),  # dimples
)


def crease_weights(strength: dict[str, Float[np.ndarray, "2"]]) -> Float[np.ndarray, " k"]:
    """How deep each fold is, left side then right side."""
    depth = [sum(share * strength[name] for name, share in fold.items()) for fold in FOLDS]
    return np.minimum(np.array(depth), 1.5).T.ravel()


def fold_relief(painter: Painter) -> list[Float[np.ndarray, "h w"]]:
    """The height that each fold of FOLDS adds, on both sides of the face."""
    s, hill = painter.shape, painter.hill
    age = 0.6 + 0.9 * painter.appearance.wrinkles

    def fold(points: list[tuple[float, float]], depth: float, wide: float) -> Float[np.ndarray, "h w"]:
        return -depth * age * stroke(painter, points, wide)

    tip, mouth, brow = s.nose_tip, s.mouth_y, s.brow_y
    path = [(s.nose_width + 0.03, tip), (0.36, tip + 0.14), (0.46, mouth - 0.1), (0.5, mouth + 0.1)]
    nasolabial = fold(path, 0.05, 0.035) + 0.05 * hill((0.52, 0.58), 0.15, 0.15)
    frown = fold([(0.07, brow - 0.12), (0.055, brow + 0.12)], 0.05, 0.022) + 0.03 * hill(
        (0.17, brow + 0.02), 0.06, 0.08
    )
    rows = [
        fold([(0.0, brow - up), (0.3, brow - up - 0.02), (0.62, brow - up + 0.05)], 0.03, 0.022)
        for up in (0.2, 0.32, 0.44)
    ]
    corner = s.eye_x + s.eye_width + 0.05
    crow = [fold([(corner, lift * 0.4), (corner + 0.16, lift)], 0.03, 0.016) for lift in (-0.12, 0.0, 0.13)]
    cheek = 0.06 * hill((0.52, 0.36), 0.17, 0.12) + fold([(0.25, 0.17), (0.45, 0.21), (0.66, 0.14)], 0.03, 0.025)
    nose = [fold([(0.03, at), (0.13, at + 0.09)], 0.03, 0.018) for at in (0.0, 0.1, 0.2)]
    down = fold([(s.mouth_width + 0.06, mouth + 0.06), (s.mouth_width + 0.11, mouth + 0.3)], 0.05, 0.03)
    chin = 0.012 * painter.noise(0.05) * hill((0.0, s.chin - 0.2), 0.17, 0.12)
    chin = chin + fold([(0.0, mouth + s.lower_lip + 0.1), (0.2, mouth + s.lower_lip + 0.13)], 0.018, 0.035)
    dimple = fold([(s.mouth_width + 0.1, mouth - 0.1), (s.mouth_width + 0.11, mouth + 0.05)], 0.05, 0.028)
    return [nasolabial, frown, sum(rows), sum(crow) + cheek, sum(nose), down, chin, dimple]


def stroke(painter: Painter, points: list[tuple[float, float]], wide: float) -> Float[np.ndarray, "h w"]:
    """A soft line of height 1 through points of the right side, mirrored to the left; `wide` is its sigma."""
    image = np.zeros(painter.x.shape, np.uint8)
    step = painter.unit
    origin = np.array([-painter.x[0, 0], -painter.y[0, 0]]) * step
    for side in (1.0, -1.0):
        line = np.round((np.array(points) * (side, 1.0) * step + origin) * 16).astype(np.int32)
        cv2.polylines(image, [line], False, 255, 1, cv2.LINE_AA, 4)
    soft = painter.soften(image.astype(np.float32), wide)
    return soft / max(float(soft.max()), 1e-6)


def crease_shades(painter: Painter, portrait: Portrait, box: tuple[slice, slice]) -> Float32[np.ndarray, "k h w"]:
    """The change of shading per unit of each fold (left side, then right side), and per radian of yaw and of pitch."""
    relief, skin = portrait.relief, portrait.skin
    plain = sum(painter.shading(relief))
    folds = [
        (sum(painter.shading(relief + extra)) - plain) * 1.12 + 1.1 * np.minimum(extra, 0)
        for extra in fold_relief(painter)
    ]
    right = smoothstep(-0.03, 0.03, painter.x)
    lx, ly, lz = painter.appearance.light
    step = 0.1
    yaw = sum(painter.shading(relief, (lx - step * lz, ly, lz + step * lx))) - plain
    pitch = sum(painter.shading(relief, (lx, ly - step * lz, lz + step * ly))) - plain
    maps = [part * (1.0 - right) for part in folds] + [part * right for part in folds] + [yaw / step, pitch / step]
    return np.stack([(part * skin)[box] for part in maps]).astype(np.float32)
