"""Reads the output of light expression generators (grids, videos, folders of frames, strips, arrays) as v_low clips.

In every layout a clip is a video (mp4, avi, ..., gif), a folder of pictures, an .npy (see `media.open_clip`), a strip
(one picture with its frames side by side, each as wide as the strip is high), or a tile of a video that is a grid of
64 px tiles without padding. Frames of another size are resized to 64x64: larger ones by the area mean, smaller ones
bicubic. Nothing else is done to them: no face is searched for, moved or masked.

`pairs.csv` in the directory gives what the file names do not say. Its columns are file (relative to the directory),
subject, expression, optionally take, and for grids row and column (whole numbers from 0). With it, names are not read:
it must have a line for every file; tiles of a grid without a line are ignored.

Without it, the layout says how names are read:

videogan: VideoGAN (Vondrick et al. 2016; github.com/cvondrick/videogan, Lua). Its `generate.lua` writes a batch as a
  grid, `vis/gen.gif`: torch's `image.toDisplayTensor` puts 6 tiles in a row without padding; the end of the last row is
  white. `video.gif`, `videomask.gif`, `mask.gif` and `static.jpg` next to it are parts of the same clips and ignored.
  The public network knows neither person nor expression (the conditional one that the literature compares with is not
  public), so a grid needs `pairs.csv`. Single videos are named <subject>_<expression>[_<take>], which is our choice.
imaginator: ImaGINator (Wang et al. 2020; github.com/wyhsirius/ImaGINator, PyTorch). Its `demo.py` writes
  `demos/<dataset>/vids/<i>_<class>.mp4` (H.264, 24 frames/s, 64x64): <i> counts the first batch of
  `annotation/val_neutral.csv` (columns video, id, category, nframes; video is "/017/neutral/take000"), <class> is the
  index in `IMAGINATOR_CLASSES`, the order of its `dataset.py`. Copy that csv into the folder of the videos, to give the
  subjects. The demo stretches every batch to its own darkest and brightest value, so its colours may differ from the
  photo's. For TensorBoard it logs each class as a grid padded with black tiles to a power of 2 (2 rows of 8 for its
  batch of 10, clip i in row i // 8 and column i % 8); if these are saved as files, they need `pairs.csv`. Other names
  are read as for videogan.
motiongan: MotionGAN (Otberdout et al. 2020, arXiv 1907.10087). No public code was found, so the layout is our choice: a
  folder of frames or a video for each clip, named as for videogan, with "_" or "/" between the parts.
fevgan: FEV-GAN (Bouzid and Ballihi 2022, arXiv 2210.11182). Code was announced but not found, so the layout is our
  choice: a strip, a folder of frames or an .npy for each clip, named as for motiongan.
folder: any generator. <subject>/<expression>/<clip>, or frames directly in <subject>/<expression>/ (take ""). The
  expression may be any word. A picture <subject>/neutral.png is the person's photo and ignored.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from facenhance_jax.data.layout import EXPRESSIONS, NEUTRAL, VIDEO_SUFFIXES
from facenhance_jax.media import ClipFile, open_clip
from facenhance_jax.media.pictures import resize
from facenhance_jax.media.reading import FRAME_SUFFIXES
from facenhance_jax.messages import InputError

SIDE = 64  # pixels: side of a frame of v_low and of a grid's tile
PAIRS = "pairs.csv"
IMAGINATOR_PEOPLE = "val_neutral.csv"
IMAGINATOR_CLASSES = ("sadness", "anger", "surprise", "disgust", "happiness", "fear")

_GIVE_PAIRS = f"give {PAIRS} (file,subject,expression[,take][,row,column])"
_CLIPS = {*VIDEO_SUFFIXES, ".npy"}
_NAME = re.compile(rf"([^/]+?)[_/]({'|'.join((*EXPRESSIONS, NEUTRAL))})(?:[_/](.+))?", re.IGNORECASE)
_IMAGINATOR = re.compile(r"(\d+)_(\d+)")
_VIDEOGAN_PARTS = {"video.gif", "videomask.gif", "mask.gif", "static.jpg"}


@dataclass(frozen=True)
class GeneratedClip:
    """One generated clip. Its `subject`, `expression` and `take` (may be "") are together unique in the directory."""

    subject: str
    expression: str
    take: str
    file: Path  # a video, a folder of frames, an array or a strip
    tile: tuple[int, int] | None = None  # (row, column) from 0 if the file is a grid

    @property
    def name(self) -> str:
        """For example "001/anger/take000"."""
        return "/".join(filter(None, (self.subject, self.expression, self.take)))

    def frames(self, count: int | None = None) -> UInt8[np.ndarray, "n 64 64 3"]:
        """Decodes the clip. `count` is the number of frames of its real clip, if it is to have as many.

        Raises InputError if it has another number, or if the file has changed since it was listed, is damaged or cut
        short.
        """
        opened = open_clip(self.file)
        boxes = _boxes(opened, self.tile)
        squares = [frame[top : top + side, left : left + side] for frame in opened for top, left, side in boxes]
        if opened.notes:
            raise InputError(f"{opened.notes[0]}; write it again")
        if count not in (None, len(squares)):
            raise InputError(
                f"{self.file}: {len(squares)} frames, but its real clip has {count}; cut both to one length"
            )
        return np.stack([resize(np.ascontiguousarray(square), SIDE) for square in squares])


def read_generated(directory: Path | str, layout: str) -> list[GeneratedClip]:
    """The clips under `directory`, sorted by subject, expression and take. The first frame of each file is decoded.

    `layout` is one of those at the top of this file. Hidden files are ignored, and so is every file that is neither
    video, array nor picture.

    Raises InputError if there is no such directory or layout, or no clip; if a file cannot be read, is neither square
    nor a grid, or is a grid or strip that cannot be cut evenly; if a name does not give subject and expression; if two
    clips have the same name; or if `pairs.csv` is wrong (the message names the line).
    """
    directory = Path(directory)
    if layout not in _ADAPTERS:
        raise InputError(f"layout {layout!r}: not one of {', '.join(_ADAPTERS)}")
    if not directory.is_dir():
        raise InputError(f"{directory}: no such folder; give the one that holds the generated clips")
    found = [path for path in _found(directory) if layout != "videogan" or path.name not in _VIDEOGAN_PARTS]
    pairs = directory / PAIRS
    clips = _by_pairs(pairs, found) if pairs.is_file() else _ADAPTERS[layout](directory, found)
    if not clips:
        raise InputError(f"{directory}: no clips in it; give a folder of videos, frames, strips or .npy")
    opened = {file: open_clip(file) for file in {clip.file: None for clip in clips}}
    named = {}
    for clip in clips:
        _boxes(opened[clip.file], clip.tile)
        first = named.setdefault(clip.name, clip)
        if first is not clip:
            raise InputError(f"{clip.file}: a second {clip.name}, like {first.file}; remove one, or give each a take")
    return sorted(clips, key=lambda clip: (clip.subject, clip.expression, clip.take))


class Records(Sequence[Mapping[str, Any]]):
    """Those of a data set's records of which there is a generated clip, with that clip as their low-res frames.

    A clip belongs to the records of its subject and expression and, if it names one, of its take.
    Indexing raises InputError if a clip and its record differ in length, and as `GeneratedClip.frames` does.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]], clips: Sequence[GeneratedClip]) -> None:
        named = {(clip.subject, clip.expression, clip.take): clip for clip in clips}
        self._rows = []
        for record in records:
            subject, expression, take = (record[word] for word in ("subject", "expression", "take"))
            clip = named.get((subject, expression, take)) or named.get((subject, expression, ""))
            if clip:
                self._rows.append((record, clip))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        record, clip = self._rows[index]
        return {**record, "low": clip.frames(len(record["high"]))}


def _by_name(directory: Path, found: Sequence[Path]) -> list[GeneratedClip]:
    """<subject>_<expression>[_<take>], with "_" or "/" between the parts."""
    clips = []
    for path in found:
        match = _NAME.fullmatch(path.with_name(_stem(path)).relative_to(directory).as_posix())
        if not match:
            raise InputError(
                f"{path}: the name has no subject and expression; name it <subject>_<expression>[_<take>], "
                f"or {_GIVE_PAIRS}"
            )
        subject, expression, take = match.groups(default="")
        clips.append(GeneratedClip(subject, expression.lower(), take, path))
    return clips


def _by_folder(directory: Path, found: Sequence[Path]) -> list[GeneratedClip]:
    """<subject>/<expression>/<clip>, or frames in <subject>/<expression>/."""
    clips = []
    for path in found:
        parts = path.relative_to(directory).parts
        if not (len(parts) == 3 or (len(parts) == 2 and path.is_dir())):
            raise InputError(f"{path}: not <subject>/<expression>/<clip>; move it, or {_GIVE_PAIRS}")
        take = _stem(path) if len(parts) == 3 else ""
        clips.append(GeneratedClip(parts[0], parts[1].lower(), take, path))
    return clips


def _imaginator(directory: Path, found: Sequence[Path]) -> list[GeneratedClip]:
    """<person>_<class>, numbers of ImaGINator's own lists; other names are read by `_by_name`."""
    numbered = [path for path in found if path.parent == directory and _IMAGINATOR.fullmatch(path.stem)]
    file = directory / IMAGINATOR_PEOPLE
    if numbered and not file.is_file():
        raise InputError(
            f"{file}: missing; copy it from ImaGINator's annotation/ to tell who 0_0.mp4 is, or {_GIVE_PAIRS}"
        )
    rows = _rows(file, ("video",)) if numbered else ()
    people = [row["video"].strip("/").split("/")[0] for _, row in rows]  # 017 of /017/neutral/take000
    clips = []
    for path in numbered:
        person, code = (int(number) for number in _IMAGINATOR.fullmatch(path.stem).groups())
        if person >= len(people):
            raise InputError(f"{path}: {IMAGINATOR_PEOPLE} has only {len(people)} people; copy the one used for it")
        if code >= len(IMAGINATOR_CLASSES):
            raise InputError(f"{path}: class {code} is not one of ImaGINator's 0 to 5; {_GIVE_PAIRS}")
        clips.append(GeneratedClip(people[person], IMAGINATOR_CLASSES[code], "", path))
    return clips + _by_name(directory, sorted(set(found) - set(numbered)))


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


