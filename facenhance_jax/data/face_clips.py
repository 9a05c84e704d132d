"""Clips of aligned low-res faces with their landmarks: what the light generators (`generators/`) learn from.

A set is a folder of .npz files with these members; launch/prepare.py --faces makes one (see `face_making`).

| member | what it is |
|---|---|
| photo | uint8 [r, 64, 64, 3], the neutral photo in the low-res face's frame, without the black around the face |
| photo_landmarks | float32 [r, 68, 2], pixels of that frame |
| low | uint8 [r, n, 64, 64, 3], the low-res faces on black; the clips begin at neutral |
| landmarks | float32 [r, n, 68, 2], pixels of each low-res frame |
| split | text [r], "train" or "test" |
| subject, expression, take | text [r] |
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

from facenhance_jax.data.arrays import SPLITS, SUFFIX, Member, read_members, rows_of
from facenhance_jax.faces import alignment
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError

LOW_SIZE = 64  # pixels
IMAGES = ("photo", "low")
POINTS = ("photo_landmarks", "landmarks")
TEXTS = ("split", "subject", "expression", "take")
PART = 1000  # clips in a file


class FaceClip(NamedTuple):
    """A record but its split."""

    photo: UInt8[np.ndarray, "64 64 3"]
    photo_landmarks: Float32[np.ndarray, "68 2"]
    low: UInt8[np.ndarray, "n 64 64 3"]
    landmarks: Float32[np.ndarray, "n 68 2"]
    subject: str
    expression: str
    take: str


def photo_face(
    photo: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "68 2"]
) -> tuple[UInt8[np.ndarray, "64 64 3"], Float32[np.ndarray, "68 2"]]:
    """A photo in the low-res face's frame, without the black, and its landmarks there.

    Raises InputError for landmarks that cannot be aligned.
    """
    to_crop = alignment.crop_matrix(landmarks, LOW_SIZE)
    return alignment.warp(photo, to_crop, LOW_SIZE), aligned(landmarks)


def aligned(landmarks: Float[np.ndarray, "68 2"]) -> Float32[np.ndarray, "68 2"]:
    """Landmarks in pixels of the low-res face's frame. Raises InputError if they cannot be aligned."""
    to_crop = alignment.crop_matrix(landmarks, LOW_SIZE)
    return (np.asarray(landmarks, np.float64) @ to_crop[:, :2].T + to_crop[:, 2]).astype(np.float32)


def masked(photo: UInt8[np.ndarray, "64 64 3"], landmarks: Float[np.ndarray, "68 2"]) -> UInt8[np.ndarray, "64 64 3"]:
    """The photo's own low-res face: black around the hull of the face's landmarks."""
    return photo * alignment.face_mask(np.asarray(landmarks, np.float64), LOW_SIZE)[..., None]


# Writing


def write(folder: Path, splits: Mapping[str, Iterable[FaceClip]]) -> int:
    """Writes clips as a folder of files, whole or not at all; returns their number. Keeps one file's in memory.

    Raises InputError if the folder is there already, if there are no clips, or if the disk is full.
    """
    if folder.exists():
        raise InputError(f"{folder}: is there already; remove it, or choose another --faces")
    count, waiting = 0, []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as part:
            part.mkdir()
            for split, clips in splits.items():
                for clip in clips:
                    waiting.append((split, clip))
                    count += 1
                    if len(waiting) == PART:
                        _write_file(part / f"part{count // PART:04d}{SUFFIX}", waiting)
                        waiting = []
            if waiting:
                _write_file(part / f"part{count // PART + 1:04d}{SUFFIX}", waiting)
            if not count:
                raise InputError(f"{folder}: no clip could be used; see the reasons above")
    except OSError as error:
        raise InputError(f"{folder}: could not be written ({error.strerror})") from error
    return count


def _write_file(file: Path, rows: Sequence[tuple[str, FaceClip]]) -> None:
    members = {name: np.stack([getattr(clip, name) for _, clip in rows]) for name in (*IMAGES, *POINTS)}
    texts = {name: np.array([getattr(clip, name) for _, clip in rows]) for name in TEXTS[1:]}
    np.savez(file, **members, **texts, split=np.array([split for split, _ in rows]))


# Reading


class FaceClips(Sequence[Mapping[str, Any]]):
    """The records of one split, by index, as dicts of the members' rows; see `source`."""

    def __init__(self, files: Sequence[Mapping[str, Member]], split: str) -> None:
        self._files = files
        self._rows = rows_of(files, split)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        file, row = self._rows[index]
        members = self._files[file]
        return {name: members[name][row] for name in (*IMAGES, *POINTS)} | {
            name: str(members[name][row]) for name in TEXTS
        }


def source(directory: Path | str, split: str, frames: int) -> FaceClips:
    """The records at `directory` whose clips have `frames` frames; `split` is "train", "test" or "all".

    Raises InputError for a set without landmarks, which is one for the enhancer, for clips of another length, for no
    clips, and for a damaged file.
    """
    directory = Path(directory)
    files = sorted(directory.glob(f"*{SUFFIX}")) if directory.is_dir() else [directory]
    remedy = "prepare one with launch/prepare.py --root=TREE --faces=DIR"
    if not files or not files[0].is_file():
        there = "has no landmarks" if directory.exists() else "no such data set"
        raise InputError(f"{directory}: {there}, and a generator learns from low-res clips with landmarks; {remedy}")
    read = [read_members(file, (*IMAGES, *POINTS, *TEXTS), IMAGES) for file in files]
    for file, members in zip(files, read, strict=True):
        if wrong := _fault(members):
            raise InputError(f"{file}: {wrong}; {remedy}")
        if members["low"].shape[1] < frames:
            raise InputError(
                f"{file}: clips of {members['low'].shape[1]} frames, at least {frames} are needed; prepare it again "
                f"with --frames={frames}"
            )
    found = FaceClips(read, split)
    if not len(found):
        raise InputError(f"{directory}: no clips in split {split}; prepare a data set that has some")
    return found


def _fault(members: Mapping[str, Member]) -> str | None:
    """What is wrong with a file's members; None if nothing is."""
    for name in (*POINTS, *IMAGES, *TEXTS):
        if name not in members:
            return f"has no {name.replace('_', ' ')}"
    count, frames = members["low"].shape[:2]
    side = (LOW_SIZE, LOW_SIZE, 3)
    shapes = {"photo": side, "photo_landmarks": (68, 2), "low": (frames, *side), "landmarks": (frames, 68, 2)}
    for name, shape in shapes.items():
        kind = np.uint8 if name in IMAGES else np.float32
        if members[name].dtype != kind or members[name].shape != (count, *shape):
            return f"{name} is {members[name].dtype} {list(members[name].shape)}, not {kind.__name__} [r, {shape}]"
    if unknown := set(members["split"].tolist()) - set(SPLITS):
        return f"split has {sorted(unknown)[0]!r}, which is neither train nor test"
    return None
