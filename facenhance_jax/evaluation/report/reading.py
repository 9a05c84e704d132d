"""Reads the folder of an evaluation; `facenhance_jax.evaluation.results` describes its files."""

import csv
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float32, UInt8

from facenhance_jax.evaluation.results import FORMAT
from facenhance_jax.media import strip
from facenhance_jax.messages import InputError

FIELDS = {"settings", "metrics", "extractors", "absent", "rows", "kept"}  # of results.json
FRAMES = ("identity", "low", "enhanced", "real")  # of kept/NNNN.npz
TEXTS = ("clip", "subject", "expression", "method", "steps")  # the columns of clips.csv that are not metrics
DAMAGED = (OSError, ValueError, TypeError, AttributeError, LookupError, EOFError, zipfile.BadZipFile, zlib.error)
ERROR_END = 32  # grey levels at which the errors' colours end, the same in all reports


@dataclass(frozen=True)
class Kept:
    """A clip's line of clips.csv, why it was kept, and the stem of its file's name."""

    line: Mapping[str, Any]
    why: str
    stem: str
    identity: UInt8[np.ndarray, "h h 3"]
    low: UInt8[np.ndarray, "n l l 3"]
    enhanced: UInt8[np.ndarray, "n h h 3"]
    real: UInt8[np.ndarray, "n h h 3"]

    @cached_property
    def error(self) -> Float32[np.ndarray, "n h h"]:
        """|enhanced - real| in grey levels, the mean over the colours."""
        return np.abs(self.enhanced.astype(np.float32) - self.real).mean(-1, dtype=np.float32)

    @property
    def worst_frame(self) -> int:
        """The frame that differs most from the real one."""
        return int(self.error.mean((1, 2)).argmax())

    @property
    def shown_frames(self) -> list[int]:
        """Seven frames from the first to the last, or all of fewer; and the worst frame if it is not one of them."""
        count = len(self.real)
        return sorted({*np.linspace(0, count - 1, min(count, 7)).round().astype(int).tolist(), self.worst_frame})

    def strip(self, frames: Sequence[int]) -> UInt8[np.ndarray, "sh sw 3"]:
        """The photo, and rows of these frames: low-res, enhanced, real, and errors from black (0) to yellow."""
        error = mpl.colormaps["inferno"](self.error / ERROR_END, bytes=True)[..., :3]
        rows = {"low-res": self.low, "enhanced": self.enhanced, "real": self.real, f"error 0-{ERROR_END}": error}
        return strip([("photo", [self.identity]), *((label, [*row[frames]]) for label, row in rows.items())])


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[Kept]]:
    """results.json, the lines of clips.csv (their metrics as numbers, without those that are blank) and the kept clips.

    Raises InputError where a file is missing, damaged or does not fit.
    """
    file = folder / "results.json"
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        if results.get("format") != FORMAT or FIELDS - results.keys():
            raise ValueError(f"it is not of format {FORMAT}")
        count, clips = sum(row["n"] for row in results["rows"]), []
        file = folder / "clips.csv"
        with file.open(encoding="utf-8", newline="") as opened:
            lines = [_line(cells) for cells in csv.DictReader(opened, restval="cut short")]  # which is no number
        if len(lines) != count:
            raise ValueError(f"{len(lines)} lines, but results.json counts {count}")
        by_clip = {(line["clip"], line["method"]): line for line in lines}
        for kept in results["kept"]:
            file = folder / kept["file"]
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
                identity, low, enhanced, real = frames = [stored[name] for name in FRAMES]
            fit = low.ndim == 4 and enhanced.shape == real.shape == (len(low), *identity.shape)
            if not fit or any(array.dtype != np.uint8 for array in frames):
                raise ValueError("the frames do not fit together")
            clips.append(Kept(by_clip[kept["clip"], kept["method"]], ", ".join(kept["why"]), file.stem, *frames))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{file}: is not there; give a folder that launch/evaluate.py wrote to its end") from error
    except DAMAGED as error:
        raise InputError(f"{file}: cannot be used ({error}); run the evaluation again") from error
    return results, lines, clips


def _line(cells: dict[str, str]) -> dict[str, Any]:
    return {name: text if name in TEXTS else float(text) for name, text in cells.items() if text}
