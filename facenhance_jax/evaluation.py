"""How near enhanced frames come to the real ones, beside the two baselines that belong in every table.

This is the short way, for one clip; `results` is the long one: every metric, and the folder of launch/evaluate.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from facenhance_jax.data import faces, synthetic
from facenhance_jax.metrics.frames import psnr, ssim
from facenhance_jax.pixels import resize

HELD_OUT = range(9000, 9013)  # drawn subjects that no training set may hold (those have ids under 9000)


@dataclass(frozen=True)
class Row:
    """One method of making the frames and how near it comes: means over frames, PSNR in dB, SSIM up to 1."""

    name: str
    psnr: float
    ssim: float
    face_psnr: float
    face_ssim: float


@dataclass(frozen=True)
class DrawnClip:
    """What the enhancer gets (low, identity), what it should give (real), and where the face is in that."""

    real: UInt8[np.ndarray, "n h w 3"]
    identity: UInt8[np.ndarray, "h w 3"]
    low: UInt8[np.ndarray, "n l l 3"]
    face: Bool[np.ndarray, "n h w"]


def draw(
    subject: int, expression: str, *, frames: int, size: int = 192, low_size: int = 64, seed: int = 0
) -> DrawnClip:
    """Draws a subject's first take of an expression, and the photo: the first frame of its neutral clip.

    The `frames` frames are the first half of the take, from neutral to the apex (section 5.1 of the paper).
    """
    person = synthetic.draw_subject(seed, subject)
    real, landmarks = (part[:frames] for part in synthetic.draw_clip(person, expression, 0, 2 * frames, size))
    neutral, _ = synthetic.draw_clip(person, "neutral", 0, frames, size)
    low = [faces.low_frame(frame, points, low_size) for frame, points in zip(real, landmarks, strict=True)]
    return DrawnClip(real, neutral[0], np.stack(low), face_mask(landmarks, size))


def face_mask(landmarks: Float[np.ndarray, "n 68 2"], size: int) -> Bool[np.ndarray, "n {size} {size}"]:
    """True inside the convex hull of each frame's landmarks, (x, y) in pixels."""
    masks = np.zeros((len(landmarks), size, size), np.uint8)
    for mask, points in zip(masks, landmarks, strict=True):
        cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return masks.astype(bool)


def compare(
    enhanced: UInt8[np.ndarray, "n h w 3"],
    real: UInt8[np.ndarray, "n h w 3"],
    identity: UInt8[np.ndarray, "h w 3"],
    low: UInt8[np.ndarray, "n l l 3"],
    face: Bool[np.ndarray, "n h w"],
) -> list[Row]:
    """Scores the enhanced frames, the photo copied to every frame, and the low-res frames upsampled."""
    methods = {
        "enhanced": enhanced,
        "photo copied": np.broadcast_to(identity, real.shape),
        "low-res upsampled": np.stack([resize(frame, real.shape[1]) for frame in low]),
    }
    return [
        Row(name, *(float(np.mean(f(made, real, mask))) for mask in (None, face) for f in (psnr, ssim)))
        for name, made in methods.items()
    ]


def average(clips: Iterable[Sequence[Row]]) -> list[Row]:
    """The mean over clips of each method's row."""
    rows = []
    for methods in zip(*clips, strict=True):
        numbers = np.mean([(row.psnr, row.ssim, row.face_psnr, row.face_ssim) for row in methods], axis=0)
        rows.append(Row(methods[0].name, *numbers.tolist()))
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as text for a person."""
    columns = f"{'PSNR dB':>7} {'SSIM':>7}"
    lines = [f"{'':18} {'whole frame':^15}    {'face':^15}".rstrip(), f"{'':18} {columns}    {columns}"]
    for row in rows:
        whole, face = f"{row.psnr:7.2f} {row.ssim:7.4f}", f"{row.face_psnr:7.2f} {row.face_ssim:7.4f}"
        lines.append(f"{row.name:18} {whole}    {face}")
    return "\n".join(lines)
