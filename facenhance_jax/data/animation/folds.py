"""Creases and bulges of moving skin as a gain of the photo: ratio images (Liu, Shan & Zhang 2001), painted.

Each fold is a dark line with a brighter side, at places that follow from the photo's own landmarks.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.data.animation.anatomy import Anatomy
from facenhance_jax.data.synthetic.creases import FOLDS, crease_weights
from facenhance_jax.data.synthetic.face_shape import MUSCLES, smoothstep
from facenhance_jax.faces.alignment import MIRROR

LEAST, MOST = 0.8, 1.2  # bounds of the gain
Path = list[tuple[float, float]]
Map = Float32[np.ndarray, "h w"]
Grid = Float[np.ndarray, "h w"]


class Folds:
    """The folds of one photo's face in a window around it."""

    def __init__(self, anatomy: Anatomy, photo: UInt8[np.ndarray, "h w 3"]) -> None:
        height, width = photo.shape[:2]
        corners = anatomy.photo(np.array([(-1.15, anatomy.levels.brow_y - 0.75), (1.15, anatomy.levels.chin + 0.1)]))
        low = np.clip(np.floor(corners.min(0)), 0, (width - 4, height - 4)).astype(int)
        high = np.clip(np.ceil(corners.max(0)), low + 4, (width, height)).astype(int)
        self.box = slice(low[1], high[1]), slice(low[0], high[0])
        self.corner, self.unit = low, anatomy.unit
        rows, columns = np.indices((high[1] - low[1], high[0] - low[0]))
        at = anatomy.face(np.stack([columns + low[0], rows + low[1]], -1).astype(np.float64))
        self.x, self.y = at[..., 0], at[..., 1]
        self.anatomy = anatomy
        patch = np.ascontiguousarray(photo[self.box])
        skin = _skin(patch, self.x, self.y, self.unit)
        on_cheeks = (np.abs(np.abs(self.x) - 0.5) < 0.15) & (np.abs(self.y - 0.5) < 0.15)
        cheeks = patch[on_cheeks] if on_cheeks.any() else patch.reshape(-1, 3)
        self.cheeks = (np.median(cheeks, 0) / 255.0) ** 2.2  # their colour in linear light
        sides = [self._side(sign) for sign in (-1, 1)]
        self.maps = np.stack([fold * skin for side in sides for fold in side]).astype(np.float32)

    def gain(self, muscles: Float[np.ndarray, "2 m"]) -> Float32[np.ndarray, "h w"]:
        """The gain in the window, LEAST to MOST, for muscle strengths on the left and the right side."""
        weights = crease_weights(dict(zip(MUSCLES, muscles.T, strict=True))).astype(np.float32)
        total = np.tensordot(weights, self.maps, 1)
        return np.clip(1.0 + total, LEAST, MOST)

    def _side(self, sign: int) -> list[Grid]:
        """The folds of one side in the order of FOLDS, per unit of strength."""
        points = self.anatomy.points
        place = points if sign > 0 else points[MIRROR] * (-1.0, 1.0)
        wing, corner, inner, outer = place[35], place[54], place[42], place[45]
        brow, chin = place[22:27], place[8]
        line = lambda path, depth, wide: -depth * self._stroke(path, sign, wide)  # noqa: E731
        hill = lambda at, wide, high: self._hill(at, sign, wide, high)  # noqa: E731
        (wx, wy), (cx, cy) = wing, corner
        nasolabial = line(
            [(wx + 0.03, wy - 0.1), (wx + 0.12, wy + 0.03), (cx + 0.09, cy - 0.12), (cx + 0.12, cy + 0.06)], 0.13, 0.03
        )
        nasolabial = (
            nasolabial + 0.06 * hill((cx + 0.17, wy), 0.15, 0.16) - 0.03 * hill((cx + 0.02, (wy + cy) / 2), 0.07, 0.1)
        )
        bx, by = brow[0]
        frown = line([(bx * 0.42, by - 0.1), (bx * 0.36, by + 0.1)], 0.11, 0.027) + 0.05 * hill(
            (bx, by - 0.03), 0.07, 0.08
        )
        top = float(brow[:, 1].min())
        rows = [
            line(
                [(-0.3, top - up - 0.01), (0.0, top - up), (0.3, top - up - 0.01), (0.6, top - up + 0.04)], depth, 0.018
            )
            for up, depth in ((0.17, 0.09), (0.28, 0.1), (0.39, 0.07))
        ]
        ox, oy = outer
        crow = [line([(ox + 0.07, oy + 0.3 * lift), (ox + 0.2, oy + lift)], 0.07, 0.013) for lift in (-0.1, 0.02, 0.13)]
        ex, ey = (inner + outer) / 2
        bag = line([(ex - 0.15, ey + 0.17), (ex, ey + 0.21), (ex + 0.19, ey + 0.15)], 0.07, 0.022)
        cheek = 0.09 * hill((ex + 0.08, ey + 0.36), 0.17, 0.1) + bag - 0.05 * hill((ex + 0.1, ey + 0.66), 0.2, 0.1)
        nose = [line([(0.04, ey + at), (0.12, ey + at + 0.08)], 0.09, 0.015) for at in (0.02, 0.11)]
        down = line([(cx + 0.03, cy + 0.05), (cx + 0.09, cy + 0.27)], 0.1, 0.028)
        dent = self._dents() * hill((0.0, (chin[1] + cy) / 2 + 0.12), 0.2, 0.12)
        under = place[57]
        chin_line = line([(0.0, under[1] + 0.09), (0.2, under[1] + 0.12)], 0.07, 0.03)
        dimple = line([(cx + 0.07, cy - 0.08), (cx + 0.08, cy + 0.05)], 0.1, 0.024)
        made = [nasolabial, frown, sum(rows), sum(crow) + cheek, sum(nose), down, dent + chin_line, dimple]
        assert len(made) == len(FOLDS)
        right = smoothstep(-0.03, 0.03, sign * self.x)
        return [fold * right for fold in made]

    def _stroke(self, path: Path, sign: int, wide: float) -> Map:
        """A soft line of height 1 through points of one side; `wide` is its sigma (face units). It fades out."""
        nodes = np.array(path) * (sign, 1.0)
        t = np.linspace(0.0, len(nodes) - 1.0, 12 * len(nodes))
        spline = np.stack([_through(nodes[:, axis], t) for axis in (0, 1)], 1)
        pixels = self.anatomy.photo(spline) - self.corner
        tones = 255.0 * np.sin(np.pi * np.linspace(0.1, 0.9, len(t) - 1)) ** 0.7
        if path[0][0] <= 0:  # it goes on at the other side
            tones[: len(tones) // 2] = 255.0
        image = np.zeros(self.x.shape, np.uint8)
        for start, end, tone in zip(pixels[:-1], pixels[1:], tones, strict=True):
            cv2.line(image, _fixed(start), _fixed(end), float(tone), 1, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), max(wide * self.unit, 0.5))
        return soft / max(float(soft.max()), 1e-6)

    def _hill(self, at: tuple[float, float], sign: int, wide: float, high: float) -> Grid:
        return np.exp(-0.5 * (((sign * self.x - at[0]) / wide) ** 2 + ((self.y - at[1]) / high) ** 2))

    def _dents(self) -> Grid:
        """The small pits of a raised chin."""
        noise = np.random.default_rng(7).standard_normal((24, 24)).astype(np.float32)
        x, y = ((part * 14.0 + 12.0).astype(np.float32) for part in (self.x, self.y))
        return 0.035 * cv2.remap(noise, x % 23, y % 23, cv2.INTER_LINEAR)


