"""Frames of a clip in which no face was found: up to five in a row are filled, more make the clip unusable."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32

from facenhance_jax.messages import InputError

LONGEST = 5  # frames in a row
_NAMED = 3  # gaps in a message


def check(missing: Sequence[int], count: int, name: str | Path) -> None:
    """Raises InputError if all `count` frames of the clip `name` are missing, or more than 5 in a row."""
    if not count:
        raise InputError(f"{name}: no frames; give a clip with at least one")
    if len(missing) == count == 1:
        raise InputError(f"{name}: no face was found; give one that shows a face from the front")
    if len(missing) == count:
        raise InputError(
            f"{name}: no face was found in any of its {count} frames; give a clip that shows one face from the front"
        )
    found = sorted({-1, *range(count), count} - set(missing))
    gaps = [f"{before + 1} to {after - 1}" for before, after in pairwise(found) if after - before - 1 > LONGEST]
    if gaps:
        named = ", ".join(gaps[:_NAMED]) + (f" and {len(gaps) - _NAMED} more gaps" * (len(gaps) > _NAMED))
        raise InputError(f"{name}: no face in frames {named} (the first is 0); cut them out of the clip")


def fill(landmarks: Float[np.ndarray, "n 68 2"]) -> Float32[np.ndarray, "n 68 2"]:
    """Interpolates rows of NaN linearly in time, and repeats the first known row before it and the last after it."""
    known = np.flatnonzero(np.isfinite(landmarks).all(axis=(1, 2)))
    curves = landmarks[known].astype(np.float64).reshape(len(known), -1).T
    filled = [np.interp(np.arange(len(landmarks)), known, curve) for curve in curves]
    return np.stack(filled, -1).reshape(landmarks.shape).astype(np.float32)


def nearest(found: Bool[np.ndarray, " n"]) -> dict[int, int]:
    """{frame without a face: the nearest frame with one, the earlier of two equally near}."""
    known = np.flatnonzero(found)
    return {int(at): int(known[np.abs(known - at).argmin()]) for at in np.flatnonzero(~found)}
