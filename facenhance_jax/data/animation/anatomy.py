"""The face in a photo as the drawn people's muscles see it: face coordinates, control points and where they go.

Face coordinates are those of `data.synthetic.face_shape`: x right, y down, the origin between the eyes, 1 = half the
width of the face.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from facenhance_jax.data.animation import glasses
from facenhance_jax.data.synthetic.eyes_and_mouth import curve, lid
from facenhance_jax.data.synthetic.face_shape import (
    MUSCLES,
    Levels,
    bump,
    by_side,
    move_eye,
    move_mouth,
    muscle_fields,
    smoothstep,
)
from facenhance_jax.data.synthetic.renderer import MIRRORED
from facenhance_jax.faces.alignment import similarity

# The rigid points of the mean drawn face; photos are brought to it.
_RIGID_FACE = np.array(
    [(-0.99, 0.28), (-0.97, 0.55), (-0.93, 0.80), (-0.85, 1.04), (0.85, 1.04), (0.93, 0.80), (0.97, 0.55), (0.99, 0.28)]
    + [(0.0, -0.02), (0.0, 0.17), (0.0, 0.36)]
    + [(-0.20, 0.62), (-0.11, 0.66), (0.0, 0.69), (0.11, 0.66), (0.20, 0.62)]
    + [(-0.61, -0.01), (-0.27, 0.01), (-0.38, 0.05), (-0.50, 0.05)]
    + [(0.27, 0.01), (0.61, -0.01), (0.50, 0.05), (0.38, 0.05)]
)
_RIGID_ORDER = (*range(1, 5), *range(12, 16), *range(27, 30), *range(31, 36), 36, 39, 40, 41, 42, 45, 46, 47)
# The edges of the lips from left to right. Between their landmarks, others are put so that mouths open round.
_UPPER_EDGES = ((60, 61, 62, 63, 64), (48, 49, 50, 51, 52, 53, 54))
_LOWER_EDGES = ((60, 67, 66, 65, 64), (48, 59, 58, 57, 56, 55, 54))
SMILE, JAW, BROW_LOWER = (MUSCLES.index(name) for name in ("smile", "jaw_drop", "brow_lower"))
BROWS = tuple(MUSCLES.index(name) for name in ("inner_brow_raise", "outer_brow_raise", "brow_lower"))
PARTING = tuple(MUSCLES.index(name) for name in ("upper_lip_raise", "lips_part"))
_INNER_PAIRS = ((61, 67), (62, 66), (63, 65))  # of the upper and the lower lip
_BETWEEN = 10  # points between the landmarks of a lip's two edges
_LIDS = 6  # points between the landmarks of both upper lids, and of both lower ones
_LID_AT = np.array([-0.75, 0.0, 0.75])  # -1 and 1 are an eye's corners
_UPPER, _LOWER = slice(68, 68 + _BETWEEN), slice(68 + _BETWEEN, 68 + 2 * _BETWEEN)  # these points among the controls
_LID = slice(_LOWER.stop, _LOWER.stop + 2 * _LIDS)
# Controls above an opening, and below one.
UPPER_ONLY = (37, 38, 43, 44, 49, 50, 51, 52, 53, 61, 62, 63, *range(68, 78), *range(88, 94))
LOWER_ONLY = (40, 41, 46, 47, 55, 56, 57, 58, 59, 65, 66, 67, *range(78, 88), *range(94, 100))


@dataclass(frozen=True)
class Pose:
    """What a face does in one frame; a row of `acting.Performance`."""

    muscles: Float[np.ndarray, "2 m"]  # strengths on the left and the right side of the picture
    relax: float  # 1 = the smile and the parted lips of the photo itself are gone
    blink: float  # 1 = closed
    turn: Float[np.ndarray, "2"]  # yaw and pitch, radians
    slide: Float[np.ndarray, "2"]  # face units
    roll: float  # radians
    gaze: Float[np.ndarray, "2"]  # face units


class Anatomy:
    """The geometry of one photo's face, and the moves of its control points."""

    def __init__(self, landmarks: Float[np.ndarray, "68 2"], photo: UInt8[np.ndarray, "h w 3"]) -> None:
        """Landmarks in pixels. Raises InputError for landmarks that cannot be aligned."""
        self.to_face = similarity(landmarks[list(_RIGID_ORDER)], _RIGID_FACE)
        self.to_photo = cv2.invertAffineTransform(self.to_face)
        self.unit = float(np.hypot(*self.to_photo[:, 0]))  # pixels
        self.landmarks = np.asarray(landmarks, np.float64)
        self.points = self.face(self.landmarks)
        brow, mouth = self.points[17:27, 1].mean(), self.points[[62, 66], 1].mean()
        self.levels = Levels(float(brow), float(self.points[30, 1]), float(mouth), float(self.points[8, 1]))
        between = _between(self.points, self.points)
        self.controls = np.concatenate(
            [self.points, between, _lids(self.points), _skin_controls(self.points, self.levels)]
        )
        x, y = self.controls.T[:, None].astype(np.float32)
        self._fields = muscle_fields(self.levels, x, y)[:, :, 0].astype(np.float64)
        self._fields[JAW] = _jaw_field(self.controls, self.levels)
        self.smile = smiling(self.points)
        self.glasses = glasses.worn(photo, self.to_photo, self.points[27])
        self._frown = np.clip((self.points[[37, 38, 43, 44], 1].mean() - brow) / 0.23, 0.4, 1.0)
        self._right = by_side(np.array([[0.0], [1.0]]), self.controls[:, 0], 0.12)[:, 0]

    def face(self, pixels: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Face coordinates of points of the photo."""
        return pixels @ self.to_face[:, :2].T + self.to_face[:, 2]

    def photo(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Pixels of points in face coordinates."""
        return points @ self.to_photo[:, :2].T + self.to_photo[:, 2]

    def rigid(self, pose: Pose, at: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """How far the head's small motion takes points; face units."""
        x, y = at.T
        height = 0.86 * np.sqrt(np.clip(1.0 - (x / 1.1) ** 2 - ((y - 0.3) / 1.7) ** 2, 0.0, 1.0))
        height = height + 0.25 * bump(x, y, (0.0, self.levels.nose_tip), 0.12, 0.18)
        near = bump(x, y, (0.0, 0.2), 0.75, 0.95)[:, None]
        shift = pose.slide + pose.roll * np.stack([-y, x], 1)
        return height[:, None] * pose.turn + near * shift

    def displacement(self, pose: Pose) -> Float[np.ndarray, "k 2"]:
        """How far each control point moves, in pixels; the 68 landmarks come first."""
        muscles = self.muscles(pose)
        left, right = (np.tensordot(side, self._fields, 1).T for side in muscles)
        moves = left + (right - left) * self._right[:, None]
        for first, side, order in ((36, 0, list(range(6))), (42, 1, MIRRORED)):
            eye = self.points[first : first + 6]
            moved = move_eye(eye[order], muscles[side], pose.blink)
            moves[first : first + 6] = moved[order] - eye
            # A brow that lowers folds the skin above the lid's crease and pushes only a part of it onto the lid.
            lids = move_eye(eye[order], muscles[side], 0.0)[order][[1, 2]] - eye[[1, 2]]
            crease = slice(-8, -6) if first == 36 else slice(-6, -4)
            moves[crease] = lids + 0.35 * (moves[crease] - lids)
        moves[48:68] = self._mouth_moves(muscles, pose.relax)
        moves[_UPPER.start : _LOWER.stop] = _between(self.points, moves)
        moves[_LID] = _lids(self.points + moves[:68]) - self.controls[_LID]
        self._close_sides(moves)
        moves += self.rigid(pose, self.controls)
        return moves @ self.to_photo[:, :2].T

    def muscles(self, pose: Pose) -> Float[np.ndarray, "2 m"]:
        """A pose's muscles as this face has room for them: who smiles has less room to, or has to stop first."""
        muscles = pose.muscles.copy()
        room = 1.0 - 0.7 * self.smile * (1.0 - pose.relax)
        muscles[:, [SMILE, *PARTING]] *= room
        muscles[:, SMILE] -= 0.7 * self.smile * pose.relax  # smiles on photographs are half the drawn one
        muscles[:, BROW_LOWER] *= self._frown
        if self.glasses:  # brows would take the rims with them
            muscles[:, BROWS] *= 0.4
        return muscles

    def _close_sides(self, moves: Float[np.ndarray, "k 2"]) -> None:
        """Lips that near each other at the landmarks do so, by the same part, at the points between these."""
        moved = self.controls[:, 1] + moves[:, 1]
        part = np.array([_gap(moved, *pair) / max(_gap(self.controls[:, 1], *pair), 1e-3) for pair in _INNER_PAIRS])
        for n in range(4):
            upper, lower = _UPPER.start + n, _LOWER.start + n
            most = part[max(n - 1, 0) : n + 1].max() * max(_gap(self.controls[:, 1], upper, lower), 0.0)
            excess = max(0.0, _gap(moved, upper, lower) - most)
            if self.smile > 0 and part.max() < 1.0:
                moves[upper, 1] += 0.35 * excess
                moves[lower, 1] -= 0.65 * excess

    def _mouth_moves(self, muscles: Float[np.ndarray, "2 m"], relax: float) -> Float[np.ndarray, "20 2"]:
        """How far the mouth's landmarks move; parted lips of who smiles close by `relax` before the muscles act."""
        middle = np.array([self.points[[48, 54], 0].mean(), 0.0])
        mouth = self.points[48:] - middle
        gap = np.maximum(mouth[[19, 18, 17], 1] - mouth[[13, 14, 15], 1], 0.0) * (self.smile > 0)
        closed, middle_gap, slack = mouth.copy(), gap.max(), 0.06 * relax * (gap.max() > 0)
        gap = gap + slack  # a little over each other, for lips that the landmarks do not meet
        closed[[13, 14, 15], 1] += 0.35 * relax * gap
        closed[[19, 18, 17], 1] -= 0.65 * relax * gap
        closed[1:6, 1] += 0.3 * relax * middle_gap * np.array([0.5, 1.0, 1.0, 1.0, 0.5])
        closed[7:12, 1] -= 0.6 * relax * middle_gap * np.array([0.5, 1.0, 1.0, 1.0, 0.5])
        moved = move_mouth(closed, muscles)
        moves = moved - mouth
        # Lips that press do not pass through each other: they meet in the middle.
        for upper, lower in ((13, 19), (14, 18), (15, 17)):
            apart = moved[lower, 1] - moved[upper, 1] + slack - min(0.0, mouth[lower, 1] - mouth[upper, 1])
            moves[upper, 1] += min(0.0, apart) / 2
            moves[lower, 1] -= min(0.0, apart) / 2
        return moves


def _gap(heights: Float[np.ndarray, " k"], upper: int, lower: int) -> float:
    return float(heights[lower] - heights[upper])


def smiling(points: Float[np.ndarray, "68 2"]) -> float:
    """How much the face of 68 points (face units) smiles already, 0 to 1.

    Regression over 51 pairs of photographs (neutral 0, smiling 1; residual 0.34). A half, which 5 % of the neutral
    faces reach, counts as 0.
    """
    corners, middle = points[[48, 54]], points[[51, 57, 62, 66], 1].mean()
    wide, nose = np.ptp(corners[:, 0]) / 2, corners[:, 1].mean() - points[33, 1]
    score = -0.575 + 0.814 * (middle - corners[:, 1].mean()) + 4.691 * wide - 2.561 * nose
    parted = (points[66, 1] - points[62, 1]) / 0.1
    return float(np.clip(2.0 * max(score, parted) - 1.0, 0.0, 1.0))


def _jaw_field(at: Float[np.ndarray, "k 2"], levels: Levels) -> Float[np.ndarray, "2 k"]:
    """How points of the skin move per unit of `jaw_drop`: all from the lower lip to the chin, with the bone."""
    x, y = at.T
    falls = smoothstep(levels.mouth_y - 0.1, levels.mouth_y + 0.25, y)
    falls = falls * np.clip(1.0 - (y - levels.chin - 0.05) / 0.8, 0.0, 1.0) * (1.0 - smoothstep(0.4, 1.1, np.abs(x)))
    hollow = bump(np.abs(x), y, (0.75, 0.95), 0.2, 0.3)
    return np.stack([-0.03 * np.sign(x) * hollow, 0.33 * falls])


def _between(points: Float[np.ndarray, "68 2"], values: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "b 2"]:
    """Values of the landmarks, interpolated at points between those on the edges of the lips.

    Along an edge the variable is the angle of an ellipse through the corners, so that lips stay round there.
    """
    made = []
    for edge in _UPPER_EDGES + _LOWER_EDGES:
        x, ends = points[list(edge), 0], points[[edge[0], edge[-1]], 0]
        angle = np.arcsin(np.clip((2 * x - ends.sum()) / max(np.ptp(ends), 1e-3), -1.0, 1.0))
        angle = np.maximum.accumulate(angle) + 1e-3 * np.arange(len(edge))
        middle = (angle[1:] + angle[:-1]) / 2
        made += [np.stack([curve(np.stack([angle, values[list(edge), a]], 1), middle) for a in (0, 1)], 1)]
    return np.concatenate(made)


def _lids(points: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "12 2"]:
    """Points on the lids' lines between the landmarks, so that closing lids meet all along: upper ones, lower ones."""
    made = []
    for inner, outer in ((1, 2), (5, 4)):
        for first in (36, 42):
            corners = points[[first, first + 3]]
            middle, half = corners.mean(0), (corners[1] - corners[0]) / 2
            axes = np.stack([half, [-half[1], half[0]]])  # along and across, in half lengths of the eye
            local = (points[[first + inner, first + outer]] - middle) @ axes.T / (half @ half)
            made.append(middle + np.stack([_LID_AT, lid(local, _LID_AT)], 1) @ axes)
    return np.concatenate(made)


def _skin_controls(points: Float[np.ndarray, "68 2"], levels: Levels) -> Float[np.ndarray, "k 2"]:
    """Points of the skin between the landmarks, of the forehead, the neck, and a ring around the face."""
    brow, nose, mouth, chin = levels
    one_side = [(0.45, 0.3), (0.7, 0.25), (0.5, nose), (0.78, nose), (0.33, nose + 0.2), (0.6, mouth)]
    one_side += [(0.5, mouth + 0.28), (0.2, mouth + 0.38)]
    one_side += [(0.35, brow - 0.3), (0.8, brow - 0.25), (0.6, brow - 0.65), (1.15, -0.1), (1.1, brow - 0.4)]
    one_side += [(0.4, chin + 0.3), (0.85, chin + 0.2), (0.5, chin + 0.8)]
    middle = [(0.0, brow), (0.0, brow - 0.35), (0.0, brow - 0.75), (0.0, chin + 0.3), (0.0, chin + 0.8)]
    around = np.array([0.0, 0.35]) + 1.3 * (points[[0, 2, 4, 6, 10, 12, 14, 16]] - [0.0, 0.35])
    creases = points[[37, 38, 43, 44]] - [0.0, 0.085]  # the skin above a lid's crease stays when the lid closes
    bags = points[[40, 41, 46, 47]] + [0.0, 0.1]
    sides = np.array(one_side)
    return np.concatenate([sides, sides * [-1.0, 1.0], np.array(middle), around, creases, bags])  # ends: see crease