def _fixed(point: Float[np.ndarray, "2"]) -> tuple[int, int]:
    return int(round(point[0] * 16)), int(round(point[1] * 16))


def _through(values: Float[np.ndarray, " n"], t: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """The polynomial through values at 0, 1, 2, ..."""
    return np.polynomial.Polynomial.fit(np.arange(len(values)), values, len(values) - 1)(t)


def _skin(patch: UInt8[np.ndarray, "h w 3"], x: Grid, y: Grid, unit: float) -> Map:
    """1 where the picture has the colour of the cheeks: folds do not show on hair, eyes or glasses."""
    lab = cv2.cvtColor(cv2.GaussianBlur(patch, (0, 0), max(0.03 * unit, 0.5)), cv2.COLOR_RGB2LAB).astype(np.float32)
    cheeks = (np.abs(np.abs(x) - 0.5) < 0.2) & (np.abs(y - 0.5) < 0.2)
    middle = np.median(lab[cheeks], 0) if cheeks.any() else lab.mean((0, 1))
    off = np.sqrt((((lab - middle) / (42.0, 14.0, 14.0)) ** 2).sum(-1))
    return cv2.GaussianBlur(smoothstep(1.9, 1.1, off).astype(np.float32), (0, 0), max(0.02 * unit, 0.5))
