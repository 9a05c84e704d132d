"""How the expressions are performed: muscle strengths and head motion, frame by frame."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from facenhance_jax.data.synthetic.face_shape import MUSCLES, smoothstep

# Muscle strengths at the apex, and the head's pitch there in degrees (pitch > 0 looks down).
ACTS: dict[str, dict[str, float]] = {
    "anger": dict(
        brow_lower=1.0, lid_tighten=0.7, lid_raise=0.25, nose_wrinkle=0.3, lip_press=0.85, chin_raise=0.4, pitch=1.5
    ),
    "disgust": dict(
        nose_wrinkle=1.0,
        upper_lip_raise=0.85,
        brow_lower=0.5,
        lid_tighten=0.7,
        corner_depress=0.35,
        lips_part=0.35,
        chin_raise=0.3,
        pitch=-0.9,
    ),
    "fear": dict(
        inner_brow_raise=0.85,
        outer_brow_raise=0.4,
        brow_lower=0.35,
        lid_raise=0.95,
        lip_stretch=0.95,
        jaw_drop=0.32,
        lips_part=0.5,
        corner_depress=0.2,
        pitch=-1.2,
    ),
    "happiness": dict(
        smile=1.0, lid_tighten=0.55, lips_part=0.65, jaw_drop=0.12, upper_lip_raise=0.25, dimple=0.2, pitch=-0.9
    ),
    "sadness": dict(
        inner_brow_raise=0.85,
        brow_lower=0.3,
        corner_depress=1.0,
        chin_raise=0.7,
        lid_tighten=0.25,
        lip_press=0.15,
        pitch=1.8,
    ),
    "surprise": dict(
        inner_brow_raise=1.0, outer_brow_raise=1.0, lid_raise=0.9, jaw_drop=0.95, lips_part=0.4, pitch=-1.2
    ),
    "neutral": dict(),
}

MIDDLE = ("jaw_drop", "lips_part", "lip_press", "chin_raise")  # muscles that hardly act on one side alone


@dataclass(frozen=True)
class Performance:
    """The motion of one clip."""

    muscles: Float[np.ndarray, "n 2 m"]  # strengths on the left and the right side of the picture
    blink: Float[np.ndarray, " n"]  # 1 = closed
    turn: Float[np.ndarray, "n 2"]  # yaw and pitch, radians
    slide: Float[np.ndarray, "n 2"]  # pixels in a frame of 192
    roll: Float[np.ndarray, " n"]  # radians
    gaze: Float[np.ndarray, "n 2"]  # face half-widths
    grain: Int[np.ndarray, " n"]  # seeds of each frame's camera noise


def perform(expression: str, frames: int, rng: np.random.Generator, habits: np.random.Generator) -> Performance:
    """Neutral -> apex -> neutral. `rng` varies the take; `habits` gives the person's own way of this expression."""
    act = ACTS[expression]
    time = np.linspace(0.0, 1.0, frames)
    calm = expression == "neutral"
    strength = habits.uniform(0.86, 1.1) * rng.uniform(0.93, 1.05)
    tilt = np.clip(habits.normal(0, 0.09) + rng.normal(0, 0.03), -0.22, 0.22)
    onset = np.array(
        [rng.uniform(0.03, 0.09), rng.uniform(0.36, 0.46), rng.uniform(0.54, 0.64), rng.uniform(0.91, 0.97)]
    )
    muscles = np.zeros((frames, 2, len(MUSCLES)))
    for index, name in enumerate(MUSCLES):
        own = habits.uniform(0.85, 1.15) * rng.uniform(0.94, 1.06)
        late, extra = rng.uniform(-0.025, 0.025), habits.uniform(0, 0.06) * habits.integers(0, 2)
        when = envelope(time, onset + late)
        level = np.clip((act.get(name, 0.0) + (0.0 if calm else extra)) * own * strength, 0.0, 1.2)
        lean = tilt * (0.2 if name in MIDDLE else 1.0)
        muscles[:, :, index] = (when * level)[:, None] * np.array([1.0 + lean, 1.0 - lean])
    rest = smoothstep(0.0, 0.2, np.minimum(time, 1.0 - time))
    size = 0.35 if calm else 1.0
    sway = np.stack([wander(time, rng) for _ in range(7)], 1) * rest[:, None] * size
    led = envelope(time, onset)[:, None] * np.array([rng.normal(0, 0.3), act.get("pitch", 0.0) * strength])
    # Nobody holds the head in exactly the same way twice, so a clip's first frame differs from the photo. This and the
    # sway are small, because the aligned low-res face hardly shows head motion, so a model could not predict it.
    pose = rng.normal(0, 1, 5) * (0.2, 0.2, 0.05, 0.05, 0.04)
    turn = np.radians(led + sway[:, :2] * (0.2, 0.15) + pose[:2])
    return Performance(
        muscles=muscles,
        blink=blinks(time, rng, calm),
        turn=turn,
        slide=0.05 * sway[:, 2:4] + pose[2:4],
        roll=np.radians(0.04 * sway[:, 4] + pose[4]),
        gaze=0.008 * sway[:, 5:7] - 0.35 * turn * (0.1, 0.1),
        grain=rng.integers(2**32, size=frames),
    )


def envelope(time: Float[np.ndarray, " n"], turns: Float[np.ndarray, "4"]) -> Float[np.ndarray, " n"]:
    """0 up to the first turning time, 1 between the second and the third, 0 from the fourth on."""
    return smoothstep(turns[0], turns[1], time) * smoothstep(turns[3], turns[2], time)


def wander(time: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """A slow smooth motion within -1..1."""
    waves = [rng.uniform(0.3, 1.0) * np.sin(2 * np.pi * (rate * time + rng.random())) for rate in (0.6, 1.3, 2.1)]
    return sum(waves) / 2.4


def blinks(time: Float[np.ndarray, " n"], rng: np.random.Generator, calm: bool) -> Float[np.ndarray, " n"]:
    """One blink in the middle of a calm clip; other clips have one or none, away from the ends."""
    at, happens = rng.uniform(0.15, 0.85), rng.random() < 0.4
    if calm:
        return np.exp(-0.5 * ((time - 0.55) / 0.09) ** 2) * (time > 0.0)
    return float(happens) * np.clip(1.25 * np.exp(-0.5 * ((time - at) / 0.028) ** 2), 0.0, 1.0)
