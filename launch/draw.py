"""Draws a data set straight into an .npz file: `python launch/draw.py --people=320 --frames=8 --output=drawn.npz`.

A training reads it as config.data.directory. This needs neither TFDS nor grain, and gives the records that
`launch/prepare.py --draw` gives with the same numbers.
"""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import checkout  # noqa: F401  (puts the checkout on sys.path)
from absl import app, flags

from facenhance_jax import messages
from facenhance_jax.data import arrays, layout, splits
from facenhance_jax.data.records import Recipe, clip_records
from facenhance_jax.data.synthetic import population

_OUTPUT = flags.DEFINE_string("output", None, "the .npz file to write", required=True)
_PEOPLE = flags.DEFINE_integer("people", None, "how many to draw", lower_bound=2, required=True)
_FRAMES = flags.DEFINE_integer("frames", 32, "frames of each clip", lower_bound=1)
_RESOLUTION = flags.DEFINE_integer("resolution", 192, "side of the frames, pixels", lower_bound=64)
_SEED = flags.DEFINE_integer("seed", 0, "seed of the people", lower_bound=0)


def draw(root: Path) -> int:
    """Draws the people as a tree at `root`, and writes their records; returns the number of frames drawn."""
    frames, size = _FRAMES.value, _RESOLUTION.value
    drawn = population.write_tree(root, range(_PEOPLE.value), seed=_SEED.value, frames=2 * frames, size=size)
    tree = layout.read_tree(root).recordings
    clips = [clip for clip in tree if clip.expression != layout.NEUTRAL]
    photos = [layout.identity_frame(clip, tree) for clip in clips]
    make = partial(clip_records, recipe=Recipe(str(root), frames, size))
    with ThreadPoolExecutor() as pool:
        records = [record for found, _ in pool.map(make, clips, photos) for record in found]
    people = splits.split_subjects({clip.subject for clip in clips})
    chosen = {split: [each for each in records if each["subject"] in people[split]] for split in arrays.SPLITS}
    arrays.write(_OUTPUT.value, chosen, drawn=True)
    return drawn


def main(_: list[str]) -> None:
    began = time.monotonic()
    with messages.refusing():
        arrays.check_output(Path(_OUTPUT.value))
        with tempfile.TemporaryDirectory(dir=Path(_OUTPUT.value).resolve().parent) as root:
            drawn = draw(Path(root))
    seconds = time.monotonic() - began
    print(f"{_OUTPUT.value}: {drawn} frames drawn in {seconds:.1f} s, {drawn / seconds:.0f} frames/s")


if __name__ == "__main__":
    app.run(main)
