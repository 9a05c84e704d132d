"""The clips that a model is evaluated on: drawn people, a prepared data set's clips, or a generator's clips.

A set is a sequence of `EvaluationClip`s; each is made when it is indexed, and not kept in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from facenhance_jax.data import clip_dataset, generated, layout
from facenhance_jax.data.stored import WORDS
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment, placement
from facenhance_jax.media.drawing import spread
from facenhance_jax.media.pictures import decode_image, resize
from facenhance_jax.messages import InputError

HELD_OUT = range(9000, 9013)  # drawn subjects for tests only; training sets have ids under 9000
DRAWN_FACES = "drawn (synthetic) faces"
DRAWN_AT = 192  # pixels: smaller clips are drawn at this size and then shrunk, like the drawn training sets
_DRAWN = {"data": DRAWN_FACES, "drawn": True, "face": "convex hull of the drawn landmarks", "stride": 1}


@dataclass(frozen=True)
class EvaluationClip:
    """A method's input (low, identity), the frames that it should make (real), and masks of the face in those."""

    subject: str
    expression: str
    take: str  # "" if there is only one
    real: UInt8[np.ndarray, "n h w 3"]
    identity: UInt8[np.ndarray, "h w 3"]
    low: UInt8[np.ndarray, "n l l 3"]
    face: Bool[np.ndarray, "n h w"]
    real_low: UInt8[np.ndarray, "n l l 3"] | None = None  # the real clip's low-res frames if `low` is a generator's
    place: Float32[np.ndarray, "4"] | None = None  # of the low-res face in the photo, if its landmarks are known

    @property
    def name(self) -> str:
        """For example "9001/happiness"."""
        return "/".join(filter(None, (self.subject, self.expression, self.take)))


@runtime_checkable
class ClipSet(Protocol):
    """Clips of one length (`frames`) and size (the side of the real frames, pixels)."""

    frames: int
    size: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> EvaluationClip: ...

    def describe(self) -> dict[str, Any]:
        """What is in the set, as `settings` of results.json (see `results`)."""
        ...


def draw(subject: int, expression: str, *, frames: int, size: int = 192, low_size: int = 64) -> EvaluationClip:
    """Draws a subject's first take of an expression; the photo is the first frame of the subject's neutral clip.

    The `frames` frames are the first half of the take, from neutral to the apex (section 5.1 of the paper). The face
    mask is the convex hull of the drawn landmarks.
    """
    person, drawn_at = population.draw_subject(0, subject), max(size, DRAWN_AT)
    real, landmarks = (part[:frames] for part in population.draw_clip(person, expression, 0, 2 * frames, drawn_at))
    neutral, points = population.draw_clip(person, "neutral", 0, 1, drawn_at)
    low = np.stack(
        [alignment.low_frame(frame, points, low_size) for frame, points in zip(real, landmarks, strict=True)]
    )
    face = _resized(np.stack([alignment.hull_mask(points, drawn_at) for points in landmarks]) > 0, size)
    real, identity = np.stack([resize(frame, size) for frame in real]), resize(neutral[0], size)
    place = placement.of_landmarks((points[0] + 0.5) * (size / drawn_at) - 0.5)
    return EvaluationClip(str(subject), expression, "", real, identity, low, face, place=place)


class Drawn:
    """Drawn clips (see `draw`): the six expressions of each subject, subject after subject."""

    def __init__(self, subjects: Sequence[int], *, frames: int, size: int, low_size: int):
        self.clips = [(subject, expression) for subject in subjects for expression in layout.EXPRESSIONS]
        self.frames, self.size, self.low_size = frames, size, low_size

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> EvaluationClip:
        return draw(*self.clips[index], frames=self.frames, size=self.size, low_size=self.low_size)

    def describe(self) -> dict[str, Any]:
        subjects = sorted({subject for subject, _ in self.clips})
        return {**_DRAWN, "subjects": f"{subjects[0]}-{subjects[-1]}"}


class Prepared:
    """The clips in one split of a data set that launch/prepare.py wrote, with all their frames.

    The records hold no landmarks, and whether they can be found depends on what is installed. So the face mask is the
    convex hull of the mean face's landmarks at the record's `place`, the same for all frames of a clip.
    Raises InputError if there is no such data set, or its records have no `place`.
    """

    def __init__(self, directory: Path | str, split: str = "test"):
        self.directory, self.split = str(directory), split
        self.records = clip_dataset.source(directory, split)
        if not len(self.records):
            raise InputError(f"{directory}: no clips in split {split}; prepare a data set that has some")
        if "place" not in self.records[0]:
            raise InputError(f"{directory}: does not say where the faces are; prepare it again")
        self.frames = len(self.records[0]["high"])
        self.size = decode_image(self.records[0]["identity"], directory).shape[0]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> EvaluationClip:
        record = self.records[index]
        subject, session, expression, take = self.labels(index)
        name = f"{self.directory}, record {index}"
        real, low = (np.stack([decode_image(data, name) for data in record[field]]) for field in ("high", "low"))
        identity = decode_image(record["identity"], name)
        face = np.broadcast_to(_mean_face(record["place"], self.size), real.shape[:3])
        return EvaluationClip(subject, expression, "/".join(filter(None, (session, take))), real, identity, low, face)

    def labels(self, index: int) -> tuple[str, str, str, str]:
        """A record's subject, session, expression and take."""
        record = self.records[index]
        return tuple(record[name] for name in WORDS)

    def describe(self) -> dict[str, Any]:
        drawn = self.records.drawn
        return {
            "data": f"{Path(self.directory).name}, split {self.split}{f': {DRAWN_FACES}' if drawn else ''}",
            "drawn": drawn,
            "face": "convex hull of the mean face's landmarks on the record's place",
            "stride": "as prepared",
        }


