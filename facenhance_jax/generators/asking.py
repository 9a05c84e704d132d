"""What is asked of a light generator, and what it answers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from facenhance_jax.faces.portrait import Portrait
from facenhance_jax.messages import InputError

STRONGEST = 1.5  # of `strength`; more tears the skin, and networks were trained around 1


class Performance(NamedTuple):
    """A low-res clip and what it was asked to show."""

    low: UInt8[np.ndarray, "n 64 64 3"]
    landmarks: Float[np.ndarray, "n 68 2"]  # where they should be in each frame, in pixels of the framed photo


def number_of(expressions: Sequence[str], expression: str, strength: float, frames: int) -> int:
    """The number of the expression among those that a generator knows.

    Raises InputError for another one, a strength that is not from 0 to 1.5, or no frames.
    """
    if expression not in expressions:
        raise InputError(f"expression {expression!r}: not one of {', '.join(expressions)}")
    if not 0.0 <= strength <= STRONGEST:
        raise InputError(f"strength: {strength:g} is not from 0 to {STRONGEST:g}")
    if frames < 1:
        raise InputError(f"frames: {frames} is not a positive number")
    return expressions.index(expression)


def landmarks_of(photo: Portrait) -> Float[np.ndarray, "68 2"]:
    """The photo's landmarks. Raises InputError if no face was found in it."""
    if photo.landmarks is None:
        raise InputError("the photo: no face was found in it, so it cannot be animated; give one of a whole face")
    return photo.landmarks
