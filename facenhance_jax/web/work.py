"""The two kinds of jobs: a photo performs an expression; a clip is enhanced. Both end in a video, a gif and a strip."""

import dataclasses
import secrets
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from facenhance_jax import media, messages
from facenhance_jax.faces import framing, placement, portrait
from facenhance_jax.inference import extraction
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.inference.expressing import express
from facenhance_jax.media.drawing import KeptFrames
from facenhance_jax.media.pictures import resize
from facenhance_jax.web.jobs import Job, Work
from facenhance_jax.web.looking import MOST_FRAMES, clip_of, photo_of, shrunk

FRAMES, FPS = 32, Fraction(25)  # of an expression
GIF_SIDE = 400  # pixels, the longer side of a gif
STRIP_COLUMNS, STRIP_SIDE = 8, 192  # frames of a strip, and their side in pixels


class Made(NamedTuple):
    """What a job leaves in a folder of its own."""

    video: Path
    gif: Path
    strip: Path
    picture: UInt8[np.ndarray, "h w 3"]  # the strip
    notes: list[str]


def expression(
    enhancer: Enhancer,
    folder: Path,
    photo_path: str,
    name: str,
    *,
    face: int | None,
    strength: float,
    steps: int,
    loop: bool,
) -> Work:
    """The job of the first tab; the arguments are those of `express`. Files go into a new folder in `folder`."""

    def work(job: Job) -> Made:
        with messages.gathered() as notes:
            job.report("finding the face")
            photo = photo_of(photo_path)
            found = portrait.find(photo, enhancer.size, face=face, name=Path(photo_path).name)
            if not found.faces:
                raise InputError(
                    f"{Path(photo_path).name}: no face was found; give a photo that shows one from the front"
                )
            job.report("moving the face")
            frames = express(
                photo, name, strength=strength, frames=FRAMES, loop=loop, steps=steps, enhancer=enhancer, face=face
            )
            points = (found.landmarks - found.matrix[:, 2]) @ np.linalg.inv(found.matrix[:, :2]).T  # in the photo

            def row(frame: np.ndarray) -> tuple[np.ndarray]:
                return (resize(framing.around(points[None], *photo.shape[:2]).cut(frame), STRIP_SIDE),)

            return _film(job, frames, FRAMES, FPS, _fresh(folder), name, ("",), row, notes)

    return work


def enhancement(
    enhancer: Enhancer, folder: Path, clip_path: str, photo_path: str, *, face: int | None, steps: int, low_res: bool
) -> Work:
    """The job of the second tab: a low-res clip or, unless `low_res`, an ordinary video of a face, and a photo."""

    def work(job: Job) -> Made:
        with messages.gathered() as notes:
            job.report("finding the face")
            found = portrait.find(photo_of(photo_path), enhancer.size, face=face, name=Path(photo_path).name)
            notes += [found.note] if found.note else []
            clip = clip_of(clip_path)
            watched = dataclasses.replace(clip, read=_watched(job, clip))
            taken: list[np.ndarray] = []

            def lows() -> Iterator[np.ndarray]:
                size = enhancer.low_size
                square = framing.middle(clip.height, clip.width)
                made = (resize(square.cut(frame), size) for frame in clip) if low_res else None
                for low in made or extraction.low_frames(watched, size):
                    taken.append(low)
                    yield low

            place = None if found.landmarks is None else placement.of_landmarks(found.landmarks)
            frames = enhancer.stream(lows(), found.frame, place=place, steps=steps)
            waiting = iter(taken)  # a list's iterator sees what is appended later

            def row(frame: np.ndarray) -> tuple[np.ndarray, ...]:
                return found.frame, next(waiting), frame

            titles = ("photo", "low-res", "enhanced")
            made = _film(job, frames, clip.count, clip.fps, _fresh(folder), Path(clip_path).stem, titles, row, notes)
            notes += clip.notes
            return made

    return work


def _watched(job: Job, clip: media.ClipFile) -> Callable[[], Iterator[np.ndarray]]:
    """A reader of the clip that says how far it is when it is read for the first time, in search of the face."""
    passes = []

    def read() -> Iterator[np.ndarray]:
        passes.append(None)
        for number, frame in enumerate(clip.read()):
            if len(passes) == 1:
                job.report("following the face", number, clip.count)
            yield frame

    return read


def _film(
    job: Job,
    frames: Iterable[np.ndarray],
    count: int | None,
    fps: Fraction,
    folder: Path,
    name: str,
    titles: tuple[str, ...],
    row: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    notes: list[str],
) -> Made:
    """Writes the frames as they are made, then the gif and the strip, whose rows are called `titles`."""
    video, gif, strip = (folder / f"{name}{end}" for end in (".mp4", ".gif", "-strip.png"))
    kept = KeptFrames()
    job.report("making the frames", 0, count)
    with media.open_writer(video, fps) as writer:
        for frame in frames:
            if writer.count == MOST_FRAMES:
                notes.append(f"only the first {MOST_FRAMES} frames were made")
                break
            writer.write(shrunk(frame, max(frame.shape)))
            kept.add(row(frame))
            job.report("making the frames", writer.count, count, frame)
    with media.open_writer(gif, fps) as writer:
        for frame in media.open_clip(video):
            writer.write(shrunk(frame, GIF_SIDE))
            job.report("making the gif", writer.count, count)
    picture = media.strip(list(zip(titles, zip(*kept.spread(STRIP_COLUMNS), strict=True), strict=True)))
    media.write_png(strip, picture)
    return Made(video, gif, strip, picture, notes)


def _fresh(folder: Path) -> Path:
    """A new folder whose name nobody can guess."""
    made = folder / secrets.token_hex(16)
    made.mkdir(parents=True)
    return made
