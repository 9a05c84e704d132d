"""Makes a photo perform an expression: its skin moves, lids close over the eyes, lips part over teeth, skin folds."""

from zlib import crc32

import cv2
import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from facenhance_jax.data.animation import openings
from facenhance_jax.data.animation.anatomy import LOWER_ONLY, UPPER_ONLY, Anatomy, Pose
from facenhance_jax.data.animation.eyeball import Eyeball
from facenhance_jax.data.animation.folds import Folds
from facenhance_jax.data.animation.mouth_inside import MouthInside
from facenhance_jax.data.animation.thin_plate import Field, Grid, basis, determinant
from facenhance_jax.data.synthetic.acting import ACTS, Performance, perform
from facenhance_jax.data.synthetic.face_shape import MUSCLES, smoothstep
from facenhance_jax.messages import InputError

LEAST_AREA = 0.2  # of the map's determinant; a move that squeezes the skin more is made smaller
EDGE = 0.08  # of the picture's side: within it the motion fades to nothing
# Drawn people act for the back row. By these factors photographs act less: measured on pairs of photographs, or because
# more looks wrong on a real face.
TONED: dict[str, dict[str, float]] = {
    "anger": dict(lid_tighten=0.5, nose_wrinkle=0.7),
    "disgust": dict(upper_lip_raise=0.6, lips_part=0.45, corner_depress=0.6, lid_tighten=0.5, nose_wrinkle=0.8),
    "fear": dict(lid_raise=0.7, lip_stretch=0.8, corner_depress=0.5, jaw_drop=0.8),
    "happiness": dict(smile=0.85, lips_part=0.65, jaw_drop=0.3, lid_tighten=0.35),
    "sadness": dict(corner_depress=0.6, chin_raise=0.7, lid_tighten=0.3),
    "surprise": dict(lid_raise=0.65, jaw_drop=0.85, inner_brow_raise=0.85, outer_brow_raise=0.85),
    "neutral": dict(),
}
PURSED = 0.45  # a jaw that drops pulls the corners of the mouth in: so much less lip stretch
DRAWN_UNIT = 41.5  # pixels in half the width of a drawn face in a frame of 192


