"""Prepares training data: python launch/prepare.py --root TREE --output DIR [--draw PEOPLE]."""

import sys
import time
from collections import Counter
from pathlib import Path

from absl import app, flags, logging

from facenhance_jax.data import layout, mug_dataset_builder
from facenhance_jax.errors import InputError

_ROOT = flags.DEFINE_string("root", None, "folder of the clips, laid out as MUG's", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "folder to write the data set in", required=True)
_FRAMES = flags.DEFINE_integer("frames", 32, "frames kept of each clip's first half", lower_bound=1)
_RESOLUTION = flags.DEFINE_integer("resolution", 192, "side of the kept frames, pixels", lower_bound=16)
_DRAW = flags.DEFINE_integer("draw", 0, "people to draw at --root first; 0 takes the tree that is there", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "seed of the people drawn", lower_bound=0)


def prepare() -> str:
    """Does what the flags say and returns the summary."""
    start, root = time.monotonic(), Path(_ROOT.value)
    if _DRAW.value:
        draw(root, _DRAW.value)
    clips = layout.read_tree(root)
    chosen, skipped = mug_dataset_builder.usable(clips)
    size = {"frames": _FRAMES.value, "resolution": _RESOLUTION.value}
    folder = mug_dataset_builder.prepare(root, _OUTPUT.value, **size)
    split = layout.split_subjects(clip.subject for clip in chosen)
    expressions = Counter(clip.expression for clip in chosen)
    lines = [
        f"subjects  {len(split['train'])} train, {len(split['test'])} test ({' '.join(split['test'])})",
        f"clips     {len(chosen)}: " + ", ".join(f"{expressions[name]} {name}" for name in layout.EXPRESSIONS),
        f"frames    {_FRAMES.value} a clip, {len(chosen) * _FRAMES.value} in all, {_RESOLUTION.value} px",
        *(f"skipped   {count} clips: {why}" for why, count in Counter(skipped.values()).items()),
        f"written   {folder} in {time.monotonic() - start:.1f} s",
    ]
    return "\n".join(lines)


def draw(root: Path, people: int) -> None:
    """Draws a tree of people at `root`, which must be new or empty."""
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root}: not an empty folder; draw somewhere else, or leave --draw out to use what is there")
    from facenhance_jax.data import synthetic  # only here: a tree of photographs needs no drawing

    synthetic.write_tree(root, range(people), seed=_SEED.value, size=_RESOLUTION.value)


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # TFDS warns of every size that is not the default
    try:
        print(prepare())
    except InputError as error:
        print(f"facenhance: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)
