"""Makes a photo perform an expression: its skin moves, lids close over the eyes, lips part over teeth, skin folds."""

from typing import NamedTuple
from zlib import crc32

import cv2
import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from facenhance_jax.data.animation import openings
from facenhance_jax.data.animation.anatomy import LOWER_ONLY, UPPER_ONLY, Anatomy, Pose
from facenhance_jax.data.animation.donors import Donor
from facenhance_jax.data.animation.eyeball import Eyeball
from facenhance_jax.data.animation.folds import Folds
from facenhance_jax.data.animation.mouth_inside import MouthInside
from facenhance_jax.data.animation.performing import plan
from facenhance_jax.data.animation.thin_plate import Field, Grid, basis, determinant
from facenhance_jax.data.synthetic.acting import ACTS
from facenhance_jax.data.synthetic.face_shape import smoothstep
from facenhance_jax.messages import InputError

LEAST_AREA = 0.2  # of the map's determinant; a move that squeezes the skin more is made smaller
EDGE = 0.08  # of the picture's side: within it the motion fades to nothing


class _Layers(NamedTuple):
    """What both layers of a frame show at each pixel."""

    above: Float32[np.ndarray, "h w 2"]  # the place in the photo of what the upper layer shows
    below: Float32[np.ndarray, "h w 2"]  # the same for the lower layer
    upper: Float32[np.ndarray, "h w"]  # 1 where the upper layer would show what is below its lids and lip
    lower: Float32[np.ndarray, "h w"]  # 1 where the lower layer shows what is below its lids and lip
    part: Float32[np.ndarray, "h w"]  # of the lower layer in the skin
    opening: Float32[np.ndarray, "h w"]  # 1 where no skin is


