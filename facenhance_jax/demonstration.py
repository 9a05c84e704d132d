"""The released model shown on a person it has never seen: a clip, a strip of frames, and a table."""

import time
from pathlib import Path

import numpy as np

from facenhance_jax import evaluation, media
from facenhance_jax.enhancer import Enhancer
from facenhance_jax.errors import InputError

SUBJECT, EXPRESSION = 9001, "happiness"  # a subject of evaluation.HELD_OUT
FRAMES = 24
FPS = 12  # of out.mp4: the clip lasts two seconds
STEPS = 8  # of the sampler
SHOWN = 8  # frames in the strip


def run(output: Path | str) -> None:
    """Enhances a drawn clip, writes `out.mp4` and `strip.png` in the folder `output` (made if need be), prints a table.

    Raises InputError where the folder cannot be made or written to.
    """
    output = Path(output)
    _make_folder(output)
    start = time.monotonic()
    enhancer = Enhancer.load()
    clip = evaluation.draw(SUBJECT, EXPRESSION, frames=FRAMES, size=enhancer.size, low_size=enhancer.low_size)
    enhanced = enhancer.enhance(clip.low, clip.identity, steps=STEPS)
    with media.open_writer(output / "out.mp4", FPS) as writer:
        for frame in enhanced:
            writer.write(frame)
    media.write_png(output / "strip.png", _strip(clip, enhanced))
    rows = evaluation.compare(enhanced, clip.real, clip.identity, clip.low, clip.face)
    print(f"{FRAMES} frames, {STEPS} steps each, in {time.monotonic() - start:.0f} s, against the real ones:\n")
    print(f"{evaluation.table(rows)}\n")
    print(f"{output / 'out.mp4'}    the enhanced clip")
    print(f"{output / 'strip.png'}  the photo; low-res, enhanced and real frames")
    print("The person is synthetic, drawn by a program, and was not in the training set.")


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: cannot be made a folder ({error.strerror}); choose another --output") from None


def _strip(clip: evaluation.DrawnClip, enhanced: np.ndarray) -> np.ndarray:
    shown = np.linspace(0, len(enhanced) - 1, SHOWN).round().astype(int)
    rows = [("low-res", clip.low), ("enhanced", enhanced), ("real", clip.real)]
    return media.strip([("photo", [clip.identity]), *((label, list(frames[shown])) for label, frames in rows)])
