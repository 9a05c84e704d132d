"""Reads and writes videos with PyAV. Nothing else in `media` needs it: without it only videos are refused.

It is imported when the first video is opened: its import takes 20 MB and a twentieth of a second.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from facenhance_jax.media.pictures import check_pixels
from facenhance_jax.messages import InputError, note

if TYPE_CHECKING:
    import av

# Without these lists, a text file named clip.mp4 ("ffconcat version 1.0 ...") could open other files.
READING = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi", "protocol_whitelist": "file"}

TICK = Fraction(1, 90_000)  # s: of frames at uneven times


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


def times(path: Path) -> list[Fraction] | None:
    """When each frame of a video is shown, in seconds, as its packets say; None if any does not. Decodes nothing."""
    with _opened(path) as container:
        shown = []
        try:
            for packet in container.demux(video=0):
                if packet.size and not packet.is_discard:
                    shown.append(packet.pts * packet.time_base)
        except (TypeError, pyav(path).error.FFmpegError):  # a packet without a time; a damaged file
            return None
    shown.sort()
    return shown if shown and all(one < other for one, other in pairwise(shown)) else None


class Mp4:
    """Writes H.264, yuv420p, to `part`, frame by frame, with the comment `label`. Raises OSError if the disk is full.

    From the video `source`, if given, come the sound, copied packet by packet, and the frames' times, if they are not
    even. Sound that mp4 cannot hold is left out, with a note.
    """

    even = True  # yuv420p halves both sides

    def __init__(self, part: Path, fps: Fraction, label: str = "", source: Path | None = None):
        self._av = pyav(part)
        self._container = self._av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"})
        if label:
            self._container.metadata["comment"] = label
        self._stream = self._container.add_stream("libx264", rate=fps, options={"crf": "16"})
        self._stream.pix_fmt = "yuv420p"
        self._interval, self._count = 1 / fps, 0
        shown = times(source) if source else None
        start = shown[0] if shown else Fraction(0)
        self._shown = _uneven([time - start for time in shown], self._interval) if shown else []
        if self._shown:
            self._stream.codec_context.time_base = TICK
        self._sound = _Sound(source, start, self._container) if source else None

    def _time(self, index: int) -> Fraction:
        """When a frame is shown, in seconds; beyond the source's frames, at even intervals."""
        if not self._shown:
            return index * self._interval
        last = len(self._shown) - 1
        return self._shown[min(index, last)] + max(0, index - last) * self._interval

    def add(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        if not self._stream.codec_context.is_open:
            self._stream.height, self._stream.width, _ = frame.shape
        picture = self._av.VideoFrame.from_ndarray(frame, format="rgb24")
        start, end = self._time(self._count), self._time(self._count + 1)
        if self._shown:
            picture.time_base = TICK
            picture.pts, after = (round(time / TICK) for time in (start, end))
            picture.duration = after - picture.pts
        self._container.mux(self._stream.encode(picture))
        self._count += 1
        if self._sound:
            self._sound.copy(end)

    def finish(self) -> None:
        self._container.mux(self._stream.encode())
        if self._sound:
            self._sound.copy(None)
        self._container.close()

    def close(self) -> None:
        if self._sound:
            self._sound.close()
        self._container.close()


def _uneven(shown: list[Fraction], interval: Fraction) -> list[Fraction]:
    """The times `shown`; none if each is within a quarter of an interval of its place at an even rate."""
    even = all(abs(time - index * interval) <= interval / 4 for index, time in enumerate(shown))
    return [] if even else shown


class _Sound:
    """Copies the sound of the video `source` into the container `target`; `start` is when its first frame is shown."""

    def __init__(self, source: Path, start: Fraction, target: "av.container.OutputContainer"):
        self._source, self._start, self._target = _opened(source), start, target
        self._packets, self._next, self._last = iter(()), None, None
        if not self._source.streams.audio:
            return
        stream = self._source.streams.audio[0]
        try:
            self._stream = target.add_stream_from_template(stream)
        except ValueError:  # mp4 does not hold the codec
            note(f"{source}: its sound ({stream.codec_context.name}) cannot be kept in an mp4; the clip is silent")
            return
        self._packets = self._source.demux(stream)

    def copy(self, until: Fraction | None) -> None:
        """Copies what is heard before `until`, in seconds of the target; None for all that is left.

        Not all at once: a container keeps in memory what waits for the other stream.
        """
        while packet := self._next or self._read():
            self._next = packet
            if until is not None and packet.pts * packet.time_base >= until:
                return
            packet.stream, self._next = self._stream, None
            self._target.mux_one(packet)

    def _read(self) -> "av.Packet | None":
        """The next packet with a time, which counts from the video's first frame; None at the end."""
        error = pyav(self._source.name).error.FFmpegError
        while True:
            try:
                packet = next(self._packets, None)
            except error:  # the rest is damaged
                return None
            if packet is None:
                return None
            if not packet.size or packet.pts is None or packet.dts is None:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            end = packet.pts + (packet.duration or 0)
            if end >= 0 and (self._last is None or packet.dts > self._last):
                self._last = packet.dts
                return packet

    def close(self) -> None:
        self._source.close()