class Animator:
    """Moves one photo; what all frames share is computed once."""

    def __init__(
        self, photo: UInt8[np.ndarray, "h w 3"], landmarks: Shaped[np.ndarray, "68 2"], donor: Donor | None = None
    ) -> None:
        """A photo of any size, with its 68 landmarks in pixels, and whose teeth it gets (else painted ones).

        Raises InputError for landmarks of no face, or of one outside of the photo.
        """
        if not np.isfinite(landmarks).all():
            raise InputError("landmarks: not finite; find the face again or leave the photo out")
        self.photo = np.ascontiguousarray(photo)
        height, width = photo.shape[:2]
        inner = np.asarray(landmarks)[17:]  # the jaw may reach beyond it
        if (inner < 0).any() or (inner > (width - 1, height - 1)).any():
            raise InputError("landmarks: outside of the photo; give a photo of the whole face, and its own landmarks")
        self.anatomy = anatomy = Anatomy(np.asarray(landmarks, np.float64), self.photo)
        self.grid = Grid(height, width)
        self._set_basis()
        self.eyes = [openings.eye(anatomy, first, height, width) for first in (36, 42)]
        self.lips, self.lips_open = openings.mouth(anatomy, self.photo)
        self.seen_above, self.seen_below = openings.layers(self.eyes, self.lips, anatomy.unit)
        self.balls = [Eyeball(self.photo, eye, anatomy.unit) for eye in self.eyes]
        self.folds = Folds(anatomy, self.photo)
        self.inside = MouthInside(self.photo, self.lips, anatomy.unit, self.lips_open, self.folds.cheeks)
        if donor is not None:
            self.inside.show(donor.row(self.inside.x, self.inside.y, self.inside.enamel))

    def _set_basis(self) -> None:
        anatomy, grid = self.anatomy, self.grid
        nodes = anatomy.face(grid.nodes.reshape(-1, 2).astype(np.float64))
        width, height = grid.full
        rim = [(x, y) for x in np.linspace(0, 1, 7) for y in np.linspace(0, 1, 7) if x in (0, 1) or y in (0, 1)]
        border = anatomy.face(np.array(rim) * (width - 1, height - 1))
        centres = anatomy.controls
        self.still = self._fade(grid.nodes)[..., None].astype(np.float32)
        self.bases = []
        for hidden in (LOWER_ONLY, UPPER_ONLY):
            used = np.setdiff1d(np.arange(len(centres)), hidden)
            own = basis(nodes, np.concatenate([centres[used], border]))[:, : len(used)]
            whole = np.zeros((len(nodes), len(centres)), np.float32)
            whole[:, used] = own
            self.bases.append(whole)

    def _fade(self, pixels: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n"]:
        """1 inside the picture, 0 on its border."""
        far = np.array(self.grid.full) - 1.0
        distance = np.minimum(pixels, far - pixels).min(-1)
        return smoothstep(0.5, EDGE * min(self.grid.full), distance)

    def motions(self, displacement: Float[np.ndarray, "k 2"]) -> list[Field]:
        """How the upper and the lower layer move at the grid's nodes, pixels."""
        moves = displacement.astype(np.float32)
        shape = (*self.grid.nodes.shape[:2], 2)
        return [(base @ moves).reshape(shape) * self.still for base in self.bases]

    def largest_share(self, pose: Pose) -> float:
        """The largest share of a pose's motion, at most 1, by which nothing folds."""
        motions, share = self.motions(self.anatomy.displacement(pose)), 1.0
        while share > 0.05:
            areas = [determinant(self.grid.jacobian(np.float32(share) * motion)).min() for motion in motions]
            if min(areas) > LEAST_AREA:
                break
            share *= 0.9
        return share

    def draw(
        self, pose: Pose, share: float | None = None
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "68 2"]]:
        """The photo in a pose, and its landmarks in pixels. `share` as `largest_share` gives it, if it is known."""
        if share is None:
            share = self.largest_share(pose)
        moves = share * self.anatomy.displacement(pose)
        layers = self._layers(moves)
        frame = self._skin(layers, share * self.anatomy.muscles(pose), pose.relax)
        self._look(frame, layers, moves, pose)
        self._speak(frame, layers, moves, share * self.anatomy.rigid(pose, self.anatomy.points[[62]])[0])
        fade = self._fade(self.anatomy.landmarks)[:, None]
        points = self.anatomy.landmarks + moves[:68] * fade
        return np.clip(frame + 0.5, 0, 255).astype(np.uint8), points.astype(np.float32)

    def _layers(self, moves: Float[np.ndarray, "k 2"]) -> _Layers:
        """Both layers after the control points' moves (pixels)."""
        steps = [self.grid.enlarge(self.grid.inverse(motion)) for motion in self.motions(moves)]
        above, below = (step + self.grid.pixels for step in steps)
        upper_sees, lower_sees = _seen(self.seen_above, above), _seen(self.seen_below, below)
        lower = np.minimum(lower_sees, upper_sees)  # where both cover a pixel, the upper lid or lip does
        part = (lower + 1e-3) / (1.0 - upper_sees + lower + 2e-3)
        opening = np.maximum(upper_sees - lower_sees, 0.0)
        return _Layers(above, below, upper_sees, lower_sees, part, opening)

    def _skin(self, layers: _Layers, muscles: Float[np.ndarray, "2 m"], relax: float) -> Float32[np.ndarray, "h w 3"]:
        """The moved skin with its folds."""
        source = layers.above + (layers.below - layers.above) * layers.part[..., None]
        frame = self._from_photo(source)
        # Where lips or lids meet, the places on both sides are far apart in the photo, and so are their middles.
        for opening, box in zip((self.lips, *self.eyes), (self.inside.box, *(b.box for b in self.balls)), strict=True):
            near = smoothstep(1.2, 1.0, np.abs(_seen(opening.along, layers.above[box])))[..., None].astype(np.float32)
            above, below = (self._from_photo(layer[box]) for layer in (layers.above, layers.below))
            frame[box] += (above + (below - above) * layers.part[box][..., None] - frame[box]) * near
        gain = np.ones(frame.shape[:2], np.float32)
        gain[self.folds.box] = self.folds.gain(muscles)
        frame *= _seen(gain, source)[..., None]
        if relax and self.lips_open:  # the dark line between lips that were apart
            box = self.inside.box
            line = 4.0 * layers.part[box] * (1.0 - layers.part[box]) * _seen(self.lips.within, layers.above[box])
            # The two layers are as even below the eyes, which the window may reach.
            far = _seen(np.abs(self.lips.across - self.lips.upper), layers.above[box]) / self.anatomy.unit
            line *= smoothstep(0.2, 0.1, far).astype(np.float32)
            frame[box] *= 1.0 - 0.5 * relax * line[..., None]
        return frame

    def _from_photo(self, source: Float32[np.ndarray, "h w 2"]) -> Float32[np.ndarray, "h w 3"]:
        seen = cv2.remap(self.photo, source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return seen.astype(np.float32)

    def _look(self, frame: np.ndarray, layers: _Layers, moves: np.ndarray, pose: Pose) -> None:
        """Shows the eyeballs between the lids, in the upper lid's shadow."""
        unit = self.anatomy.unit
        for ball, eye, first in zip(self.balls, self.eyes, (36, 42), strict=True):
            head = moves[[first, first + 3]].mean(0)
            picture = ball.seen(head + pose.gaze * unit)
            moved = np.abs(moves[first : first + 6]).max() + np.abs(pose.gaze).max() * unit
            lid = cv2.GaussianBlur(1.0 - layers.upper[ball.box], (0, 0), 0.022 * unit)
            picture = picture * (1.0 - 0.5 * np.clip(lid, 0.0, 1.0))[..., None]
            near = smoothstep(1.25, 1.05, np.abs(eye.along[ball.box])).astype(np.float32)
            shut = np.float32(np.clip((pose.blink - 0.6) / 0.4, 0.0, 1.0))
            picture = picture + (ball.lashes - picture) * shut  # what is left of the opening is the line of the lashes
            cover = layers.opening[ball.box] * near * np.float32(min(1.0, moved / (0.03 * unit)))
            frame[ball.box] += (picture - frame[ball.box]) * cover[..., None]

    def _speak(self, frame: np.ndarray, layers: _Layers, moves: np.ndarray, head: np.ndarray) -> None:
        """Shows the inside of the mouth between the lips; `head` is the skull's shift in face units."""
        box, unit = self.inside.box, self.anatomy.unit
        shift = head @ self.anatomy.to_photo[:, :2].T
        jaw = max(float(moves[8, 1] - shift[1]) / unit, 0.0)
        picture = self.inside.seen(1.0 - layers.upper[box], layers.lower[box], shift, jaw)
        moved = np.abs(moves[48:68]).max()
        cover = layers.opening[box] * _seen(self.lips.within, layers.above[box]) * min(1.0, moved / (0.01 * unit))
        frame[box] += (picture - frame[box]) * cover[..., None]


def _seen(values: Float32[np.ndarray, "h w"], source: Float32[np.ndarray, "a b 2"]) -> Float32[np.ndarray, "a b"]:
    return cv2.remap(values, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def animate(
    photo: UInt8[np.ndarray, "h w 3"],
    landmarks: Shaped[np.ndarray, "68 2"],
    expression: str,
    frames: int,
    *,
    seed: int,
    take: int = 0,
    strength: float = 1.0,
    hold: bool = False,
    donor: Donor | None = None,
) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n 68 2"]]:
    """A photo performs an expression: neutral -> apex -> neutral, or up to the apex if `hold`.

    The first frame is the photo. `landmarks` are the photo's 68, (x, y) in pixels; those of every frame are returned.
    `strength` 0 leaves the photo as it is, 1 is usual, 1.5 much. A function of the arguments: `take` varies the timing,
    the asymmetry and the blinks. Teeth are painted, or `donor`'s, or the photo's own.
    Raises InputError for an unknown expression, no frames, or landmarks of no face.
    """
    if expression not in ACTS:
        raise InputError(f"expression {expression!r}: not one of {', '.join(ACTS)}")
    if frames < 1:
        raise InputError(f"frames: {frames} is not a positive number")
    animator = Animator(photo, landmarks, donor)
    poses = plan(expression, frames, seed=[seed, crc32(animator.photo)], take=take, strength=strength, hold=hold)
    share = min(animator.largest_share(pose) for pose in poses)
    drawn = [animator.draw(pose, share) for pose in poses]
    return np.stack([frame for frame, _ in drawn]), np.stack([points for _, points in drawn])
