"""Draws people who perform expressions: clips with exact landmarks, and trees of clips with MUG's layout.

Everything is a function of (seed, subject, expression, take); every integer from 0 is a subject.
"""

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from facenhance_jax import messages
from facenhance_jax.data.synthetic.acting import ACTS, perform
from facenhance_jax.data.synthetic.appearance import Appearance, draw_appearance
from facenhance_jax.data.synthetic.face_shape import FaceShape, draw_shape
from facenhance_jax.data.synthetic.renderer import Renderer
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError

DRAWN = "drawn.json"  # marks a tree that was drawn
NEUTRAL_FRAMES = 8
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Subject:
    """One drawn person: the numbers (seed, subject), and the shape and appearance that follow from them."""

    seed: int
    subject: int
    shape: FaceShape
    appearance: Appearance


def draw_subject(seed: int, subject: int) -> Subject:
    """Person number `subject` (>= 0) of population number `seed` (>= 0)."""
    rng = np.random.default_rng([seed, subject, 1])
    return Subject(seed, subject, draw_shape(rng), draw_appearance(rng))


@lru_cache(maxsize=2)
def _renderer(subject: Subject, size: int) -> Renderer:
    return Renderer(subject.shape, subject.appearance, size)


def draw_clip(
    subject: Subject, expression: str, take: int, frames: int, size: int = 192
) -> tuple[UInt8[np.ndarray, "n s s 3"], Float32[np.ndarray, "n 68 2"]]:
    """A clip, neutral -> apex -> neutral, with the 68 iBUG points of every frame: (x, y) in pixels.

    `expression` is one of the six, or "neutral": a blink and tiny motion; its first frame is the face at rest.
    Raises InputError for an unknown expression, no frames, or a size outside 64..1024.
    """
    if expression not in ACTS:
        raise InputError(f"expression {expression!r}: not one of {', '.join(ACTS)}")
    if frames < 1:
        raise InputError(f"frames: {frames} is not a positive number")
    if not 64 <= size <= 1024:
        raise InputError(f"size: {size} pixels is not between 64 and 1024")
    code = list(ACTS).index(expression)
    rng = np.random.default_rng([subject.seed, subject.subject, 2, code, take])
    renderer, habits = _renderer(subject, size), np.random.default_rng([subject.seed, subject.subject, 3, code])
    performance = perform(expression, frames, rng, habits)
    drawn = [renderer.draw(performance, n) for n in range(frames)]
    return np.stack([frame for frame, _ in drawn]), np.stack([points for _, points in drawn])


def write_tree(
    root: Path | str,
    subjects: Sequence[int],
    *,
    seed: int = 0,
    frames: int = 40,
    size: int = 192,
    processes: int | None = None,
) -> int:
    """Writes <root>/<SSS>/<expression>/take000/: img_%04d.jpg and landmarks.npy (float32 [N, 68, 2]).

    Each subject performs the six expressions, and "neutral" in at most 8 frames. `drawn.json` in the root says how the
    tree was drawn. If the same drawing was interrupted before, it goes on: complete takes are kept. The people are
    drawn by so many processes, by default one for each core; they do not change a byte.

    Returns the number of frames that were drawn. Raises InputError for a negative subject, for a root that holds
    anything else, and if a process is killed.
    """
    if any(subject < 0 for subject in subjects):
        raise InputError("subjects: a subject is a number from 0 upwards")
    root = Path(root)
    _mark(root, json.dumps({"seed": seed, "frames": frames, "size": size}))
    lacking = {subject: _lacking(root, subject, frames) for subject in subjects}
    lacking = {subject: takes for subject, takes in lacking.items() if takes}
    processes = min(processes or len(os.sched_getaffinity(0)), len(lacking))
    people = [(seed, subject, takes, size) for subject, takes in lacking.items()]
    total = sum(sum(takes.values()) for takes in lacking.values())
    with messages.progress("drawing people", total) as bar:
        for drawn in map(_draw_person, people) if processes < 2 else _in_processes(root, people, processes):
            bar.update(drawn)
    return total


_Person = tuple[int, int, dict[Path, int], int]  # seed, subject, {folder of a take that is lacking: its frames}, size


def _lacking(root: Path, subject: int, frames: int) -> dict[Path, int]:
    """The folders of a subject's takes that are not there, and the frames of each."""
    folders = {expression: root / f"{subject:03d}" / expression / "take000" for expression in ACTS}
    lengths = {"neutral": min(frames, NEUTRAL_FRAMES)}
    return {folder: lengths.get(name, frames) for name, folder in folders.items() if not folder.exists()}


def _draw_person(about: _Person) -> int:
    """Draws and writes a subject's takes; returns their number of frames. All in one process: drawing begins with the
    subject's textures, which take as long as 40 frames.
    """
    seed, subject, takes, size = about
    person = draw_subject(seed, subject)
    for folder, length in takes.items():
        _write_take(folder, *draw_clip(person, folder.parent.name, 0, length, size))
    return sum(takes.values())


def _in_processes(root: Path, people: Sequence[_Person], processes: int) -> Iterator[int]:
    """`_draw_person` of each, by several processes; the first error ends all of them."""
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit JAX's locks, held for ever
    with ProcessPoolExecutor(processes, spawn, initializer=_begin_process) as pool:
        try:
            for done in as_completed([pool.submit(_draw_person, person) for person in people]):
                yield done.result()
        except BrokenProcessPool as error:
            raise InputError(f"{root}: a drawing process was killed; free some memory and run it again") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin_process() -> None:
    """In a process that draws: one thread, no answer to Ctrl-C, which the first process gives, and an end with it."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_together() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_together, daemon=True).start()


def is_drawn(root: Path) -> bool:
    """Whether `write_tree` drew the people in the tree."""
    return (root / DRAWN).is_file()


def _mark(root: Path, drawing: str) -> None:
    """Makes a tree's folder with `drawn.json`, unless it is there already."""
    mark = root / DRAWN
    if mark.is_file() and mark.read_text(encoding="utf-8") == drawing:
        return
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root}: holds something else; draw in a new folder, or leave --draw out to use it as it is")
    root.mkdir(parents=True, exist_ok=True)
    with replacing(mark) as part:
        part.write_text(drawing, encoding="utf-8")


def _write_take(folder: Path, frames: UInt8[np.ndarray, "n s s 3"], landmarks: Float32[np.ndarray, "n 68 2"]) -> None:
    """Writes a take under another name and renames it when complete; readers of the tree ignore names with a dot."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for n, frame in enumerate(frames):
        done, encoded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise RuntimeError(f"could not encode frame {n} of {folder}")
        (partial / f"img_{n:04d}.jpg").write_bytes(encoded.tobytes())
    np.save(partial / "landmarks.npy", landmarks, allow_pickle=False)
    os.replace(partial, folder)
