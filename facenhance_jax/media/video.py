"""Reads and writes videos with PyAV. Nothing else in `media` needs it: without it only videos are refused.

It is imported when the first video is opened: its import takes 20 MB and a twentieth of a second.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from facenhance_jax.media.pictures import check_pixels
from facenhance_jax.messages import InputError

if TYPE_CHECKING:
    import av

# Without these lists, a text file named clip.mp4 ("ffconcat version 1.0 ...") could open other files.
READING = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi", "protocol_whitelist": "file"}


def pyav(path: Path | str) -> ModuleType:
    """Returns PyAV. Raises InputError, which names the video `path`, if it is not installed."""
    try:
        import av
    except ImportError:
        message = f"{path}: videos need PyAV, which is not installed; pip install av, or use a gif or pictures"
        raise InputError(message) from None
    return av


def header(path: Path, most_pixels: int) -> tuple[Fraction | None, int | None]:
    """The average frames/s and the number of frames, each None if the file does not say.

    Raises InputError if the file is not a video, has no pictures, or has frames of more than `most_pixels`.
    """
    with _opened(path) as container:
        if not container.streams.video:
            raise InputError(f"{path}: no video was found in the file; it is cut short or holds only sound")
        stream = container.streams.video[0]
        check_pixels(path, stream.width, stream.height, most_pixels)
        rate = stream.average_rate or stream.guessed_rate
        fps = Fraction(rate.numerator, rate.denominator) if rate else None  # PyAV 19 has its own class for rates
        return fps, stream.frames or None


def frames(path: Path, most_pixels: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames, turned upright by the file's rotation tag. Raises InputError if one has more than `most_pixels`.

    Damaged packets are left out; compare with the header's number of frames to see how many are missing.
    """
    with _opened(path) as container:
        av = pyav(path)
        packets = container.demux(video=0)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                decoded = packet.decode()
            except av.error.FFmpegError:
                continue  # no endless loop: an error of the file itself ends `packets`
            for frame in decoded:
                check_pixels(path, frame.width, frame.height, most_pixels)
                upright = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))  # counterclockwise
                yield np.ascontiguousarray(upright)


def _opened(path: Path) -> "av.container.InputContainer":
    av = pyav(path)
    name = f"file:{path}"  # without the prefix, a file named "http:x" would be taken for a URL
    try:
        try:
            return av.open(name, options=dict(READING))
        except UnicodeDecodeError:  # PyAV before 19 wants titles in UTF-8; PyAV 19 does not have the argument
            return av.open(name, options=dict(READING), metadata_errors="ignore")
    except av.error.FFmpegError:
        raise InputError(
            f"{path}: not a clip, or cut short; give mp4, mov, webm, mkv, avi, gif, webp, a picture, a folder or .npy"
        ) from None


class Mp4:
    """Writes H.264, yuv420p, to `part`, frame by frame. Raises OSError if the disk is full."""

    even = True  # yuv420p halves both sides

    def __init__(self, part: Path, fps: Fraction):
        self._av = pyav(part)
        self._container = self._av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=fps, options={"crf": "16"})
        self._stream.pix_fmt = "yuv420p"

    def add(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        if not self._stream.codec_context.is_open:
            self._stream.height, self._stream.width, _ = frame.shape
        self._container.mux(self._stream.encode(self._av.VideoFrame.from_ndarray(frame, format="rgb24")))

    def finish(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()

    def close(self) -> None:
        self._container.close()
