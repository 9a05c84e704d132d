"""Reads trees of face clips, MUG's and your own: which clips there are, who is in them, and which files they have.

Clips that cannot be used are left out and listed with the reason.
"""

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facenhance_jax.messages import InputError

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
NEUTRAL = "neutral"

LAYOUT = "<SSS>/[sessionK/]<expression>/<takeNNN>/*.jpg"
OWN_LAYOUT = "<subject>/[folders/]<clip>.mp4 (or .mov .mkv .webm .avi .gif .webp, or a folder of frames)"
PHOTO_LAYOUT = "<person>/neutral.jpg with <person>/<expression>.jpg, or other .jpg or .png files: a person each"
PARTS = ("onset", "full", "windows")
VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".webp"}

_IMAGES = {".jpg", ".jpeg", ".png"}
_SUBJECT = re.compile(r"\d{3,}")
_SESSION = re.compile(r"session\d+")
_EXPRESSION = re.compile("|".join((*EXPRESSIONS, NEUTRAL)))
_TAKE = re.compile(r"take\d+.*")
_ANY = re.compile(r"[^.].*")
# MUG's broken clips have 10 to 20 frames, its shortest whole one has 38, and the median is about 70.
_BROKEN = 1 / 3


@dataclass(frozen=True)
class Recording:
    """One clip in a tree: a take of one subject performing one expression.

    Attributes:
      subject, session, expression, take: together unique in a tree. In a tree of your own the session is "" and the
        expression is the path of the folders between the subject and the clip.
      frames: the image files in order, or the video alone.
    """

    subject: str
    session: str
    expression: str
    take: str
    frames: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Unique in its tree, for example "001/session0/anger/take000"."""
        return "/".join(filter(None, (self.subject, self.session, self.expression, self.take)))

    @property
    def is_video(self) -> bool:
        """Whether the clip is a video and not a folder of images."""
        return self.frames[0].suffix.lower() in VIDEO_SUFFIXES

    @property
    def stem(self) -> Path:
        """The folder of the images, or the video's path without its suffix; files about the clip are named after it."""
        return self.frames[0].with_suffix("") if self.is_video else self.frames[0].parent

    @property
    def landmarks(self) -> Path | None:
        """The file of landmarks (float32 [frames, 68, 2], pixels), or None if there is none.

        It is `landmarks.npy` in the folder of images, or `<video>.landmarks.npy` next to a video.
        """
        path = self.stem.with_name(f"{self.stem.name}.landmarks.npy") if self.is_video else self.stem / "landmarks.npy"
        return path if path.is_file() else None


@dataclass
class Tree:
    """The clips of a tree, sorted by name, and {file, folder or clip: why it was left out}."""

    recordings: list[Recording] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, recording: Recording, names: set[str]) -> None:
        """Adds a recording, and its name to `names`; lists it as skipped if the name is there already."""
        if recording.name in names:
            self.skipped[str(recording.frames[0])] = f"a second {recording.name}; give it a name of its own"
        else:
            names.add(recording.name)
            self.recordings.append(recording)

    def drop_short(self) -> None:
        """Skips recordings that broke off: a third of the median length or shorter. Neutral ones are not looked at."""
        acted = [recording for recording in self.recordings if recording.expression != NEUTRAL]
        usual = statistics.median(len(recording.frames) for recording in acted) if acted else 0
        for recording in acted:
            length = len(recording.frames)
            if length <= _BROKEN * usual:
                self.skipped[recording.name] = f"broke off: {length} frames, where {usual:.0f} are usual"
                self.recordings.remove(recording)


def read_tree(root: Path | str) -> Tree:
    """Every clip under `root`, a tree with MUG's layout, neutral clips included.

    Subjects without a session folder are in "session0". Frames are the .jpg, .jpeg and .png files of a take in name
    order; their numbers may start anywhere and have gaps, and other files are ignored. Skipped and listed are takes
    without frames, clips that broke off (a third of the median length or shorter), a second clip of the same name, and
    folders that cannot be read. Raises InputError if `root` is not a folder or holds no clip.
    """
    root, tree, names = _root(root, LAYOUT), Tree(), set()
    for subject in _folders(root, _SUBJECT, tree):
        for session, folder in [*((s.name, s) for s in _folders(subject, _SESSION, tree)), ("session0", subject)]:
            for expression in _folders(folder, _EXPRESSION, tree):
                for take in _folders(expression, _TAKE, tree):
                    frames = _files(take, _IMAGES, tree)
                    if frames:
                        tree.add(Recording(subject.name, session, expression.name.lower(), take.name, frames), names)
                    elif str(take) not in tree.skipped:
                        tree.skipped[str(take)] = "no jpg or png in it"
    if not tree.recordings:
        raise InputError(f"{root}: no clips; looked for {LAYOUT}, where <expression> is {_either()}{_hint(root)}")
    tree.drop_short()
    tree.recordings.sort(key=lambda recording: recording.name)
    return tree


def read_own_tree(root: Path | str) -> Tree:
    """Every clip under `root`, which holds a folder for each person with videos and folders of frames at any depth.

    The folders between the person and the clip become the clip's `expression`. Pictures directly in the person's folder
    are not a clip (`neutral.png` or `.jpg` is the photo; see `own_identity`). A second clip of the same name, and
    folders that cannot be read, are skipped and listed. Raises InputError if `root` is not a folder or holds no clip.
    """
    root, tree, names = _root(root, OWN_LAYOUT), Tree(), set()
    for subject in _folders(root, _ANY, tree):
        for folder in [subject, *_folders_below(subject, tree)]:
            inside = folder.relative_to(subject)
            for video in _files(folder, VIDEO_SUFFIXES, tree):
                tree.add(Recording(subject.name, "", inside.as_posix().strip("."), video.stem, (video,)), names)
            images = _files(folder, _IMAGES, tree) if folder != subject else ()
            if images:
                between = inside.parent.as_posix().strip(".")
                tree.add(Recording(subject.name, "", between, inside.name, images), names)
    if not tree.recordings:
        raise InputError(f"{root}: no clips; looked for {OWN_LAYOUT}")
    tree.recordings.sort(key=lambda recording: recording.name)
    return tree