class Generated:
    """A generator's clips as the low-res frames, each paired with the real clip of its subject and expression.

    The real clips come from `data`; without it they are drawn, with as many frames as the first generated clip. If
    `data` has several takes, the pair is the take that the generated clip names, or else the first.
    Raises InputError for a generated clip without a pair; indexing raises it if a clip and its pair differ in length.
    """

    def __init__(self, directory: Path | str, layout_name: str, model_size: int, data: Prepared | None = None):
        self.directory, self.layout, self.data = Path(directory), layout_name, data
        self.made = generated.read_generated(directory, layout_name)
        self.size = data.size if data else model_size
        self.frames = data.frames if data else len(self.made[0].frames())
        pairs = dict(_takes(data)) if data else {}
        self.pairs = [self._pair(clip, pairs) for clip in self.made]

    def _pair(self, clip: generated.GeneratedClip, pairs: dict) -> Any:
        """The real clip: a record's index, or the subject and expression to draw."""
        if self.data is None:
            if not clip.subject.isdecimal() or clip.expression not in layout.EXPRESSIONS:
                raise InputError(
                    f"{clip.file}: {clip.name} is no drawn person; give the data set it was generated from as --data"
                )
            return int(clip.subject), clip.expression
        takes = pairs.get((clip.subject, clip.expression), {})
        if not takes:
            raise InputError(
                f"{clip.file}: {self.data.directory} has no {clip.subject}/{clip.expression} in its split "
                f"{self.data.split}; leave it out, or give another data set or split"
            )
        return takes.get(clip.take, next(iter(takes.values())))

    def __len__(self) -> int:
        return len(self.made)

    def __getitem__(self, index: int) -> EvaluationClip:
        clip, pair = self.made[index], self.pairs[index]
        low = clip.frames(self.frames)
        if self.data is None:
            real = draw(*pair, frames=self.frames, size=self.size, low_size=low.shape[1])
        else:
            real = self.data[pair]
        return replace(real, take=clip.take, low=low, real_low=real.low)

    def describe(self) -> dict[str, Any]:
        real = self.data.describe() if self.data else _DRAWN
        return {**real, "generated": self.directory.name, "generator": self.layout}


class Before:
    """Generated clips before they are enhanced, compared with the real low-res frames.

    Both are aligned faces on black, 64x64, and enlarged (bicubic) to the enhanced clips' size, so that all metrics are
    computed at one size. `real` holds the real low-res frames; `face` is true where these are not black.
    """

    def __init__(self, clips: ClipSet):
        """`clips` is a `Generated`, or a `Spread` of one."""
        self.clips, self.frames, self.size = clips, clips.frames, clips.size

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> EvaluationClip:
        clip = self.clips[index]
        real = np.stack([resize(frame, self.size) for frame in clip.real_low])
        face = _resized(clip.real_low.any(axis=-1), self.size)
        return replace(clip, real=real, face=face)

    def describe(self) -> dict[str, Any]:
        about = {"against": "the real low-res frames, both enlarged", "face": "where those are not black"}
        return {**self.clips.describe(), **about}


class Spread:
    """`count` clips of a set, spread evenly over it."""

    def __init__(self, clips: ClipSet, count: int):
        self.clips, self.frames, self.size = clips, clips.frames, clips.size
        self.chosen = spread(count, len(clips))

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> EvaluationClip:
        return self.clips[self.chosen[index]]

    def describe(self) -> dict[str, Any]:
        return {**self.clips.describe(), "of": len(self.clips)}


def _takes(data: Prepared) -> Iterator[tuple[tuple[str, str], dict[str, int]]]:
    """((subject, expression), {take: index of the record}) of a data set."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for index in range(len(data)):
        subject, _, expression, take = data.labels(index)
        found.setdefault((subject, expression), {}).setdefault(take, index)
    yield from found.items()


def _mean_face(place: str, size: int) -> Bool[np.ndarray, "1 s s"]:
    """The hull of the mean face at its place in a photo."""
    to_photo = placement.matrix(placement.from_text(place))
    points = alignment.mean_shape() @ to_photo[:, :2].T + to_photo[:, 2]
    return alignment.hull_mask(points, size)[None] > 0


def _resized(masks: Bool[np.ndarray, "n h h"], size: int) -> Bool[np.ndarray, "n s s"]:
    """Resizes masks; a new pixel is true if more than half of its area was."""
    if masks.shape[1] == size:
        return masks
    how = cv2.INTER_AREA if masks.shape[1] > size else cv2.INTER_LINEAR
    return np.stack([cv2.resize(mask.astype(np.float32), (size, size), interpolation=how) > 0.5 for mask in masks])
