"""Prepares training data: python launch/prepare.py --root TREE --output DIR [--draw PEOPLE]."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

from absl import app, flags, logging

CHECKOUT = str(Path(__file__).resolve().parent.parent)
if CHECKOUT not in sys.path:
    sys.path.insert(0, CHECKOUT)  # runs where the package is not installed, too

from facenhance_jax.data import layout, mug_dataset_builder  # noqa: E402
from facenhance_jax.errors import InputError  # noqa: E402

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
        f"residual  config.model.residual_scale = {measured_scale():.1f}, measured on the training clips",
        f"written   {folder} in {time.monotonic() - start:.1f} s",
    ]
    return "\n".join(lines)


def measured_scale() -> float:
    """The training set's residual_scale, to be kept in the config."""
    from facenhance_jax.data import pipeline  # only here: grain takes a second to load

    size = {"frames": _FRAMES.value, "resolution": _RESOLUTION.value}
    return pipeline.residual_scale(mug_dataset_builder.source(_OUTPUT.value, "train", **size))


def draw(root: Path, people: int) -> None:
    """Draws a tree of people at `root`: a new or empty folder, or one that an interrupted drawing like this began."""
    from facenhance_jax.data import synthetic  # only here: a tree of photographs needs no drawing
    from facenhance_jax.media.writing import replacing

    drawing = {"seed": _SEED.value, "frames": 2 * _FRAMES.value, "size": _RESOLUTION.value}
    mark = root / "drawn.json"
    if not (mark.is_file() and mark.read_text(encoding="utf-8") == json.dumps(drawing)):
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise InputError(
                f"{root}: holds something else; draw in a new folder, or leave --draw out to use it as it is"
            )
        root.mkdir(parents=True, exist_ok=True)
        with replacing(mark) as part:
            part.write_text(json.dumps(drawing), encoding="utf-8")
    synthetic.write_tree(root, range(people), **drawing)


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # TFDS warns of every size that is not the default
    try:
        print(prepare())
    except InputError as error:
        print(f"facenhance: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)
