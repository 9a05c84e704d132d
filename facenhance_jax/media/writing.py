"""Writes clips and pictures: next to their path under another name, and renamed when they are complete."""

import math
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import GifImagePlugin, Image, PngImagePlugin

from facenhance_jax.media import video
from facenhance_jax.messages import InputError

FOLDER = ""  # stands for "a folder of PNG frames" among suffixes
CLIP_SUFFIXES = (".mp4", ".gif", FOLDER)
FRAME_NAME = "frame_{:06d}.png"
FRAME_PATTERN = re.compile(r"frame_\d{6,}\.png")
PALETTE_FRAMES = 32  # a gif's palette is made from this many frames, spread evenly over the clip
UNCHANGED = np.uint8(255)  # a gif's transparent colour: the pixel keeps its colour from the frame before


def check_output(path: Path | str, suffixes: Sequence[str] = CLIP_SUFFIXES) -> str:
    """Checks, before any work is done, whether `path` can be written; leaves nothing behind.

    Returns the suffix; "" for a folder (a name without suffix or ending in a slash, or an existing folder). Raises
    InputError if the suffix is not one of `suffixes`, if it is .mp4 and PyAV is not installed, if the parent is missing
    or not writable, or if `path` is a folder that holds anything but an earlier run's frames.
    """
    try:
        return _check_output(path, suffixes)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def _check_output(path: Path | str, suffixes: Sequence[str]) -> str:
    ends_in_slash, path = str(path).endswith(("/", os.sep)), Path(path)
    suffix = FOLDER if ends_in_slash or path.is_dir() else path.suffix.lower()
    if suffix not in suffixes:
        known = ", ".join(known or "a folder" for known in suffixes)
        raise InputError(f"{path}: cannot write {suffix or 'a folder'} here; choose {known}")
    if suffix == ".mp4":
        video.pyav(path)
    if suffix == FOLDER and path.is_dir():
        if not all(FRAME_PATTERN.fullmatch(name) for name in os.listdir(path)):
            raise InputError(f"{path}: the folder holds other things than frames; choose a new or an empty one")
    elif suffix == FOLDER and path.exists():
        raise InputError(f"{path}: a file of that name is in the way; choose another name, or .mp4 or .gif")
    parent = path.resolve().parent
    if not parent.is_dir():
        raise InputError(f"{path}: the folder {parent} does not exist; make it first")
    with tempfile.TemporaryFile(dir=parent):  # the only sure test that files can be made there
        return suffix


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path next to `path` to write to. On success it replaces `path`, else it is removed."""
    path = Path(path).resolve()
    part, old = (path.with_name(f".{uuid.uuid4().hex}.{end}") for end in ("part", "old"))
    try:
        yield part
        if path.is_dir():  # a folder cannot be replaced in one move
            path.rename(old)
        part.replace(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(old, ignore_errors=True)
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


@contextmanager
def _refusing(path: Path | str) -> Iterator[None]:
    """What the system refuses, such as space on a full disk, becomes an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: could not be written ({error.strerror or error})") from error


def write_png(path: Path | str, pixels: UInt8[np.ndarray, "h w 3"], *, label: str = "") -> None:
    """Writes a picture, whole or not at all, with `label` as its comment.

    Raises InputError if `path` is not a .png or cannot be written.
    """
    check_output(path, (".png",))
    with _refusing(path), replacing(path) as part:
        Image.fromarray(pixels).save(part, format="png", pnginfo=_comment(label))


