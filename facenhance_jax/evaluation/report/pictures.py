"""Pictures of a kept clip: strips of frames over time, its worst frame, and maps of the error."""

import base64
import io
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, Int, UInt8
from PIL import Image

from facenhance_jax.evaluation.report.reading import Kept

COLUMNS = 8  # frames in a strip
SCALES = (8, 16, 32, 64, 128, 255)  # grey levels at which an error map's colours may end
ROWS = ("low-res", "enhanced", "real", "error")
Picture = UInt8[np.ndarray, "h w 3"]


def columns(count: int) -> Int[np.ndarray, " shown"]:
    """Which of a clip's frames a strip shows: at most eight, from the first to the last."""
    return np.linspace(0, count - 1, min(count, COLUMNS)).round().astype(int)


def error(kept: Kept) -> Float32[np.ndarray, "n h w"]:
    """|enhanced - real| in grey levels, the mean over the colours."""
    return np.abs(kept.enhanced.astype(np.float32) - kept.real).mean(-1, dtype=np.float32)


def scale(clips: Sequence[Kept]) -> int:
    """The grey levels at which all maps' colours end: of `SCALES` the first that 99.5 % of each clip's pixels reach."""
    most = max((float(np.quantile(error(kept), 0.995)) for kept in clips), default=0.0)
    return next((level for level in SCALES if most <= level), SCALES[-1])


def heat(errors: Float32[np.ndarray, "*n h w"], most: int) -> UInt8[np.ndarray, "*n h w 3"]:
    """Colours for 0 to `most` grey levels and more: Inferno, from black over red to pale yellow."""
    levels = np.clip(errors * (255 / most), 0, 255).round().astype(np.uint8)
    return colours()[levels]


def colours() -> UInt8[np.ndarray, "256 3"]:
    return cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)[0, :, ::-1]


def rows(kept: Kept, shown: Int[np.ndarray, " shown"], most: int) -> list[UInt8[np.ndarray, "shown h w 3"]]:
    """Low-res (its pixels kept as blocks), enhanced, real and error of the frames `shown`, all of one size."""
    side = kept.real.shape[1]
    low = [Image.fromarray(frame).resize((side, side), Image.Resampling.NEAREST) for frame in kept.low[shown]]
    return [np.stack(low), kept.enhanced[shown], kept.real[shown], heat(error(kept)[shown], most)]


def halves(kept: Kept, most: int) -> list[Picture]:
    """A strip without letters, in two parts that can be put beside or below one another; one for a single frame."""
    shown = columns(len(kept.real))
    parts = [part for part in np.array_split(shown, 2) if len(part)]
    return [np.concatenate([np.concatenate([*row], axis=1) for row in rows(kept, part, most)]) for part in parts]


def worst_frame(kept: Kept) -> int:
    """The frame that differs most from the real one."""
    return int(error(kept).mean((1, 2)).argmax())


def moment(kept: Kept, most: int) -> Picture:
    """Low-res, enhanced, real and error of the worst frame, side by side."""
    return np.concatenate([row[0] for row in rows(kept, np.array([worst_frame(kept)]), most)], axis=1)


def png(pixels: Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return file.getvalue()


def data_uri(pixels: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()
