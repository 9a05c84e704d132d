"""Shows a prepared data set: python launch/contact_sheet.py --data DIR --output sheet.png [--rows K].

The sheet shows clips spread over each split: the photo and frames, and the low-res frames below them. sheet.json, next
to it, tells how much there is.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  (puts the checkout on sys.path)
import numpy as np
from absl import app, flags, logging

from facenhance_jax import messages
from facenhance_jax.data import sources
from facenhance_jax.data.stored import decoded, words
from facenhance_jax.media import check_output, strip, write_png
from facenhance_jax.media.writing import replacing

COLUMNS = 6  # frames shown of a clip

_DATA = flags.DEFINE_string("data", None, "folder of the data set, as given to launch/prepare.py", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "the sheet, a .png; the counts go to a .json next to it", required=True)
_ROWS = flags.DEFINE_integer("rows", 4, "clips shown of each split", lower_bound=1)


def chosen(clips: int, count: int) -> list[int]:
    """Indices of up to `count` clips, one from each of as many parts of a split.

    Each lies one farther into its part than the last: a person's clips come in the order of the expressions, and equal
    steps would often show only one of those.
    """
    count = min(clips, count)
    step = clips // count
    return [part * step + part % step for part in range(count)]


def clip_rows(split: str, record: Mapping[str, Any]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Two labelled rows: the photo and frames; a blank and the same frames at low resolution."""
    frames, name = len(record["high"]), words(record)
    shown = np.linspace(0, frames - 1, min(frames, COLUMNS)).round().astype(int)
    photo = decoded(record["identity"], name)
    high, low = ([decoded(record[field][at], name) for at in shown] for field in ("high", "low"))
    yield f"{split} {words(record, 'subject', 'session')}", [photo, *high]
    yield words(record, "expression", "take"), [np.full_like(photo, 255), *low]


def counts(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How much is in a split. All its images of a kind have one size, in pixels."""
    first, expressions = records[0], Counter(words(record, "expression") for record in records)
    images = {"high": first["high"][0], "low": first["low"][0], "identity": first["identity"]}
    return {
        "subjects": sorted({words(record, "subject") for record in records}),
        "clips": len(records),
        "frames": len(records) * len(first["high"]),
        "clips_per_expression": dict(sorted(expressions.items())),
        "sizes": {field: decoded(data, words(first)).shape[0] for field, data in images.items()},
    }


def sheet() -> None:
    """Does what the flags say; writes both files or neither."""
    output = Path(_OUTPUT.value)
    check_output(output, (".png",))
    check_output(output.with_suffix(".json"), (".json",))
    summary, rows = {}, []
    for split in ("train", "test"):
        records = sources.records(_DATA.value, split)
        summary[split] = counts(records)
        for index in chosen(len(records), _ROWS.value):
            rows += clip_rows(split, records[index])
    with replacing(output.with_suffix(".json")) as part:
        part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        write_png(output, strip(rows))
    for split, found in summary.items():
        print(f"{split:5s} {len(found['subjects'])} subjects, {found['clips']} clips, {found['frames']} frames")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # TFDS warns of every size that is not the default
    with messages.refusing():
        sheet()


if __name__ == "__main__":
    app.run(main)
