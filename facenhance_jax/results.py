"""The folder of an evaluation: every clip's scores as they are made, and what follows from them.

    results.json      format, settings, metrics, absent, rows, kept: below
    clips.csv         a line for each clip and method: clip, subject, expression, method (a key), steps, then the
                      metrics; blank where a clip has no such number
    settings.json     what the folder was begun with; other settings are refused
    methods/KEY/      NNNN.json, one clip each, written as it is scored; method.json, what the method's frames depend on
    kept/NNNN.npz     frames of a few clips (no pickle), uint8: identity [h, w, 3], low [n, l, l, 3], enhanced and real
                      [n, h, w, 3]; and face, bool [n, h, w]

In results.json:
    format    3
    settings  data, drawn (whether by a program), frames, size, stride, face, n (clips), batch, resize; subjects, or
              generator and stand_in
    metrics   {metric: {label, unit, best: "high" or "low", digits}}, and in `extractors` what computed acd, expression
              and fvd, with the SHA-256 of the weights
    absent    {group of metrics: why it was not computed at all}
    rows      a list, one for each method: method (its name), key, steps (null for baselines), n, model (SHA-256) and
              seed where there is one; the means over clips, each only where it has a value; fvd and fvd_half (see
              `scores.distances`); clips, {metric: how many clips have it} where they are fewer than n; absent, {metric:
              why, by the first such clip}; seconds_per_frame of making the frames, compiling not counted; scoring,
              {group of metrics: seconds a frame of computing them}, the first clip (which compiles) left out.
              The row "real" is the real clips' own: acd, acd_i, and in fvd_half the floor of FVD
    kept      a list: clip, file, why (a list such as "first of anger", "worst psnr") and method (a key)
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from facenhance_jax import scores, terminal
from facenhance_jax.clip_sets import ClipSet, EvaluationClip
from facenhance_jax.errors import InputError
from facenhance_jax.media.writing import replacing
from facenhance_jax.methods import Method
from facenhance_jax.scores import METRICS, Score, Scorer

FORMAT = 3
REAL = "real"  # the key and the name of the real clips' own row
WORST = ("psnr", "ssim", "face_psnr", "temporal", "acd_i", "landmarks")  # the worst clip by each of these is kept


class Evaluation:
    """An evaluation in a folder; one that is there goes on.

    Clips go through in batches that are always the same, so a run that was killed ends with the numbers it would have
    had. `shown` is the key of the method whose frames are kept.
    """

    def __init__(
        self, folder: Path | str, clips: ClipSet, scorer: Scorer, methods: Sequence[Method], *, batch: int, shown: str
    ):
        """Raises InputError where the folder cannot be written, or was begun with other settings or methods."""
        self.folder, self.clips, self.scorer, self.methods = Path(folder), clips, scorer, methods
        self.batch, self.shown = batch, shown
        self.settings = {
            **clips.describe(),
            "frames": clips.frames,
            "size": clips.size,
            "n": len(clips),
            "batch": batch,
        }
        self.settings["resize"] = "area mean down, bicubic up"
        self._begin()

    def run(self) -> dict[str, Any]:
        """Scores what is not scored yet, and writes and returns the results."""
        starts = range(0, len(self.clips), self.batch)
        for start in terminal.progress("evaluating", len(starts), starts, unit="batch"):
            indices = range(start, min(start + self.batch, len(self.clips)))
            missing = [method for method in (None, *self.methods) if not self._is_scored(method, indices)]
            if missing:
                self._score(indices, missing)
        results = self._results()
        _write(self.folder / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
        self._write_csv()
        return results

    def _is_scored(self, method: Method | None, indices: range) -> bool:
        return all(self._file(_key(method), index).is_file() for index in indices)

    def _begin(self) -> None:
        begun = {"format": FORMAT, "settings": self.settings, "metrics": self.scorer.describe()}
        try:
            (self.folder / "kept").mkdir(parents=True, exist_ok=True)
            self._same(self.folder / "settings.json", begun)
            for method in self.methods:
                (self.folder / "methods" / method.key).mkdir(parents=True, exist_ok=True)
                self._same(self.folder / "methods" / method.key / "method.json", method.describe())
            (self.folder / "methods" / REAL).mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written to ({error.strerror}); choose another folder"
            ) from error

    @staticmethod
    def _same(file: Path, values: dict[str, Any]) -> None:
        """Writes down what a folder is begun with, or checks it."""
        if not file.is_file():
            _write(file, json.dumps(values, indent=2) + "\n")
            return
        old, new = dict(_flat(_read(file))), dict(_flat(values))
        fields = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        if fields:
            raise InputError(f"{file}: begun with another {', '.join(fields)}; give another folder, or remove this one")

    def _file(self, key: str, index: int) -> Path:
        return self.folder / "methods" / key / f"{index:04d}.json"

    def _score(self, indices: range, missing: Sequence[Method | None]) -> None:
        clips = [self.clips[index] for index in indices]
        for clip in clips[1:]:
            if clip.real.shape != clips[0].real.shape:
                sizes = ["{} frames of {} x {}".format(*one.real.shape[:3]) for one in (clip, clips[0])]
                raise InputError(f"{clip.name}: {sizes[0]}, but {clips[0].name}: {sizes[1]}; cut them alike")
        reals = [self.scorer.real(clip) for clip in clips]
        for method in missing:
            frames, seconds = method(clips) if method else ([clip.real for clip in clips], 0.0)
            scored = [
                self.scorer.made(made, clip, real) if method else real.score
                for made, clip, real in zip(frames, clips, reals, strict=True)
            ]
            if method and method.key == self.shown:
                self._keep(indices, clips, frames, scored)
            for index, clip, score in zip(indices, clips, scored, strict=True):
                about = {"clip": clip.name, "subject": clip.subject, "expression": clip.expression}
                timed = {"seconds": seconds / len(clips)} if method and method.steps else {}
                _write(
                    self._file(_key(method), index), json.dumps({**about, **asdict(score), **timed}, allow_nan=False)
                )

    def _keep(self, indices: range, clips: Sequence[EvaluationClip], frames: Any, scored: Sequence[Score]) -> None:
        """Keeps the frames of this batch's clips that are worth it so far, and drops what no longer is."""
        before = {index: _read(self._file(self.shown, index)) for index in range(indices[0])}
        now = zip(indices, clips, scored, strict=True)
        chosen = _chosen(before | {i: {"expression": c.expression, "numbers": s.numbers} for i, c, s in now})
        for index, clip, made in zip(indices, clips, frames, strict=True):
            if index in chosen:
                with replacing(self._kept(index)) as part, part.open("wb") as file:
                    pictures = {"identity": clip.identity, "low": clip.low, "enhanced": made, "real": clip.real}
                    np.savez_compressed(file, **pictures, face=clip.face)
        for index in range(indices[-1] + 1):
            if index not in chosen:
                self._kept(index).unlink(missing_ok=True)

    def _kept(self, index: int) -> Path:
        return self.folder / "kept" / f"{index:04d}.npz"

    def _scored(self, key: str) -> Iterator[dict[str, Any]]:
        for index in range(len(self.clips)):
            yield _read(self._file(key, index))

    def _results(self) -> dict[str, Any]:
        real = _features(self._scored(REAL))
        rows = [self._row(method, real) for method in (*self.methods, None)]
        kept = []
        if any(method.key == self.shown for method in self.methods):
            shown = dict(enumerate(self._scored(self.shown)))
            kept = [
                {"clip": shown[index]["clip"], "file": f"kept/{index:04d}.npz", "why": why, "method": self.shown}
                for index, why in sorted(_chosen(shown).items())
            ]
        about = {name: asdict(metric) for name, metric in METRICS.items() if any(name in row for row in rows)}
        return {
            "format": FORMAT,
            "settings": self.settings,
            "metrics": about,
            "extractors": {group: made_by for group, made_by in self.scorer.describe().items() if made_by},
            "absent": self.scorer.absent,
            "rows": rows,
            "kept": kept,
        }

    def _row(self, method: Method | None, real: np.ndarray | None) -> dict[str, Any]:
        """Means over the clips; only their numbers and features are in memory."""
        sums, absent, seconds, scoring = {}, {}, 0.0, Counter()
        for index, clip in enumerate(self._scored(_key(method))):
            scoring.update(clip["took"] if index or len(self.clips) == 1 else {})
            for name, value in clip["numbers"].items():
                count, total = sums.get(name, (0, 0.0))
                sums[name] = count + 1, total + value
            absent = clip["absent"] | absent
            seconds += clip.get("seconds", 0.0)
        count = len(self.clips)
        row = {
            "method": method.name if method else REAL,
            "key": _key(method),
            "steps": method.steps if method else None,
            "n": count,
        }
        row |= method.describe() if method else {}
        row |= {name: total / clips for name, (clips, total) in sums.items()}
        if real is not None:
            made = _features(self._scored(method.key)) if method else real
            distances, without = scores.distances(made, real)
            row, absent = row | distances, absent | without
        row["clips"] = {name: clips for name, (clips, _) in sums.items() if clips < count}
        row["absent"] = absent
        scored = max(1, count - 1) * self.clips.frames
        row["scoring"] = {group: total / scored for group, total in scoring.items()}
        return row | ({"seconds_per_frame": seconds / count / self.clips.frames} if method and method.steps else {})

    def _write_csv(self) -> None:
        found = [(method, clip) for method in (*self.methods, None) for clip in self._scored(_key(method))]
        names = [name for name in METRICS if any(name in clip["numbers"] for _, clip in found)]
        with replacing(self.folder / "clips.csv") as part, part.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["clip", "subject", "expression", "method", "steps", *names])
            for method, clip in found:
                about = [
                    clip["clip"],
                    clip["subject"],
                    clip["expression"],
                    _key(method),
                    (method and method.steps) or "",
                ]
                lines.writerow(about + [clip["numbers"].get(name, "") for name in names])


def _key(method: Method | None) -> str:
    return method.key if method else REAL


def _chosen(clips: dict[int, dict[str, Any]]) -> dict[int, list[str]]:
    """{clip: why its frames are kept}: the first of each expression, and the worst by each of `WORST`."""
    chosen: dict[int, list[str]] = {}
    seen = set()
    for index, clip in clips.items():
        if clip["expression"] not in seen:
            seen.add(clip["expression"])
            chosen.setdefault(index, []).append(f"first of {clip['expression']}")
    for name in WORST:
        values = {index: clip["numbers"][name] for index, clip in clips.items() if name in clip["numbers"]}
        if values:
            worst = min(values, key=values.get) if METRICS[name].best == "high" else max(values, key=values.get)
            chosen.setdefault(worst, []).append(f"worst {name}")
    return chosen


def _features(clips: Iterator[dict[str, Any]]) -> np.ndarray | None:
    """I3D's logits of all clips, a row each; None where they were not computed."""
    rows = [clip["features"] for clip in clips]
    return None if any(row is None for row in rows) else np.array(rows, np.float32)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value)


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not readable; remove it, and run the evaluation again") from error


def _write(file: Path, text: str) -> None:
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")
