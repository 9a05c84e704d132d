"""An evaluation's folder (see `results`), read with every check."""

import csv
import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from facenhance_jax.messages import InputError

FORMAT = 2  # of results.json, as `results` writes it
AGAIN = "run the evaluation again"
Row = Mapping[str, Any]

_FIELDS = {"settings": dict, "metrics": dict, "extractors": dict, "absent": dict, "rows": list, "kept": list}
_SETTINGS = {"data": str, "drawn": bool, "frames": int, "size": int, "n": int}
_METRIC = {"label": str, "unit": str, "best": str, "digits": int}
_ROW = {"way": str, "key": str, "steps": (int, type(None)), "n": int, "clips": dict, "absent": dict}
_KEPT = {"clip": str, "file": str, "way": str, "why": list}
_TEXTS = ("clip", "subject", "expression", "way", "steps")  # the columns of clips.csv that are no metrics


@dataclass(frozen=True)
class Line:
    """A line of clips.csv: what a clip scores as `way` (a key) made it; metrics without a value are not there."""

    clip: str
    expression: str
    way: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Kept:
    """A clip whose frames were kept: `why` such as ("first of anger", "worst psnr"), `key` of the way that made it."""

    clip: str
    stem: str  # of the file's name
    key: str
    why: tuple[str, ...]
    identity: UInt8[np.ndarray, "h w 3"]
    low: UInt8[np.ndarray, "n l l 3"]
    enhanced: UInt8[np.ndarray, "n h w 3"]
    real: UInt8[np.ndarray, "n h w 3"]

    @property
    def worst(self) -> list[str]:
        """The metrics by which no clip is worse."""
        return [why.removeprefix("worst ") for why in self.why if why.startswith("worst ")]

    @property
    def is_first(self) -> bool:
        """Whether it is an expression's first clip."""
        return any(why.startswith("first of ") for why in self.why)


@dataclass(frozen=True)
class Found:
    """results.json, the lines of clips.csv, and the kept frames."""

    results: Mapping[str, Any]
    lines: Sequence[Line]
    kept: Sequence[Kept]

    @property
    def rows(self) -> Sequence[Row]:
        return self.results["rows"]

    @property
    def shown(self) -> Row | None:
        """The row of the way that the pictures are of: that of the kept frames, else the first with steps."""
        keys = [kept.key for kept in self.kept] or [row["key"] for row in self.rows if row["steps"]]
        return next((row for row in self.rows if row["key"] in keys[:1]), None)

    def line(self, kept: Kept) -> Line:
        """What a kept clip scores; without numbers where clips.csv does not name it."""
        found = (line for line in self.lines if (line.clip, line.way) == (kept.clip, kept.key))
        return next(found, Line(kept.clip, "", kept.key, {}))


def read(folder: Path | str) -> Found:
    """Raises InputError where something is missing, damaged or of another format; all is read before it returns."""
    folder = Path(folder)
    results = _results(folder / "results.json")
    return Found(results, _clips(folder / "clips.csv"), [_kept(folder, about) for about in results["kept"]])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{file}: is not there; give a folder that launch/evaluate.py wrote to its end") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read; {AGAIN}") from error


def _results(file: Path) -> dict[str, Any]:
    def refuse(constant: str) -> float:
        raise ValueError(f"holds {constant}, which is no number")

    try:
        found = json.loads(_text(file), parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InputError(f"{file}: broken JSON at line {error.lineno} ({error.msg}); {AGAIN}") from error
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"{file}: {error}; {AGAIN}") from error
    written = found.get("format") if isinstance(found, dict) else None
    if written != FORMAT:
        raise InputError(f"{file}: its format is {written}, this version reads {FORMAT}; {AGAIN}")
    _check(file, found, _FIELDS)
    _check(file, found["settings"], _SETTINGS, "settings.")
    for name, metric in found["metrics"].items():
        _check(file, metric, _METRIC, f"metrics.{name}.")
    for field, wanted in (("rows", _ROW), ("kept", _KEPT)):
        for place, entry in enumerate(found[field]):
            _check(file, entry, wanted, f"{field}[{place}].")
    _check_numbers(file, found)
    return found


def _check(file: Path, found: Any, wanted: Mapping[str, Any], where: str = "") -> None:
    if not isinstance(found, dict):
        raise InputError(f"{file}: {where.rstrip('.')} is not an object; {AGAIN}")
    for name, kind in wanted.items():
        if not isinstance(found.get(name, ...), kind):
            raise InputError(f"{file}: {where}{name} is missing or of another kind; {AGAIN}")


def _check_numbers(file: Path, found: Mapping[str, Any]) -> None:
    for place, row in enumerate(found["rows"]):
        for name in (*found["metrics"], "seconds_per_frame"):
            if name in row and not isinstance(row[name], int | float):
                raise InputError(f"{file}: rows[{place}].{name} is not a number; {AGAIN}")


def _clips(file: Path) -> list[Line]:
    heads, *lines = list(csv.reader(_text(file).splitlines())) or [[]]
    if tuple(heads[: len(_TEXTS)]) != _TEXTS:
        raise InputError(f"{file}: does not begin with the columns {', '.join(_TEXTS)}; {AGAIN}")
    return [_line(f"{file}, line {place}", heads, cells) for place, cells in enumerate(lines, 2)]


def _line(place: str, heads: Sequence[str], cells: Sequence[str]) -> Line:
    if len(cells) != len(heads):
        raise InputError(f"{place}: has {len(cells)} cells for {len(heads)} columns; {AGAIN}")
    numbers, start = {}, len(_TEXTS)
    for name, text in zip(heads[start:], cells[start:], strict=True):
        if text:
            try:
                numbers[name] = float(text)
            except ValueError:
                numbers[name] = math.nan
            if not math.isfinite(numbers[name]):
                raise InputError(f"{place}: {name} is {text!r}, which is no number; {AGAIN}")
    return Line(cells[0], cells[2], cells[3], numbers)


def _kept(folder: Path, about: Row) -> Kept:
    file = folder / about["file"]
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            frames = [stored[name] for name in ("identity", "low", "enhanced", "real")]
    except FileNotFoundError as error:
        raise InputError(f"{file}: is missing, though results.json names it; {AGAIN}") from error
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{file}: damaged, or not the frames of a clip; {AGAIN}") from error
    identity, low, enhanced, real = frames
    fits = real.ndim == 4 and real.shape[1] == real.shape[2] and real.size and low.size
    fits = fits and enhanced.shape == real.shape == (len(low), *identity.shape) and identity.shape[-1] == 3
    fits = fits and low.ndim == 4 and low.shape[1:] == (low.shape[1], low.shape[1], 3)
    if not fits or any(array.dtype != np.uint8 for array in frames):
        shapes = ", ".join(f"{array.dtype} {array.shape}" for array in frames)
        raise InputError(f"{file}: identity, low, enhanced, real are {shapes}, which do not fit together; {AGAIN}")
    return Kept(about["clip"], file.stem, about["way"], tuple(map(str, about["why"])), *frames)
