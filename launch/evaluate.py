"""Scores a released model on drawn people it has not seen: python launch/evaluate.py --model DIR --output FILE.json."""

import dataclasses
import json
import sys
from pathlib import Path

from absl import app, flags
from tqdm import tqdm

CHECKOUT = str(Path(__file__).resolve().parent.parent)
if CHECKOUT not in sys.path:
    sys.path.insert(0, CHECKOUT)  # runs where the package is not installed, too

from facenhance_jax import evaluation, terminal  # noqa: E402
from facenhance_jax.data.layout import EXPRESSIONS  # noqa: E402
from facenhance_jax.enhancer import Enhancer  # noqa: E402
from facenhance_jax.errors import InputError  # noqa: E402
from facenhance_jax.media.writing import check_output, replacing  # noqa: E402

HELD_OUT = f"{evaluation.HELD_OUT[0]}-{evaluation.HELD_OUT[-1]}"
_MODEL = flags.DEFINE_string("model", "package", "folder of a released model; package takes the one in the package")
_SUBJECTS = flags.DEFINE_string("subjects", HELD_OUT, "ids of the subjects to draw, first-last")
_FRAMES = flags.DEFINE_integer("frames", 24, "frames a clip", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 8, "steps of the sampler", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "the .json file to write", required=True)


def subjects(text: str) -> range:
    """Reads "9000-9012", or a single id."""
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise InputError(f"--subjects {text}: not a range of ids; write it like {HELD_OUT}")
    return range(int(first), int(last or first) + 1)


def evaluate() -> None:
    """Six expressions of each subject; the table printed, and every clip's numbers written with their mean."""
    people = subjects(_SUBJECTS.value)
    check_output(_OUTPUT.value, (".json",))
    enhancer = Enhancer.load(None if _MODEL.value == "package" else _MODEL.value)
    size = {"frames": _FRAMES.value, "size": enhancer.size, "low_size": enhancer.low_size}
    clips = {}
    for subject, expression in tqdm([(s, e) for s in people for e in EXPRESSIONS], unit="clip"):
        name = f"{subject}/{expression}"
        clip = evaluation.draw(subject, expression, **size)
        enhanced = enhancer.enhance(clip.low, clip.identity, steps=_STEPS.value)
        clips[name] = evaluation.compare(enhanced, clip.real, clip.identity, clip.low, clip.face)
    mean = evaluation.average(clips.values())
    write({"model": _MODEL.value, "steps": _STEPS.value, **size}, mean, clips)
    print(f"{len(clips)} drawn clips of {_FRAMES.value} frames, {_STEPS.value} steps\n\n{evaluation.table(mean)}")


def write(setting: dict, mean: list, clips: dict) -> None:
    def plain(rows):
        return [dataclasses.asdict(row) for row in rows]

    result = {**setting, "mean": plain(mean), "clips": {name: plain(rows) for name, rows in clips.items()}}
    with replacing(_OUTPUT.value) as part:
        part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def main(_: list[str]) -> None:
    with terminal.refusing():
        evaluate()


if __name__ == "__main__":
    app.run(main)
