"""Tells how far a low-res frame has faults, from a few statistics of it."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from facenhance_jax.network.layers import silu

SIGNS = 6
BLACK, NEARLY_BLACK = 0.001, 0.04  # brightness up to which a pixel is; a grey level is 0.008


class FaultDetector(nnx.Module):
    """The logit of how far to take a frame without its fault in place of the frame as it is. 0 at first."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(SIGNS, 16, rngs=rngs)
        self.logit = nnx.Linear(16, 1, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(
        self, low: Float[Array, "b l l 3"], own: Float[Array, "b l l 3"], frame: Float[Array, "b l l 3"]
    ) -> Float[Array, " b"]:
        """Of low-res frames, the photos' own low-res faces, and the frames without the fault. All in [-1, 1]."""
        return self.logit_of(jax.lax.stop_gradient(signs_of_faults(low, own, frame)))

    def logit_of(self, signs: Float[Array, "b signs"]) -> Float[Array, " b"]:
        """The same, of the frames' signs."""
        return self.logit(silu(self.hidden(signs)))[:, 0]


def face_of(low: Float[Array, "b l l 3"]) -> Float[Array, "b l l 1"]:
    """1 where a low-res frame is not black."""
    return (low.max(axis=-1, keepdims=True) > BLACK - 1.0).astype(low.dtype)


def signs_of_faults(
    low: Float[Array, "b l l 3"], own: Float[Array, "b l l 3"], frame: Float[Array, "b l l 3"]
) -> Float[Array, "b signs"]:
    """How rough the three are, how much is restored, how much of the frame is nearly black, and how hard its edge is.

    Noise makes a frame rough and blur makes it smooth. Blur and JPEG spread a little light around the face, and a warp
    softens the face's edge, which `alignment.low_frame` cuts hard: how bright the outermost pixels are, as a share of
    their brightest neighbours.
    """
    sizes = [_roughness(image) for image in (low, own, frame)] + [jnp.abs(frame - low).mean(axis=(1, 2, 3))]
    bright = low.max(axis=-1, keepdims=True) + 1.0
    face = face_of(low)
    nearly = (face * (bright < NEARLY_BLACK)).mean(axis=(1, 2, 3))
    edge = face * nnx.max_pool(1.0 - face, (3, 3), padding="SAME")
    hard = edge * bright / (nnx.max_pool(bright, (3, 3), padding="SAME") + 1e-3)
    hard = hard.sum(axis=(1, 2, 3)) / (edge.sum(axis=(1, 2, 3)) + 1.0)
    return jnp.stack([*(jnp.log(size + 1e-3) + 3.0 for size in (*sizes, nearly)), 3.0 * hard], axis=-1)


def _roughness(image: Float[Array, "b l l 3"]) -> Float[Array, " b"]:
    """The mean absolute difference of a pixel from its four neighbours' mean."""
    inside = image[:, 1:-1, 1:-1]
    around = image[:, :-2, 1:-1] + image[:, 2:, 1:-1] + image[:, 1:-1, :-2] + image[:, 1:-1, 2:]
    return jnp.abs(inside - around / 4).mean(axis=(1, 2, 3))
