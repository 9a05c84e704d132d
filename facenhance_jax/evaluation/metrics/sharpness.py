"""Sharpness of the made face: blur and left-over noise, which PSNR hardly tells from each other."""

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8

from facenhance_jax.messages import InputError


def sharpness(
    frames: UInt8[np.ndarray, "n h w 3"], real: UInt8[np.ndarray, "n h w 3"], face: Bool[np.ndarray, "n h w"]
) -> float:
    """The mean |Laplacian| of the grey face in a clip's frames, over the real frames'. 1 is right, less is blurred.

    The Laplacian is the four neighbours minus four times the pixel; the means are over the mask of the real frame's
    face, in all frames. Raises InputError if the real face is a flat area.
    """
    made, wanted = (float(_detail(clip)[face].mean()) for clip in (frames, real))
    if not wanted:
        raise InputError("sharpness: the real face is of one colour; leave the clip out")
    return made / wanted


def _detail(frames: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n h w"]:
    greys = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames)
    return np.abs(np.stack([cv2.Laplacian(grey, cv2.CV_64F) for grey in greys]))
