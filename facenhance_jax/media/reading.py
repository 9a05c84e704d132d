"""Reads clips one frame at a time: videos, animated pictures, folders of frames, arrays and still pictures."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image

from facenhance_jax.media import video
from facenhance_jax.media.pictures import (
    ANIMATED_FORMATS,
    FORMATS,
    NotAPicture,
    check_file,
    check_pixels,
    decoding,
    read_picture,
    to_rgb,
)
from facenhance_jax.messages import InputError

MOST_PIXELS = 36_000_000  # of a frame; 8K video has 33 million
MOST_FRAMES = 100_000  # 66 minutes at 25 frames/s
USUAL_FPS = Fraction(25)  # for files that do not say how fast they are
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True)
class ClipFile:
    """A clip on disk. Iterating yields its frames, uint8 RGB [H, W, 3]; it can be repeated.

    Each iteration opens the file again and holds one frame in memory at a time. It raises InputError if the frames
    change size, are too many, or a frame of a folder or of an animated picture is damaged.
    """

    path: Path
    fps: Fraction  # frames/s; 25 for folders, arrays and still pictures
    count: int | None  # number of frames according to the file; None if it does not say
    height: int  # pixels
    width: int  # pixels
    read: Callable[[], Iterator[UInt8[np.ndarray, "h w 3"]]] = field(repr=False)
    video: Path | None = None  # `path` if it is a video, which may have sound and frames at uneven times
    notes: list[str] = field(default_factory=list)  # messages for the user; complete when an iteration has ended

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        done = 0
        for frame in self.read():
            height, width, _ = frame.shape
            if (height, width) != (self.height, self.width):
                raise InputError(
                    f"{self.path}: frame {done + 1} has {width}x{height} pixels, the first has "
                    f"{self.width}x{self.height}; give frames of one size"
                )
            _check_count(self.path, done + 1)
            yield frame
            done += 1
        note = f"{self.path}: {done} of {self.count} frames could be read, the file is damaged or cut short"
        if self.count is not None and done < self.count and note not in self.notes:
            self.notes.append(note)


def open_clip(path: Path | str) -> ClipFile:
    """Opens a clip and reads its first frame, so that an unreadable file is reported at once.

    `path` is one of:
      a video (mp4, mov, webm, mkv, avi): every frame once, turned upright by its rotation tag; fps is the average
      an animated gif, webp or png: frames are repeated by their durations
      a still picture: a clip of one frame
      a folder of jpg, png or bmp frames, in natural order
      an .npy array, uint8 or float, [N, H, W, 3] or [N, H, W]; floats are in [0, 1], or in [-1, 1] if any is negative
    Except for .npy and folders, the file's bytes decide what it is, not its suffix.

    Raises InputError if it is none of these, is empty, is cut short before its first frame, has no frames, more than
    36 Mpx a frame or more than 100,000 frames, or if it is a video and PyAV is not installed.
    """
    path, is_video = Path(path), False
    if path.is_dir():
        read, fps, count = _open_folder(path)
    else:
        check_file(path)
        if path.suffix.lower() == ".npy":
            read, fps, count = _open_array(path)
        elif _is_picture(path):
            read, fps, count = _open_picture(path)
        else:
            read, fps, count = _open_video(path)
            is_video = True
    _check_count(path, count or 0)
    first = next(read(), None)
    if first is None:
        raise InputError(f"{path}: no frame could be read; the file is cut short, damaged or without frames")
    return ClipFile(path, fps, count, first.shape[0], first.shape[1], read, path if is_video else None)


_Opened = tuple[Callable[[], Iterator[UInt8[np.ndarray, "h w 3"]]], Fraction, int | None]  # reader, fps, count


def _check_count(path: Path, count: int) -> None:
    if count > MOST_FRAMES:
        raise InputError(f"{path}: more than {MOST_FRAMES} frames; cut it into shorter clips")


def _open_video(path: Path) -> _Opened:
    fps, count = video.header(path, MOST_PIXELS)
    return partial(video.frames, path, MOST_PIXELS), fps or USUAL_FPS, count


# Animated and still pictures


def _is_picture(path: Path) -> bool:
    try:
        with decoding(path), Image.open(path, formats=FORMATS):
            return True
    except NotAPicture:
        return False


def _open_picture(path: Path) -> _Opened:
    with decoding(path), Image.open(path, formats=FORMATS) as image:
        check_pixels(path, *image.size, MOST_PIXELS)
        if image.format not in ANIMATED_FORMATS or image.n_frames == 1:
            return partial(_still_frames, [path]), USUAL_FPS, 1
        _check_count(path, image.n_frames)
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            if image.format == "WEBP":
                image.load()  # a WEBP frame's duration is known only after loading
            durations.append(round(image.info.get("duration", 0)))
    repeats, fps = even_speed(durations)
    return partial(_animated_frames, path, repeats), fps, sum(repeats)


def even_speed(durations: list[int]) -> tuple[list[int], Fraction]:
    """Converts durations in ms to how often each frame is repeated, and the frames/s that keep the total time.

    The shortest duration is one repeat. A tolerance of 5 ms undoes gif's rounding, so 30, 30, 40 ms are 30 frames/s.
    Durations up to 10 ms mean that none is given; such frames are shown for 100 ms, as in browsers.
    """
    shown = [duration if duration > 10 else 100 for duration in durations]
    repeats = [max(1, round((duration - 5) / min(shown))) for duration in shown]
    return repeats, Fraction(1000 * sum(repeats), sum(shown))


def _animated_frames(path: Path, repeats: list[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    with decoding(path):
        image = Image.open(path, formats=FORMATS)
    with image:
        for index, times in enumerate(repeats):
            with decoding(path):
                image.seek(index)
                frame = to_rgb(path, image)
            for _ in range(times):
                yield frame


def _still_frames(paths: list[Path]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    for path in paths:
        yield read_picture(path, MOST_PIXELS)


def _open_folder(path: Path) -> _Opened:
    frames = [file for file in listed(path) if file.suffix.lower() in FRAME_SUFFIXES]
    if not frames:
        raise InputError(f"{path}: the folder holds no jpg, png or bmp frames; put them directly in it")
    return partial(_still_frames, frames), USUAL_FPS, len(frames)


def listed(folder: Path) -> list[Path]:
    """What a folder holds, in natural order, without hidden files. Raises InputError if it cannot be read."""
    try:
        return sorted((file for file in folder.iterdir() if not file.name.startswith(".")), key=natural_order)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); give a folder that can") from None


def natural_order(path: Path) -> list[str | int]:
    """A sorting key that puts frame_9 before frame_10."""
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", path.name)]


# Arrays


def _open_array(path: Path) -> _Opened:
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # never unpickles
    except (ValueError, OSError, EOFError, OverflowError, TypeError):
        raise InputError(
            f"{path}: not a whole array of numbers (cut short, or it holds Python objects); save it with np.save"
        ) from None
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise InputError(f"{path}: numbers of type {array.dtype}; give uint8, or floats in [0, 1] or [-1, 1]")
    if not (array.ndim == 4 and array.shape[-1] == 3) and not (array.ndim == 3 and array.shape[-1] != 3):
        raise InputError(f"{path}: an array of shape {list(array.shape)}; give [N, H, W, 3] or [N, H, W]")
    if array.size == 0:
        raise InputError(f"{path}: an array of shape {list(array.shape)} holds no frames; give at least one")
    check_pixels(path, array.shape[2], array.shape[1], MOST_PIXELS)
    _check_count(path, len(array))
    signed = array.dtype != np.uint8 and _check_floats(path, array)
    return partial(_array_frames, array, signed), USUAL_FPS, len(array)


def _check_floats(path: Path, array: Num[np.ndarray, "n ..."]) -> bool:
    """Whether any value is negative. Raises InputError for NaN or values outside [-1, 1]; reads frame by frame."""
    lowest = 0.0
    for index, frame in enumerate(array):
        low, high = float(frame.min()), float(frame.max())
        if not (-1.001 <= low and high <= 1.001):  # NaN fails both
            raise InputError(
                f"{path}: frame {index + 1} holds NaN or values outside [-1, 1]; "
                "give uint8, or floats in [0, 1] or [-1, 1]"
            )
        lowest = min(lowest, low)
    return lowest < 0


def _array_frames(array: Num[np.ndarray, "n ..."], signed: bool) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    for stored in array:
        frame = np.array(stored)
        if frame.dtype != np.uint8:
            unit = (frame.astype(np.float32) + 1) / 2 if signed else frame.astype(np.float32)
            frame = np.clip(np.round(unit * 255), 0, 255).astype(np.uint8)
        yield frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=-1)
