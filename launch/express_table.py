"""Scores `facenhance express`: people's neutral photos show six expressions, beside the people's own real smiles.

    python launch/express_table.py --pairs=PHOTOS --output=DIR [--generator=animated] [--people=every_fourth]

`--pairs` holds PERSON/neutral.jpg and PERSON/happiness.jpg; `--people` is that of launch/evaluate.py. All numbers are
of frames of the photo's own size. The output folder gets clips.csv, a row for each clip, and table.md, the means over
people.

found      share of frames in which dlib finds a face
identity   ACD-I: mean distance of the frames' identity features from the photo's; of "real smile", of that photo's
asked      mean error of the 68 landmarks found in the frames against those that the generator was asked for, percent of
           the outer eye corners' distance (`metrics.landmarks`)
mouth      the same of the mouth's 20
flicker    mean difference, grey levels, of the frame-to-frame changes of the frames' own low-res faces from those of
           the low-res frames that were enhanced (`metrics.motion.temporal`)
wall, cpu  seconds a clip, without loading and compiling
corners    of happiness: how far the corners of the mouth move in the direction of the real smile's, percent of the
           outer eye corners' distance; the face laid on the neutral one by the points that expressions hardly move
smile      of happiness: mean error of the last frame's 68 landmarks against the real smile's, laid and measured
           likewise; of "real smile": the neutral photo's own error
FVD        of the low-res clips of happiness against morphs from the neutral photos to the real smiles
"""

import csv
import resource
import time
from pathlib import Path

import checkout  # noqa: F401  (puts the checkout on sys.path)
import numpy as np
from absl import app, flags, logging
from jaxtyping import Float, UInt8

from facenhance_jax import media, messages
from facenhance_jax.data import photo_pairs
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.evaluation import real_sets
from facenhance_jax.evaluation.metrics import fvd, i3d, identity, motion
from facenhance_jax.evaluation.metrics.landmarks import OUTER_CORNERS, expression_error
from facenhance_jax.faces import alignment, tracking
from facenhance_jax.faces.portrait import Portrait
from facenhance_jax.generators import choosing
from facenhance_jax.generators.animated import Animated
from facenhance_jax.generators.learned import Learned
from facenhance_jax.inference import expressing
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError

SMILE = "happiness"
CORNERS = [48, 54]  # of the mouth
SHOWN = 4  # of the clip's frames, in its strip

_PAIRS = flags.DEFINE_string("pairs", None, "folder of photo pairs", required=True)
_PEOPLE = flags.DEFINE_enum("people", "every_fourth", list(real_sets.PEOPLE), "whose, as in launch/evaluate.py")
_MOST = flags.DEFINE_integer("most", 0, "take so many of these people, the first; 0 for all", lower_bound=0)
_MODEL = flags.DEFINE_string("model", "package", "a released model, a training run, or package for the packaged one")
_GENERATOR = flags.DEFINE_string("generator", choosing.ANIMATED, "as of facenhance express")
_FRAMES = flags.DEFINE_integer("frames", 32, "of a clip", lower_bound=2)
_SCORED = flags.DEFINE_integer("scored", 8, "frames of each clip in which faces are searched, spread", lower_bound=1)
_STRENGTH = flags.DEFINE_float("strength", 1.0, "of the expressions", lower_bound=0.0, upper_bound=1.5)
_STEPS = flags.DEFINE_integer("steps", None, "denoising steps; without it, the model's own", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "folder to write", required=True)

Points = Float[np.ndarray, "68 2"]


class Asking:
    """A generator, which keeps what it was asked for: the last performance."""

    def __init__(self, generator: Animated | Learned):
        self.generator = generator

    def generate(self, photo: Portrait, expression: str, strength: float, frames: int, seed: int) -> np.ndarray:
        """The low-res clip of the generator's `perform`."""
        self.performance = self.generator.perform(photo, expression, strength, frames, seed)
        return self.performance.low


class Person:
    """A neutral photo, and the person's real smile beside it."""

    def __init__(self, neutral: Path, smile: Path, size: int):
        self.name = neutral.parent.name
        self.photo, self.smile = media.read_photo(neutral), media.read_photo(smile)
        self.points, self.smiling = (
            tracking.track([photo], self.name).landmarks[0] for photo in (self.photo, self.smile)
        )
        self.framed = expressing.frame_face(self.photo, size, landmarks=self.points, name=neutral)
        self.features = identity.describe_photo(self.photo, neutral)

    def real(self) -> dict[str, object]:
        """The row of the real smile."""
        distance = float(np.linalg.norm(identity.describe_photo(self.smile, self.name) - self.features))
        row = {"person": self.name, "clip": "real smile", "identity": distance, "corners": self.corners(self.smiling)}
        return row | {"smile": self.off_smile(self.points)}

    def morph(self, size: int) -> UInt8[np.ndarray, "n 64 64 3"]:
        """The low-res clip from the neutral photo to the real smile."""
        pair = (self.photo, self.points, self.smile, self.smiling)
        return np.stack([low for _, low in photo_pairs.clip(*pair, size, _FRAMES.value)])

    def off_smile(self, points: Points) -> float:
        """How far landmarks are from the real smile's, percent of the eye distance."""
        return expression_error(self._laid(points)[None], self._laid(self.smiling)[None]).face

    def corners(self, points: Points) -> float:
        """How far the mouth's corners went along the real smile's way, percent of the eye distance."""
        moved, real = (self._laid(shape)[CORNERS] - self.points[CORNERS] for shape in (points, self.smiling))
        left, right = self.points[list(OUTER_CORNERS)].astype(float)
        along = (moved * real).sum(-1) / np.linalg.norm(real, axis=-1)
        return 100 * float(along.mean() / np.linalg.norm(left - right))

    def _laid(self, points: Points) -> Points:
        rigid = list(alignment.RIGID)
        matrix = alignment.similarity(points[rigid], self.points[rigid])
        return points @ matrix[:, :2].T + matrix[:, 2]


