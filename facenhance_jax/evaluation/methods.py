"""Methods that make a clip's frames: the model, the three baselines that belong in every table, and the real frames.

A method takes a batch of clips of the same length and size, and returns the frames of each.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import UInt8

from facenhance_jax.evaluation import pasting
from facenhance_jax.evaluation.clip_sets import EvaluationClip
from facenhance_jax.faces.registration import find_face
from facenhance_jax.inference.enhancer import CHUNK, Enhancer
from facenhance_jax.media.pictures import resize
from facenhance_jax.messages import InputError
from facenhance_jax.network.denoiser import Denoiser

Made = UInt8[np.ndarray, "b n h w 3"]


@runtime_checkable
class Method(Protocol):
    """Attributes: `name` in tables, `key` in file names, `steps` of the sampler (None for all but models)."""

    name: str
    key: str
    steps: int | None

    def describe(self) -> dict[str, Any]:
        """What the frames depend on besides the clip; it goes into method.json and the row of results.json."""
        ...

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        """The frames of a batch, and the seconds it took to make them."""
        ...


class PhotoCopied:
    """The identity photo as every frame."""

    name, key, steps = "photo copied", "photo", None

    def describe(self) -> dict[str, Any]:
        return {}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        return np.stack([np.broadcast_to(clip.identity, clip.real.shape) for clip in clips]), 0.0


class Pasted:
    """The low-res face enlarged (bicubic) and laid on the photo, with a soft edge (see `pasting`).

    Its place in the photo is the one that a model gets: the clip's, or else found in the same way.
    """

    name, key, steps = "low-res pasted", "pasted", None

    def describe(self) -> dict[str, Any]:
        return {"resize": "bicubic", "edge": f"{pasting.EDGE} low-res px"}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        return np.stack([self._paste(clip) for clip in clips]), 0.0

    def _paste(self, clip: EvaluationClip) -> UInt8[np.ndarray, "n h w 3"]:
        place = find_face(clip.low[:CHUNK], clip.identity) if clip.place is None else clip.place
        return np.stack([pasting.paste(low, clip.identity, place) for low in clip.low])


class Upsampled:
    """The low-res frames, enlarged (bicubic) to the size of the real ones."""

    name, key, steps = "low-res upsampled", "upsampled", None

    def describe(self) -> dict[str, Any]:
        return {"resize": "bicubic"}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        return np.stack([np.stack([resize(frame, clip.real.shape[1]) for frame in clip.low]) for clip in clips]), 0.0


def baselines() -> list[Method]:
    """What every table has beside the models."""
    return [PhotoCopied(), Pasted(), Upsampled()]


class RealFrames:
    """The real frames themselves, for the row "real" of the tables."""

    name, key, steps = "real", "real", None

    def describe(self) -> dict[str, Any]:
        return {}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        return np.stack([clip.real for clip in clips]), 0.0


class Enhanced:
    """A model's frames, made for all clips of a batch at once.

    They are those of `Enhancer.enhance`, except that single pixels differ by one grey level, because sums over a batch
    are added in another order.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        *,
        batch: int,
        seed: int = 0,
        name: str = "enhanced",
        key: str = "",
        **sampling: Any,
    ):
        """`batch` is the number of clips that are enhanced at once; `sampling` as in `Enhancer`.

        Raises InputError if the model cannot be sampled in that way.
        """
        self.enhancer, self.batch, self.seed = enhancer, batch, seed
        self.sampling = enhancer.sampling_with(**sampling)
        self.steps, self.name = self.sampling.steps, name
        self.key = key or f"enhanced-{self.steps}"

    def describe(self) -> dict[str, Any]:
        model = fingerprint(self.enhancer.denoiser, self.enhancer.params)
        return {"model": model, "seed": self.seed, **asdict(self.sampling)}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        filled = [*clips, *[clips[-1]] * (self.batch - len(clips))]  # always the same shape, so it is compiled once
        lows, photos = np.stack([clip.low for clip in filled]), np.stack([clip.identity for clip in filled])
        places = [clip.place for clip in filled]
        self._check(lows, photos)
        self.enhancer.compile(self.batch, **asdict(self.sampling))
        start = time.perf_counter()
        made = self.enhancer.enhance_batch(lows, photos, places=places, seed=self.seed, **asdict(self.sampling))
        return made[: len(clips)], (time.perf_counter() - start) * len(clips) / self.batch

    def _check(self, lows: np.ndarray, photos: np.ndarray) -> None:
        sides = {
            "photos": (photos.shape[1], self.enhancer.size),
            "low-res frames": (lows.shape[-2], self.enhancer.low_size),
        }
        for what, (side, wanted) in sides.items():
            if side != wanted:
                raise InputError(f"the {what} are {side} pixels wide, but the model takes {wanted}; give its own size")


def fingerprint(denoiser: Denoiser, params: dict) -> str:
    """The SHA-256 of a model's config, schedule and parameters."""
    digest = hashlib.sha256(json.dumps(asdict(denoiser.config), sort_keys=True).encode())
    digest.update(np.asarray(denoiser.schedule.phi, np.float64).tobytes())
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
