"""Errors that PSNR does not tell apart: flicker, and a shift of the mean colour inside and outside the face.

All numbers are in grey levels, 0..255, and 0 is best. f is the clip that was made, r the real one.
"""

import numpy as np
from jaxtyping import Bool, Int16, UInt8

from facenhance_jax.messages import InputError


def temporal(frames: UInt8[np.ndarray, "n h w 3"], real: UInt8[np.ndarray, "m y x 3"]) -> float:
    """Flicker: the mean of |(f[n] - f[n-1]) - (r[n] - r[n-1])| over frames from the second, pixels and channels.

    An error that is the same in all frames adds nothing; one that changes does. A clip that does not move at all gets
    the real clip's mean absolute frame difference. Raises InputError for clips of different shapes or fewer than 2
    frames.
    """
    error = _difference(frames, real)
    if len(error) < 2:
        raise InputError("temporal: the clip has one frame; consecutive ones are compared: give at least 2")
    # The difference of the changes equals the change of the difference.
    return float(np.abs(np.diff(error, axis=0)).mean(dtype=np.float64))


def background_drift(
    frames: UInt8[np.ndarray, "n h w 3"], real: UInt8[np.ndarray, "m y x 3"], face: Bool[np.ndarray, "k a b"]
) -> float:
    """The error of the mean colour outside the face: `colour_shift` over the pixels where `face` is false."""
    return _mean_colour_error(frames, real, ~face, "outside")


def colour_shift(
    frames: UInt8[np.ndarray, "n h w 3"], real: UInt8[np.ndarray, "m y x 3"], face: Bool[np.ndarray, "k a b"]
) -> float:
    """The error of the face's mean colour: the mean of |mean f[n] - mean r[n]| over frames n and channels.

    The inner means are over the pixels of the real frame's face, in each channel. So errors of opposite sign cancel
    within a frame (a face that is redder overall counts, a blurred one does not), but not between frames. Raises
    InputError for different shapes, and for a frame without such pixels.
    """
    return _mean_colour_error(frames, real, face, "inside")


def _mean_colour_error(
    frames: UInt8[np.ndarray, "n h w 3"], real: UInt8[np.ndarray, "m y x 3"], mask: Bool[np.ndarray, "k a b"], side: str
) -> float:
    error = _difference(frames, real)
    if mask.shape != error.shape[:3]:
        raise InputError(f"face mask: {_size(mask)}, but the clip is {_size(error)}; give one mask for each frame")
    counts = mask.sum(axis=(1, 2))
    if not counts.all():
        raise InputError(f"face mask: no pixel {side} the face in frame {int(counts.argmin())}; mark the face alone")
    means = [of_frame[pixels].mean(axis=0) for of_frame, pixels in zip(error, mask, strict=True)]
    return float(np.abs(means).mean())


def _difference(
    frames: UInt8[np.ndarray, "n h w 3"], real: UInt8[np.ndarray, "m y x 3"]
) -> Int16[np.ndarray, "n h w 3"]:
    """f - r."""
    if frames.shape != real.shape or not len(frames):
        raise InputError(f"the clip is {_size(frames)}, the real one {_size(real)}; give clips of one size and length")
    return np.subtract(frames, real, dtype=np.int16)


def _size(clip: np.ndarray) -> str:
    return f"{len(clip)} frames of {clip.shape[2]} x {clip.shape[1]}"
