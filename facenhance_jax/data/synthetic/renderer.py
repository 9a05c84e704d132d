"""Renders the frames of a person: warps the painted portrait by the muscles and draws eyes and mouth on it."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.data.synthetic.acting import Performance
from facenhance_jax.data.synthetic.appearance import Appearance
from facenhance_jax.data.synthetic.creases import crease_shades, crease_weights
from facenhance_jax.data.synthetic.eyes_and_mouth import draw_eye, draw_glasses, draw_mouth, glasses_layer
from facenhance_jax.data.synthetic.face_shape import (
    MUSCLES,
    FaceShape,
    bump,
    move_eye,
    move_mouth,
    muscle_fields,
    neutral_points,
    smoothstep,
)
from facenhance_jax.data.synthetic.portrait import Painter

GRAIN = 0.8 / 255  # standard deviation of the camera's noise
MIRRORED = [3, 2, 1, 0, 5, 4]  # order of an eye's points after mirroring
Motion = Float32[np.ndarray, "2 h w"]


class Renderer:
    """Renders one person at one size: computes once what all frames share; `draw` makes a frame."""

    def __init__(self, shape: FaceShape, appearance: Appearance, size: int) -> None:
        self.shape, self.appearance, self.size = shape, appearance, size
        self.unit = shape.half_width * size / 192  # pixels
        self.centre = (np.array(shape.centre) + 0.5) * size / 192 - 0.5
        self.fine = 2 if size <= 256 else 1
        painter = Painter(shape, appearance, *self._grid(self.fine), self.unit * self.fine)
        self.portrait = portrait = painter.paint()
        self._cut_window()
        self._set_fields()
        box = tuple(slice(part.start * self.fine, part.stop * self.fine) for part in self.window)
        self.colours, self.gloss = portrait.colours[box], portrait.gloss[box][..., None]
        self.shades = np.concatenate([portrait.shade[box][None], crease_shades(painter, portrait, box)]).astype(
            np.float32
        )
        whole = portrait.colours * portrait.shade[..., None] + portrait.gloss[..., None]
        self.still = cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)
        self.rest = neutral_points(shape)
        at = self.rest[[36, 42]].mean(0) * self.unit + self.centre
        column, row = np.clip(at.astype(int), 0, size - 1)
        around = self.still[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5].mean()
        self.bright = float(np.clip(around / np.mean(appearance.skin), 0.35, 1.1))
        rows, columns = self.window
        self.glasses = None
        if appearance.glasses > 0:
            x, y = self._grid(1)
            self.glasses = glasses_layer(shape, appearance, x[rows, columns], y[rows, columns], self.unit)

    def _grid(self, fine: int) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        """Face coordinates (x, y) of the pixels of a frame drawn `fine` times larger."""
        pixels = (np.arange(self.size * fine, dtype=np.float32) + 0.5) / fine - 0.5
        x, y = ((pixels - self.centre[axis]) / self.unit for axis in (0, 1))
        return tuple(grid.astype(np.float32) for grid in np.meshgrid(x, y))

    def _cut_window(self) -> None:
        """Sets the part of the frame that moves: the head with a margin."""
        low = np.floor(self.centre + np.array([-1.3, self.shape.crown + 0.1]) * self.unit)
        high = np.ceil(self.centre + np.array([1.3, self.shape.chin + 1.0]) * self.unit)
        low, high = (np.clip(end, 0, self.size).astype(int) for end in (low, high))
        self.window = (slice(low[1], high[1]), slice(low[0], high[0]))
        self.corner = low

    def _set_fields(self) -> None:
        """Sets the skin's motion (pixels) per unit of each muscle on each side, then of yaw, pitch, x, y and roll."""
        x, y = (grid[self.window] for grid in self._grid(1))
        both = muscle_fields(self.shape.levels, x, y)
        right = smoothstep(-0.12, 0.12, x)
        inside = np.minimum(1.25 - np.abs(x), np.minimum(y - self.shape.crown - 0.15, self.shape.chin + 0.95 - y))
        edge = smoothstep(0.0, 0.2, inside).astype(np.float32)
        height = cv2.resize(self.portrait.height, (self.size, self.size), interpolation=cv2.INTER_AREA)
        height = cv2.GaussianBlur(height, (0, 0), 0.1 * self.unit)[self.window]
        zero, one = np.zeros_like(x), bump(x, y, (0.0, 0.2), 0.75, 0.95) * 1.0
        rigid = [(height, zero), (zero, height), (one, zero), (zero, one), (-y * one * self.unit, x * one * self.unit)]
        scale = np.array([self.unit, self.unit, self.size / 192, self.size / 192, 1.0])
        rigid = np.array(rigid) * scale[:, None, None, None]
        fields = np.concatenate([both * (1.0 - right) * self.unit, both * right * self.unit, rigid]) * edge
        self.fields = np.ascontiguousarray(fields, np.float32).reshape(len(fields), -1)
        rows, columns = np.indices(x.shape, np.float32)
        self.base = np.stack([columns, rows])

    def draw(self, performance: Performance, n: int) -> tuple[UInt8[np.ndarray, "s s 3"], Float32[np.ndarray, "68 2"]]:
        """Frame n of a performance and its 68 points in pixels."""
        sides = performance.muscles[n]
        rigid = np.concatenate([performance.turn[n], performance.slide[n], [performance.roll[n]]])
        weights = np.concatenate([sides.ravel(), rigid]).astype(np.float32)
        motion = (weights @ self.fields).reshape(self.base.shape)
        weights[: sides.size] = 0.0
        head = (weights @ self.fields).reshape(self.base.shape)
        points, teeth, irises = self._points(performance, n, motion, head)
        frame = self.still.copy()
        frame[self.window] = self._skin(sides, performance.turn[n], motion)
        draw_mouth(frame, points[48:], teeth, self.appearance, self.unit, self.bright)
        for first, iris in ((36, irises[0]), (42, irises[1])):
            draw_eye(frame, points[first : first + 6], iris, self.shape, self.appearance, self.unit, self.bright)
        if self.glasses is not None:
            bridge = (self.centre - self.corner)[None]
            draw_glasses(frame[self.window], self.glasses, self.appearance, (follow(bridge, head) - bridge)[0])
        noise = np.random.default_rng(performance.grain[n]).standard_normal(frame.shape, np.float32)
        picture = np.sqrt(np.clip(frame * np.float32(self.appearance.gain), 0.0, 1.0)) + np.float32(GRAIN) * noise
        return np.clip(picture * 255.0 + 0.5, 0, 255).astype(np.uint8), points.astype(np.float32)

    def _skin(
        self, sides: Float[np.ndarray, "2 m"], turn: Float[np.ndarray, "2"], motion: Motion
    ) -> Float32[np.ndarray, "h w 3"]:
        """The window of the frame, with creases and warped by `motion`."""
        strength = dict(zip(MUSCLES, sides.T, strict=True))
        weights = np.concatenate([[1.0], crease_weights(strength), turn]).astype(np.float32)
        shade = (weights @ self.shades.reshape(len(weights), -1)).reshape(self.gloss.shape)
        lit = self.colours * np.maximum(shade, 0.0) + self.gloss
        source = (self.base - motion + 0.5) * self.fine - 0.5
        return cv2.remap(lit, source[0], source[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _points(
        self, performance: Performance, n: int, motion: Motion, head: Motion
    ) -> tuple[Float[np.ndarray, "68 2"], Float[np.ndarray, "2 2"], Float[np.ndarray, "2 2"]]:
        """The 68 points, the edges of both rows of teeth, and the irises, in pixels."""
        sides = performance.muscles[n]
        points = self.rest.copy()
        points[48:] = move_mouth(self.rest[48:], sides)
        points[36:42] = move_eye(self.rest[36:42], sides[0], performance.blink[n])
        points[42:48] = move_eye(self.rest[42:48][MIRRORED], sides[1], performance.blink[n])[MIRRORED]
        jaw = float(sides[:, MUSCLES.index("jaw_drop")].mean())
        shape = self.shape
        gaze = performance.gaze[n]
        extra = [(0.0, shape.mouth_y + 0.04), (0.0, shape.mouth_y + 0.115 + 0.35 * jaw)]
        extra += [(-shape.eye_x + gaze[0], -0.018 + gaze[1]), (shape.eye_x + gaze[0], -0.018 + gaze[1])]
        moved = np.concatenate([points, np.array(extra)]) * self.unit + self.centre - self.corner
        skin, drawn = np.r_[0:36], np.r_[36:72]
        moved[skin] = follow(moved[skin], motion)
        moved[drawn] = follow(moved[drawn], head)
        moved += self.corner
        return moved[:68], moved[68:70], moved[70:72]


def follow(rest: Float[np.ndarray, "n 2"], motion: Motion) -> Float[np.ndarray, "n 2"]:
    """Where points of the picture at rest are seen: solves p = rest + motion(p) by fixed-point iteration."""
    start = np.ascontiguousarray(rest.T[:, None], np.float32)  # cv2 wants contiguous maps with two axes
    seen = start
    for _ in range(12):
        moved = [
            cv2.remap(part, seen[0], seen[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for part in motion
        ]
        seen = start + np.stack(moved)
    return seen[:, 0].T.astype(np.float64)
