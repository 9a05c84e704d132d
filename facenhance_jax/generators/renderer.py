"""The renderer: a photo's low-res face, moved landmarks and an expression become one low-res frame.

It takes the place of MotionGAN's second half, which turns landmarks into pictures. Ours: the photo is moved by a dense
flow that agrees with the landmarks; a small U-Net corrects the flow, and paints what the photo does not show, such as
teeth (as in LFDM, Ni et al. 2023, and first-order motion models, Siarohin et al. 2019):

    frame = gate warp(photo, flow + residual) + (1 - gate) painted, black outside of the moved landmarks' hull
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from facenhance_jax.generators.modules import Pure, one_hot, root
from facenhance_jax.network.layers import conv_of_doubled, conv_of_pixels, silu
from facenhance_jax.network.pixels import depth_to_space, sample_bilinear, space_to_depth

SIDE = 64  # pixels
PATCH = 2  # side of the squares folded into channels at the entrance
REACH = 8.0  # pixels: how far a landmark's motion takes its surroundings along
RIDGE = 1e-2  # the flow may leave the landmarks by about this part of their motion, to stay smooth
FLOW_UNIT = 4.0  # pixels of flow for an output of 1
GATE_START = 3.0  # the gate's logit at first: the moved photo is seen, but between the lips the painted picture
PARTS = (range(17), range(17, 27), range(27, 36), range(36, 48), range(48, 60), range(60, 68))  # of the landmarks
SPOT = 1.0  # pixels: standard deviation of the spots that show the network where landmarks are


@dataclass(frozen=True)
class RendererConfig:
    """The shape of the network.

    Attributes:
      kind: "renderer".
      base: channels at the first level, 32x32.
      multipliers: channels of each level, in units of `base`; each level halves the grid of the one before.
      labels: the expressions, in the order of their numbers.
    """

    kind: str
    base: int
    multipliers: tuple[int, ...]
    labels: tuple[str, ...]

    def __post_init__(self):
        if self.base < 1 or not self.multipliers or min(self.multipliers) < 1 or len(self.multipliers) > 6:
            raise ValueError(
                f"base and multipliers must be whole numbers from 1 on, for 1 to 6 levels, not {self.base} and "
                f"{self.multipliers}"
            )
        if not self.labels:
            raise ValueError("labels must name one or more expressions")


class Block(nnx.Module):
    """x + Conv3(SiLU(Conv3(SiLU(x)) scaled and shifted by the condition)); the second convolution starts at zero.

    No norm: the statistics of a face that is half black would depend on how much of it is.
    """

    def __init__(self, inputs: int, outputs: int, condition: int, *, rngs: nnx.Rngs):
        self.conv_in = nnx.Conv(inputs, outputs, (3, 3), rngs=rngs)
        self.modulation = nnx.Linear(condition, 2 * outputs, kernel_init=nnx.initializers.zeros, rngs=rngs)
        self.conv_out = nnx.Conv(outputs, outputs, (3, 3), kernel_init=nnx.initializers.zeros, rngs=rngs)
        self.skip = None if inputs == outputs else nnx.Conv(inputs, outputs, (1, 1), rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], condition: Float[Array, "b e"]) -> Float[Array, "b h w d"]:
        scale, shift = jnp.split(self.modulation(condition)[:, None, None], 2, axis=-1)
        h = self.conv_in(silu(x)) * (1.0 + scale) + shift
        return self.conv_out(silu(h)) + (x if self.skip is None else conv_of_pixels(self.skip, x))


class RendererNetwork(nnx.Module):
    """The U-Net; see the top of the file."""

    def __init__(self, config: RendererConfig, *, rngs: nnx.Rngs):
        self.labels = len(config.labels)
        condition, sizes = self.labels + 1, [config.base * factor for factor in config.multipliers]
        block = functools.partial(Block, condition=condition, rngs=rngs)
        images = 3 + 3 + 2 + len(PARTS) + 1
        self.entrance = nnx.Conv(images * PATCH**2, sizes[0], (3, 3), rngs=rngs)
        self.downs = nnx.List([block(a, b) for a, b in zip([sizes[0], *sizes], sizes, strict=False)])
        self.middle = block(sizes[-1], sizes[-1])
        self.ups = nnx.List([block(2 * size, size) for size in sizes[::-1]])
        self.grow = nnx.List(
            [nnx.Conv(a, b, (3, 3), rngs=rngs) for a, b in zip(sizes[:0:-1], sizes[-2::-1], strict=True)]
        )
        self.exit = nnx.Conv(sizes[0], 6 * PATCH**2, (3, 3), kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(
        self,
        photo: Float[Array, "b 64 64 3"],
        points: Float[Array, "b 2 68 2"],
        mask: Float[Array, "b 64 64"],
        label: Int[Array, " b"],
        phase: Float[Array, " b"],
    ) -> Float[Array, "b 64 64 3"]:
        """The frame, -1 where it is black.

        Args:
          photo: the neutral photo in the low-res face's frame, in [-1, 1].
          points: the photo's landmarks and the frame's, pixels.
          mask: 1 inside the hull of the frame's landmarks (`alignment.face_mask`), 0 outside.
          label, phase: the expression, and how much of its motion the frame shows (see `phase_of`).
        """
        flow = flow_of(points)
        moved = sample_bilinear(photo, _grid() + flow)
        spots, mouth = spots_of(points[:, 1]), mouth_of(points[:, 1])[..., None]
        images = jnp.concatenate([moved, photo, flow / FLOW_UNIT, spots, mouth], axis=-1)
        condition = jnp.concatenate([one_hot(label, self.labels) * phase[:, None], phase[:, None]], axis=-1)
        output = depth_to_space(self.exit(self._unet(space_to_depth(images, PATCH), condition)), PATCH)
        seen = sample_bilinear(photo, _grid() + flow + FLOW_UNIT * output[..., :2])
        gate = nnx.sigmoid(output[..., 2:3] + GATE_START * (1.0 - 2.0 * mouth))
        frame = gate * seen + (1.0 - gate) * jnp.tanh(output[..., 3:])
        return mask[..., None] * (frame + 1.0) - 1.0

    def _unet(self, x: Float[Array, "b h w c"], condition: Float[Array, "b e"]) -> Float[Array, "b h w d"]:
        x, skips = self.entrance(x), []
        for level, block in enumerate(self.downs):
            x = _halved(x) if level else x
            x = block(x, condition)
            skips.append(x)
        x = self.middle(x, condition)
        for level, block in enumerate(self.ups):
            x = conv_of_doubled(self.grow[level - 1], x) if level else x
            x = block(jnp.concatenate([x, skips.pop()], axis=-1), condition)
        return silu(x)


def _halved(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def _grid() -> Float[Array, "1 64 64 2"]:
    side = jnp.arange(SIDE, dtype=jnp.float32)
    return jnp.stack(jnp.meshgrid(side, side), axis=-1)[None]


def _kernel(a: Float[Array, "_ n 2"], b: Float[Array, "_ m 2"]) -> Float[Array, "_ n m"]:
    """Matern 3/2: how much the motions of points at this distance have in common."""
    apart = a[..., :, None, :] - b[..., None, :, :]
    far = root(jnp.sum(apart**2, axis=-1)) * (3**0.5 / REACH)
    return (1.0 + far) * jnp.exp(-far)


def flow_of(points: Float[Array, "b 2 68 2"]) -> Float[Array, "b 64 64 2"]:
    """For each pixel of the frame, how far off in the photo it is, pixels: smooth, and right at the landmarks.

    The mean of a Gaussian process (kriging) through the landmarks' motions; far from all of them nothing moves.
    """
    photo, frame = points[:, 0], points[:, 1]
    known = _kernel(frame, frame) + RIDGE * jnp.eye(68)[None]
    # One after the other: with two JAX devices on two cores, two batched factorizations wait for each other for ever.
    weights = jax.lax.map(
        lambda pair: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(pair[0]), pair[1]), (known, photo - frame)
    )
    pixels = _grid().reshape(1, SIDE * SIDE, 2)
    return (_kernel(pixels, frame) @ weights).reshape(-1, SIDE, SIDE, 2)


def spots_of(points: Float[Array, "b 68 2"]) -> Float[Array, "b 64 64 6"]:
    """A picture of each part's landmarks (jaw, brows, nose, eyes, outer and inner lips): 1 at each of them."""
    side = jnp.arange(SIDE, dtype=jnp.float32)[None, None]
    across, down = (jnp.exp(-0.5 * ((side - points[..., axis, None]) / SPOT) ** 2) for axis in (0, 1))
    parts = [jnp.einsum("bkh,bkw->bhw", down[:, list(part)], across[:, list(part)]) for part in PARTS]
    return jnp.minimum(jnp.stack(parts, axis=-1), 1.0)


