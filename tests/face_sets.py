"""Small sets of face clips: faces of noise whose mouths move down, for tests of the generators."""

from pathlib import Path

import numpy as np

from facenhance_jax.data import face_clips
from facenhance_jax.faces import alignment

FRAMES = 32
LABELS = ("anger", "fear")


def face_clip(number: int, frames: int = FRAMES) -> face_clips.FaceClip:
    """A clip of another person for each number, with an expression in turn."""
    rng = np.random.default_rng(number)
    neutral = np.float32(alignment.mean_shape() + rng.normal(0, 0.3, (68, 2)))
    way = np.linspace(0, 1, frames)[:, None, None] * np.where(np.arange(68) >= 48, 1.0, 0.0)[:, None]
    landmarks = np.float32(neutral + way * rng.uniform(1, 4) * np.array([0.0, 1.0]))
    photo = rng.integers(30, 256, (64, 64, 3), dtype=np.uint8)
    low = np.stack([face_clips.masked(photo, points) for points in landmarks])
    return face_clips.FaceClip(photo, neutral, low, landmarks, f"{number:03d}", LABELS[number % 2], "take000")


def write(folder: Path, train: int = 6, test: int = 2, frames: int = FRAMES) -> Path:
    """Writes a set of so many clips of each split."""
    clips = [face_clip(number, frames) for number in range(train + test)]
    face_clips.write(folder, {"train": clips[:train], "test": clips[train:]})
    return folder
