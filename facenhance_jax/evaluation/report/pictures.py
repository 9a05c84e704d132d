"""A clip whose frames were kept, as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

VIEWS = ("low-res", "enhanced", "real", "error")
SCALES = (8, 16, 32, 64, 128, 255)  # grey levels at which the error's colours may end


@dataclass(frozen=True)
class Kept:
    """A clip's line of clips.csv, the stem of its file's name, and the metrics by which no clip is worse."""

    line: Mapping[str, Any]
    stem: str
    worst: Sequence[str]
    identity: UInt8[np.ndarray, "h h 3"]
    low: UInt8[np.ndarray, "n l l 3"]
    enhanced: UInt8[np.ndarray, "n h h 3"]
    real: UInt8[np.ndarray, "n h h 3"]

    @cached_property
    def error(self) -> Float32[np.ndarray, "n h h"]:
        """|enhanced - real| in grey levels, the mean over the colours."""
        return np.abs(self.enhanced.astype(np.float32) - self.real).mean(-1, dtype=np.float32)

    @property
    def worst_frame(self) -> int:
        """The frame that differs most from the real one."""
        return int(self.error.mean((1, 2)).argmax())

    @property
    def shown_frames(self) -> list[int]:
        """At most eight frames, from the first to the last."""
        count = len(self.real)
        return np.linspace(0, count - 1, min(count, 8)).round().astype(int).tolist()

    def views(self, frame: int, most: int) -> UInt8[np.ndarray, "4 h h 3"]:
        """The `VIEWS` of a frame: low-res pixels as blocks, errors of 0 to `most` as colours from black to yellow."""
        low = Image.fromarray(self.low[frame]).resize(self.identity.shape[:2], Image.Resampling.NEAREST)
        error = mpl.colormaps["inferno"](self.error[frame] / most, bytes=True)[..., :3]
        return np.stack([low, self.enhanced[frame], self.real[frame], error])


def error_scale(clips: Sequence[Kept]) -> int:
    """The grey levels at which all errors' colours end: of `SCALES` the first above 99.5 % of each clip's pixels."""
    most = max((np.quantile(kept.error, 0.995) for kept in clips), default=0)
    return next(level for level in SCALES if most <= level)