def mouth_of(points: Float[Array, "b 68 2"]) -> Float[Array, "b 64 64"]:
    """How much of each pixel lies between the inner lips, 0 to 1; closed lips give 0.

    Without it the gate stays open there: painting is all but unseen at first, so it is learned too slowly.
    """
    side = jnp.arange(SIDE, dtype=jnp.float32)
    lips = [points[:, jnp.array(edge)] for edge in ((60, 61, 62, 63, 64), (60, 67, 66, 65, 64))]  # from left to right
    upper, lower = (jax.vmap(lambda lip: jnp.interp(side, lip[:, 0], lip[:, 1]))(lip)[:, None] for lip in lips)
    left, right = points[:, None, 60, :1], points[:, None, 64, :1]
    down, across = side[None, :, None], side[None, None]
    high = jnp.clip(jnp.minimum(down + 0.5, lower) - jnp.maximum(down - 0.5, upper), 0.0, 1.0)
    return high * jnp.clip(jnp.minimum(across + 0.5, right) - jnp.maximum(across - 0.5, left), 0.0, 1.0)


def phase_of(photo: Float[Array, "*b 68 2"], frame: Float[Array, "*b 68 2"]) -> Float[Array, "*b"]:
    """How much of an expression a frame shows, about 0 to 1: the landmarks' mean motion, pixels."""
    return jnp.mean(root(jnp.sum((frame - photo) ** 2, axis=-1)), axis=-1)


def network(config: RendererConfig) -> Pure:
    """The renderer."""
    return Pure(RendererNetwork, config)
