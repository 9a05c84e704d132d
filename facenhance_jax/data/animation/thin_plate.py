"""Smooth motion of a picture from the motion of a few points (thin-plate splines), and its inverse, as maps.

The spline's basis is computed once on a coarse grid; after that a frame costs a small matrix product.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32

Field = Float32[np.ndarray, "gh gw 2"]  # pixels of the photo, on the grid
STEP = 2.0  # pixels of a photo of 192 between the grid's nodes


def basis(
    at: Float[np.ndarray, "n 2"], centres: Float[np.ndarray, "k 2"], smooth: float = 1e-6
) -> Float[np.ndarray, "n k"]:
    """The matrix from values at the centres to the values at points of the thin-plate spline through them.

    Bookstein (1989). `smooth` keeps centres that coincide from being asked for two values; the unit of both is free,
    but should be about the size of the whole.
    """
    count = len(centres)
    affine = np.column_stack([np.ones(count), centres])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(centres, centres) + smooth * np.eye(count)
    system[:count, count:], system[count:, :count] = affine, affine.T
    solve = np.linalg.inv(system)[:, :count]
    return np.column_stack([_kernel(at, centres), np.ones(len(at)), at]) @ solve


def _kernel(a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "n k"]:
    square = ((a[:, None] - b[None]) ** 2).sum(-1)
    return square * np.log(np.maximum(square, 1e-12))


class Grid:
    """Nodes over a picture of height x width, about STEP/192 of its width apart."""

    def __init__(self, height: int, width: int) -> None:
        spacing = STEP * min(height, width) / 192
        self.size = max(8, round(width / spacing)), max(8, round(height / spacing))  # as cv2 has it
        self.full = width, height
        self.step = np.array(self.full) / self.size
        columns, rows = (((np.arange(n) + 0.5) * s - 0.5) for n, s in zip(self.size, self.step, strict=True))
        self.nodes = np.stack(np.meshgrid(columns, rows), -1).astype(np.float32)
        self.pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)

    def sample(
        self, field: Float32[np.ndarray, "gh gw c"], at: Float32[np.ndarray, "a b 2"]
    ) -> Float32[np.ndarray, "a b c"]:
        """The field, linearly interpolated at pixels."""
        index = ((at + 0.5) / self.step - 0.5).astype(np.float32)
        return cv2.remap(field, index, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def enlarge(self, field: Field) -> Float32[np.ndarray, "h w 2"]:
        """The field at every pixel."""
        return cv2.resize(field, self.full, interpolation=cv2.INTER_LINEAR)

    def jacobian(self, motion: Field) -> Float32[np.ndarray, "gh gw 4"]:
        """The derivatives of p + motion(p): x by x, x by y, y by x, y by y."""
        by_y, by_x = np.gradient(motion, axis=(0, 1))
        by_x, by_y = by_x / np.float32(self.step[0]), by_y / np.float32(self.step[1])
        return np.stack([1 + by_x[..., 0], by_y[..., 0], by_x[..., 1], 1 + by_y[..., 1]], -1)

    def inverse(self, motion: Field, rounds: int = 8) -> Field:
        """Where the picture seen at each node comes from, minus the node: solves p + motion(p) = q by Newton's method.

        The motion must not fold: `determinant` positive everywhere.
        """
        slopes = self.jacobian(motion)
        at = self.nodes - motion
        for _ in range(rounds):
            a, b, c, d = np.moveaxis(self.sample(slopes, at), -1, 0)
            x, y = np.moveaxis(at + self.sample(motion, at) - self.nodes, -1, 0)
            scale = 1.0 / np.maximum(a * d - b * c, 0.1)
            at = at - np.stack([(d * x - b * y) * scale, (a * y - c * x) * scale], -1)
        return at - self.nodes


def determinant(slopes: Float32[np.ndarray, "*n 4"]) -> Float32[np.ndarray, "*n"]:
    """By how much areas grow; not positive where the map folds."""
    return slopes[..., 0] * slopes[..., 3] - slopes[..., 1] * slopes[..., 2]
