"""Demonstrates the released model on a person that it has not seen: a clip, a strip of frames, and a table."""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from facenhance_jax import media
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.synthetic import population
from facenhance_jax.evaluation import clip_sets, methods, scores, tables
from facenhance_jax.inference import expressing
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.media.drawing import spread
from facenhance_jax.messages import InputError

SUBJECT, EXPRESSION = 9001, "happiness"  # a subject of clip_sets.HELD_OUT
FRAMES = 24
FPS = 12  # of out.mp4: the clip lasts two seconds
SHOWN = 8  # frames in the strip
ANOTHER = 9002  # who shows the six expressions, also a subject of clip_sets.HELD_OUT
PHOTO, POSES = 384, 12  # pixels of that photo; frames up to each apex, and as many back
METRICS = ("psnr", "ssim", "face_psnr", "face_ssim")  # of the groups psnr and ssim


def run(output: Path | str) -> None:
    """Enhances a drawn clip, writes `out.mp4` and `strip.png` into the folder `output`, and prints a table.

    Then another drawn photo shows six expressions, in `expressions.mp4` and `expressions.png`.

    Raises InputError if the folder cannot be made or written to.
    """
    output = Path(output)
    _make_folder(output)
    start = time.monotonic()
    model = Enhancer.load()
    clip = clip_sets.draw(SUBJECT, EXPRESSION, frames=FRAMES, size=model.size, low_size=model.low_size)
    enhanced = methods.Enhanced(model, batch=1)
    made = {method: method([clip])[0][0] for method in (enhanced, *methods.baselines())}
    label = media.label(model.name, seed=0)
    with media.open_writer(output / "out.mp4", FPS, label=label) as writer:
        for frame in made[enhanced]:
            writer.write(frame)
    media.write_png(output / "strip.png", _strip(clip, made[enhanced]), label=label)
    table = _table(clip, made)
    print(
        f"{FRAMES} frames, {enhanced.steps} steps each, in {time.monotonic() - start:.0f} s, against the real ones:\n"
    )
    print(f"{table}\n")
    _show_expressions(output, model, label)
    print(f"{output / 'out.mp4'}    the enhanced clip")
    print(f"{output / 'strip.png'}  the photo; low-res, enhanced and real frames")
    print(f"{output / 'expressions.mp4'}, expressions.png: one photo shows six expressions")
    print("The person is synthetic, drawn by a program, and was not in the training set.")


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: cannot be made a folder ({error.strerror}); choose another --output") from None


def _table(clip: clip_sets.EvaluationClip, made: dict[methods.Method, UInt8[np.ndarray, "n h w 3"]]) -> str:
    scorer = scores.Scorer(FRAMES, clip.real.shape[1], ["psnr", "ssim"])
    reference = scorer.reference(clip)
    rows = [
        {"method": method.name, "steps": method.steps, **scorer.score(frames, clip, reference).numbers}
        for method, frames in made.items()
    ]
    return tables.aligned(rows, METRICS, {name: asdict(scores.METRICS[name]) for name in METRICS})


def _show_expressions(output: Path, model: Enhancer, label: str) -> None:
    """Writes the clip and the sheet of a drawn photo that shows the six expressions."""
    (photo,), (points,) = population.draw_clip(population.draw_subject(0, ANOTHER), "neutral", 0, 1, PHOTO)
    framed = expressing.frame_face(photo, model.size, landmarks=points)
    options = dict(frames=2 * POSES, loop=True, framed=framed, enhancer=model)
    clips = {name: list(expressing.express(photo, name, **options)) for name in EXPRESSIONS}
    with media.open_writer(output / "expressions.mp4", FPS, label=label) as writer:
        for frames in zip(*clips.values(), strict=True):
            writer.write(media.contact(list(zip(clips, frames, strict=True))))
    apexes = [("photo", photo), *((name, frames[POSES]) for name, frames in clips.items())]
    media.write_png(output / "expressions.png", media.contact(apexes, columns=len(apexes)), label=label)


def _strip(
    clip: clip_sets.EvaluationClip, enhanced: UInt8[np.ndarray, "n h w 3"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    shown = spread(SHOWN, FRAMES)
    rows = [("low-res", clip.low), ("enhanced", enhanced), ("real", clip.real)]
    return media.strip([("photo", [clip.identity]), *((label, list(frames[shown])) for label, frames in rows)])
