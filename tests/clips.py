"""Small clips on disk for the tests of `media`, and checks of error messages."""

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facenhance_jax import media
from facenhance_jax.messages import InputError


def levels(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    """A clip whose frame n is flat and has the value 10 + 4 n."""
    return np.stack([np.full((height, width, 3), 10 + 4 * index, np.uint8) for index in range(count)])


def corners() -> np.ndarray:
    """Red, green / blue, black quarters, 64 high and 96 wide."""
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:32, :48, 0] = frame[:32, 48:, 1] = frame[32:, :48, 2] = 255
    return frame


def write_video(path: Path, frames: np.ndarray, codec: str = "libx264", rotation: int = 0, rate: int = 25) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_clip(path: Path, frames: np.ndarray, fps: Fraction | float | int = 25) -> Path:
    with media.open_writer(path, fps) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def means(clip: media.ClipFile) -> list[int]:
    return [round(float(frame.mean())) for frame in clip]


def refusal(function, *args) -> str:
    with pytest.raises(InputError) as caught:
        function(*args)
    message = str(caught.value)
    assert "\n" not in message and str(args[0]) in message
    return message


def one_line(capfd, status: int) -> str:
    """Asserts exit status 2 and one line on stderr; returns the line without the command's name."""
    out, err = capfd.readouterr()
    assert (status, out) == (2, "")
    assert re.fullmatch(r"facenhance: [^\n]+\n", err), err
    return err.removeprefix("facenhance: ").strip()
