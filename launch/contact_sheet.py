"""Shows a prepared data set: python launch/contact_sheet.py --data DIR --output sheet.png [--rows K].

The sheet has clips spread over each split: the photo, frames, and the low-res frames below them. Beside it, sheet.json
counts all there is.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  (puts the checkout on sys.path)
import numpy as np
from absl import app, flags, logging
from PIL import Image, UnidentifiedImageError

from facenhance_jax import terminal
from facenhance_jax.data import clip_dataset, layout
from facenhance_jax.errors import InputError
from facenhance_jax.media import check_output, strip, write_png
from facenhance_jax.media.writing import replacing

SPLITS = ("train", "test")
COLUMNS = 6  # frames shown of a clip
Record = Mapping[str, Any]

_DATA = flags.DEFINE_string("data", None, "folder of the data set, as given to launch/prepare.py", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "the sheet, a .png; the counts go to a .json beside it", required=True)
_ROWS = flags.DEFINE_integer("rows", 4, "clips shown of each split", lower_bound=1)


def open_split(split: str) -> Sequence[Record]:
    """The records of a split, by index: the one place that knows how data sets are found."""
    return clip_dataset.source(_DATA.value, split)


def chosen(clips: int, count: int) -> list[int]:
    """Places of up to `count` clips, one from each part of a split.

    Each lies one farther into its part than the last: a person's clips come in the order of the expressions, and even
    steps would often show but one of those.
    """
    step = clips // min(clips, count) if clips else 1
    return [part * step + part % step for part in range(min(clips, count))]


def words(record: Record, *fields: str) -> str:
    """Such as "001/anger/take000"; TFDS gives words back as bytes."""
    found = (record[field] for field in fields or ("subject", "session", "expression", "take"))
    return "/".join(word.decode() if isinstance(word, bytes) else word for word in found if word)


def clip_rows(split: str, record: Record) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Two labelled rows: the photo and frames; a blank and the same frames at low resolution."""
    frames = len(record["high"])
    shown = np.linspace(0, frames - 1, min(frames, COLUMNS)).round().astype(int)
    photo = layout.decode(record["identity"], f"{words(record)}, identity")
    high, low = (
        [layout.decode(record[field][at], f"{words(record)}, {field} {at}") for at in shown]
        for field in ("high", "low")
    )
    yield f"{split} {words(record, 'subject', 'session')}", [photo, *high]
    yield words(record, "expression", "take"), [np.full_like(photo, 255), *low]


def image_size(data: bytes, what: str) -> str:
    """Such as "192x192", from the image's header."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return f"{image.width}x{image.height}"
    except UnidentifiedImageError as error:
        raise InputError(f"{what}: not a readable image; prepare the data set anew") from error


def counts(records: Sequence[Record]) -> dict[str, Any]:
    """What is in a split; every record is read."""
    subjects, expressions = set(), Counter()
    sizes: dict[str, Counter] = {"high": Counter(), "low": Counter(), "identity": Counter()}
    for record in records:
        subjects.add(words(record, "subject"))
        expressions[words(record, "expression")] += 1
        for field, found in sizes.items():
            images = [record[field]] if field == "identity" else record[field]
            found.update(image_size(data, f"{words(record)}, {field} {at}") for at, data in enumerate(images))
    return {
        "subjects": sorted(subjects),
        "clips": len(records),
        "frames": sizes["high"].total(),
        "clips_per_expression": dict(sorted(expressions.items())),
        "sizes": {field: dict(found.most_common()) for field, found in sizes.items()},
    }


def sheet() -> None:
    """Does what the flags say; writes both files or neither."""
    output = Path(_OUTPUT.value)
    check_output(output, (".png",))
    check_output(output.with_suffix(".json"), (".json",))
    summary, rows = {}, []
    for split in SPLITS:
        records = open_split(split)
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
    with terminal.refusing():
        sheet()


if __name__ == "__main__":
    app.run(main)
