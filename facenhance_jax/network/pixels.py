"""Pixels and signals: uint8 <-> [-1, 1], space-to-depth, bilinear sampling, and slopes."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8


def to_signal(pixels: UInt8[Array, "*b h w c"] | UInt8[np.ndarray, "*b h w c"]) -> Float[Array, "*b h w c"]:
    """Maps 0..255 to [-1, 1], float32."""
    return jnp.asarray(pixels).astype(jnp.float32) / 127.5 - 1.0


def to_pixels(signal: Float[Array, "*b h w c"]) -> UInt8[Array, "*b h w c"]:
    """Maps [-1, 1] to 0..255, rounding to nearest and clipping values outside."""
    return jnp.clip(jnp.round((signal.astype(jnp.float32) + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


def space_to_depth(images: Float[Array, "b h w c"], patch: int) -> Float[Array, "b hp wp cpp"]:
    """Folds each patch x patch square of pixels into channels: [b, h, w, c] -> [b, h/p, w/p, p*p*c]."""
    batch, height, width, channels = images.shape
    grid = images.reshape(batch, height // patch, patch, width // patch, patch, channels)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // patch, width // patch, patch * patch * channels)


def depth_to_space(grid: Float[Array, "b hp wp cpp"], patch: int) -> Float[Array, "b h w c"]:
    """The inverse of `space_to_depth`: [b, h/p, w/p, p*p*c] -> [b, h, w, c]."""
    batch, height, width, depth = grid.shape
    channels = depth // (patch * patch)
    squares = grid.reshape(batch, height, width, patch, patch, channels)
    return squares.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height * patch, width * patch, channels)


def sample_bilinear(images: Float[Array, "b l m c"], positions: Float[Array, "b h w 2"]) -> Float[Array, "b h w c"]:
    """Samples images at pixel positions (x, y). Whole numbers are pixel centres; outside, the edge is repeated."""
    batch, height, width, channels = images.shape
    x = jnp.clip(positions[..., 0], 0, width - 1)
    y = jnp.clip(positions[..., 1], 0, height - 1)
    left, top = jnp.clip(jnp.floor(x), 0, width - 2), jnp.clip(jnp.floor(y), 0, height - 2)
    across, down = (x - left)[..., None], (y - top)[..., None]
    flat = images.reshape(batch, height * width, channels)

    def at(row, column):
        index = (row * width + column).astype(jnp.int32).reshape(batch, -1, 1)
        return jnp.take_along_axis(flat, index, axis=1, mode="clip").reshape(*positions.shape[:-1], channels)

    upper = at(top, left) * (1 - across) + at(top, left + 1) * across
    lower = at(top + 1, left) * (1 - across) + at(top + 1, left + 1) * across
    return upper * (1 - down) + lower * down


def slopes(images: Float[Array, "b h w c"]) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"]]:
    """How much the next pixel is brighter, in x and in y: half of the difference of both neighbours."""
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2, (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
