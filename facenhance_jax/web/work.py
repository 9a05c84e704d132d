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
from facenhance_jax.inference import driving, expressing, extraction
from facenhance_jax.inference.compositing import Compositor
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.media.drawing import KeptFrames
from facenhance_jax.media.pictures import resize
from facenhance_jax.web.jobs import Job, Work
from facenhance_jax.web.looking import MOST_FRAMES, clip_of, photo_of, shrunk

FRAMES, FPS = 32, Fraction(25)  # of an expression
SEED = 0
GIF_SIDE = 400  # pixels, the longer side of a gif
STRIP_COLUMNS = 8  # frames of a strip


class Film(NamedTuple):
    """What the frames become.

    Attributes:
      folder: where the files go; made when the job begins.
      name: of the files, without suffix.
      fps: frames/s.
      label: for their metadata.
      mark: whether the frames say "synthetic" visibly.
      source: the video whose sound is kept, or None.
    """

    folder: Path
    name: str
    fps: Fraction
    label: str
    mark: bool
    source: Path | None = None


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
    mark: bool,
) -> Work:
    """The job of the first tab; the arguments are those of `express`. Files go into a new folder in `folder`."""

    def work(job: Job) -> Made:
        with messages.gathered() as notes:
            job.report("finding the face")
            photo = photo_of(photo_path)
            framed = expressing.frame_face(photo, enhancer.size, face=face, name=photo_path)
            job.report("moving the face")
            options = dict(strength=strength, frames=FRAMES, seed=SEED, loop=loop, steps=steps)
            frames = expressing.express(photo, name, size="model", framed=framed, enhancer=enhancer, **options)
            film = Film(_fresh(folder), name, FPS, media.label(enhancer.name, SEED), mark)
            paste = Compositor(photo, framed).paste
            return _made(job, film, frames, FRAMES, ("",), lambda frame: (frame,), paste, notes)

    return work


def enhancement(
    enhancer: Enhancer,
    folder: Path,
    clip_path: str,
    photo_path: str,
    *,
    face: int | None,
    steps: int,
    low_res: bool,
    mark: bool,
) -> Work:
    """The job of the second tab: a low-res clip or, unless `low_res`, an ordinary video of a face, and a photo."""

    def work(job: Job) -> Made:
        with messages.gathered() as notes:
            job.report("finding the face")
            photo = photo_of(photo_path)
            framed = portrait.find(photo, enhancer.size, face=face, name=photo_path)
            notes += [framed.note] if framed.note else []
            clip, taken = clip_of(clip_path), []
            lows = _low_frames(job, clip, enhancer.low_size, framed, low_res)
            place = None if framed.landmarks is None else placement.of_landmarks(framed.landmarks)
            frames = enhancer.stream(_kept(lows, taken), framed.frame, place=place, steps=steps, seed=SEED)
            waiting = iter(taken)  # a list's iterator sees what is appended later
            label = media.label(enhancer.name, SEED)
            film = Film(_fresh(folder), Path(clip_path).stem, clip.fps, label, mark, clip.video)
            titles = ("photo", "low-res", "enhanced")
            larger = framed.landmarks is not None and photo.size > framed.frame.size
            paste = Compositor(photo, framed).paste if larger else lambda frame: frame

            def row(frame: np.ndarray) -> tuple[np.ndarray, ...]:
                return framed.frame, next(waiting), frame

            made = _made(job, film, frames, clip.count, titles, row, paste, notes)
            notes += clip.notes
            return made

    return work


def _low_frames(
    job: Job, clip: media.ClipFile, size: int, photo: portrait.Portrait, low_res: bool
) -> Iterator[np.ndarray]:
    if low_res:
        square = framing.middle(clip.height, clip.width)
        return (resize(square.cut(frame), size) for frame in clip)

    def read() -> Iterator[np.ndarray]:
        for number, frame in enumerate(clip.read()):
            job.report("following the face", number, clip.count)
            yield frame

    track = extraction.follow(dataclasses.replace(clip, read=read), bar=False)
    return driving.low_frames(clip, size, track, photo)


def _kept(frames: Iterable[np.ndarray], kept: list[np.ndarray]) -> Iterator[np.ndarray]:
    for frame in frames:
        kept.append(frame)
        yield frame


def _made(
    job: Job,
    film: Film,
    frames: Iterable[np.ndarray],
    count: int | None,
    titles: tuple[str, ...],
    row: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    paste: Callable[[np.ndarray], np.ndarray],
    notes: list[str],
) -> Made:
    """Writes the frames as they are made, then the gif and the strip.

    `row` gives a frame's column of the strip, and `paste` brings a frame to the video's size.
    """
    video, gif, strip = (film.folder / f"{film.name}{end}" for end in (".mp4", ".gif", "-strip.png"))
    kept = KeptFrames()
    job.report("making the frames", 0, count)
    with media.open_writer(video, film.fps, label=film.label, source=film.source) as writer:
        for frame in frames:
            if writer.count == MOST_FRAMES:
                notes.append(f"only the first {MOST_FRAMES} frames were made")
                break
            shown = media.mark(paste(frame)) if film.mark else paste(frame)
            writer.write(shown)
            kept.add(row(frame))
            job.report("making the frames", writer.count, count, shown)
    with media.open_writer(gif, film.fps, label=film.label) as writer:
        for frame in media.open_clip(video):
            writer.write(shrunk(frame, GIF_SIDE))
            job.report("making the gif", writer.count, count)
    picture = media.strip(list(zip(titles, zip(*kept.spread(STRIP_COLUMNS), strict=True), strict=True)))
    media.write_png(strip, picture, label=film.label)
    return Made(video, gif, strip, picture, notes)


def _fresh(folder: Path) -> Path:
    """A new folder whose name nobody can guess."""
    made = folder / secrets.token_hex(16)
    made.mkdir(parents=True)
    return made