class Animator:
    """Moves one photo; what all frames share is computed once."""

    def __init__(self, photo: UInt8[np.ndarray, "h w 3"], landmarks: Shaped[np.ndarray, "68 2"]) -> None:
        """A photo of any size, with its 68 landmarks in pixels. Raises InputError for landmarks of no face."""
        if not np.isfinite(landmarks).all():
            raise InputError("landmarks: not finite; find the face again or leave the photo out")
        self.photo = np.ascontiguousarray(photo)
        height, width = photo.shape[:2]
        self.anatomy = anatomy = Anatomy(np.asarray(landmarks, np.float64))
        self.grid = Grid(height, width)
        self._set_basis()
        self.eyes = [openings.eye(anatomy, first, height, width) for first in (36, 42)]
        self.lips, is_open = openings.mouth(anatomy, self.photo)
        self.seen_above, self.seen_below = openings.layers(self.eyes, self.lips, anatomy.unit)
        self.balls = [Eyeball(self.photo, eye, anatomy.unit) for eye in self.eyes]
        self.folds = Folds(anatomy, self.photo)
        self.inside = MouthInside(self.photo, self.lips, anatomy.unit, is_open, self.folds.cheeks)

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
        steps = [self.grid.enlarge(self.grid.inverse(motion)) for motion in self.motions(moves)]
        above, below = (step + self.grid.pixels for step in steps)
        upper_sees = cv2.remap(self.seen_above, above, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lower_sees = cv2.remap(self.seen_below, below, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lower = np.minimum(lower_sees, upper_sees)  # where both cover a pixel, the upper lid or lip does
        part = (lower + 1e-3) / (1.0 - upper_sees + lower + 2e-3)
        source = above + (below - above) * part[..., None]
        frame = cv2.remap(self.photo, source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        frame = frame.astype(np.float32)
        self._fold(frame, source, share * self.anatomy.muscles(pose))
        opening = np.maximum(upper_sees - lower_sees, 0.0)
        self._look(frame, opening, upper_sees, moves, pose)
        self._speak(frame, opening, upper_sees, lower_sees, moves, pose)
        fade = self._fade(self.anatomy.landmarks)[:, None]
        points = self.anatomy.landmarks + moves[:68] * fade
        return np.clip(frame + 0.5, 0, 255).astype(np.uint8), points.astype(np.float32)

    def _fold(self, frame: Float32[np.ndarray, "h w 3"], source: np.ndarray, muscles: np.ndarray) -> None:
        """Lays the creases' light and shade over the frame."""
        gain = np.ones(frame.shape[:2], np.float32)
        gain[self.folds.box] = self.folds.gain(muscles)
        gain = cv2.remap(gain, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        frame *= gain[..., None]

    def _look(self, frame: np.ndarray, opening: np.ndarray, upper: np.ndarray, moves: np.ndarray, pose: Pose) -> None:
        """Shows the eyeballs between the lids, in the upper lid's shadow."""
        unit = self.anatomy.unit
        for ball, eye, first in zip(self.balls, self.eyes, (36, 42), strict=True):
            head = moves[[first, first + 3]].mean(0)
            box, picture = ball.seen(head + pose.gaze * unit, *frame.shape[:2])
            moved = np.abs(moves[first : first + 6]).max() + np.abs(pose.gaze).max() * unit
            lid = cv2.GaussianBlur(1.0 - upper[box], (0, 0), 0.022 * unit)
            picture = picture * (1.0 - 0.5 * np.clip(lid, 0.0, 1.0))[..., None]
            cover = opening[box] * _near(eye, box) * min(1.0, moved / (0.03 * unit))
            frame[box] += (picture - frame[box]) * cover[..., None]

    def _speak(
        self,
        frame: np.ndarray,
        opening: np.ndarray,
        upper: np.ndarray,
        lower: np.ndarray,
        moves: np.ndarray,
        pose: Pose,
    ) -> None:
        """Shows the inside of the mouth between the lips."""
        box, unit = self.inside.box, self.anatomy.unit
        head = self.anatomy.rigid(pose, self.anatomy.points[[62]])[0] @ self.anatomy.to_photo[:, :2].T
        jaw = float(moves[8, 1] - head[1]) / unit
        picture = self.inside.seen(1.0 - upper[box], lower[box], head, max(jaw, 0.0))
        moved = np.abs(moves[48:68]).max()
        cover = opening[box] * min(1.0, moved / (0.01 * unit))
        frame[box] += (picture - frame[box]) * cover[..., None]


def _near(eye: openings.Opening, box: tuple[slice, slice]) -> np.ndarray:
    """1 near an eye, where an opening in the picture is that eye's."""
    return smoothstep(1.25, 1.05, np.abs(eye.along[box])).astype(np.float32)


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
) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n 68 2"]]:
    """A photo performs an expression: neutral -> apex -> neutral, or up to the apex if `hold`.

    The first frame is the photo. `landmarks` are the photo's 68, (x, y) in pixels; those of every frame are returned.
    `strength` 0 leaves the photo as it is, 1 is usual, 1.5 much. A function of the arguments: `take` varies the timing,
    the asymmetry and the blinks. Raises InputError for an unknown expression, no frames, or landmarks of no face.
    """
    if expression not in ACTS:
        raise InputError(f"expression {expression!r}: not one of {', '.join(ACTS)}")
    if frames < 1:
        raise InputError(f"frames: {frames} is not a positive number")
    animator = Animator(photo, landmarks)
    poses = plan(expression, frames, seed=[seed, crc32(animator.photo)], take=take, strength=strength, hold=hold)
    share = min(animator.largest_share(pose) for pose in poses)
    drawn = [animator.draw(pose, share) for pose in poses]
    return np.stack([frame for frame, _ in drawn]), np.stack([points for _, points in drawn])


def plan(expression: str, frames: int, *, seed: list[int], take: int, strength: float, hold: bool) -> list[Pose]:
    """The poses of a clip; `seed` stands for the person."""
    code = list(ACTS).index(expression)
    rng, habits = np.random.default_rng([*seed, 2, code, take]), np.random.default_rng([*seed, 3, code])
    performance = perform(expression, 2 * frames if hold else frames, rng, habits)
    share = strength * np.array([TONED[expression].get(name, 1.0) for name in MUSCLES])
    level = performance.muscles.max((1, 2))
    relax = min(strength, 1.0) * level / max(level.max(), 1e-6) * (expression not in ("happiness", "neutral"))
    return [_pose(performance, n, share, float(relax[n]), min(strength, 1.0)) for n in range(frames)]


def _pose(performance: Performance, n: int, share: Float[np.ndarray, " m"], relax: float, life: float) -> Pose:
    """Frame n with its muscles times `share`, and the head's and the eyes' motion since frame 0 times `life`."""
    turn, slide, roll, gaze = (
        life * (track[n] - track[0])
        for track in (performance.turn, performance.slide, performance.roll, performance.gaze)
    )
    blink = float(performance.blink[n]) if life > 0 else 0.0
    muscles = share * performance.muscles[n]
    muscles[:, MUSCLES.index("lip_stretch")] -= PURSED * muscles[:, MUSCLES.index("jaw_drop")]
    return Pose(muscles, relax, blink, turn, slide / DRAWN_UNIT, float(roll), gaze)
