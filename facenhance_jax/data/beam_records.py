"""Records made by an Apache Beam pipeline (the extra [beam]): on one machine, or on Flink's or Dataflow's."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from facenhance_jax.data.records import Job, Recipe, attempt
from facenhance_jax.data.stored import entries

_FRAMES_PER_CLIP = 1_000_000  # more than are kept of one: frame k of what is kept of clip n has the key n * this + k
NOTES, MADE = "notes", "records"


def make(jobs: Sequence[Job], recipe: Recipe, notes: str) -> beam.PTransform:
    """A transform from nothing to (key, entry), the keys in the order of the jobs and of their frames.

    What happened to each clip is written to text files that begin with `notes`, a line of JSON each; see `read_notes`.
    """
    return _Make(list(enumerate(jobs)), recipe, notes)


def read_notes(folder: Path, skipped: dict[str, str]) -> Iterator[tuple[str, int, Counter]]:
    """(expression, records, counts) of each clip that `make` made; clips left out are added to `skipped`."""
    for file in sorted(folder.glob("*")):
        for line in file.read_text(encoding="utf-8").splitlines():
            note = json.loads(line)
            if "why" in note:
                skipped[note["name"]] = note["why"]
            else:
                yield note["expression"], note["records"], Counter(note["counts"])


class _Make(beam.PTransform):
    def __init__(self, jobs: Sequence[tuple[int, Job]], recipe: Recipe, notes: str):
        super().__init__()
        self._jobs, self._recipe, self._notes = jobs, recipe, notes

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        made = (
            begin
            | beam.Create(self._jobs)
            | beam.Reshuffle()  # else one worker would do all
            | beam.FlatMap(_attempt, self._recipe).with_outputs(NOTES, main=MADE)
        )
        made[NOTES] | beam.io.WriteToText(self._notes)
        return made[MADE]


def _attempt(numbered: tuple[int, Job], recipe: Recipe) -> Iterator[Any]:
    number, job = numbered
    result = attempt(job, recipe)
    if isinstance(result, str):
        yield beam.pvalue.TaggedOutput(NOTES, json.dumps({"name": job.clip.name, "why": result}))
        return
    records, counts = result
    note = {"expression": job.clip.expression, "records": len(records), "counts": counts}
    yield beam.pvalue.TaggedOutput(NOTES, json.dumps(note))
    for k, entry in enumerate(entry for record in records for entry in entries(record)):
        yield number * _FRAMES_PER_CLIP + k, entry
