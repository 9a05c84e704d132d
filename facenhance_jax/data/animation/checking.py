"""Whether the face in animated frames is found where it was asked for."""

import numpy as np
from jaxtyping import Float, UInt8

from facenhance_jax.faces import dlib_models, tracking
from facenhance_jax.messages import InputError

FARTHEST = 0.10  # of the distance between the eyes: the mean error of the landmarks in a frame


def check(
    frames: UInt8[np.ndarray, "n h w 3"], landmarks: Float[np.ndarray, "n 68 2"], looked_at: int = 5
) -> str | None:
    """Why a clip is not fit for use, or None if it is; a face is searched for in `looked_at` frames, evenly spread.

    Raises InputError if dlib or its models are not installed (the extra [faces]).
    """
    dlib_models.library("checking an animated photo")
    shown = np.unique(np.linspace(0, len(frames) - 1, looked_at).round().astype(int))
    try:
        track = tracking.track((frames[n] for n in shown), "an animated photo")
    except InputError:
        return "no face was found in it"
    if track.missing:
        return f"no face was found in frame {shown[track.missing[0]]}"
    errors = np.linalg.norm(track.landmarks - landmarks[shown], axis=-1).mean(-1) / eye_distance(landmarks[shown])
    worst = int(errors.argmax())
    if errors[worst] > FARTHEST:
        return f"the face in frame {shown[worst]} is {100 * errors[worst]:.0f} % of the eyes' distance off"
    return None


def eye_distance(landmarks: Float[np.ndarray, "n 68 2"]) -> Float[np.ndarray, " n"]:
    """Pixels between the middles of the eyes."""
    return np.linalg.norm(landmarks[:, 36:42].mean(1) - landmarks[:, 42:48].mean(1), axis=-1)
