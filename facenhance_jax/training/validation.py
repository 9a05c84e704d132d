"""Scores of a training on held-out subjects, and pictures of its samples."""

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from facenhance_jax.evaluation.metrics.frames import psnr, ssim
from facenhance_jax.media.pictures import resize
from facenhance_jax.training.experiment import Experiment
from facenhance_jax.training.parallel import Parallel

PICTURED = 8  # examples


class Validation:
    """Scores parameters on batches that are always the same, of subjects that the training does not see."""

    def __init__(self, experiment: Experiment, parallel: Parallel):
        self._batches, self._parallel = experiment.validation_batches(), parallel

        def loss(params, batch):
            return experiment.loss(params, batch, jax.random.key(0))[0]  # the same noises and timesteps each time

        self._loss = jax.jit(loss, out_shardings=parallel.replicated)
        self._sampler = Sampler(experiment, parallel)

    def score(self, params: Any) -> dict[str, float]:
        """The loss; and PSNR (dB) and SSIM of sampled frames, and of the photo copied.

        Each frame is sampled with the real previous frame. In a whole clip it is a sampled one, which is harder.
        """
        losses, rows = [], []
        for batch in self._batches:
            on_devices = self._parallel.spread(batch)
            losses.append(float(self._loss(params, on_devices)))
            sampled, identity, high = self._sampler(params, on_devices)
            made = {"": sampled, "_copied": identity}
            rows.append({f"psnr{suffix}": psnr(frames, high).mean() for suffix, frames in made.items()})
            rows[-1] |= {f"ssim{suffix}": ssim(frames, high).mean() for suffix, frames in made.items()}
        return {"loss": float(np.mean(losses))} | {
            name: float(np.mean([row[name] for row in rows])) for name in rows[0]
        }


class Sampler:
    """Samples every example of a batch that is on the devices, and copies the frames of all processes to the host."""

    def __init__(self, experiment: Experiment, parallel: Parallel):
        def run(params, batch):
            return experiment.sample(params, batch), batch["identity"], batch["high"]

        self._run = jax.jit(run, out_shardings=parallel.replicated)

    def __call__(self, params: Any, batch: dict[str, jax.Array]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The sampled frames, the photos and the real frames, uint8 [b, h, w, 3]."""
        return jax.device_get(self._run(params, batch))


class Pictures:
    """Draws the first 8 examples of one batch, always the same, so that pictures show the progress."""

    def __init__(self, experiment: Experiment, parallel: Parallel):
        self._experiment, self._parallel = experiment, parallel

    @functools.cached_property
    def _drawing(self) -> tuple[Sampler, dict[str, np.ndarray]]:
        # Held-out subjects if there are some; else the training's first batch, also in a resumed run.
        experiment = self._experiment
        held_out = experiment.settings.run.validate_every > 0
        batch = experiment.validation_batches()[0] if held_out else next(experiment.batches(0))
        return Sampler(experiment, self._parallel), batch

    def draw(self, params: Any) -> UInt8[np.ndarray, "h w 3"]:
        """The `grid` of the batch. Only the first process's is right: it pairs the batch with the first samples."""
        sampler, batch = self._drawing
        # The first rows of the global batch are the first process's own.
        sampled = sampler(params, self._parallel.spread(batch))[0]
        return grid(batch, sampled)


def grid(batch: dict[str, np.ndarray], sampled: UInt8[np.ndarray, "b h w 3"]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Up to 8 examples side by side, each a column of photo, low-res, previous, sampled and real frame.

    A generator's batches have neither low-res nor previous frames.
    """
    shown, rows = min(PICTURED, len(sampled)), [batch["identity"]]
    if "low" in batch:
        rows += [np.stack([resize(frame, sampled.shape[1]) for frame in batch["low"][:shown]]), batch["previous"]]
    rows += [sampled, batch["high"]]
    return np.concatenate([np.concatenate(list(row[:shown]), axis=1) for row in rows], axis=0)
