"""Prepares training data: python launch/prepare.py --root TREE --output DIR [--kind mug|folder|photos] [--draw PEOPLE].

With --arrays OUT.npz (or OUT, a folder of files of 256 MB) also writes the data set as plain arrays, which a training
reads as config.data.directory without TFDS and grain; without --root, of the data set that is in DIR already.

With --generated=CLIPS --layout=NAME the arrays hold a generator's clips (see facenhance_jax/data/generated.py) as the
low-res frames of the records of the same subject and expression, and no other records: a training on them fits the
enhancer to that generator.

With --faces=DIR it writes, instead of that, what launch/train.py needs for configs/motiongan.py, renderer.py and
imaginator.py: low-res clips with their landmarks (facenhance_jax/data/face_clips.py), of 32 frames.

`mug` is the MUG database or a tree with its layout, `folder` holds a folder of your own videos for each person,
`photos` photos: <person>/neutral.jpg with <person>/<expression>.jpg, which become morphs, and any others, one for each
person, which are animated. Clips that cannot be used are skipped and listed at the end; if more than
--max_skipped percent are, the exit status is 3.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import checkout  # noqa: F401  (puts the checkout on sys.path)
from absl import app, flags, logging

from facenhance_jax import messages
from facenhance_jax.data import (
    arrays,
    clip_dataset,
    face_clips,
    face_making,
    folder_dataset_builder,
    generated,
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

FACE_FRAMES = 32  # of a clip for the generators

_ROOT = flags.DEFINE_string("root", None, "folder of the clips")
_OUTPUT = flags.DEFINE_string("output", None, "folder to write the data set in")
_FACES = flags.DEFINE_string("faces", None, "write a data set for the generators in this folder instead of --output")
_KIND = flags.DEFINE_enum("kind", "mug", list(BUILDERS), "how the clips are laid out")
_FRAMES = flags.DEFINE_integer("frames", None, "frames of each clip: 32, of photos 8 (with --faces 32)", lower_bound=1)
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
_GENERATED = flags.DEFINE_string("generated", None, "folder of a generator's clips, low-res frames for --arrays")
_LAYOUT = flags.DEFINE_string("layout", "folder", "of --generated: videogan, imaginator, motiongan, fevgan or folder")
_SEED = flags.DEFINE_integer("seed", 0, "seed of the people drawn, or of the photos' animation", lower_bound=0)


def builder(output: str) -> clip_dataset.ClipDataset:
    """The data set that the flags ask for, with its tree drawn first."""
    root, usual = Path(_ROOT.value), BUILDERS[_KIND.value].BUILDER_CONFIGS[0]
    frames = _FRAMES.value or (FACE_FRAMES if _FACES.value else usual.frames)
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
    return BUILDERS[_KIND.value](data_dir=output, config=config)


def write_faces() -> None:
    """Writes the clips for the generators; those of no use are listed."""
    output, root, skipped = Path(_FACES.value).absolute(), Path(_ROOT.value), {}
    made = builder(str(output.with_name(f"{output.name}_work")))  # only the landmarks that our tracker finds go there
    jobs, recipe = made.jobs(root), made.recipe(root)

    def clips(name: str, jobs: list) -> Iterator[face_clips.FaceClip]:
        for job in messages.progress(name, len(jobs), jobs, unit="clip"):
            try:
                yield from face_making.of_job(job, recipe, _SEED.value)
            except messages.InputError as error:
                skipped[job.recording.name] = str(error)

    count = face_clips.write(output, {name: clips(name, jobs) for name, jobs in jobs.items()})
    for name, why in skipped.items():
        print(f"skipped   {name}: {why}")
    print(f"written   {output}, {count} clips of {recipe.frames} frames; {len(skipped)} skipped")


def write_arrays(folder: Path) -> None:
    """Writes the data set in `folder` as arrays."""
    splits = {split: clip_dataset.source(folder, split) for split in ("train", "test")}
    drawn = splits["train"].drawn
    if _GENERATED.value:
        clips = generated.read_generated(_GENERATED.value, _LAYOUT.value)
        splits = {split: generated.Records(records, clips) for split, records in splits.items()}
        if not any(map(len, splits.values())):
            raise messages.InputError(
                f"{_GENERATED.value}: no clip of a subject and expression in {folder}; give the data set they belong to"
            )
    count = arrays.write(_ARRAYS.value, splits, drawn)
    print(f"written   {_ARRAYS.value}, {count} records as arrays")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # TFDS warns of every size that is not the default
    with messages.refusing():
        if (_FACES.value is None) == (_OUTPUT.value is None):
            raise messages.InputError("--output: missing; name the folder to write, or give --faces alone")
        if _FACES.value:
            if unused := [flag.name for flag in (_ARRAYS, _GENERATED) if flag.value]:
                raise messages.InputError(f"--{unused[0]}: is of no use with --faces; leave it out")
            if not _ROOT.value:
                raise messages.InputError("--root: missing; name the folder of the clips")
            write_faces()
            return
        if _GENERATED.value and not _ARRAYS.value:
            raise messages.InputError("--generated: goes into arrays; name them with --arrays")
        if _ARRAYS.value:
            arrays.check_output(Path(_ARRAYS.value))
        if not _ROOT.value:
            if not _ARRAYS.value:
                raise messages.InputError("--root: missing; name the folder of the clips, or give --arrays as well")
            write_arrays(Path(_OUTPUT.value))
            return
        report = clip_dataset.prepare(builder(_OUTPUT.value), Path(_ROOT.value))
        print(report.text())
        if _ARRAYS.value:
            write_arrays(report.folder)
    if 100 * report.skipped_share > _MAX_SKIPPED.value:
        print(f"facenhance: more than {_MAX_SKIPPED.value:g} % of the clips were skipped", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    app.run(main)
