"""The folder of an evaluation: its format, and how it is written and read.

    results.json      format, settings, metrics, extractors, absent, rows, kept: see below
    clips.csv         a line for each clip and method: clip, subject, expression, method (its key), steps, then the
                      metrics; a cell is empty if the clip has no such number
    settings.json     the settings that the folder was begun with; others are refused
    methods/KEY/      NNNN.json, the scores of a clip, written as soon as they are computed; method.json, what the
                      frames depend on
    kept/NNNN.npz     the frames of a few clips (no pickle), uint8: identity [h, w, 3], low [n, l, l, 3], enhanced and
                      real [n, h, w, 3]; and face, bool [n, h, w]

In results.json:
    format      3
    settings    data, drawn (whether by a program), frames, size, stride, face, n (clips), batch, resize; subjects, or
                generator, or place (how that of the low-res face in the photo is known)
    metrics     {metric: {label, unit, best: "high", "low" or "1", digits}}
    extractors  which networks computed acd, expression and fvd, with the SHA-256 of the weights
    absent      {group of metrics: why it was not computed at all}
    rows        a list with a row for each method, and the row "real" for the real clips, which has acd, acd_i, and as
                fvd_half the floor of FVD. Fields of a row:
                method (its name), key, steps (null for baselines), n; for a model also model (SHA-256), seed and
                its sampling; where the low-res frames were degraded, low_res (how) and fault_seed
                the metrics: means over the clips that have a value; fvd and fvd_half (see `scores.distances`)
                clips: {metric: how many clips have it}, if fewer than n
                absent: {metric: why the first clip without it has none}
                seconds_per_frame: time to make a frame, without compiling
                scoring: {group of metrics: seconds a frame}, without the first clip, whose time includes compiling
    kept        a list of clip, file, why (a list such as "first of anger", "worst psnr") and method (its key)
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from facenhance_jax.evaluation.clip_sets import EvaluationClip
from facenhance_jax.evaluation.methods import Method
from facenhance_jax.evaluation.scores import METRICS
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError
from facenhance_jax.settings import flat

FORMAT = 3


class Folder:
    """An evaluation's folder. Clips are identified by their index in the set, methods by their key."""

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def begin(self, settings: Mapping[str, Any], methods: Sequence[Method]) -> None:
        """Makes the folder with settings.json and each method.json; if these files exist, compares them.

        Raises InputError if they differ, or the folder cannot be written.
        """
        try:
            (self.path / "kept").mkdir(parents=True, exist_ok=True)
            _write_once(self.path / "settings.json", settings)
            for method in methods:
                (self.path / "methods" / method.key).mkdir(parents=True, exist_ok=True)
                _write_once(self.path / "methods" / method.key / "method.json", method.describe())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written to ({error.strerror}); choose another folder") from error

    def is_scored(self, key: str, indices: range) -> bool:
        return all(self._score_file(key, index).is_file() for index in indices)

    def write_score(self, key: str, index: int, score: Mapping[str, Any]) -> None:
        """`score` holds clip, subject, expression, the fields of `scores.Score`, and seconds for a model."""
        _write(self._score_file(key, index), json.dumps(score, allow_nan=False))

    def scores(self, key: str, indices: range) -> list[dict[str, Any]]:
        """What `write_score` wrote. Raises InputError if a file cannot be read."""
        return [_read(self._score_file(key, index)) for index in indices]

    def keep(self, index: int, clip: EvaluationClip, enhanced: UInt8[np.ndarray, "n h w 3"]) -> None:
        """Writes a clip's frames."""
        with replacing(self.path / self.kept(index)) as part, part.open("wb") as file:
            pictures = {"identity": clip.identity, "low": clip.low, "enhanced": enhanced, "real": clip.real}
            np.savez_compressed(file, **pictures, face=clip.face)

    def drop(self, index: int) -> None:
        """Removes a clip's frames if they are there."""
        (self.path / self.kept(index)).unlink(missing_ok=True)

    def kept(self, index: int) -> str:
        """The file of a clip's frames, relative to the folder."""
        return f"kept/{index:04d}.npz"

    def write(
        self, results: Mapping[str, Any], methods: Sequence[Method], scores: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> None:
        """Writes results.json and clips.csv; `scores` is {method's key: the scores of its clips}."""
        _write(self.path / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
        names = [name for name in METRICS if any(name in one["numbers"] for of in scores.values() for one in of)]
        with replacing(self.path / "clips.csv") as part, part.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["clip", "subject", "expression", "method", "steps", *names])
            for method in methods:
                for score in scores[method.key]:
                    about = [score["clip"], score["subject"], score["expression"], method.key, method.steps]
                    lines.writerow([*about, *(score["numbers"].get(name, "") for name in names)])

    def _score_file(self, key: str, index: int) -> Path:
        return self.path / "methods" / key / f"{index:04d}.json"


def _write_once(file: Path, values: Mapping[str, Any]) -> None:
    """Writes a file, or compares it if it exists. Raises InputError, which names the values that differ."""
    if not file.is_file():
        _write(file, json.dumps(values, indent=2) + "\n")
        return
    old, new = dict(flat(_read(file))), dict(flat(json.loads(json.dumps(values))))
    fields = [name for name in sorted(old.keys() | new.keys()) if old.get(name, ...) != new.get(name, ...)]
    if fields:
        raise InputError(f"{file}: begun with another {', '.join(fields)}; give another folder, or remove this one")


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not readable; remove it, and run the evaluation again") from error


def _write(file: Path, text: str) -> None:
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")
