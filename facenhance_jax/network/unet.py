"""The conditional UNet (section 4.1.2 of the paper): guided-diffusion's blocks, as Palette configures them."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from facenhance_jax.network.denoiser_config import UNetConfig
from facenhance_jax.network.layers import GroupNorm, conv_of_doubled, conv_of_pixels, doubled, silu
from facenhance_jax.network.pixels import depth_to_space, space_to_depth

HEAD_CHANNELS = 32


def timestep_embedding(timestep: Int[Array, " b"], width: int) -> Float[Array, "b width"]:
    """Sinusoids of the integer timestep, periods 2 pi to 20000 pi; cosines first, as in guided-diffusion."""
    frequencies = jnp.exp(-math.log(10000.0) * jnp.arange(width // 2) / (width // 2))
    angles = timestep.astype(jnp.float32)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class ResBlock(nnx.Module):
    """GroupNorm-SiLU-Conv3, GroupNorm scaled and shifted by the timestep, SiLU-Conv3 (zero at first), and the skip.

    `resample` is "" or "down" (mean of 2x2) or "up" (nearest x2), applied after the first SiLU and on the skip.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int, *, resample: str = "", dtype, rngs: nnx.Rngs):
        self.resample = resample
        self.norm_in = GroupNorm(inputs, dtype=dtype, rngs=rngs)
        self.conv_in = nnx.Conv(inputs, outputs, (3, 3), dtype=dtype, rngs=rngs)
        self.modulation = nnx.Linear(embedding, 2 * outputs, dtype=dtype, rngs=rngs)
        self.norm_out = GroupNorm(outputs, dtype=dtype, rngs=rngs)
        self.conv_out = nnx.Conv(outputs, outputs, (3, 3), dtype=dtype, kernel_init=nnx.initializers.zeros, rngs=rngs)
        self.skip = None if inputs == outputs else nnx.Conv(inputs, outputs, (1, 1), dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], modulation: Float[Array, "#b twice"]) -> Float[Array, "b h2 w2 c2"]:
        """`modulation` is what the layer of that name makes of the timestep (see `UNet.modulations`)."""
        h = silu(self.norm_in(x))
        h = conv_of_doubled(self.conv_in, h) if self.resample == "up" else self.conv_in(_resample(h, self.resample))
        x = _resample(x, self.resample)
        scale, shift = jnp.split(modulation, 2, axis=-1)
        h = self.conv_out(silu(self.norm_out(h, 1 + scale, shift)))
        return h + (x if self.skip is None else conv_of_pixels(self.skip, x))


def _resample(x: Float[Array, "b h w c"], how: str) -> Float[Array, "b h2 w2 c"]:
    batch, height, width, channels = x.shape
    if how == "down":
        return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
    if how == "up":
        return doubled(x)
    return x


