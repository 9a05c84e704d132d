"""How a photo performs an expression: the drawn people's acting, toned down, frame by frame."""

import numpy as np
from jaxtyping import Float

from facenhance_jax.data.animation.anatomy import Pose
from facenhance_jax.data.synthetic.acting import ACTS, Performance, perform
from facenhance_jax.data.synthetic.face_shape import MUSCLES

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
