"""Reads the folder of an evaluation; `facenhance_jax.evaluation.results` describes its files."""

import csv
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from facenhance_jax.evaluation.report.pictures import Kept
from facenhance_jax.evaluation.results import FORMAT
from facenhance_jax.messages import InputError

FIELDS = {"settings", "metrics", "extractors", "absent", "rows", "kept"}  # of results.json
TEXTS = ("clip", "subject", "expression", "method", "steps")  # the columns of clips.csv that are not metrics
DAMAGED = (ValueError, TypeError, AttributeError, LookupError, EOFError, zipfile.BadZipFile, zlib.error)
Line = Mapping[str, Any]  # of clips.csv: the texts, and the metrics that have a value, as numbers


def read(folder: Path | str) -> tuple[dict[str, Any], list[Line], list[Kept]]:
    """results.json, clips.csv and the kept clips. Raises InputError where one is missing, damaged or does not fit."""
    folder = Path(folder)
    with _reading(folder / "results.json") as file:
        results = json.loads(file.read_text(encoding="utf-8"))
        if results.get("format") != FORMAT:
            raise ValueError(f"its format is {results.get('format')}, this version reads {FORMAT}")
        if missing := FIELDS - results.keys():
            raise ValueError(f"without {', '.join(sorted(missing))}")
        count = sum(row["n"] for row in results["rows"])
    with _reading(folder / "clips.csv") as file, file.open(encoding="utf-8", newline="") as opened:
        # A line that is cut short is filled with a word, which is then refused as a number.
        lines = [_line(cells) for cells in csv.DictReader(opened, restval="nothing")]
        if len(lines) != count:
            raise ValueError(f"{len(lines)} lines, but results.json counts {count}")
    by_clip = {(line["clip"], line["method"]): line for line in lines}
    clips = []
    for about in results["kept"]:
        with _reading(folder / about["file"]) as file:
            worst = [why.removeprefix("worst ") for why in about["why"] if why.startswith("worst ")]
            clips.append(Kept(by_clip[about["clip"], about["method"]], file.stem, worst, *_frames(file)))
    return results, lines, clips


@contextmanager
def _reading(file: Path) -> Iterator[Path]:
    """Turns whatever is wrong with `file` into an InputError that names it."""
    try:
        yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{file}: is not there; give a folder that launch/evaluate.py wrote to its end") from error
    except (OSError, *DAMAGED) as error:
        raise InputError(f"{file}: cannot be used ({error}); run the evaluation again") from error


def _line(cells: Mapping[str, str]) -> Line:
    numbers = {name: float(text) for name, text in cells.items() if name not in TEXTS and text}
    return {name: cells[name] for name in TEXTS} | numbers


def _frames(file: Path) -> list[np.ndarray]:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        frames = [stored[name] for name in ("identity", "low", "enhanced", "real")]
    identity, low, enhanced, real = frames
    fit = low.ndim == 4 and enhanced.shape == real.shape == (len(low), *identity.shape)
    if not fit or any(array.dtype != np.uint8 for array in frames):
        raise ValueError("the frames do not fit together")
    return frames
