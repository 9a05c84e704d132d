"""Takes back how a low-res frame is warped, as far as the photo's own low-res face tells it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from facenhance_jax.network import warping
from facenhance_jax.network.denoiser_config import GRID
from facenhance_jax.network.faults import FaultDetector, face_of
from facenhance_jax.network.pixels import slopes

WINDOW = 3.5  # pixels, standard deviation of the Gaussian window in which a pixel's shift is found
STEPS = 2  # in which shifts are found
LEAST_DETAIL = 2e-3  # squared slope; where there is less, the shift is taken to be small
FARTHEST = 4.0  # pixels


class Straightened(NamedTuple):
    """A low-res frame without its warp; what takes the warp back, in pixels; and the logit of how far that is done.

    What is usual in a clip is still in `moves`.
    """

    frame: Float[Array, "b l l 3"]
    moves: Float[Array, "b grid grid 2"]
    warped_logit: Float[Array, " b"]


class Straightener(nnx.Module):
    """Moves each square of a low-res frame to where the person's face would have it. At first, to where it is.

    The shifts between the photo's own face and the low-res frame (`shifts_of_squares`) are those of the expression, of
    the warp and of how the two were cut out. What of them to take back is a linear map of them all: so the warp and the
    expression are told apart by how each of them usually moves the parts of a face together. On people whom it has not
    seen, a convolutional network told less of it. A `FaultDetector` tells how far to take it: most frames are not
    warped.
    """

    def __init__(self, *, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros
        self.moves = nnx.Linear(2 * GRID**2, 2 * GRID**2, use_bias=False, kernel_init=zeros, rngs=rngs)
        self.warped = FaultDetector(rngs=rngs)

    def __call__(
        self,
        low: Float[Array, "b l l 3"],
        own: Float[Array, "b l l 3"],
        usual: Float[Array, "b grid grid 2"] | None = None,
    ) -> Straightened:
        """Straightens low-res frames; `own` are the photos' own low-res faces. All in [-1, 1].

        `usual` is what the other frames of a clip have in common: a warp differs from frame to frame, so that is taken
        off the moves.
        """
        shifts = shifts_of_squares(own, low)
        moves = self.moves(shifts.reshape(len(shifts), -1)).reshape(shifts.shape)
        logit = self.warped(low, own, moved(low, moves))
        share = nnx.sigmoid(logit)[:, None, None, None]
        taken = share * (moves if usual is None else moves - usual)
        return Straightened(moved(low, taken), moves, logit)


def moved(low: Float[Array, "b l l 3"], moves: Float[Array, "b grid grid 2"]) -> Float[Array, "b l l 3"]:
    """Low-res frames with their squares moved, in pixels; between the squares' centres the moves are interpolated."""
    return warping.moved(low, jax.image.resize(moves, (*low.shape[:3], 2), "linear"))


def shifts_of_squares(other: Float[Array, "b l l 3"], low: Float[Array, "b l l 3"]) -> Float[Array, "b grid grid 2"]:
    """How far away `other` has what the squares of `low` show: x and y in pixels, the mean over the square's face.

    Of squares with few pixels of the face it is taken to be less.
    """
    face = face_of(low)
    batch, size = low.shape[:2]

    def total(x):
        return x.reshape(batch, GRID, size // GRID, GRID, size // GRID, -1).sum(axis=(2, 4))

    return total(face * shifts_between(other, low, face)) / (total(face) + 1.0)


def shifts_between(
    other: Float[Array, "b l l 3"], low: Float[Array, "b l l 3"], face: Float[Array, "b l l 1"]
) -> Float[Array, "b l l 2"]:
    """For each pixel of `low`, how far away in x and y `other` has it; only pixels with `face` 1 count.

    The least squared difference in a Gaussian window around the pixel, by Gauss-Newton steps (Lucas & Kanade 1981).
    """
    position = jnp.arange(low.shape[1], dtype=jnp.float32)
    window = jnp.exp(-0.5 * ((position[None] - position[:, None]) / WINDOW) ** 2) / (WINDOW * (2 * jnp.pi) ** 0.5)
    shifts = jnp.zeros((*low.shape[:3], 2))
    for step in range(STEPS):
        found = warping.moved(other, shifts) if step else other
        (x, y), change = slopes(found), low - found
        pairs = (x, x), (x, y), (y, y), (x, change), (y, change)
        # Colour by colour, because XLA's sum over an axis of three takes twenty times as long on a CPU.
        products = jnp.stack([sum(a[..., n] * b[..., n] for n in range(3)) for a, b in pairs], axis=1)
        xx, xy, yy, to_x, to_y = jnp.einsum("yi,xj,bcij->cbyx", window, window, face[:, None, ..., 0] * products)
        xx, yy = xx + LEAST_DETAIL, yy + LEAST_DETAIL
        right_down = jnp.stack([yy * to_x - xy * to_y, xx * to_y - xy * to_x], axis=-1)
        shifts = jnp.clip(shifts + right_down / (xx * yy - xy * xy)[..., None], -FARTHEST, FARTHEST)
    return shifts
