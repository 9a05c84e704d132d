"""Scores a model on clips that it has not seen.

    python launch/evaluate.py --output=DIR [--model=DIR] [--data=DIR]

`--data` is a folder that launch/prepare.py wrote, or "drawn": people who are in no training set.
`--pairs=PHOTOS` takes photo pairs, PERSON/neutral.jpg with PERSON/EXPRESSION.jpg: the neutral photo is the identity,
the low-res face is cut out of the other photo, which is the truth. `--people` says whose; the default is every fourth
person, held out. `--videos=DIR` takes ordinary videos: the first frame is the photo, `--frames` later ones the clip.
A quick look, in about a minute: `--pairs=PHOTOS --people=third --steps=1,2 --metrics=psnr,ssim,sharpness,expression`.
`--degrade=blur,noise,jpeg,warp,drop,all` adds rows for low-res frames with these faults.
`--steps=1,2,4,8` gives a curve.
`--fvd=lfdm` computes FVD on 40 frames at 128 px, as LFDM's published FVD is. The clips need at least 40 frames: draw
them with `--frames=40`, or prepare the data set with `launch/prepare.py --frames=40`.
`--generated=DIR --layout=NAME` takes a generator's clips as the low-res frames, and scores them before and after.
The output folder gets results.json, clips.csv, tables.md and the frames of a few clips
(see `facenhance_jax.evaluation.results`).
An evaluation that was stopped goes on when it is run again.
"""

from pathlib import Path

import checkout  # noqa: F401  (puts the checkout on sys.path)
from absl import app, flags, logging

from facenhance_jax import messages
from facenhance_jax.evaluation import clip_sets, degrading, evaluation, methods, real_sets, scores, tables
from facenhance_jax.evaluation.metrics import fvd
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError

HELD_OUT = f"{clip_sets.HELD_OUT[0]}-{clip_sets.HELD_OUT[-1]}"
_MODEL = flags.DEFINE_string("model", "package", "a released model, a training run, or package for the packaged one")
_DATA = flags.DEFINE_string("data", "drawn", "a prepared data set's folder, or drawn")
_SPLIT = flags.DEFINE_string("split", "test", "of the data set: train, test or all")
_SUBJECTS = flags.DEFINE_string("subjects", HELD_OUT, "ids of the subjects to draw, first-last")
_FRAMES = flags.DEFINE_integer(
    "frames", 24, "frames of a drawn clip or of a video's; a prepared data set has its own", lower_bound=1
)
_PAIRS = flags.DEFINE_string("pairs", "", "folder of photo pairs, in place of --data")
_PEOPLE = flags.DEFINE_enum(
    "people",
    "every_fourth",
    list(real_sets.PEOPLE),
    "of --pairs, by sorted name: every_fourth (held out), third (the one before each of those, for development), train "
    "(all but those held out) or all",
)
_VIDEOS = flags.DEFINE_string("videos", "", "folder of ordinary videos, in place of --data")
_PLACE = flags.DEFINE_enum(
    "place",
    "landmarks",
    ["landmarks", "found"],
    "of the low-res face in the photo, for --pairs and --videos: by the photo's landmarks, as if dlib is installed, or "
    "found by comparing the two, as if it is not",
)
_DEGRADE = flags.DEFINE_list(
    "degrade", [], f"of {', '.join(degrading.FAULTS)} and all: faults of the low-res frames; adds rows for each"
)
_GENERATED = flags.DEFINE_string("generated", "", "folder of a generator's clips, in place of the low-res frames")
_LAYOUT = flags.DEFINE_string("layout", "folder", "of --generated: videogan, imaginator, motiongan, fevgan or folder")
_BASELINES = flags.DEFINE_bool(
    "baselines",
    True,
    "also score the copied photo and the low-res clip, pasted and enlarged; without, in half the time",
)
_CLIPS = flags.DEFINE_integer("clips", 0, "take so many, spread evenly; 0 for all", lower_bound=0)
_STEPS = flags.DEFINE_list("steps", [], "steps of the sampler, several for a curve; without it, the model's own")
_SEED = flags.DEFINE_integer("seed", 0, "of the noise")
_FRESH = flags.DEFINE_bool(
    "fresh_noise", None, "other noise for every frame, as in the paper, or the same; without it, the model's own way"
)
_METRICS = flags.DEFINE_list("metrics", [], f"of {', '.join(scores.GROUPS)}; without it, all that can be computed")
_FVD = flags.DEFINE_enum(
    "fvd",
    "own",
    ["own", *fvd.PRESETS],
    "frames and size for FVD: the clips' own, or those of published numbers: facenhance (32 x 192) or lfdm (40 x 128); "
    "the clips need as many frames: set --frames here for drawn ones, and in launch/prepare.py for prepared ones",
)
_BATCH = flags.DEFINE_integer("batch", 4, "clips enhanced at once", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "folder to write, or to go on with", required=True)


