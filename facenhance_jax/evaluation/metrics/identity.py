"""ACD and ACD-I: whether a clip shows one person throughout, and whether it is the person of the photo.

Distances are L2 between the 128-d features that dlib's ResNet-29 outputs for a face; two pictures of one person are
usually nearer than 0.6. Distances of different extractors cannot be compared, so show `extractor()` with them. A frame
in which no face is found is counted as missing but not left out: its features are computed in the box of the nearest
frame with a face (the earlier one of two).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from facenhance_jax.faces import recognition
from facenhance_jax.faces.recognition import Box, Extractor
from facenhance_jax.messages import InputError


class NoFaceError(InputError):
    """No face is found in a photo, or in any frame of a clip, so there is no ACD."""


@dataclass(frozen=True)
class Features:
    """The features of a clip's faces, a vector for each frame."""

    vectors: Float64[np.ndarray, "n 128"]
    missing: tuple[int, ...]  # indices of the frames in which no face was found


@dataclass(frozen=True)
class ClipIdentity:
    """The distances of one clip."""

    acd: float | None  # mean L2 between the features of consecutive frames; None for a clip of one frame
    acd_i: float  # mean L2 between each frame's features and the photo's
    missing_share: float  # share of frames, 0 to 1, in which no face was found; both means include them


def extractor() -> Extractor:
    """The extractor of all features here. Raises InputError if the extra [faces] is not installed."""
    return recognition.models().extractor


def describe(frames: UInt8[np.ndarray, "n h w 3"], name: str | Path) -> Features:
    """The features of a clip's frames (RGB); for a frame that equals the one before, they are not computed again.

    `name` is the clip's name for messages. Raises InputError if the extra [faces] is not installed or there are no
    frames, and NoFaceError if no face is found in any frame.
    """
    models = recognition.models()
    if not len(frames):
        raise InputError(f"{name}: no frames; give a clip with at least one")
    repeated = [False, *(np.array_equal(before, frame) for before, frame in pairwise(frames))]
    boxes: list[Box | None] = []
    for frame, same in zip(frames, repeated, strict=True):
        boxes.append(boxes[-1] if same else models.find(frame))
    missing = tuple(index for index, box in enumerate(boxes) if box is None)
    if len(missing) == len(frames):
        raise NoFaceError(
            f"{name}: no face was found in any of its {len(frames)} frames; give a clip that shows one from the front"
        )
    boxes = _filled(boxes)
    vectors: list[np.ndarray] = []
    for index, (frame, same) in enumerate(zip(frames, repeated, strict=True)):
        same = same and boxes[index] == boxes[index - 1]
        vectors.append(vectors[-1] if same else models.describe(frame, boxes[index]))
    return Features(np.stack(vectors), missing)


def describe_photo(photo: UInt8[np.ndarray, "h w 3"], name: str | Path) -> Float64[np.ndarray, "128"]:
    """The features of an RGB photo's face. Raises InputError as `describe` does, NoFaceError if no face is found."""
    models = recognition.models()
    box = models.find(photo)
    if box is None:
        raise NoFaceError(f"{name}: no face was found; give a photo that shows one from the front")
    return models.describe(photo, box)


def compare(clip: Features, photo: Float64[np.ndarray, "128"]) -> ClipIdentity:
    """ACD and ACD-I as the paper defines them (section 5.3)."""
    count = len(clip.vectors)
    acd = float(np.linalg.norm(np.diff(clip.vectors, axis=0), axis=1).mean()) if count > 1 else None
    acd_i = np.linalg.norm(clip.vectors - photo, axis=1).mean()
    return ClipIdentity(acd, float(acd_i), len(clip.missing) / count)


def distance(clip: Features, real: Features) -> float:
    """Mean L2 between the features of each frame and of the real one."""
    return float(np.linalg.norm(clip.vectors - real.vectors, axis=1).mean())


def _filled(boxes: Sequence[Box | None]) -> list[Box]:
    """Fills each gap with the box of the nearest frame that has one, the earlier one of two."""
    known = np.flatnonzero([box is not None for box in boxes])
    return [boxes[known[np.abs(known - index).argmin()]] for index in range(len(boxes))]