class Attention(nnx.Module):
    """Self-attention over the image's positions; keys and values also come from the expression tokens, if any."""

    def __init__(self, channels: int, token_width: int, *, dtype, rngs: nnx.Rngs):
        self.norm = GroupNorm(channels, dtype=dtype, rngs=rngs)
        self.qkv = nnx.Linear(channels, 3 * channels, dtype=dtype, rngs=rngs)
        self.token_kv = nnx.Linear(token_width, 2 * channels, dtype=dtype, rngs=rngs) if token_width else None
        # Guided-diffusion starts this projection at zero. Here it starts at zero only without tokens, so that the
        # expression reaches the output after one training step. The UNet's output still starts at zero, because its
        # last convolution does.
        start = nnx.initializers.lecun_normal() if token_width else nnx.initializers.zeros
        self.out = nnx.Linear(channels, channels, dtype=dtype, kernel_init=start, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b h w c"], token_kv: Float[Array, "b n twice"] | None = None
    ) -> Float[Array, "b h w c"]:
        """`token_kv` is what the layer of that name makes of the tokens (see `UNet.token_kv`)."""
        batch, height, width, channels = x.shape
        query, key, value = jnp.split(self.qkv(self.norm(x).reshape(batch, height * width, channels)), 3, axis=-1)
        if token_kv is not None:
            token_key, token_value = jnp.split(token_kv, 2, axis=-1)
            key = jnp.concatenate([key, token_key], axis=1)
            value = jnp.concatenate([value, token_value], axis=1)
        heads = (batch, -1, channels // HEAD_CHANNELS, HEAD_CHANNELS)
        # The softmax runs in float32, also for bfloat16 inputs.
        attended = jax.nn.dot_product_attention(query.reshape(heads), key.reshape(heads), value.reshape(heads))
        return x + self.out(attended.reshape(batch, height, width, channels))


class Stage(nnx.Module):
    """One residual block and, at the levels with attention, the attention after it."""

    def __init__(self, block: ResBlock, attention: Attention | None = None, *, remat: bool = False):
        self.block = block
        self.attention = attention
        self.remat = remat

    def __call__(self, x, modulation, token_kv):
        return (jax.checkpoint(self._apply) if self.remat else self._apply)(x, modulation, token_kv)

    def _apply(self, x, modulation, token_kv):
        x = self.block(x, modulation)
        return x if self.attention is None else self.attention(x, token_kv)


def _stage(
    config: UNetConfig,
    inputs: int,
    outputs: int,
    level: int | None = None,
    resample: str = "",
    *,
    token_width: int,
    dtype,
    rngs: nnx.Rngs,
) -> Stage:
    attends = level in config.attention_levels
    attention = Attention(outputs, token_width, dtype=dtype, rngs=rngs) if attends else None
    block = ResBlock(inputs, outputs, 4 * config.base, resample=resample, dtype=dtype, rngs=rngs)
    return Stage(block, attention, remat=config.remat)


def _downs(config: UNetConfig, stage: Callable[..., Stage]) -> tuple[list[Stage], list[int]]:
    """The stages on the way down, and the channels of all skip connections, the entrance's first."""
    downs, skips = [], [config.base]
    for level, multiplier in enumerate(config.multipliers):
        for _ in range(config.res_blocks):
            downs.append(stage(skips[-1], config.base * multiplier, level))
            skips.append(config.base * multiplier)
        if level != len(config.multipliers) - 1:
            downs.append(stage(skips[-1], skips[-1], resample="down"))
            skips.append(skips[-1])
    return downs, skips


def _ups(config: UNetConfig, stage: Callable[..., Stage], skips: list[int]) -> list[Stage]:
    """The stages on the way up; each but the resampling ones takes the last skip connection that is left."""
    ups, skips, channels = [], [*skips], skips[-1]
    for level, multiplier in reversed(list(enumerate(config.multipliers))):
        for _ in range(config.res_blocks + 1):
            ups.append(stage(channels + skips.pop(), config.base * multiplier, level))
            channels = config.base * multiplier
        if level:
            ups.append(stage(channels, channels, resample="up"))
    return ups


class UNet(nnx.Module):
    """(images with their conditions, timestep, expression tokens) -> an image; all zero at initialisation."""

    def __init__(
        self,
        config: UNetConfig,
        in_channels: int,
        out_channels: int,
        *,
        extra_channels: int = 0,
        token_width: int = 0,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Builds the network with fresh parameters.

        Args:
          config: its shape.
          in_channels: channels of the input images, with all conditions.
          out_channels: channels of the output image.
          extra_channels: further output channels, from a last convolution of their own.
          token_width: channels of an expression token; 0 without tokens.
          dtype: of the computation.
          rngs: for the parameters.
        """
        self.config = config
        self.dtype = dtype
        base, width = config.base, 4 * config.base
        self.time_in = nnx.Linear(base, width, dtype=dtype, rngs=rngs)
        self.time_out = nnx.Linear(width, width, dtype=dtype, rngs=rngs)
        self.entrance = nnx.Conv(in_channels * config.patch**2, base, (3, 3), dtype=dtype, rngs=rngs)
        stage = partial(_stage, config, token_width=token_width, dtype=dtype, rngs=rngs)
        downs, skips = _downs(config, stage)
        self.downs = nnx.List(downs)
        channels = skips[-1]
        self.middle_in = stage(channels, channels)
        self.middle_attention = Attention(channels, 0, dtype=dtype, rngs=rngs)
        self.middle_out = stage(channels, channels)
        self.ups = nnx.List(_ups(config, stage, skips))
        self.norm = GroupNorm(base, dtype=dtype, rngs=rngs)
        zeros = nnx.initializers.zeros
        outputs = out_channels * config.patch**2
        self.exit = nnx.Conv(base, outputs, (3, 3), dtype=dtype, kernel_init=zeros, rngs=rngs)
        extra = extra_channels * config.patch**2
        self.extra = nnx.Conv(base, extra, (3, 3), dtype=dtype, kernel_init=zeros, rngs=rngs) if extra else None

    def __call__(
        self,
        images: Float[Array, "b h w c"],
        timestep: Int[Array, " b"],
        tokens: Float[Array, "b n t"] | None = None,
    ) -> Float[Array, "b h w out"]:
        """Images [b, side, side, in_channels] to float32 [b, side, side, out_channels + extra_channels]."""
        entered = self.enter(images, range(images.shape[-1]))
        return self.after_entrance(entered, self.modulations(timestep), self.token_kv(tokens))

    def enter(self, images: Float[Array, "b h w c"], channels: Sequence[int]) -> Float[Array, "b hp wp base"]:
        """What some of the input's channels add to the entrance's output; the sum over all channels lacks its bias.

        `images` holds the input channels with these numbers. So those that do not change from step to step enter once.
        """
        squares, kernel = self.config.patch**2, self.entrance.kernel[...]
        kernel = kernel.reshape(3, 3, squares, -1, self.config.base)[:, :, :, np.asarray(channels)]
        kernel = kernel.reshape(3, 3, -1, self.config.base).astype(self.dtype)
        folded = space_to_depth(images.astype(self.dtype), self.config.patch)
        return jax.lax.conv_general_dilated(folded, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def modulations(self, timestep: Int[Array, " b"]) -> tuple[Float[Array, "b _"], ...]:
        """What each residual block takes of the timestep, block by block: once for all images, and for all steps."""
        embedding = timestep_embedding(timestep, self.config.base).astype(self.dtype)
        embedding = silu(self.time_out(silu(self.time_in(embedding))))
        return tuple(stage.block.modulation(embedding) for stage in self._stages())

    def token_kv(self, tokens: Float[Array, "b n t"] | None) -> tuple[Float[Array, "b n _"], ...]:
        """The tokens' keys and values for each attention to them: once a frame; () without tokens."""
        attentions = [stage.attention for stage in self._stages() if stage.attention]
        return tuple(attention.token_kv(tokens) for attention in attentions if attention.token_kv)

    def after_entrance(
        self,
        entered: Float[Array, "b hp wp base"],
        modulations: tuple[Float[Array, "#b _"], ...],
        token_kv: tuple[Float[Array, "b n _"], ...] = (),
    ) -> Float[Array, "b h w out"]:
        """As `__call__`, from the sum of what all channels enter, and from what the methods of these names make."""
        modulations, token_kv = iter(modulations), iter(token_kv)

        def run(stage: Stage, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
            attends = stage.attention and stage.attention.token_kv
            return stage(x, next(modulations), next(token_kv) if attends else None)

        x = entered + self.entrance.bias[...].astype(self.dtype).reshape(1, 1, 1, -1)
        skips = [x]
        for stage in self.downs:
            x = run(stage, x)
            skips.append(x)
        x = run(self.middle_out, self.middle_attention(run(self.middle_in, x)))
        for stage in self.ups:
            x = run(stage, x if stage.block.resample else jnp.concatenate([x, skips.pop()], axis=-1))
        x = silu(self.norm(x))
        exits = [self.exit, self.extra] if self.extra else [self.exit]
        images = [depth_to_space(out(x).astype(jnp.float32), self.config.patch) for out in exits]
        return jnp.concatenate(images, axis=-1)

    def _stages(self) -> list[Stage]:
        """In the order in which they run."""
        return [*self.downs, self.middle_in, self.middle_out, *self.ups]