_ADAPTERS = dict(videogan=_by_name, imaginator=_imaginator, motiongan=_by_name, fevgan=_by_name, folder=_by_folder)


# pairs.csv


def _by_pairs(file: Path, found: Sequence[Path]) -> list[GeneratedClip]:
    """The clips that `pairs.csv` lists. Raises InputError unless it lists all files that were found."""
    clips, lines = [], {}
    for line, row in _rows(file, ("file", "subject", "expression")):
        clip = _pair(file, line, row)
        earlier = lines.setdefault((clip.file, clip.tile), line)
        if earlier != line:
            raise InputError(f"{file}: line {line} names what line {earlier} names; remove one of them")
        clips.append(clip)
    listed = {clip.file.resolve() for clip in clips}
    left = [path for path in found if not {path.resolve(), path.parent.resolve()} & listed]
    if left:
        raise InputError(
            f"{file}: no line for {left[0].relative_to(file.parent)} ({len(left)} such); add one, or move it"
        )
    return clips


def _pair(file: Path, line: int, row: dict[str, str]) -> GeneratedClip:
    path = file.parent / row["file"]
    if not path.exists():
        raise InputError(f"{file}: line {line} names {row['file']}, which is not there; correct the name")
    numbers = [row.get("row", ""), row.get("column", "")]
    if any(numbers) and not all(number.isdecimal() for number in numbers):
        raise InputError(f"{file}: line {line} has row {numbers[0]!r}, column {numbers[1]!r}; give two, from 0")
    tile = (int(numbers[0]), int(numbers[1])) if any(numbers) else None
    return GeneratedClip(row["subject"], row["expression"].lower(), row.get("take", ""), path, tile)


def _rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: cell}) for each line of a csv, stripped of spaces; no cell of `columns` is empty."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, restval="", skipinitialspace=True)
            reader.fieldnames = names = [name.strip().lower() for name in reader.fieldnames or ()]
            for column in columns:
                if column not in names:
                    raise InputError(f"{file}: no column {column!r}; the first line has to name {', '.join(columns)}")
            for row in reader:
                line = f"{file}: line {reader.line_num}"
                if None in row:
                    raise InputError(f"{line} has more cells than columns; quote its commas")
                cells = {name: cell.strip() for name, cell in row.items()}
                for column in columns:
                    if not cells[column]:
                        raise InputError(f"{line} has no {column}; fill it in")
                yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error, OSError):
        raise InputError(f"{file}: not a readable csv; save it as text, comma separated, in UTF-8") from None


# Files


def _found(directory: Path, inside: bool = False) -> Iterator[Path]:
    """Every video, array, strip and folder of frames under `directory`; `inside` is False for the top one.

    Pictures are frames if the first of them is square, else strips; those in the top directory cannot be frames. Other
    files in a folder of frames are ignored.
    """
    paths = sorted(path for path in directory.iterdir() if path.name[0] != ".")
    files = [path for path in paths if path.is_file()]
    pictures = [path for path in files if path.suffix.lower() in FRAME_SUFFIXES and path.stem.lower() != NEUTRAL]
    first = open_clip(pictures[0]) if inside and pictures else None
    if first and first.height == first.width:
        yield directory
    else:
        yield from pictures
        yield from (path for path in files if path.suffix.lower() in _CLIPS)
    for path in paths:
        if path.is_dir():
            yield from _found(path, inside=True)


def _boxes(opened: ClipFile, tile: tuple[int, int] | None) -> list[tuple[int, int, int]]:
    """The squares (top, left, side) to cut from each picture of a file; each is a frame of the clip."""
    path, height, width = opened.path, opened.height, opened.width
    size = f"{width}x{height} pixels"
    if path.suffix.lower() in FRAME_SUFFIXES and path.is_file():
        if tile or width < 2 * height:
            raise InputError(f"{path}: one picture of {size} is no clip; give a strip, a folder of frames or a video")
        if width % height:
            raise InputError(f"{path}: a strip of {size} cannot be cut into squares; crop it, or write it again")
        return [(0, left, height) for left in range(0, width, height)]
    if tile is None:
        if height != width:
            raise InputError(f"{path}: {size} are not square; crop it, or for a grid give row and column in {PAIRS}")
        return [(0, 0, height)]
    if height % SIDE or width % SIDE:
        raise InputError(f"{path}: a grid of {size} cannot be cut into {SIDE}x{SIDE} tiles; write it without padding")
    rows, columns = height // SIDE, width // SIDE
    if tile[0] >= rows or tile[1] >= columns:
        raise InputError(
            f"{path}: row {tile[0]}, column {tile[1]} is outside a grid of {rows} rows and {columns} columns "
            f"(both counted from 0); correct {PAIRS}"
        )
    return [(tile[0] * SIDE, tile[1] * SIDE, SIDE)]
