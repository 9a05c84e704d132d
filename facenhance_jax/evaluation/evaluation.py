"""An evaluation: every method makes every clip of a set, and the frames are compared with the real ones.

All results go into one folder, which `results` describes.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from facenhance_jax import messages
from facenhance_jax.evaluation.clip_sets import ClipSet, EvaluationClip
from facenhance_jax.evaluation.methods import Method, RealFrames
from facenhance_jax.evaluation.results import FORMAT, Folder
from facenhance_jax.evaluation.scores import METRICS, Score, Scorer, distances
from facenhance_jax.messages import InputError

WORST = ("psnr", "ssim", "face_psnr", "temporal", "acd_i", "landmarks")  # the frames of the worst clip by each are kept


class Evaluation:
    """Writes the scores of clips into a folder; scores that are already there are not computed again.

    The batches always hold the same clips, so a run that was killed and started again ends with the same numbers.
    """

    def __init__(
        self, folder: Path | str, clips: ClipSet, scorer: Scorer, methods: Sequence[Method], *, batch: int, shown: str
    ):
        """
        Args:
          folder: made if it does not exist.
          clips: the set.
          scorer: for clips of the set's length and size.
          methods: without the real frames, which are always scored.
          batch: how many clips a method makes at once.
          shown: the key of the method whose frames are kept.

        Raises:
          InputError: if the folder cannot be written, or was begun with other settings or methods.
        """
        self.folder, self.clips, self.scorer = Folder(folder), clips, scorer
        self.methods, self.batch, self.shown = [*methods, RealFrames()], batch, shown
        self.settings = {
            **clips.describe(),
            "frames": clips.frames,
            "size": clips.size,
            "n": len(clips),
            "batch": batch,
            "resize": "area mean down, bicubic up",
        }
        begun = {"format": FORMAT, "settings": self.settings, "metrics": scorer.describe()}
        self.folder.begin(begun, self.methods)

    def run(self) -> dict[str, Any]:
        """Scores the clips that are not scored yet; writes and returns the results."""
        starts = range(0, len(self.clips), self.batch)
        for start in messages.progress("evaluating", len(starts), starts, unit="batch"):
            indices = range(start, min(start + self.batch, len(self.clips)))
            missing = [one for one in self.methods if not self.folder.is_scored(one.key, indices)]
            if missing:
                self._score(indices, missing)
        scores = {method.key: self.folder.scores(method.key, range(len(self.clips))) for method in self.methods}
        found = self._results(scores)
        self.folder.write(found, self.methods, scores)
        return found

    def _score(self, indices: range, missing: Sequence[Method]) -> None:
        clips = [self.clips[index] for index in indices]
        _check_shapes(clips)
        references = [self.scorer.reference(clip) for clip in clips]
        for method in missing:
            made, seconds = method(clips)
            if method.key == RealFrames.key:
                scores = [reference.score for reference in references]
            else:
                scores = list(map(self.scorer.score, made, clips, references))
            if method.key == self.shown:
                self._keep(indices, clips, made, scores)
            timed = {"seconds": seconds / len(clips)} if method.steps else {}
            for index, clip, score in zip(indices, clips, scores, strict=True):
                about = {"clip": clip.name, "subject": clip.subject, "expression": clip.expression}
                self.folder.write_score(method.key, index, {**about, **asdict(score), **timed})

    def _keep(
        self,
        indices: range,
        clips: Sequence[EvaluationClip],
        made: UInt8[np.ndarray, "b n h w 3"],
        scores: Sequence[Score],
    ) -> None:
        """Stores the clips of this batch that `_chosen` chooses so far, and removes those that it no longer chooses."""
        before = dict(enumerate(self.folder.scores(self.shown, range(indices[0]))))
        now = zip(indices, clips, scores, strict=True)
        kept = _chosen(before | {i: {"expression": clip.expression, "numbers": s.numbers} for i, clip, s in now})
        for index, clip, frames in zip(indices, clips, made, strict=True):
            if index in kept:
                self.folder.keep(index, clip, frames)
        for index in range(indices[-1] + 1):
            if index not in kept:
                self.folder.drop(index)

    def _results(self, scores: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        real = scores[RealFrames.key]
        rows = [_row(method, scores[method.key], real, self.clips.frames) for method in self.methods]
        shown = dict(enumerate(scores.get(self.shown, [])))
        return {
            "format": FORMAT,
            "settings": self.settings,
            "metrics": {name: asdict(metric) for name, metric in METRICS.items() if any(name in row for row in rows)},
            "extractors": {group: made_by for group, made_by in self.scorer.describe().items() if made_by},
            "absent": self.scorer.absent,
            "rows": rows,
            "kept": [
                {"clip": shown[index]["clip"], "file": self.folder.kept(index), "why": why, "method": self.shown}
                for index, why in sorted(_chosen(shown).items())
            ],
        }


def _chosen(scores: dict[int, dict[str, Any]]) -> dict[int, list[str]]:
    """{clip: why its frames are kept}: the first clip of each expression, and the worst by each of `WORST`."""
    reasons: dict[int, list[str]] = {}
    seen = set()
    for index, score in scores.items():
        if score["expression"] not in seen:
            seen.add(score["expression"])
            reasons.setdefault(index, []).append(f"first of {score['expression']}")
    for name in WORST:
        values = {index: score["numbers"][name] for index, score in scores.items() if name in score["numbers"]}
        if values:
            worst = min(values, key=values.get) if METRICS[name].best == "high" else max(values, key=values.get)
            reasons.setdefault(worst, []).append(f"worst {name}")
    return reasons


def _check_shapes(clips: Sequence[EvaluationClip]) -> None:
    first = clips[0]
    for clip in clips[1:]:
        if clip.real.shape != first.real.shape:
            one, other = ("{} frames of {} x {}".format(*of.real.shape[:3]) for of in (clip, first))
            raise InputError(f"{clip.name}: {one}, but {first.name}: {other}; cut all clips to one length and size")


def _row(
    method: Method, scores: Sequence[dict[str, Any]], real: Sequence[dict[str, Any]], frames: int
) -> dict[str, Any]:
    """A method's row of results.json, from the scores of its clips and of the real clips; `frames` is their length."""
    values: dict[str, list[float]] = {}
    absent: dict[str, str] = {}
    for score in scores:
        absent = score["absent"] | absent
        for name, value in score["numbers"].items():
            values.setdefault(name, []).append(value)
    row = {"method": method.name, "key": method.key, "steps": method.steps, "n": len(scores), **method.describe()}
    row |= {name: sum(of_clips) / len(of_clips) for name, of_clips in values.items()}
    real_features = _features(real)
    if real_features is not None:
        numbers, without = distances(None if method.key == RealFrames.key else _features(scores), real_features)
        row, absent = row | numbers, absent | without
    row["clips"] = {name: len(of_clips) for name, of_clips in values.items() if len(of_clips) < len(scores)}
    row["absent"] = absent
    timed = scores[1:] or scores  # the first clip's time includes compiling
    groups = dict.fromkeys(group for score in timed for group in score["took"])
    row["scoring"] = {name: sum(one["took"].get(name, 0.0) for one in timed) / len(timed) / frames for name in groups}
    if method.steps:
        row["seconds_per_frame"] = sum(score["seconds"] for score in scores) / len(scores) / frames
    return row


def _features(scores: Sequence[dict[str, Any]]) -> np.ndarray | None:
    """I3D's logits, one row for each clip; None if they were not computed."""
    rows = [score["features"] for score in scores]
    return None if any(row is None for row in rows) else np.array(rows, np.float32)
