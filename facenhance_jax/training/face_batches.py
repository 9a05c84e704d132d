"""Batches of face clips for the generators' trainings: a function of (seed, step) alone, like `data.pipeline`'s."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, UInt8

from facenhance_jax.data import face_clips, shuffling
from facenhance_jax.data.shuffling import Mix
from facenhance_jax.faces import alignment
from facenhance_jax.generators.imaginator import FRAMES, ImaginatorConfig
from facenhance_jax.generators.motiongan import MotionConfig
from facenhance_jax.generators.renderer import RendererConfig
from facenhance_jax.generators.settings import FaceData, Training
from facenhance_jax.messages import InputError

Row = dict[str, Any]
THREADS = min(os.cpu_count() or 1, 16)
LEAST = 32  # frames of a clip: what all systems were made for


def batches(
    data: FaceData, train: Training, row: Callable[..., Row], split: str, flip: bool, start_step: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of the batches of a split from `start_step` on, endless; `row` makes an example.

    Raises InputError for a batch size that does not split over the processes, and as `face_clips.source` does.
    """
    processes = jax.process_count()
    if train.batch_size % processes:
        raise InputError(
            f"config.train.batch_size: {train.batch_size} examples do not split over {processes} processes; choose a "
            "multiple"
        )
    found = sets(data, split)
    records = [records for records, _ in found]

    def choose(record: Row, rng: np.random.Generator) -> Row:
        return row(mirrored(record) if flip and rng.random() < 0.5 else record, rng)

    return shuffling.batches(
        records[0] if len(found) == 1 else Mix(records, [weight for _, weight in found]),
        choose,
        stacked,
        batch_size=train.batch_size // processes,
        seed=train.seed,
        start_step=start_step,
        process=jax.process_index(),
        processes=processes,
        threads=THREADS,
    )


def sets(data: FaceData, split: str, frames: int = LEAST) -> list[tuple[face_clips.FaceClips, float]]:
    """The records of each data set, and its weight."""
    return [(face_clips.source(directory, split, frames), weight) for directory, weight in data.directories]


def check_held_out(data: FaceData) -> None:
    """Raises InputError if validation would see people of the training."""
    if data.validation_split == data.split or "all" in (data.split, data.validation_split):
        raise InputError(
            f"config.data.validation_split: {data.validation_split!r} is not held out of split {data.split!r}; "
            "name another, or set config.run.validate_every=0"
        )


def stacked(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Examples as one array for each name."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def mirrored(record: Row) -> Row:
    """A record as a mirror shows it."""
    points = {name: _mirrored_points(record[name]) for name in face_clips.POINTS}
    images = {name: np.ascontiguousarray(record[name][..., ::-1, :]) for name in face_clips.IMAGES}
    return record | points | images


def _mirrored_points(points: Float32[np.ndarray, "*n 68 2"]) -> Float32[np.ndarray, "*n 68 2"]:
    return (points * np.float32([-1, 1]) + np.float32([63, 0]))[..., alignment.MIRROR, :]


def label(record: Row, labels: Sequence[str]) -> np.int32:
    """The number of the record's expression. Raises InputError for one that the model does not know."""
    if record["expression"] not in labels:
        raise InputError(
            f"record {record['subject']}: the expression {record['expression']!r} is none of config.model.labels "
            f"({', '.join(labels)}); leave it out of the data set or name it there"
        )
    return np.int32(labels.index(record["expression"]))


def _spread(count: int, frames: int) -> np.ndarray:
    return np.linspace(0, count - 1, frames).round().astype(int)


def motion(record: Row, rng: np.random.Generator | None, config: MotionConfig) -> Row:
    """For MotionGAN: the landmarks of a clip, and pictures of the first and the last."""
    kept = record["landmarks"][_spread(len(record["landmarks"]), config.frames)]
    pictures = {"identity": _dots(kept[0]), "high": _dots(kept[-1])}
    return {"landmarks": kept, "label": label(record, config.labels)} | pictures


def _dots(points: Float32[np.ndarray, "68 2"]) -> UInt8[np.ndarray, "64 64 3"]:
    """As `generating.dots` draws them."""
    picture = np.zeros((64, 64, 3), np.uint8)
    x, y = np.clip(np.round(points), 0, 63).astype(int).T
    picture[y, x] = 255
    return picture


def frame(record: Row, rng: np.random.Generator, config: RendererConfig) -> Row:
    """For the renderer: the photo and any one frame."""
    number = int(rng.integers(len(record["low"])))
    photo, points = record["photo_landmarks"], record["landmarks"][number]
    return {
        "photo": record["photo"],
        "identity": face_clips.masked(record["photo"], photo),
        "points": np.stack([photo, points]),
        "high": record["low"][number],
        "mask": alignment.face_mask(points.astype(np.float64)),
        "label": label(record, config.labels),
        "phase": phase(photo, points),
    }


def phase(photo: Float32[np.ndarray, "68 2"], points: Float32[np.ndarray, "68 2"]) -> np.float32:
    """`renderer.phase_of`, on the host."""
    return np.float32(np.linalg.norm(points - photo, axis=-1).mean())


def clip(record: Row, rng: np.random.Generator, config: ImaginatorConfig) -> Row:
    """For ImaGINator: the neutral low-res face and the whole clip."""
    kept = record["low"][_spread(len(record["low"]), FRAMES)]
    face = face_clips.masked(record["photo"], record["photo_landmarks"])
    return {"identity": face, "clip": kept, "high": kept[-1], "label": label(record, config.labels)}
