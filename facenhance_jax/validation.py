"""What held-out subjects say of a training, and pictures of it."""

import functools
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import UInt8

from facenhance_jax import build
from facenhance_jax.metrics.frames import psnr, ssim
from facenhance_jax.parallel import Parallel
from facenhance_jax.pixels import resize

PICTURED = 8  # examples


class Validation:
    """Scores parameters on batches that are always the same, of subjects that the training does not see."""

    def __init__(self, config: ml_collections.ConfigDict, parallel: Parallel):
        self._batches = build.validation_batches(config)
        self._parallel = parallel
        self._loss = jax.jit(build.validation_loss(config), out_shardings=parallel.replicated)
        self._sampler = Sampler(config, parallel)

    def score(self, params: Any) -> dict[str, float]:
        """The loss; and PSNR (dB) and SSIM of sampled frames, and of the photo copied.

        Each frame is sampled after the real one before it; a whole clip, each frame after its own, is harder.
        """
        losses, rows = [], []
        for batch in self._batches:
            placed = self._parallel.spread(batch)
            losses.append(float(self._loss(params, placed)))
            sampled, identity, high = self._sampler(params, placed)
            made = {"": sampled, "_copied": identity}
            rows.append({f"psnr{way}": psnr(frames, high).mean() for way, frames in made.items()})
            rows[-1] |= {f"ssim{way}": ssim(frames, high).mean() for way, frames in made.items()}
        return {"loss": float(np.mean(losses))} | {
            name: float(np.mean([row[name] for row in rows])) for name in rows[0]
        }


class Sampler:
    """Samples every example of a placed batch, and brings the frames to the host, those of other processes too."""

    def __init__(self, config: ml_collections.ConfigDict, parallel: Parallel):
        frames = build.sampled(config)

        def run(params, batch):
            return frames(params, batch), batch["identity"], batch["high"]

        self._run = jax.jit(run, out_shardings=parallel.replicated)

    def __call__(self, params: Any, batch: dict[str, jax.Array]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The sampled frames, the photos and the real frames, uint8 [b, h, w, 3]."""
        return jax.device_get(self._run(params, batch))


class Pictures:
    """Pictures of one batch, drawn again and again: its first 8 examples, as they get better."""

    def __init__(self, config: ml_collections.ConfigDict, parallel: Parallel):
        self._config, self._parallel = config, parallel

    @functools.cached_property
    def _drawing(self) -> tuple[Sampler, dict[str, np.ndarray]]:
        # Held-out subjects where there are some; else the first batch of all, whatever step the run goes on from.
        config = self._config
        held_out = config.run.validate_every > 0
        batch = build.validation_batches(config)[0] if held_out else next(iter(build.batches(config, 0)))
        return Sampler(config, self._parallel), batch

    def draw(self, params: Any) -> UInt8[np.ndarray, "h w 3"]:
        """Rows of photo | low-res | previous | sampled | real, in the first process of its own examples."""
        sampler, batch = self._drawing
        # The first rows of the whole batch are the first process's own.
        sampled = sampler(params, self._parallel.spread(batch))[0]
        return grid(batch, sampled)


def grid(batch: dict[str, np.ndarray], sampled: UInt8[np.ndarray, "b h w 3"]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Up to 8 examples side by side: photo, low-res, previous, sampled and real frame, from above."""
    shown = min(PICTURED, len(batch["low"]))
    low = np.stack([resize(frame, sampled.shape[1]) for frame in batch["low"][:shown]])
    rows = [batch["identity"], low, batch["previous"], sampled, batch["high"]]
    return np.concatenate([np.concatenate(list(row[:shown]), axis=1) for row in rows], axis=0)
