"""Clips of real people: pairs of photographs, and ordinary videos. Both need the extra [faces], to find the faces."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from facenhance_jax import media
from facenhance_jax.data.layout import NEUTRAL, VIDEO_SUFFIXES
from facenhance_jax.data.photo_pairs import aligned_pair, moved
from facenhance_jax.evaluation.clip_sets import EvaluationClip
from facenhance_jax.faces import alignment, framing, placement, tracking
from facenhance_jax.inference import extraction
from facenhance_jax.media.drawing import spread
from facenhance_jax.media.pictures import resize
from facenhance_jax.media.reading import FRAME_SUFFIXES
from facenhance_jax.messages import InputError

_RIGID = list(alignment.RIGID)
_PLACED, _FOUND = "by the photo's landmarks", "found by comparing the low-res frames with the photo"

# Which people of a folder of pairs, by their index in the sorted names: these remainders of its division by four.
PEOPLE = {
    "every_fourth": (3,),  # held out: for the tables only, never to choose anything by
    "third": (2,),  # for development: to choose by, in trainings that leave them out
    "train": (0, 1, 2),  # all but those held out
    "all": (0, 1, 2, 3),
}


class Pairs:
    """Photo pairs, each a clip of one frame: the neutral photo is the identity, the other photo is the truth.

    The folder holds `PERSON/neutral.jpg` and `PERSON/EXPRESSION.jpg` (or png, bmp), one or more expressions. Both
    photos are framed by `photo_pairs.aligned_pair`; the low-res frame is cut out of the other photo. The face mask is
    the convex hull of the other photo's landmarks.
    Raises InputError if there are none; indexing raises it for a photo without a face.
    """

    def __init__(self, directory: Path | str, people: str, *, size: int, low_size: int, placed: bool = True):
        """`people` is a key of `PEOPLE`; `placed`: whether clips have their `place`, by the photo's landmarks."""
        self.directory, self.people, self.frames, self.placed = Path(directory), people, 1, placed
        self.size, self.low_size = size, low_size
        if not self.directory.is_dir():
            raise InputError(f"{directory}: no such folder; give the one that holds PERSON/neutral.jpg")
        persons = sorted(path for path in self.directory.iterdir() if path.is_dir() and path.name[0] != ".")
        chosen = [person for index, person in enumerate(persons) if index % 4 in PEOPLE[people]]
        self.pairs = [pair for person in chosen for pair in _pairs(person)]
        if not self.pairs:
            raise InputError(f"{directory}: {len(persons)} people, none of them among {people}; give a folder of more")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> EvaluationClip:
        neutral, other = ((media.read_photo(file), file) for file in self.pairs[index])
        points = [tracking.track([photo], file).landmarks[0] for photo, file in (neutral, other)]
        identity, real, neutral_points, real_points = aligned_pair(
            neutral[0], points[0], other[0], points[1], self.size
        )
        low = alignment.low_frame(other[0], points[1], self.low_size)
        face = alignment.hull_mask(real_points, self.size) > 0
        place = placement.of_landmarks(neutral_points) if self.placed else None
        person, expression = other[1].parent.name, other[1].stem
        return EvaluationClip(person, expression, "", real[None], identity, low[None], face[None], place=place)

    def describe(self) -> dict[str, Any]:
        return {
            "data": f"photo pairs of {self.directory.name}, people {self.people}",
            "drawn": False,
            "face": "convex hull of the other photo's landmarks",
            "place": _PLACED if self.placed else _FOUND,
            "stride": 1,
        }


class Videos:
    """The videos in a folder: the first frame is the photo, and frames spread evenly over the rest are the clip.

    The first frame is framed by `framing.portrait`. The others are laid on it by the points that expressions hardly
    move, each by itself: low-res frames do not say how the head moves, so no method could follow it. What is behind a
    moving head moves instead. The face mask is the convex hull of each frame's landmarks.
    Raises InputError if there are no videos; indexing raises it for one with too few frames or without a face.
    """

    def __init__(self, directory: Path | str, *, frames: int, size: int, low_size: int, placed: bool = True):
        """`placed` as of `Pairs`."""
        self.placed = placed
        self.directory, self.frames, self.size, self.low_size = Path(directory), frames, size, low_size
        if not self.directory.is_dir():
            raise InputError(f"{directory}: no such folder; give one that holds videos")
        files = (path for path in self.directory.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
        self.videos = sorted(path for path in files if path.name[0] != ".")
        if not self.videos:
            raise InputError(f"{directory}: holds no videos ({', '.join(sorted(VIDEO_SUFFIXES))}); give another folder")

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> EvaluationClip:
        file = self.videos[index]
        clip = media.open_clip(file)
        points = extraction.follow(clip).landmarks
        if len(points) <= self.frames:
            raise InputError(f"{file}: {len(points)} frames; give more than --frames={self.frames}")
        shown = [0, *(1 + at for at in spread(self.frames, len(points) - 1))]
        first = moved(points[0], framing.portrait(points[0], self.size))
        pictures, lows, faces = [], [], []
        for at, frame in _these(clip, shown):
            onto = alignment.similarity(points[at][_RIGID], first[_RIGID])
            pictures.append(_framed(frame, onto, self.size))
            lows.append(alignment.low_frame(frame, points[at], self.low_size))
            faces.append(alignment.hull_mask(moved(points[at], onto), self.size) > 0)
        real, low, face = (np.stack(part[1:]) for part in (pictures, lows, faces))
        place = placement.of_landmarks(first) if self.placed else None
        return EvaluationClip(file.stem, "video", "", real, pictures[0], low, face, place=place)

    def describe(self) -> dict[str, Any]:
        return {
            "data": f"videos of {self.directory.name}, first frame as photo, heads held still",
            "drawn": False,
            "face": "convex hull of the landmarks",
            "place": _PLACED if self.placed else _FOUND,
            "stride": "spread evenly",
        }


def _pairs(person: Path) -> list[tuple[Path, Path]]:
    """(neutral, other) for each other photo of a person. Raises InputError if one of them is missing."""
    photos = {path.stem: path for path in sorted(person.iterdir()) if path.suffix.lower() in FRAME_SUFFIXES}
    neutral = photos.pop(NEUTRAL, None)
    if neutral is None or not photos:
        raise InputError(f"{person}: needs neutral.jpg and a photo of an expression beside it; add it, or remove these")
    return [(neutral, other) for other in photos.values()]


def _these(clip: Iterable[UInt8[np.ndarray, "h w 3"]], shown: list[int]):
    """(index, frame) of the frames of these indices, and no frame after the last."""
    chosen = set(shown)
    return ((at, frame) for at, frame in enumerate(islice(clip, shown[-1] + 1)) if at in chosen)


def _framed(frame: UInt8[np.ndarray, "h w 3"], matrix: Float64[np.ndarray, "2 3"], size: int) -> np.ndarray:
    """What the matrix (frame to square) shows, made twice as large and shrunk, which keeps it sharp."""
    finer = 2 * matrix + np.array([[0, 0, 0.5], [0, 0, 0.5]])  # whole numbers are pixel centres
    return resize(alignment.warp(frame, finer, 2 * size), size)
