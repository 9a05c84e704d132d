"""Restores a low-res frame: a generator's frames are blurred, noisy, warped or compressed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from facenhance_jax.network.faults import FaultDetector
from facenhance_jax.network.layers import conv_of_pixels, silu
from facenhance_jax.network.pixels import depth_to_space, space_to_depth
from facenhance_jax.network.straightening import Straightened, Straightener

WIDTHS = 64, 128  # channels on the grid of 2x2 squares, and on the next coarser one
FOLD = 2
REACH = 2  # pixels, of a pixel's kernel
OWN_REACH = 1


class Restored(NamedTuple):
    """A low-res frame without its faults, with the photo's own surroundings; and the logit of how far to take it.

    `straightened` is the frame before it was restored, without its warp.
    """

    frame: Float[Array, "b l l 3"]
    faulty_logit: Float[Array, " b"]
    straightened: Straightened


class Block(nnx.Module):
    """SiLU-Conv3 twice, the second convolution zero at first, and the skip.

    There is no normalization: it would hide how strong noise is.
    """

    def __init__(self, channels: int, *, dtype, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros
        self.conv_in = nnx.Conv(channels, channels, (3, 3), dtype=dtype, rngs=rngs)
        self.conv_out = nnx.Conv(channels, channels, (3, 3), dtype=dtype, kernel_init=zeros, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        return x + self.conv_out(silu(self.conv_in(silu(x))))


class Restorer(nnx.Module):
    """Takes a warp back, then predicts a kernel for each pixel. At first it returns the low-res frame as it is.

    A small U-Net, at half of the frame's side, also sees the photo's own low-res face on the same place. Its output for
    a pixel: how much of each neighbour's difference to add (Bako et al. 2017), which averages noise away, sharpens or
    shifts; the same for the photo's own face, which gives detail; a share of the photo's own pixel; and a colour.
    A `FaultDetector` tells how far to take the result: a frame without faults is to stay as it is.
    """

    def __init__(self, *, dtype, rngs: nnx.Rngs):
        fine, coarse = WIDTHS
        self.entrance = nnx.Conv(6 * FOLD**2, fine, (3, 3), dtype=dtype, rngs=rngs)
        self.before = Block(fine, dtype=dtype, rngs=rngs)
        self.down = nnx.Conv(fine, coarse, (1, 1), dtype=dtype, rngs=rngs)
        self.middle = nnx.List([Block(coarse, dtype=dtype, rngs=rngs) for _ in range(2)])
        self.up = nnx.Conv(coarse, fine, (1, 1), dtype=dtype, rngs=rngs)
        self.after = Block(fine, dtype=dtype, rngs=rngs)
        outputs = _taps(REACH) + _taps(OWN_REACH) + 4
        zeros = nnx.initializers.zeros
        self.straightener = Straightener(rngs=rngs)
        self.faulty = FaultDetector(rngs=rngs)
        self.exit = nnx.Conv(fine, outputs * FOLD**2, (3, 3), dtype=dtype, kernel_init=zeros, rngs=rngs)

    def __call__(
        self,
        low: Float[Array, "b l l 3"],
        own: Float[Array, "b l l 3"],
        usual: Float[Array, "b grid grid 2"] | None = None,
    ) -> Restored:
        """Restores low-res frames; `own` are the photos' own low-res faces. All in [-1, 1].

        `usual` is of the straightener.
        """
        straightened = self.straightener(low, own, usual)
        straight = jax.lax.stop_gradient(straightened.frame)  # it is trained by its own error
        seen = space_to_depth(jnp.concatenate([straight, own], axis=-1), FOLD)
        x = self.before(self.entrance(seen))
        batch, height, width, channels = x.shape
        coarse = x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
        coarse = conv_of_pixels(self.down, coarse)
        for block in self.middle:
            coarse = block(coarse)
        x += jax.image.resize(conv_of_pixels(self.up, coarse), x.shape, "nearest")
        output = depth_to_space(self.exit(silu(self.after(x))).astype(jnp.float32), FOLD)
        at = _taps(REACH), _taps(REACH) + _taps(OWN_REACH)
        weights, own_weights, share, colour = jnp.split(output, [*at, at[1] + 1], axis=-1)
        change = _differences(straight, weights, REACH) + _differences(own, own_weights, OWN_REACH)
        frame = straight + change + share * (own - straight) + colour
        return Restored(frame, self.faulty(low, own, frame), straightened)


def _taps(reach: int) -> int:
    return (2 * reach + 1) ** 2 - 1


def _differences(
    image: Float[Array, "b l l 3"], weights: Float[Array, "b l l taps"], reach: int
) -> Float[Array, "b l l 3"]:
    """For each pixel, the weighted sum of how its neighbours, up to `reach` away, differ from it."""
    size = image.shape[1]
    padded = jnp.pad(image, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    steps = [(y, x) for y in range(2 * reach + 1) for x in range(2 * reach + 1) if (y, x) != (reach, reach)]
    parts = (
        weights[..., tap, None] * (padded[:, y : y + size, x : x + size] - image) for tap, (y, x) in enumerate(steps)
    )
    return sum(parts)
