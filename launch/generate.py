"""A generator's low-res clips of people it was not trained on, for launch/evaluate.py.

    python launch/generate.py --model=DIR --output=CLIPS [--data=FACES]
    python launch/evaluate.py --generated=CLIPS --layout=motiongan --output=SCORES [--data=SET]

DIR is an ImaGINator's folder, or holds motion/ and renderer/, each a released model or a training run. `--data` is a
set of launch/prepare.py --faces, or "drawn": people who are in no training set. Each person performs each expression
that the model knows and, with a set, that the set has of them. A clip is CLIPS/<subject>_<expression>.npy, which all
of evaluate's layouts but `folder` read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import checkout  # noqa: F401  (puts the checkout on sys.path)
import numpy as np
from absl import app, flags

from facenhance_jax import messages
from facenhance_jax.messages import InputError

_MODEL = flags.DEFINE_string("model", None, "folder of a trained generator", required=True)
_DATA = flags.DEFINE_string("data", "drawn", "a folder of launch/prepare.py --faces, or drawn")
_SPLIT = flags.DEFINE_string("split", "test", "of the data set: train, test or all")
_PEOPLE = flags.DEFINE_integer("people", 17, "of those drawn: 9000 and the following", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 32, "of each clip", lower_bound=1)
_STRENGTH = flags.DEFINE_float("strength", 1.0, "of the expressions, 0 to 1.5")
_SEED = flags.DEFINE_integer("seed", 0, "of the motion", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "folder to write, new or empty", required=True)


class Wanted(NamedTuple):
    """A clip to make: whose face, and what it should do."""

    subject: str
    expression: str
    face: np.ndarray
    points: np.ndarray


def wanted(labels: tuple[str, ...]) -> Iterator[Wanted]:
    """The clips that the flags ask for."""
    from facenhance_jax.data import face_clips
    from facenhance_jax.data.synthetic import population
    from facenhance_jax.evaluation.clip_sets import HELD_OUT

    if _DATA.value != "drawn":
        seen = set()
        for record in face_clips.source(_DATA.value, _SPLIT.value, frames=1):
            name = record["subject"], record["expression"]
            if name[1] in labels and name not in seen:
                seen.add(name)
                yield Wanted(*name, record["photo"], record["photo_landmarks"])
        return
    for subject in range(HELD_OUT.start, HELD_OUT.start + _PEOPLE.value):
        frames, landmarks = population.draw_clip(population.draw_subject(0, subject), "neutral", 0, 1)
        face, points = face_clips.photo_face(frames[0], landmarks[0])
        yield from (Wanted(str(subject), expression, face, points) for expression in labels)


def generate() -> int:
    """Writes the clips; returns their number."""
    from facenhance_jax.generators import learned
    from facenhance_jax.media.writing import write_array

    output = Path(_OUTPUT.value)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: holds something already; choose a new folder")
    model, count = learned.load(_MODEL.value), 0
    for clip in messages.progress("generate", None, wanted(model.labels), unit="clip"):
        how = (clip.expression, _STRENGTH.value, _FRAMES.value, _SEED.value)
        low = model.of_face(clip.face, clip.points, *how)
        output.mkdir(parents=True, exist_ok=True)
        write_array(output / f"{clip.subject}_{clip.expression}.npy", low)
        count += 1
    if not count:
        raise InputError(
            f"{_DATA.value}: has none of the model's expressions ({', '.join(model.labels)}); give another"
        )
    return count


def main(_: list[str]) -> None:
    from facenhance_jax.inference.compile_cache import keep_compiled_programs

    keep_compiled_programs()
    with messages.refusing():
        print(f"{_OUTPUT.value}: {generate()} clips of {_FRAMES.value} frames")


if __name__ == "__main__":
    app.run(main)