def scored(
    person: Person, expression: str, model: Enhancer, generator: Asking
) -> tuple[dict[str, object], UInt8[np.ndarray, "n h w 3"]]:
    """The row of one clip, and a few of its frames. The generator keeps its performance."""
    options = dict(frames=_FRAMES.value, strength=_STRENGTH.value, steps=_STEPS.value, generator=generator)
    wall, cpu = time.perf_counter(), time.process_time()
    made = expressing.express(person.photo, expression, framed=person.framed, enhancer=model, **options)
    frames = np.stack(list(made))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    to_photo = np.linalg.inv(np.vstack([person.framed.matrix, [0, 0, 1]]))
    asked = generator.performance.landmarks @ to_photo[:2, :2].T + to_photo[:2, 2]
    lows = np.stack([alignment.low_frame(frame, shape) for frame, shape in zip(frames, asked, strict=True)])
    chosen = np.unique(np.linspace(0, len(frames) - 1, _SCORED.value).round().astype(int))
    found = [tracking.faces(frame)[0] for frame in frames[chosen]]
    largest = [max(faces, key=np.ptp) if len(faces) else np.full((68, 2), np.nan) for faces in found]
    error = expression_error(np.stack(largest), asked[chosen])
    same = identity.compare(identity.describe(frames[chosen], person.name), person.features)
    row = {
        "person": person.name,
        "clip": expression,
        "found": 1 - same.missing_share,
        "identity": same.acd_i,
        "asked": error.face,
        "mouth": error.mouth,
        "flicker": motion.temporal(lows, generator.performance.low),
        "wall": wall,
        "cpu": cpu,
    }
    if expression == SMILE and np.isfinite(largest[-1]).all():
        row |= {"corners": person.corners(largest[-1]), "smile": person.off_smile(largest[-1])}
    return row, frames[np.linspace(0, len(frames) - 1, SHOWN).round().astype(int)]


def table(rows: list[dict[str, object]], smiles_fvd: float | None) -> str:
    """Means over people, for each expression and over all, as Markdown; and how many smiles went the real one's way."""
    names = ["found", "identity", "asked", "mouth", "flicker", "wall", "cpu", "corners", "smile"]
    lines = [f"| clip | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for clip in ("real smile", *EXPRESSIONS, "all six"):
        of_clip = [row for row in rows if row["clip"] == clip or (clip == "all six" and row["clip"] in EXPRESSIONS)]
        values = [[row[name] for row in of_clip if name in row] for name in names]
        cells = [f"{np.mean(of_name):.3f}" if of_name else "" for of_name in values]
        lines.append(f"| {clip} | {' | '.join(cells)} |")
    smiles = [row["corners"] for row in rows if row["clip"] == SMILE and "corners" in row]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB on Linux
    lines.append(f"\nmouth's corners in the real smile's direction: {sum(c > 0 for c in smiles)} of {len(smiles)}")
    if smiles_fvd is not None:
        lines.append(f"FVD of {len(smiles)} low-res smiles of {_FRAMES.value} frames: {smiles_fvd:.1f}")
    return "\n".join([*lines, f"peak memory of the process: {peak:.0f} MB", ""])


def _generator() -> Animated | Learned:
    """The generator that is asked for. Raises InputError for one that asks for no landmarks."""
    generator = choosing.named(_GENERATOR.value)
    if not isinstance(generator, Animated | Learned):
        raise InputError(
            f"{_GENERATOR.value}: an ImaGINator moves no landmarks; give animated, learned or such a folder"
        )
    return generator


def measure() -> None:
    """Makes and scores the clips that the flags ask for; writes and prints the table."""
    output = Path(_OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    model = Enhancer.load(None if _MODEL.value == "package" else _MODEL.value)
    model.compile(steps=_STEPS.value)
    pairs = real_sets.Pairs(_PAIRS.value, _PEOPLE.value, size=model.size, low_size=model.low_size).pairs
    pairs = [pair for pair in pairs if pair[1].stem == SMILE][: _MOST.value or None]
    if not pairs:
        raise InputError(f"{_PAIRS.value}: nobody there has a {SMILE}.jpg; give photos of real smiles")
    generator = Asking(_generator())
    units = i3d.load() if _FRAMES.value >= i3d.FEWEST_FRAMES and len(pairs) > 1 else None  # else there is no FVD
    rows, smiles, real = [], [], []
    for neutral, smile in pairs:
        person = Person(neutral, smile, model.size)
        rows.append(person.real())
        shown = []
        for expression in EXPRESSIONS:
            row, frames = scored(person, expression, model, generator)
            rows.append(row)
            shown.append((expression, list(frames)))
            if units and expression == SMILE:
                smiles.append(generator.performance.low)
                real.append(person.morph(model.size))
        media.write_png(output / f"{person.name}.png", media.strip(shown), label=media.label(model.name, 0))
        with replacing(output / "clips.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[1]) + ["corners", "smile"])
            writer.writeheader()
            writer.writerows(rows)
    distance = fvd.frechet_distance(*(fvd.features(units, clips) for clips in (smiles, real))) if units else None
    text = table(rows, distance)
    with replacing(output / "table.md") as part:
        part.write_text(text, encoding="utf-8")
    print(f"{text}\n{output / 'clips.csv'}")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    with messages.refusing():
        measure()


if __name__ == "__main__":
    app.run(main)
