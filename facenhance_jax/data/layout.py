"""Reads a tree of face clips laid out like the MUG database: which clips, who is in them, their images."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from facenhance_jax.errors import InputError

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
NEUTRAL = "neutral"
LAYOUT = "<SSS>/[sessionK/]<expression>/<takeNNN>/*.jpg"

_IMAGES = {".jpg", ".jpeg", ".png"}
_SUBJECT = re.compile(r"\d{3,}")
_SESSION = re.compile(r"session\d+")
_TAKE = re.compile(r"take\d+.*")
_TEST_EVERY = 4


@dataclass(frozen=True)
class Clip:
    """One take: the frames (in order) of one subject performing one expression."""

    subject: str
    session: str
    expression: str
    take: str
    frames: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Unique in its tree, for example "001/session0/anger/take000"."""
        return f"{self.subject}/{self.session}/{self.expression}/{self.take}"

    @property
    def landmarks(self) -> Path | None:
        """The sidecar file of landmarks (float32 [frames, 68, 2]) in the take's folder, or None."""
        path = self.frames[0].parent / "landmarks.npy"
        return path if path.is_file() else None


def read_tree(root: Path | str) -> list[Clip]:
    """Every clip under `root`, the neutral ones too, sorted by name.

    Subjects without a session folder are in "session0". Frames are the .jpg, .jpeg and .png files of a take, in name
    order whatever number they start with; other files, and takes without frames, are passed over.
    Raises InputError when `root` is not a folder or holds no clip.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that holds {LAYOUT}")
    clips: dict[str, Clip] = {}
    for subject in _folders(root, _SUBJECT):
        for session, folder in [("session0", subject), *((s.name, s) for s in _folders(subject, _SESSION))]:
            for clip in _session_clips(subject.name, session, folder):
                if clip.name in clips:
                    raise InputError(f"{clip.frames[0].parent}: a second {clip.name}; give it a session of its own")
                clips[clip.name] = clip
    if not clips:
        expected = ", ".join((*EXPRESSIONS, NEUTRAL))
        raise InputError(f"{root}: no clips; looked for {LAYOUT}, where <expression> is one of {expected}")
    return [clips[name] for name in sorted(clips)]


def identity_frame(clip: Clip, clips: Iterable[Clip]) -> Path:
    """The photo that stands for a clip's person: the first frame of the first neutral clip of the same session.

    Without one it is the clip's own first frame. (A photo out of the clip itself makes copying the photo look better
    than it is.)
    """
    neutral = [
        other
        for other in clips
        if (other.subject, other.session, other.expression) == (clip.subject, clip.session, NEUTRAL)
    ]
    return min(neutral, key=lambda other: other.name, default=clip).frames[0]


def split_subjects(subjects: Iterable[str]) -> dict[str, list[str]]:
    """Parts subjects 75 / 25 into "train" and "test", so that nobody is in both.

    Test subjects are those at positions 1, 5, 9, ... of the sorted ids: 13 of MUG's 52. Raises InputError for fewer
    than two subjects.
    """
    ids = sorted(set(subjects))
    if len(ids) < 2:
        raise InputError(f"subjects: {len(ids)} found, and a split by subject needs 2 or more; add subjects")
    test = ids[1::_TEST_EVERY]
    return {"train": [subject for subject in ids if subject not in set(test)], "test": test}


def onset_positions(length: int, frames: int) -> list[int]:
    """`frames` positions spread evenly over the first half of a clip of `length` frames; short clips repeat some.

    The paper takes the first half (neutral to apex), 32 frames; a third of MUG's clips have fewer than 64.
    """
    last = (length + 1) // 2 - 1
    return np.floor(np.linspace(0, last, frames) + 0.5).astype(int).tolist()


def decode(data: bytes, name: object) -> UInt8[np.ndarray, "h w 3"]:
    """An encoded image as 8-bit RGB, whatever it was. Raises InputError, calling it `name`, when it is no image."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if image is None:
        raise InputError(f"{name}: not a readable image; replace or remove it")
    return image


def _session_clips(subject: str, session: str, folder: Path) -> list[Clip]:
    clips = []
    for expression in _folders(folder, re.compile("|".join((*EXPRESSIONS, NEUTRAL)))):
        for take in _folders(expression, _TAKE):
            frames = _frames(take)
            if frames:
                clips.append(Clip(subject, session, expression.name.lower(), take.name, frames))
    return clips


def _folders(folder: Path, pattern: re.Pattern[str]) -> Sequence[Path]:
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name.lower()) and path.is_dir())


def _frames(take: Path) -> tuple[Path, ...]:
    # "._img_0000.jpg" and its like are left behind by some copying tools and are no images.
    names = (path for path in take.iterdir() if path.suffix.lower() in _IMAGES and not path.name.startswith("."))
    return tuple(sorted(path for path in names if path.is_file()))