def read_photos(root: Path | str) -> Tree:
    """Every pair of photos and every single photo under `root`, at any depth.

    A folder with a `neutral.jpg` is a person's: each other photo in it makes a pair, a recording of two files, the
    neutral photo first; its expression is the other file's name. In all other folders, and in `root` itself, each photo
    is of another person, and a recording of one file with the expression "". A subject is named after the folder, or
    folder and file, joined by "-". Raises InputError if `root` is not a folder or holds no photo.
    """
    root, tree, names = _root(root, PHOTO_LAYOUT), Tree(), set()
    for folder in [root, *_folders_below(root, tree)]:
        photos, inside = _files(folder, _IMAGES, tree), folder.relative_to(root).parts
        neutral = next((photo for photo in photos if photo.stem.lower() == NEUTRAL and inside), None)
        others = [photo for photo in photos if photo != neutral]
        if neutral and others:
            for photo in others:
                tree.add(Recording("-".join(inside), "", photo.stem, "take000", (neutral, photo)), names)
        else:
            for photo in photos:
                who = inside if neutral else (*inside, photo.stem)
                tree.add(Recording("-".join(who), "", "", "take000", (photo,)), names)
    if not tree.recordings:
        raise InputError(f"{root}: no photos; looked for {PHOTO_LAYOUT}")
    tree.recordings.sort(key=lambda recording: recording.name)
    return tree


def images(folder: Path) -> tuple[Path, ...]:
    """The images in a folder, in name order, as `Recording.frames` has them."""
    return _files(folder, _IMAGES, Tree())


def identity_frame(recording: Recording, others: Iterable[Recording]) -> Path:
    """The photo of a clip's person in MUG: the first frame of the first neutral clip of the same session.

    If there is none, it is the clip's own first frame, which makes copying the photo look better than it is.
    """
    wanted = recording.subject, recording.session, NEUTRAL
    neutral = [other for other in others if (other.subject, other.session, other.expression) == wanted]
    return min(neutral, key=lambda other: other.name, default=recording).frames[0]


def own_identity(recording: Recording, root: Path | str) -> Path:
    """The photo in a tree of your own: `neutral.png` or `.jpg` in the person's folder.

    If there is none, it is the clip's own first frame, as in `identity_frame`; for a video, the video's path is
    returned.
    """
    files = _files(Path(root) / recording.subject, _IMAGES, Tree())
    return next((file for file in files if file.stem.lower() == NEUTRAL), recording.frames[0])


def positions(length: int, frames: int, part: str) -> list[list[int]]:
    """Which of a clip's `length` frames are kept: for each record, the indices of its `frames` frames.

    "onset": one record, spread evenly over the first half, from neutral to apex (section 5.1 of the paper). A third of
    MUG's clips have fewer than 64 frames; in those, frames are repeated. "full": one record, spread evenly over the
    whole clip. "windows": a record for every `frames` consecutive frames, without the rest at the end; a clip that is
    shorter than one record is treated as in "full".
    """
    if part == "windows" and length >= frames:
        return [list(range(start, start + frames)) for start in range(0, length - frames + 1, frames)]
    last = (length + 1) // 2 - 1 if part == "onset" else length - 1
    return [np.floor(np.linspace(0, last, frames) + 0.5).astype(int).tolist()]


def _root(root: Path | str, layout: str) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that holds {layout}")
    return root


def _either() -> str:
    return ", ".join(EXPRESSIONS) + f" or {NEUTRAL}"


def _hint(root: Path) -> str:
    """Suggests the likely root: one or two levels below, or the parent if this is a subject's folder; else ""."""
    below = [path for pattern in ("*", "*/*") for path in sorted(root.glob(pattern)) if path.is_dir()]
    for path in below:
        if any(_SUBJECT.fullmatch(child.name) and child.is_dir() for child in _children(path)):
            return f"; did you mean {path}?"
    if any(_EXPRESSION.fullmatch(child.name.lower()) or _SESSION.fullmatch(child.name) for child in _children(root)):
        return f"; did you mean {root.resolve().parent}?"
    return ""


def _children(folder: Path, tree: Tree | None = None) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        if tree is not None:
            tree.skipped[str(folder)] = f"cannot be read ({error.strerror})"
        return []


def _folders(folder: Path, pattern: re.Pattern[str], tree: Tree) -> Sequence[Path]:
    return [path for path in _children(folder, tree) if pattern.fullmatch(path.name.lower()) and path.is_dir()]


def _folders_below(folder: Path, tree: Tree) -> Iterator[Path]:
    for path in _folders(folder, _ANY, tree):
        yield path
        yield from _folders_below(path, tree)


def _files(folder: Path, suffixes: set[str], tree: Tree) -> tuple[Path, ...]:
    # Some copying tools leave files such as "._img_0000.jpg" that are not images.
    names = _children(folder, tree)
    return tuple(path for path in names if path.suffix.lower() in suffixes and path.name[0] != "." and path.is_file())
