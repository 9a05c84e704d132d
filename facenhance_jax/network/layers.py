"""The UNet's layers as they are fastest: the same numbers as the plain ones, up to rounding."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from facenhance_jax.network.denoiser_config import GROUPS


class GroupNorm(nnx.GroupNorm):
    """Group normalization over 32 groups, in float32, followed by a scale and a shift of each image's channels.

    The sums go over the positions first and over the channels of a group second, and all factors become one multiply
    and one add. So a CPU works along the channels, which lie side by side in memory.
    """

    def __init__(self, channels: int, *, dtype, rngs: nnx.Rngs):
        super().__init__(channels, num_groups=GROUPS, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b h w c"],
        scale: Float[Array, "#b c"] | float = 1.0,
        shift: Float[Array, "#b c"] | float = 0.0,
    ) -> Float[Array, "b h w c"]:
        """`scale` times the normalized x, plus `shift`."""
        batch, height, width, channels = x.shape
        flat = x.reshape(batch, height * width, channels).astype(jnp.float32)
        # Groups are added up as windows: so a GPU does it where it needs the sum, instead of in kernels of their own.
        size = channels // GROUPS
        mean, square = (
            jax.lax.reduce_window(y.sum(axis=1), 0.0, jax.lax.add, (1, size), (1, size), "VALID")
            / (height * width * size)
            for y in (flat, flat * flat)
        )
        std = jnp.sqrt(jnp.maximum(square - mean * mean, 0.0) + self.epsilon)
        mean, std = (jnp.repeat(y, channels // GROUPS, axis=1) for y in (mean, std))
        gain, bias = self.scale[...][None] * scale, self.bias[...][None] * scale + shift
        # Each ends with a division, so that XLA computes it once for a channel and not again for each pixel.
        factor = gain / std
        offset = (bias * std - mean * gain) / std
        # In the shape of `flat`: XLA would overwrite x otherwise, and a CPU then works through it number by number.
        return (flat * factor[:, None] + offset[:, None]).reshape(x.shape).astype(self.dtype)


def silu(x: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """x / (1 + exp(-x)), by the hyperbolic tangent, which needs no division."""
    half = 0.5 * x
    return half + half * jnp.tanh(half)


def conv_of_pixels(conv: nnx.Conv, x: Float[Array, "b h w c"]) -> Float[Array, "b h w o"]:
    """The 1x1 convolution of x as a product, whose gradient some CPUs compute many times as fast."""
    return x @ conv.kernel[0, 0].astype(x.dtype) + _bias(conv, x)


def conv_of_doubled(conv: nnx.Conv, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 o"]:
    """The 3x3 convolution of x, each pixel of which is first doubled in both directions.

    On a CPU, three taps of the doubled image fall on two pixels of x, so each of the four kinds of output pixel (even
    or odd row and column) is a 2x2 convolution of x, with sums of the kernel's taps: 4 products instead of 9. Elsewhere
    products are cheap, and one convolution of the doubled image is one kernel instead of a dozen.
    """
    return jax.lax.platform_dependent(x, cpu=functools.partial(_by_kinds, conv), default=lambda x: conv(doubled(x)))


def doubled(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Each pixel twice in both directions."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def _by_kinds(conv: nnx.Conv, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 o"]:
    batch, height, width, _ = x.shape
    kernel = conv.kernel[...]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def kind(row: int, column: int) -> Float[Array, "b h w o"]:
        taps = _two_taps(_two_taps(kernel, row, axis=0), column, axis=1).astype(x.dtype)
        seen = padded[:, row : row + height + 1, column : column + width + 1]
        return jax.lax.conv_general_dilated(seen, taps, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    rows = [jnp.stack([kind(row, 0), kind(row, 1)], axis=3) for row in (0, 1)]  # [b, h, w, 2, o]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, -1) + _bias(conv, x)


def _bias(conv: nnx.Conv, x: Float[Array, "b h w c"]) -> Float[Array, "1 1 1 o"]:
    return conv.bias[...].astype(x.dtype).reshape(1, 1, 1, -1)


def _two_taps(kernel: Float[Array, "..."], odd: int, axis: int) -> Float[Array, "..."]:
    """Three taps as two: an even pixel's last two taps fall on one pixel of the image, an odd pixel's first two."""
    first, middle, last = jnp.split(kernel, 3, axis=axis)
    return jnp.concatenate([first + middle, last] if odd else [first, middle + last], axis=axis)
