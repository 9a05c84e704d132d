"""The work of `facenhance enhance`: one model, and clip after clip through it."""

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from facenhance_jax import media, messages
from facenhance_jax.commands.pairing import Job
from facenhance_jax.faces import framing, placement, portrait
from facenhance_jax.faces.tracking import Track
from facenhance_jax.inference import driving, extraction
from facenhance_jax.inference.compositing import Compositor
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.media.drawing import KeptFrames
from facenhance_jax.media.pictures import resize

STRIP_COLUMNS = 8  # frames shown in a strip

Paste = Callable[[UInt8[np.ndarray, "s s 3"]], UInt8[np.ndarray, "h w 3"]]
"""Brings a frame of the model's size to the photo's, or leaves it."""


class Enhancing:
    """Enhances clips with one model. What was found in a photo or video serves the next clip too, if it is the same."""

    def __init__(self, args: argparse.Namespace, *, bars: bool):
        """`args` are those of the command; `bars` says whether searching a video for the face has a bar of its own.

        Raises InputError for a bad model, and for steps that it cannot do.
        """
        self._args, self._bars = args, bars
        self._enhancer = Enhancer.load(args.model)
        self._options = dict(steps=args.steps, seed=args.seed, shared_noise=False if args.fresh_noise else None)
        self._enhancer.sampling_with(steps=args.steps)
        self._label = media.label(self._enhancer.name, args.seed)
        self._portraits: dict[Path, tuple[portrait.Portrait, Paste]] = {}  # the last one
        self._tracks: dict[Path, Track] = {}  # the last one

    def one(self, clip: media.ClipFile, photo: UInt8[np.ndarray, "h w 3"]) -> None:
        """Enhances one clip, and writes the strip that was asked for."""
        started = time.perf_counter()
        framed, paste = self._framed(Path(self._args.photo), photo)
        lows = self._lows(clip, framed)
        with messages.progress("enhancing", clip.count) as bar:
            kept = self._write(clip, lows, framed, paste, Path(self._args.output), bar)
        for note in clip.notes:
            messages.note(note)
        speed = _speed(kept.seen, time.perf_counter() - started)
        if self._args.strip:
            self._write_strip(self._args.strip, framed.frame, kept.spread(STRIP_COLUMNS))
        print(f"wrote {self._args.output}: {speed}")

    def every(self, jobs: Sequence[Job]) -> int:
        """Enhances clip after clip with one bar, and lists those that failed; returns 3 if any did, else 0.

        Raises InputError if the folder for them cannot be made.
        """
        try:
            Path(self._args.output).mkdir(exist_ok=True)
        except OSError as error:
            raise messages.InputError(f"{self._args.output}: cannot be made a folder ({error.strerror})") from None
        started, failed = time.perf_counter(), []
        counts = {low: _count(low) for low in {job.low for job in jobs}}
        known = None not in counts.values()
        with messages.progress("enhancing", sum(counts[job.low] for job in jobs) if known else None) as bar:
            for job in jobs:
                before = bar.n
                bar.set_description(f"enhancing {job.output.stem}")
                try:
                    self._do(job, bar)
                except messages.InputError as error:
                    failed.append(f"{job.output.name} was not made: {error}")
                if known:  # a failed or damaged clip had fewer frames
                    bar.total += bar.n - before - counts[job.low]
        for text in failed:
            print(f"facenhance: {text}", file=sys.stderr)
        speed = _speed(bar.n, time.perf_counter() - started)
        print(f"wrote {len(jobs) - len(failed)} of {len(jobs)} clips into {self._args.output}: {speed}")
        return 3 if failed else 0

    def _do(self, job: Job, bar: tqdm) -> None:
        clip = media.open_clip(job.low)
        framed, paste = self._framed(job.photo)
        self._write(clip, self._lows(clip, framed), framed, paste, job.output, bar)
        for note in clip.notes:
            messages.note(note)

    def _framed(self, path: Path, photo: UInt8[np.ndarray, "h w 3"] | None = None) -> tuple[portrait.Portrait, Paste]:
        """The face of the photo at `path`, which is read if it is not given; and what brings a frame to its size."""
        if path not in self._portraits:
            photo = media.read_photo(path) if photo is None else photo
            framed = portrait.find(photo, self._enhancer.size, face=self._args.face, name=path)
            if framed.note:
                messages.note(framed.note)
            larger = framed.landmarks is not None and photo.size > framed.frame.size
            size = self._args.size or ("photo" if larger else "model")
            paste = Compositor(photo, framed).paste if size == "photo" else lambda frame: frame
            self._portraits = {path: (framed, paste)}
        return self._portraits[path]

    def _lows(self, clip: media.ClipFile, photo: portrait.Portrait) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
        """The low-res frames; to cut them out of a video, it is first searched as a whole."""
        size = self._enhancer.low_size
        if self._args.extract:
            if clip.path not in self._tracks:
                self._tracks = {clip.path: extraction.follow(clip, bar=self._bars)}
            return driving.low_frames(clip, size, self._tracks[clip.path], photo, self._args.person or driving.AUTO)
        _note_shape(clip)
        return (resize(framing.middle(*frame.shape[:2]).cut(frame), size) for frame in clip)

    def _write(
        self, clip: media.ClipFile, lows: Iterator, framed: portrait.Portrait, paste: Paste, output: Path, bar: tqdm
    ) -> KeptFrames:
        """Enhances the low-res frames into a file; returns some (low-res, enhanced), of the model's size."""
        mark = media.mark if self._args.mark else lambda frame: frame
        kept, waiting = KeptFrames(), deque()  # `waiting`: read by the enhancer and not yet enhanced, at most a chunk

        def taken() -> Iterator:
            for low in lows:
                waiting.append(low)
                yield low

        place = None if framed.landmarks is None else placement.of_landmarks(framed.landmarks)
        enhanced = self._enhancer.stream(taken(), framed.frame, place=place, **self._options)
        with media.open_writer(output, clip.fps, label=self._label, source=clip.video) as writer:
            for frame in enhanced:
                writer.write(mark(paste(frame)))
                kept.add((waiting.popleft(), mark(frame)))
                bar.update()
        return kept

    def _write_strip(self, path: str, identity: UInt8[np.ndarray, "h w 3"], pairs: Sequence[tuple]) -> None:
        lows, highs = zip(*pairs, strict=True)
        rows = [("photo", [identity] * len(pairs)), ("low-res", list(lows)), ("enhanced", list(highs))]
        media.write_png(path, media.strip(rows), label=self._label)
        print(f"wrote {path}: photo, low-res and enhanced, {len(pairs)} frames")


def _count(low: Path) -> int | None:
    """The frames of a clip, for the bar; 0 if it cannot be read, which is said when its turn comes."""
    try:
        return media.open_clip(low).count
    except messages.InputError:
        return 0


def _note_shape(clip: media.ClipFile) -> None:
    if clip.height != clip.width:
        side = min(clip.height, clip.width)
        messages.note(f"{clip.path}: {clip.width}x{clip.height} is not square, its middle {side}x{side} is used")


def _speed(count: int, seconds: float) -> str:
    return f"{count} frames in {seconds:.1f} s, {count / seconds:.1f} frames/s"