def _comment(label: str) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    if label:
        chunks.add_itxt("Comment", label)  # UTF-8; tEXt would be Latin-1
    return chunks


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Writes an .npy, whole or not at all. Raises InputError if `path` is not an .npy or cannot be written."""
    check_output(path, (".npy",))
    with _refusing(path), replacing(path) as part, part.open("wb") as file:  # np.save would add a suffix to a name
        np.save(file, array, allow_pickle=False)


@contextmanager
def open_writer(
    path: Path | str, fps: Fraction | float | int, *, label: str = "", source: Path | None = None
) -> Iterator["ClipWriter"]:
    """Opens a clip for writing: .mp4 (H.264, yuv420p), .gif (one palette) or, without a suffix, a folder of PNG frames.

    When the block ends, the clip replaces what was at `path`; after an exception `path` is unchanged. `fps` is in
    frames/s; a gif cannot be faster than 50, and a folder does not store it.

    `label` becomes the comment of the file, or of each PNG (see `labels.label`). An .mp4 gets the sound of the video
    `source`, copied and not coded anew, and the times of its frames if they are not even; a note says if it has sound
    that mp4 cannot hold. The others can hold neither.

    Raises InputError as `check_output` does, and if no frame was written or the disk is full.
    """
    suffix = check_output(path)
    with replacing(path) as part:
        kind = {".mp4": video.Mp4, ".gif": _Gif, FOLDER: _Folder}[suffix]
        with _refusing(path):
            encoder = kind(part, Fraction(fps).limit_denominator(1001), label, source)
        writer = ClipWriter(path, encoder)
        try:
            yield writer
            writer.finish()
        finally:
            encoder.close()


class ClipWriter:
    """Writes a clip's frames one by one; made by `open_writer`."""

    def __init__(self, path: Path | str, encoder: "video.Mp4 | _Gif | _Folder"):
        self.path = path
        self.count = 0  # frames written so far
        self._encoder = encoder
        self._shape = None

    def write(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Adds an RGB frame. All must have the same size. An .mp4 has even sides: an odd one loses its last pixels."""
        height, width, _ = frame.shape
        if self._shape not in (None, frame.shape):
            raise InputError(f"{self.path}: frame {self.count + 1} is {width}x{height}; give all frames one size")
        self._shape = frame.shape
        if self._encoder.even:
            frame = frame[: height // 2 * 2, : width // 2 * 2]
        with _refusing(self.path):
            self._encoder.add(np.ascontiguousarray(frame))
        self.count += 1

    def finish(self) -> None:
        """Completes the file; `open_writer` calls it."""
        if not self.count:
            raise InputError(f"{self.path}: there are no frames to write; give a clip with at least one")
        with _refusing(self.path):
            self._encoder.finish()


class _Gif:
    """A gif with one palette for all frames, which is much faster than a palette for each, and does not flicker.

    The palette needs colours from the whole clip, so raw frames are first stored in a nameless file next to the output.
    Then they are encoded one by one: Pillow's `save` would hold all of them in memory and merge equal frames.
    """

    even = False

    def __init__(self, part: Path, fps: Fraction, label: str, source: Path | None):
        del source  # a gif has no sound
        self._part, self._label = part, label
        self._interval = max(100 / fps, Fraction(2))  # 1/100 s; viewers show anything shorter for a tenth of a second
        self._waiting = tempfile.TemporaryFile(dir=part.parent)
        self._shape = None
        self._count = 0

    def add(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        self._waiting.write(frame.tobytes())
        self._shape = frame.shape
        self._count += 1

    def _frame(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        size = math.prod(self._shape)
        self._waiting.seek(index * size)
        return np.frombuffer(self._waiting.read(size), np.uint8).reshape(self._shape)

    def finish(self) -> None:
        sampled = np.linspace(0, self._count - 1, min(self._count, PALETTE_FRAMES))
        palette = _palette(np.concatenate([self._frame(round(index))[::2, ::2] for index in sampled]))
        screen = Image.new("P", (self._shape[1], self._shape[0]))
        screen.putpalette((palette.getpalette() + [0] * 768)[:768])
        previous = UNCHANGED  # no pixel of the first frame has this index
        with self._part.open("wb") as file:
            file.writelines(
                GifImagePlugin.getheader(screen, info={"loop": 0, "comment": self._label})[0]
            )  # 0: for ever
            for index in range(self._count):
                picture = Image.fromarray(self._frame(index)).quantize(palette=palette, dither=Image.Dither.NONE)
                indices = np.asarray(picture)
                changes = Image.fromarray(np.where(indices == previous, UNCHANGED, indices))
                start, end = round(index * self._interval), round((index + 1) * self._interval)
                shown = {"duration": 10 * (end - start), "transparency": int(UNCHANGED)}
                file.writelines(GifImagePlugin.getdata(changes, **shown))
                previous = indices
            file.write(b";")

    def close(self) -> None:
        self._waiting.close()


def _palette(pixels: UInt8[np.ndarray, "h w 3"]) -> Image.Image:
    """255 colours for `pixels`, as a picture with a palette, which is what Pillow's `quantize` takes.

    Each colour (4 levels of a channel count as one) is weighted by the square root of its number of pixels. With the
    number itself, large dark backgrounds leave no reds for the lips: 29 dB instead of 36 dB on red pixels of filmed
    faces, and 1 dB less overall.
    """
    flat = pixels.reshape(-1, 3)
    _, cells, counts = np.unique(flat >> 2, axis=0, return_inverse=True, return_counts=True)
    sums = [np.bincount(cells.ravel(), weights=flat[:, channel]) for channel in range(3)]
    colours = np.round(np.stack(sums, axis=-1) / counts[:, None]).astype(np.uint8)
    weighted = np.repeat(colours, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    return Image.fromarray(weighted[None]).quantize(int(UNCHANGED), method=Image.Quantize.MEDIANCUT, kmeans=1)


class _Folder:
    even = False

    def __init__(self, part: Path, fps: Fraction, label: str, source: Path | None):
        del fps, source  # a folder of pictures does not store them
        self._part, self._label = part, label
        self._count = 0
        part.mkdir()

    def add(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        Image.fromarray(frame).save(self._part / FRAME_NAME.format(self._count), pnginfo=_comment(self._label))
        self._count += 1

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass
