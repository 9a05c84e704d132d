"""ImaGINator (Wang et al. 2020; its public code, wyhsirius/ImaGINator): a photo, noise and a label become a clip.

The layers are those of the public code, 75.4 M parameters at width 64. A transposed convolution is one product of
each pixel with all taps, whose results are added where they belong: none multiplies with the zeros between the pixels.
Strided ones are convolutions without a stride of the input with its 2x2 pixels (and 2 frames) folded into channels. So
everything is products and two-dimensional convolutions without a stride, whose gradients XLA computes fast on CPUs too:
those of a three-dimensional one with a stride took 43 times as long.

Ours, and not the authors': clips begin at neutral, and the photo is the person's neutral one, not the clip's own first
frame; the inner channels shrink along with the width; all kernels start from the normal distribution with a standard
deviation of 0.02, the transposed ones too.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from facenhance_jax.generators.modules import Statistic, one_hot
from facenhance_jax.network.pixels import space_to_depth

FRAMES, SIDE = 32, 64
_MIDDLE = (64, 48, 24, 12)  # inner channels of the decoder's blocks, in units of the width
_START = nnx.initializers.normal(0.02)


@dataclass(frozen=True)
class ImaginatorConfig:
    """The shape of the networks.

    Attributes:
      kind: "imaginator".
      width: channels of the first layer, a multiple of 16; 64 in the paper.
      noise: numbers that a clip is drawn from; 512 in the paper.
      appearance: numbers that the photo becomes at the coarsest; 100 in the paper.
      labels: the expressions, in the order of their numbers.
    """

    kind: str
    width: int
    noise: int
    appearance: int
    labels: tuple[str, ...]

    def __post_init__(self):
        if self.width < 16 or self.width % 16:
            raise ValueError(f"width must be a multiple of 16, not {self.width}")
        if min(self.noise, self.appearance) < 1:
            raise ValueError(f"noise and appearance must be at least 1, not {self.noise} and {self.appearance}")
        if not self.labels:
            raise ValueError("labels must name one or more expressions")


class BatchNorm(nnx.Module):
    """Batch normalization over all axes but the last, with running statistics for use outside of training."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.scale = nnx.Param(1.0 + _START(rngs.params(), (channels,)))
        self.bias = nnx.Param(jnp.zeros(channels))
        self.mean, self.variance = Statistic(jnp.zeros(channels)), Statistic(jnp.ones(channels))

    def __call__(self, x: Float[Array, "*b c"], train: bool) -> Float[Array, "*b c"]:
        if train:
            axes = tuple(range(x.ndim - 1))
            mean = x.mean(axis=axes)
            variance = jnp.maximum(jnp.mean(x * x, axis=axes) - mean * mean, 0.0)
            for kept, new in ((self.mean, mean), (self.variance, variance)):
                kept[...] = jax.lax.stop_gradient(0.9 * kept[...] + 0.1 * new)
        else:
            mean, variance = self.mean[...], self.variance[...]
        gain = self.scale[...] * jax.lax.rsqrt(variance + 1e-5)
        shape = (1,) * (x.ndim - 1) + (-1,)
        return x * gain.reshape(shape) + (self.bias[...] - mean * gain).reshape(shape)


def halving(x: Float[Array, "b *s c"], kernel: Float[Array, "*k c d"]) -> Float[Array, "b *s2 d"]:
    """The convolution k4 s2 with a border of 1, of pictures [b, h, w, c] or clips [b, t, h, w, c]."""
    channels, outputs = kernel.shape[-2:]
    if x.ndim == 5:
        batch, time, height, width, _ = x.shape
        padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
        pairs = padded.reshape(batch, time // 2 + 1, 2, height, width, channels).transpose(0, 1, 3, 4, 2, 5)
        taps = kernel.reshape(2, 2, 4, 4, channels, outputs).transpose(0, 2, 3, 1, 4, 5)
        earlier, later = (
            halving(frames.reshape(-1, height, width, 2 * channels), tap.reshape(4, 4, 2 * channels, outputs))
            for frames, tap in ((pairs[:, :-1], taps[0]), (pairs[:, 1:], taps[1]))
        )
        return (earlier + later).reshape(batch, time // 2, height // 2, width // 2, outputs)
    folded = space_to_depth(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 2)
    taps = kernel.reshape(2, 2, 2, 2, channels, outputs).transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, -1, outputs)
    return _convolved(folded, taps)


def _convolved(x: Float[Array, "b h w c"], kernel: Float[Array, "k l c d"]) -> Float[Array, "b h2 w2 d"]:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


class Down(nnx.Module):
    """Conv k4 s2, BatchNorm, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(_START(rngs.params(), (4, 4, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.norm = BatchNorm(outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h2 w2 d"]:
        return nnx.leaky_relu(self.norm(halving(x, self.kernel[...]) + _shaped(self.bias, x), train), 0.2)


class Encoder(nnx.Module):
    """The photo at every scale: 32x32 to 4x4, and as a vector."""

    def __init__(self, config: ImaginatorConfig, *, rngs: nnx.Rngs):
        sizes = [3, *(config.width * 2**level for level in range(4))]
        self.downs = nnx.List([Down(a, b, rngs=rngs) for a, b in zip(sizes, sizes[1:], strict=False)])
        self.exit = nnx.Linear(4 * 4 * sizes[-1], config.appearance, kernel_init=_START, rngs=rngs)

    def __call__(self, photo: Float[Array, "b 64 64 3"], train: bool) -> list[Float[Array, "b ..."]]:
        """The vector, and the scales from the coarsest on."""
        scales, h = [], photo
        for down in self.downs:
            h = down(h, train)
            scales.insert(0, h)
        return [self.exit(h.reshape(len(h), -1)), *scales]


def _doubled(taps: list[Float[Array, "..."]], axis: int) -> Float[Array, "..."]:
    """Four products of an input with the taps of a transposed convolution k4 s2, put where they belong along an axis.

    An even output 2i gets tap 1 of its own input and tap 3 of the one before, an odd one taps 2 and 0 of the next.
    """
    length = taps[0].shape[axis]

    def moved(tap: Float[Array, "..."], by: int) -> Float[Array, "..."]:
        kept = jax.lax.slice_in_dim(tap, max(-by, 0), length - max(by, 0), axis=axis)
        border = [(0, 0)] * tap.ndim
        border[axis] = (max(by, 0), max(-by, 0))
        return jnp.pad(kept, border)

    both = jnp.stack([taps[1] + moved(taps[3], 1), taps[2] + moved(taps[0], -1)], axis=axis + 1)
    return both.reshape(*both.shape[:axis], 2 * length, *both.shape[axis + 2 :])


class TimeUp(nnx.Module):
    """A transposed convolution in time: k4 s2, which doubles it, or at first k2 s1, which makes one step two."""

    def __init__(self, inputs: int, outputs: int, taps: int, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(_START(rngs.params(), (taps, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(
        self, x: Float[Array, "b t h w c"], still: Float[Array, "b 1 h w e"] | None = None
    ) -> Float[Array, "b t2 h w d"]:
        """`still` holds further channels, which are the same at all times: they are multiplied once for all of them."""
        moving = x.shape[-1]
        taps = [x @ tap[:moving] + (0.0 if still is None else still @ tap[moving:]) for tap in self.kernel[...]]
        made = jnp.concatenate(taps, axis=1) if len(taps) == 2 else _doubled(taps, axis=1)
        return made + _shaped(self.bias, made)


class SpaceUp(nnx.Module):
    """A transposed convolution in space: k4 s2, which doubles it, or at first k4 s1, which makes one pixel 4x4."""

    def __init__(self, inputs: int, outputs: int, first: bool, *, rngs: nnx.Rngs):
        self.first = first
        self.kernel = nnx.Param(_START(rngs.params(), (4, 4, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h2 w2 d"]:
        outputs = self.kernel.shape[-1]
        made = x @ self.kernel[...].transpose(2, 0, 1, 3).reshape(x.shape[-1], -1)
        made = made.reshape(*x.shape[:-1], 4, 4, outputs)
        if self.first:
            made = made.reshape(*x.shape[:2], 4, 4, outputs)
        else:
            rows = _doubled([made[..., tap, :, :] for tap in range(4)], axis=2)
            made = _doubled([rows[..., tap, :] for tap in range(4)], axis=3)
        return made + _shaped(self.bias, made)


def _shaped(bias: nnx.Param, x: Float[Array, "b *s c"]) -> Float[Array, "*one d"]:
    return bias[...].reshape((1,) * (x.ndim - 1) + (-1,))


class Up(nnx.Module):
    """A block of the decoder: twice the time, BatchNorm, LeakyReLU, twice the space; then the same two, unless last."""

    def __init__(self, inputs: int, middle: int, outputs: int, *, first: bool, last: bool, rngs: nnx.Rngs):
        self.time = TimeUp(inputs, middle, 2 if first else 4, rngs=rngs)
        self.norm = BatchNorm(middle, rngs=rngs)
        self.space = SpaceUp(middle, outputs, first, rngs=rngs)
        self.norm_out = None if last else BatchNorm(outputs, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t h w c"], still: Float[Array, "b 1 h w e"], train: bool
    ) -> Float[Array, "b t2 h2 w2 d"]:
        x = self.space(nnx.leaky_relu(self.norm(self.time(x, still), train), 0.2))
        return jnp.tanh(x) if self.norm_out is None else nnx.leaky_relu(self.norm_out(x, train), 0.2)


class ImaginatorNetwork(nnx.Module):
    """The generator."""

    def __init__(self, config: ImaginatorConfig, *, rngs: nnx.Rngs):
        width, labels = config.width, len(config.labels)
        self.labels = labels
        self.encoder = Encoder(config, rngs=rngs)
        outputs = [8 * width, 4 * width, 2 * width, width, 3]
        inputs = [config.noise + config.appearance + labels] + [2 * channels + labels for channels in outputs[:-1]]
        middles = [*(factor * width for factor in _MIDDLE), 36 * width // 64]
        self.ups = nnx.List(
            [
                Up(a, b, c, first=number == 0, last=number == 4, rngs=rngs)
                for number, (a, b, c) in enumerate(zip(inputs, middles, outputs, strict=True))
            ]
        )

    def __call__(
        self, photo: Float[Array, "b 64 64 3"], noise: Float[Array, "b z"], label: Int[Array, " b"], train: bool = False
    ) -> Float[Array, "b 32 64 64 3"]:
        """A neutral low-res face in [-1, 1] becomes 32 frames in [-1, 1]."""
        labels = one_hot(label, self.labels)[:, None, None, None]
        vector, *scales = self.encoder(photo, train)
        h = noise[:, None, None, None]
        for up, scale in zip(self.ups, [vector[:, None, None], *scales], strict=True):
            first = up is self.ups[0]
            spread = jnp.broadcast_to(labels[:, 0], (*scale.shape[:3], self.labels))
            still = jnp.concatenate([spread, scale] if first else [scale, spread], axis=-1)
            h = up(h, still[:, None], train)
        return h


class SpectralConv(nnx.Module):
    """A convolution with its kernel divided by the largest singular value (Miyato et al. 2018): `halving`, or one that
    sees all of its input at once.

    The value is estimated by one step of the power iteration in each pass of the training; one axis of the kernel is
    the output's channels, the other all else.
    """

    def __init__(self, inputs: int, outputs: int, sides: tuple[int, ...], *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(_START(rngs.params(), (*sides, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))
        start = jax.random.normal(rngs.params(), (outputs,))
        self.direction = Statistic(start / jnp.linalg.norm(start))

    def __call__(self, x: Float[Array, "b *s c"], train: bool) -> Float[Array, "b *s2 d"]:
        kernel = self.kernel[...]
        matrix = kernel.reshape(-1, kernel.shape[-1])
        fixed, out = jax.lax.stop_gradient(matrix), self.direction[...]
        across = _unit(fixed @ out)
        if train:
            out = _unit(across @ fixed)
            self.direction[...] = out
        kernel = kernel / (across @ matrix @ out)
        whole = x.shape[1:] == kernel.shape[:-1]
        made = x.reshape(len(x), -1) @ kernel.reshape(-1, kernel.shape[-1]) if whole else halving(x, kernel)
        return made + _shaped(self.bias, made)


def _unit(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)


class Discriminators(nnx.Module):
    """Both: one looks at the clip and its label, one at a frame of it. Their outputs are logits of being real."""

    def __init__(self, config: ImaginatorConfig, *, rngs: nnx.Rngs):
        sizes, self.labels = [3, *(config.width * 2**level for level in range(4))], len(config.labels)

        def stack(dimensions: int, labels: int, last: tuple[int, ...]):
            sides = (4,) * dimensions
            convs = [
                SpectralConv(a + labels * (number == 1), b, sides, rngs=rngs)
                for number, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False))
            ]
            return nnx.List([*convs, SpectralConv(sizes[-1], 1, last, rngs=rngs)])

        self.video = stack(3, self.labels, (2, 4, 4))
        self.image = stack(2, 0, (4, 4))

    def __call__(
        self,
        clip: Float[Array, "b 32 64 64 3"],
        frame: Float[Array, "b 64 64 3"],
        label: Int[Array, " b"],
        train: bool = False,
    ) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
        """(of the clip, of the frame)."""
        labels = one_hot(label, self.labels)[:, None, None, None]
        h = clip
        for number, conv in enumerate(self.video):
            h = nnx.leaky_relu(h, 0.2) if number else h
            if number == 1:
                h = jnp.concatenate([h, jnp.broadcast_to(labels, (*h.shape[:4], self.labels))], axis=-1)
            h = conv(h, train)
        image = frame
        for number, conv in enumerate(self.image):
            image = conv(nnx.leaky_relu(image, 0.2) if number else image, train)
        return h.reshape(len(clip)), image.reshape(len(frame))
