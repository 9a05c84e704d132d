"""Methods that make a clip's frames: the model, the two baselines that belong in every table, and the real frames.

A method takes a batch of clips of one length and size, and returns the frames of each.
"""

import functools
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import UInt8

from facenhance_jax import build, recurrence
from facenhance_jax.clip_sets import EvaluationClip
from facenhance_jax.denoiser import Denoiser
from facenhance_jax.errors import InputError
from facenhance_jax.pixels import resize, to_signal
from facenhance_jax.registration import find_face

Made = UInt8[np.ndarray, "b n h w 3"]


@runtime_checkable
class Method(Protocol):
    """Attributes: `name` in tables, `key` in file names, `steps` of the sampler (None for all but models)."""

    name: str
    key: str
    steps: int | None

    def describe(self) -> dict[str, Any]:
        """What the frames depend on, apart from the clip; it goes into method.json and the row of results.json."""
        ...

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        """The frames of a batch, and the seconds that it took to make them."""
        ...


class PhotoCopied:
    """The identity photo as every frame."""

    name, key, steps = "photo copied", "photo", None

    def describe(self) -> dict[str, Any]:
        return {}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        return np.stack([np.broadcast_to(clip.identity, clip.real.shape) for clip in clips]), 0.0


class Upsampled:
    """The low-res frames, enlarged to the size of the real ones (bicubic)."""

    name, key, steps = "low-res upsampled", "upsampled", None

    def describe(self) -> dict[str, Any]:
        return {"resize": "bicubic"}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        return np.stack([np.stack([resize(frame, clip.real.shape[1]) for frame in clip.low]) for clip in clips]), 0.0


class RealFrames:
    """The real frames themselves, for the row "real" of the tables."""

    name, key, steps = "real", "real", None

    def describe(self) -> dict[str, Any]:
        return {}

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        return np.stack([clip.real for clip in clips]), 0.0


class Enhanced:
    """A model's frames, for all clips of a batch at once.

    Each clip gets the noise that `Enhancer` gives it. The frames are those of `Enhancer.enhance`, except that a batch
    adds up sums in another order, so that single pixels differ by one grey level.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        params: dict,
        steps: int,
        *,
        batch: int,
        seed: int = 0,
        shared_noise: bool = True,
        name: str = "enhanced",
        key: str = "",
    ):
        """`batch`: how many clips are enhanced at once. Raises InputError for steps that the model cannot take."""
        self.denoiser, self.params, self.steps, self.batch, self.seed = denoiser, params, steps, batch, seed
        self.shared_noise = shared_noise
        self.name, self.key = name, key or f"enhanced-{steps}"
        options = dict(denoiser=denoiser, plan=build.plan(denoiser, steps), shared_noise=shared_noise)
        chunk = functools.partial(recurrence.enhance_chunk, **options)
        # Each clip is a batch of 1, as in `Enhancer`: noise that is drawn for a whole batch would be other noise.
        each = jax.vmap(lambda *clip: chunk(*clip)[1], in_axes=(None, 0, 0, 0, None, None, None, 0))
        self._jitted, self._programs = jax.jit(each), {}

    def describe(self) -> dict[str, Any]:
        return {
            "model": fingerprint(self.denoiser, self.params),
            "steps": self.steps,
            "seed": self.seed,
            "shared_noise": self.shared_noise,
        }

    def __call__(self, clips: Sequence[EvaluationClip]) -> tuple[Made, float]:
        filled = [*clips, *[clips[-1]] * (self.batch - len(clips))]  # one shape: one program
        low, identity = np.stack([clip.low for clip in filled])[:, :, None], np.stack([c.identity for c in filled])
        self._check(low, identity)
        place = np.stack([find_face(clip.low[0], clip.identity) for clip in filled])[:, None]
        photo = identity[:, None]
        previous = np.asarray(jax.jit(jax.vmap(to_signal))(photo))
        first, count, key = np.int32(0), np.int32(low.shape[1]), jax.random.key(self.seed)
        arguments = (self.params, low, photo, previous, first, count, key, place)
        if low.shape not in self._programs:
            self._programs[low.shape] = self._jitted.lower(*arguments).compile()
        start = time.perf_counter()
        made = np.asarray(self._programs[low.shape](*arguments))[: len(clips), :, 0]
        return made, (time.perf_counter() - start) * len(clips) / self.batch

    def _check(self, low: np.ndarray, identity: np.ndarray) -> None:
        config = self.denoiser.config
        for what, side, wanted in (
            ("photos", identity.shape[1], config.resolution),
            ("low-res frames", low.shape[-2], config.low_size),
        ):
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
