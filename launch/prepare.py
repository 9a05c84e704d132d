"""Prepares training data: python launch/prepare.py --root TREE --output DIR [--kind mug|folder|photos] [--draw PEOPLE].

With --arrays OUT.npz (or OUT, a folder of files of 256 MB) also writes the data set as plain arrays, which a training
reads as config.data.directory without TFDS and grain; without --root, of the data set that is in DIR already.

`mug` is the MUG database or a tree with its layout, `folder` holds a folder of your own videos for each person,
`photos` photos: <person>/neutral.jpg with <person>/<expression>.jpg, which become morphs, and any others, one for each
person, which are animated. Clips that cannot be used are skipped and listed at the end; if more than
--max_skipped percent are, the exit status is 3.
"""

import sys
import time
from pathlib import Path

import checkout  # noqa: F401  (puts the checkout on sys.path)
from absl import app, flags, logging

from facenhance_jax import messages
from facenhance_jax.data import (
    arrays,
    clip_dataset,
    folder_dataset_builder,
    layout,
    mug_dataset_builder,
    photos_dataset_builder,
    splits,
)
from facenhance_jax.data.synthetic import population

BUILDERS = {
    "mug": mug_dataset_builder.Mug,
    "folder": folder_dataset_builder.Folder,
    "photos": photos_dataset_builder.Photos,
}

_ROOT = flags.DEFINE_string("root", None, "folder of the clips")
_OUTPUT = flags.DEFINE_string("output", None, "folder to write the data set in", required=True)
_KIND = flags.DEFINE_enum("kind", "mug", list(BUILDERS), "how the clips are laid out")
_FRAMES = flags.DEFINE_integer("frames", None, "frames of each clip: 32, of photos 8", lower_bound=1)
_RESOLUTION = flags.DEFINE_integer("resolution", 192, "side of the kept frames, pixels", lower_bound=32)
_PART = flags.DEFINE_enum(
    "part", None, layout.PARTS, "which frames: the first half (mug's default), all, or frame after frame (folder's)"
)
_SPLIT = flags.DEFINE_enum(
    "split", "quarter", splits.SPLITS, "who tests: a quarter of the people, or a published list of MUG's"
)
_BOTH_WAYS = flags.DEFINE_bool("both_ways", False, "photos: also a clip from the expression to the neutral photo")
_FORCE = flags.DEFINE_bool("force", False, "photos: use a pair even if the two faces look like two people's")
_OPENFACE = flags.DEFINE_string("openface", "", "folder of OpenFace's output, laid out as --root is")
_TAKES = flags.DEFINE_integer("takes", 6, "photos: expressions that a single photo performs, 1 to 6")
_RELIGHT = flags.DEFINE_float("relight", 0.0, "photos: strength of another light in a single photo's frames, 0 to 2")
_MAX_SKIPPED = flags.DEFINE_float("max_skipped", 10, "percent of clips that may be skipped before the status is 3")
_DRAW = flags.DEFINE_integer("draw", 0, "people to draw at --root first; 0 takes the tree that is there", lower_bound=0)
_ARRAYS = flags.DEFINE_string("arrays", None, "also write the data set as this .npz, or as a folder of some")
_SEED = flags.DEFINE_integer("seed", 0, "seed of the people drawn, or of the photos' animation", lower_bound=0)


def prepare() -> clip_dataset.Report:
    """Does what the flags say."""
    root, usual = Path(_ROOT.value), BUILDERS[_KIND.value].BUILDER_CONFIGS[0]
    frames = _FRAMES.value or usual.frames
    if _KIND.value == "photos" and (unused := [flag.name for flag in (_PART, _OPENFACE, _DRAW) if flag.value]):
        raise messages.InputError(f"--{unused[0]}: is of no use for photos; leave it out")
    if _DRAW.value:
        about = {"seed": _SEED.value, "frames": 2 * frames, "size": _RESOLUTION.value}
        began = time.monotonic()
        drawn = population.write_tree(root, range(_DRAW.value), **about)
        seconds = time.monotonic() - began
        print(f"drawn     {drawn} frames in {seconds:.1f} s, {drawn / seconds:.0f} frames/s")
    flags_of_photos = (_BOTH_WAYS, _FORCE, _TAKES, _RELIGHT, _SEED)
    own = {flag.name: flag.value for flag in flags_of_photos} if _KIND.value == "photos" else {}
    config = type(usual)(
        frames=frames,
        resolution=_RESOLUTION.value,
        split=_SPLIT.value,
        openface=_OPENFACE.value,
        part=_PART.value or usual.part,
        **own,
    )
    builder = BUILDERS[_KIND.value](data_dir=_OUTPUT.value, config=config)
    return clip_dataset.prepare(builder, root)


def write_arrays(folder: Path) -> None:
    """Writes the data set in `folder` as arrays."""
    splits = {split: clip_dataset.source(folder, split) for split in ("train", "test")}
    count = arrays.write(_ARRAYS.value, splits, splits["train"].drawn)
    print(f"written   {_ARRAYS.value}, {count} records as arrays")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # TFDS warns of every size that is not the default
    with messages.refusing():
        if _ARRAYS.value:
            arrays.check_output(Path(_ARRAYS.value))
        if not _ROOT.value:
            if not _ARRAYS.value:
                raise messages.InputError("--root: missing; name the folder of the clips, or give --arrays as well")
            write_arrays(Path(_OUTPUT.value))
            return
        report = prepare()
        print(report.text())
        if _ARRAYS.value:
            write_arrays(report.folder)
    if 100 * report.skipped_share > _MAX_SKIPPED.value:
        print(f"facenhance: more than {_MAX_SKIPPED.value:g} % of the clips were skipped", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    app.run(main)
