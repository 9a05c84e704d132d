"""Where a face opens: which pixels of a photo lie above, between and below the lids of each eye and the lips.

Skin above an opening moves with the upper lid or lip, skin below with the lower one; they are two layers of the
picture, and what lies between them does not move with either.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.data.animation.anatomy import Anatomy
from facenhance_jax.data.synthetic.eyes_and_mouth import curve, lid
from facenhance_jax.data.synthetic.face_shape import smoothstep

Map = Float32[np.ndarray, "h w"]
CLOSED = 0.035  # face units: lips nearer to each other than this are taken as closed
GUMS = 0.02  # face units: so far beyond the landmarks the inside of an open mouth reaches
LASHES = 0.012  # face units: this strip below the upper lid's landmarks belongs to the lid


@dataclass(frozen=True)
class Opening:
    """One eye or mouth at rest. `along` is -1 and 1 at its corners, `across` counts pixels downwards."""

    along: Map
    across: Map
    upper: Map  # across, of the upper edge
    lower: Map
    half: float  # pixels from the middle to a corner
    axis: Float[np.ndarray, "2"]  # the direction from corner to corner
    middle: Float[np.ndarray, "2"]
    soft: float  # pixels

    def below(self, edge: Map) -> Map:
        """0 above an edge, 1 below it; the step is sharp between the corners and widens beside them."""
        soft = self.soft + 1.2 * self.half * np.maximum(np.abs(self.along) - 1.0, 0.0)
        return np.clip((self.across - edge) / soft + 0.5, 0.0, 1.0).astype(np.float32)

    @property
    def within(self) -> Map:
        """1 between the corners."""
        return np.clip((1.0 - np.abs(self.along)) * self.half * 0.7 + 0.5, 0.0, 1.0).astype(np.float32)


def _axes(corners: Float[np.ndarray, "2 2"], height: int, width: int) -> tuple:
    middle, half = corners.mean(0), (corners[1] - corners[0]) / 2
    length = max(float(np.hypot(*half)), 1.0)
    axis = half / length
    x = np.arange(width, dtype=np.float32)[None] - np.float32(middle[0])
    y = np.arange(height, dtype=np.float32)[:, None] - np.float32(middle[1])
    along = (x * axis[0] + y * axis[1]) / length
    return along.astype(np.float32), (y * axis[0] - x * axis[1]).astype(np.float32), length, axis, middle


def _local(
    points: Float[np.ndarray, "n 2"], middle: Float[np.ndarray, "2"], axis: Float[np.ndarray, "2"], half: float
) -> Float[np.ndarray, "n 2"]:
    offset = points - middle
    return np.stack([offset @ axis / half, offset[:, 1] * axis[0] - offset[:, 0] * axis[1]], 1)


def eye(anatomy: Anatomy, first: int, height: int, width: int) -> Opening:
    """The eye whose landmarks begin at `first` (36 or 42)."""
    points = anatomy.landmarks[first : first + 6]
    along, across, half, axis, middle = _axes(points[[0, 3]], height, width)
    local = _local(points, middle, axis, half)
    local[[1, 2, 4, 5], 0] = np.clip(local[[1, 2, 4, 5], 0], -0.8, 0.8)
    local[2, 0], local[4, 0] = max(local[2, 0], local[1, 0] + 0.2), max(local[4, 0], local[5, 0] + 0.2)
    s = np.clip(along, -1.0, 1.0)
    upper, lower = lid(local[1:3], s) + LASHES * anatomy.unit * (1 - s * s), lid(local[[5, 4]], s)
    soft = max(1.0, 0.025 * anatomy.unit)
    return Opening(along, across, _map(np.minimum(upper, lower)), _map(lower), half, axis, middle, soft)


def mouth(anatomy: Anatomy, photo: UInt8[np.ndarray, "h w 3"]) -> tuple[Opening, bool]:
    """The mouth, and whether it is open in the photo. The seam of closed lips is where the picture is darkest."""
    height, width = photo.shape[:2]
    points = anatomy.landmarks[48:68]
    along, across, half, axis, middle = _axes(points[[0, 6]], height, width)
    local = _local(points, middle, axis, half)
    gap = (local[[19, 18, 17], 1] - local[[13, 14, 15], 1]).mean()
    is_open = bool(gap > CLOSED * anatomy.unit) and _no_lips(photo, anatomy)
    above, below = local[[0, 12, 13, 14, 15, 16, 6]], local[[0, 12, 19, 18, 17, 16, 6]]
    above[[0, -1], 1] = below[[0, -1], 1] = 0.0
    if not is_open:
        above = below = _seam(photo, (above + below) / 2, middle, axis, half, anatomy.unit)
    s = np.clip(along, -1.0, 1.0)
    upper, lower = curve(_rising(above), s), curve(_rising(below), s)
    if is_open:  # no strip of teeth at the lips' edges, where landmarks are off by a pixel
        upper, lower = upper - GUMS * anatomy.unit * (1 - s * s), lower + GUMS * anatomy.unit * (1 - s * s)
    soft = max(1.0, 0.025 * anatomy.unit)
    return Opening(along, across, _map(upper), _map(np.maximum(upper, lower)), half, axis, middle, soft), is_open


def _no_lips(photo: UInt8[np.ndarray, "h w 3"], anatomy: Anatomy) -> bool:
    """Whether teeth or the dark inside are seen between the landmarks of the lips: landmarks alone often err."""
    outline = np.round(anatomy.landmarks[60:68]).astype(np.int32)
    inside = cv2.erode(cv2.fillPoly(np.zeros(photo.shape[:2], np.uint8), [outline], 1), np.ones((3, 3), np.uint8)) > 0
    lips = cv2.fillPoly(np.zeros(photo.shape[:2], np.uint8), [np.round(anatomy.landmarks[48:60]).astype(np.int32)], 1)
    lips = cv2.fillPoly(lips, [outline], 0) > 0
    if inside.sum() < 8 or lips.sum() < 8:
        return False
    inner, outer = (np.median(photo[mask].astype(np.float64) + 4.0, 0) for mask in (inside, lips))
    paler = (inner[0] / inner[1]) / (outer[0] / outer[1])
    return bool(paler < 0.88 or not 0.6 < inner.mean() / outer.mean() < 1.2)


def _seam(
    photo: UInt8[np.ndarray, "h w 3"],
    nodes: Float[np.ndarray, "n 2"],
    middle: Float[np.ndarray, "2"],
    axis: Float[np.ndarray, "2"],
    half: float,
    unit: float,
) -> Float[np.ndarray, "m 2"]:
    """The line between closed lips: the darkest path near the landmarks' line, smoothed."""
    s = np.linspace(-0.9, 0.9, 31)
    guess = curve(_rising(nodes), s)
    reach = np.linspace(-0.06, 0.06, 25) * unit
    across = guess[:, None] + reach
    x = middle[0] + s[:, None] * half * axis[0] - across * axis[1]
    y = middle[1] + s[:, None] * half * axis[1] + across * axis[0]
    grey = cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 0.012 * unit + 0.3)
    tone = cv2.remap(grey, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    tone = (tone - tone.min(1, keepdims=True)) / np.maximum(np.ptp(tone, axis=1)[:, None], 8.0)
    cost = cv2.GaussianBlur(tone + 0.35 * (reach / reach[-1]) ** 2, (1, 5), 1.2)
    found = guess + reach[cost.argmin(1)]
    fit = np.polynomial.Polynomial.fit(s, found, 6)
    knots = np.linspace(-0.86, 0.86, 13)
    return np.concatenate([[(-1.0, 0.0)], np.stack([knots, fit(knots)], 1), [(1.0, 0.0)]])


def _rising(nodes: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """The nodes with first coordinates that increase, as in a face seen from the front."""
    nodes = nodes.copy()
    for index in range(1, len(nodes)):
        nodes[index, 0] = max(nodes[index, 0], nodes[index - 1, 0] + 0.03)
    return nodes


def _map(values: np.ndarray) -> Map:
    return values.astype(np.float32)


def layers(eyes: list[Opening], lips: Opening, unit: float) -> tuple[Map, Map]:
    """How far each pixel belongs to the lower layer: as the upper layer sees it, and as the lower one does.

    They differ inside the openings, which belong to neither: there the first is 1 and the second is 0.
    """
    upper_sees, lower_sees = lips.below(lips.upper), lips.below(lips.lower)
    for ball in eyes:
        near = smoothstep(0.42 * unit, 0.22 * unit, ball.across) * smoothstep(1.8, 1.3, np.abs(ball.along))
        upper_sees = np.maximum(upper_sees, ball.below(ball.upper) * _map(near))
        lower_sees = np.maximum(lower_sees, ball.below(ball.lower) * _map(near))
    return upper_sees, lower_sees
