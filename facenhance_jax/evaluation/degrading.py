"""Faults of the low-res frames, to see how methods bear them: blur, noise, JPEG, warps and dropped frames.

They are those of `data.augmentation` at full strength, in every frame, and a function of (seed, clip, frame).
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from facenhance_jax.data import augmentation
from facenhance_jax.evaluation.clip_sets import EvaluationClip
from facenhance_jax.evaluation.methods import Made, Method
from facenhance_jax.messages import InputError

DROPPED = 0.25  # share of the frames in whose place a neighbour is shown
FAULTS = {  # {fault: (in the names of rows, what is done)}
    "blur": ("blurred", f"Gaussian blur, sigma {augmentation.BLUR:g} px"),
    "noise": ("noisy", f"Gaussian noise, {augmentation.NOISE:g} grey levels"),
    "jpeg": ("JPEG", f"JPEG, quality {augmentation.LOWEST_QUALITY}"),
    "warp": ("warped", f"smooth warps, up to {augmentation.WARP:g} px"),
    "drop": ("frames dropped", f"a neighbour in place of {DROPPED:.0%} of the frames"),
}
ALL = "all"  # of them, one after the other: drop, warp, blur, noise, JPEG


def degrade(low: UInt8[np.ndarray, "n l l 3"], fault: str, seed: int, clip: str) -> UInt8[np.ndarray, "n l l 3"]:
    """The low-res frames of the clip of this name with a fault (a key of `FAULTS`, or `ALL`).

    Raises InputError if frames are to be dropped from a clip of one frame.
    """
    if fault == "drop" and len(low) < 2:
        raise InputError(f"{clip}: one frame, so none can be dropped; leave drop out of --degrade")
    made = []
    for index in range(len(low)):
        rng = np.random.default_rng((seed, zlib.crc32(clip.encode()), index))
        shown = _neighbour(index, len(low), rng) if fault in ("drop", ALL) else index
        made.append(_faulty(low[shown], fault, rng))
    return np.stack(made)


class Degraded:
    """A method that is given low-res frames with a fault."""

    def __init__(self, method: Method, fault: str, seed: int = 0):
        """`fault` is a key of `FAULTS`, or `ALL`."""
        self.method, self.fault, self.seed = method, fault, seed
        self.steps, self.key = method.steps, f"{method.key}-{fault}"
        self.name = f"{method.name}, {FAULTS[fault][0] if fault != ALL else 'all faults'}"

    def describe(self) -> dict[str, Any]:
        done = FAULTS[self.fault][1] if self.fault != ALL else "; ".join(what for _, what in FAULTS.values())
        return {**self.method.describe(), "low_res": done, "fault_seed": self.seed}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        return self.method([replace(clip, low=degrade(clip.low, self.fault, self.seed, clip.name)) for clip in clips])


def _neighbour(index: int, count: int, rng: np.random.Generator) -> int:
    """The frame shown in place of this one: itself, or in some cases the one before or after it."""
    dropped, after = rng.random(2) < (DROPPED, 0.5)
    others = [other for other in (index - 1, index + 1) if 0 <= other < count]
    return others[int(after) % len(others)] if dropped and others else index


def _faulty(frame: UInt8[np.ndarray, "l l 3"], fault: str, rng: np.random.Generator) -> UInt8[np.ndarray, "l l 3"]:
    if fault in ("warp", ALL):
        frame = augmentation.warp(frame, rng, augmentation.WARP)
    if fault in ("blur", ALL):
        frame = augmentation.blur(frame, augmentation.BLUR)
    if fault in ("noise", ALL):
        frame = augmentation.noise(frame, rng, augmentation.NOISE)
    return augmentation.compress(frame, augmentation.LOWEST_QUALITY) if fault in ("jpeg", ALL) else frame
