"""E_exp, the expression encoder (section 4.1.2 of the paper): a low-res frame becomes a few tokens."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from facenhance_jax.network.layers import GroupNorm, silu


class ExpressionEncoder(nnx.Module):
    """Strided convolutions down to a small grid of tokens, plus a learned position for each.

    Each level halves the grid: Conv3 stride 2, GroupNorm, SiLU, Conv3, GroupNorm, SiLU. Four levels make 4x4 of 64x64.
    """

    def __init__(self, low_size: int, channels: tuple[int, ...], *, dtype, rngs: nnx.Rngs):
        """`channels`: the width of each level, multiples of 32; the last is the tokens' width."""
        widths = (3, *channels)
        conv = dict(kernel_size=(3, 3), padding="SAME", dtype=dtype, rngs=rngs)
        self.downs = nnx.List([nnx.Conv(a, b, strides=2, **conv) for a, b in zip(widths, channels, strict=False)])
        self.norms = nnx.List([GroupNorm(b, dtype=dtype, rngs=rngs) for b in channels])
        self.convs = nnx.List([nnx.Conv(b, b, **conv) for b in channels])
        self.ends = nnx.List([GroupNorm(b, dtype=dtype, rngs=rngs) for b in channels])
        grid = low_size // 2 ** len(channels)
        self.position = nnx.Param(0.02 * jax.random.normal(rngs.params(), (grid * grid, channels[-1])))

    def __call__(self, low: Float[Array, "b l l 3"]) -> Float[Array, "b tokens width"]:
        """Low-res frames in [-1, 1] to tokens."""
        grid = low
        for down, norm, conv, end in zip(self.downs, self.norms, self.convs, self.ends, strict=True):
            grid = silu(norm(down(grid)))
            grid = silu(end(conv(grid)))
        batch, height, width, channels = grid.shape
        tokens = grid.reshape(batch, height * width, channels)
        return tokens + jnp.asarray(self.position[...], tokens.dtype)[None]