def subjects(text: str) -> range:
    """Reads "9000-9012", or a single id."""
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise InputError(f"--subjects {text}: not a range of ids; write it like {HELD_OUT}")
    return range(int(first), int(last or first) + 1)


def steps() -> list[int]:
    """The numbers of --steps, without repeats."""
    for text in _STEPS.value:
        if not text.strip().isdecimal():
            raise InputError(f"--steps {','.join(_STEPS.value)}: not whole numbers; write them like 1,2,4,8")
    return list(dict.fromkeys(map(int, _STEPS.value)))


def faults() -> list[str]:
    """The words of --degrade, without repeats."""
    known = [*degrading.FAULTS, degrading.ALL]
    for fault in _DEGRADE.value:
        if fault not in known:
            raise InputError(f"--degrade {','.join(_DEGRADE.value)}: {fault} is none of {', '.join(known)}")
    return list(dict.fromkeys(_DEGRADE.value))


def check_sources() -> None:
    """Raises InputError for flags that exclude each other."""
    given = [flag.name for flag in (_GENERATED, _PAIRS, _VIDEOS) if flag.value]
    if len(given) > 1:
        raise InputError(f"--{given[0]} and --{given[1]}: clips of one kind at a time; leave one of them out")
    if _GENERATED.value and faults():
        raise InputError("--degrade: generated clips have faults of their own; leave it out, or leave out --generated")


def clip_set(model: Enhancer) -> clip_sets.ClipSet:
    """The clips that the flags ask for."""
    sizes = {"size": model.size, "low_size": model.low_size}
    placed = _PLACE.value == "landmarks"
    if _PAIRS.value:
        clips = real_sets.Pairs(_PAIRS.value, _PEOPLE.value, **sizes, placed=placed)
    elif _VIDEOS.value:
        clips = real_sets.Videos(_VIDEOS.value, frames=_FRAMES.value, **sizes, placed=placed)
    else:
        data = None if _DATA.value == "drawn" else clip_sets.Prepared(_DATA.value, _SPLIT.value)
        if _GENERATED.value:
            clips = clip_sets.Generated(_GENERATED.value, _LAYOUT.value, model.size, data)
        else:
            clips = data or clip_sets.Drawn(subjects(_SUBJECTS.value), frames=_FRAMES.value, **sizes)
    return clip_sets.Spread(clips, _CLIPS.value) if _CLIPS.value else clips


def compared(made: list[methods.Enhanced]) -> list[methods.Method]:
    """The models and the baselines; then the models and the pasted low-res face again for each fault of --degrade."""
    rows = [*made, *(methods.baselines() if _BASELINES.value else ())]
    for fault in faults():
        rows += [degrading.Degraded(one, fault, _SEED.value) for one in (*made, methods.Pasted())]
    return rows


def evaluate() -> None:
    """Evaluates what the flags ask for; writes the results and prints them."""
    output, counts = Path(_OUTPUT.value), steps()
    subjects(_SUBJECTS.value)
    check_sources()
    if output.suffix:
        raise InputError(f"{output}: --output is a folder; give a name without a suffix")
    model = Enhancer.load(None if _MODEL.value == "package" else _MODEL.value)
    shared_noise = None if _FRESH.value is None else not _FRESH.value
    options = {"batch": _BATCH.value, "seed": _SEED.value, "shared_noise": shared_noise}
    counts = counts or [model.sampling.steps]
    made = [methods.Enhanced(model, steps=count, **options) for count in counts]
    shown = made[counts.index(model.sampling.steps) if model.sampling.steps in counts else -1].key
    clips = clip_set(model)
    scorer = scores.Scorer(clips.frames, clips.size, _METRICS.value, fvd.PRESETS.get(_FVD.value))

    def results_of(clips, rows, folder):
        return evaluation.Evaluation(folder, clips, scorer, rows, batch=_BATCH.value, shown=shown).run()

    found = results_of(clips, compared(made), output)
    if _GENERATED.value:
        before = results_of(clip_sets.Before(clips), [methods.Upsampled()], output / "before")
        paper = tables.before_after(before, found, _LAYOUT.value)
    else:
        paper = tables.against_published(found)
    with replacing(output / "tables.md") as part:
        parts = [tables.everything(found), paper, *tables.notes(found)]
        part.write_text("\n".join(parts) + "\n", encoding="utf-8")
    print(f"{tables.text(found)}\n\n{paper}\n{output / 'results.json'}")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # TFDS warns about other packages
    with messages.refusing():
        evaluate()


if __name__ == "__main__":
    app.run(main)
