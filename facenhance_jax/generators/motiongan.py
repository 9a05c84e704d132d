"""MotionGAN (Otberdout et al. 2020, arXiv 1907.10087): an expression and noise become the motion of 68 landmarks.

The generator's output is a tangent of the sphere of `curves` at a reference point, the mean of the training clips; the
exponential map makes it a curve. The critic is that of WGAN-GP (Gulrajani et al. 2017) and looks at the tangent.

Ours, and not the paper's: convolutions run along time alone, over the 136 coordinates as channels; the critic has no
batch norm, which a gradient penalty does not allow; the length of the curve, which the sphere forgets, is a further
output and a further input of the critic, as its logarithm in standard deviations of the expression's training clips;
angles come from sine and cosine together, where the arc cosine had to be clipped.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from facenhance_jax.generators import curves
from facenhance_jax.generators.modules import Pure, Statistic, one_hot

TANGENT_UNIT = 32.0  # tangents have a norm of about 1, so their values are about 1 / sqrt of their number
LENGTH_UNIT = 8.0  # the critic sees lengths times this: a standard deviation counts as much as a quarter of a radian
LENGTHS = (-2.5, 2.5)  # standard deviations: a generator's curves are no shorter and no longer


@dataclass(frozen=True)
class MotionConfig:
    """The shape of the networks.

    Attributes:
      kind: "motiongan".
      frames: of a clip, a multiple of 8 (32).
      noise: numbers that a clip is drawn from.
      width: channels of the generator's first layer, a multiple of 4.
      labels: the expressions, in the order of their numbers.
    """

    kind: str
    frames: int
    noise: int
    width: int
    labels: tuple[str, ...]

    def __post_init__(self):
        if self.frames < 8 or self.frames % 8:
            raise ValueError(f"frames must be a multiple of 8, not {self.frames}")
        if self.width < 4 or self.width % 4 or self.noise < 1:
            raise ValueError(f"width must be a multiple of 4 and noise at least 1, not {self.width} and {self.noise}")
        if not self.labels:
            raise ValueError("labels must name one or more expressions")


class Motion(NamedTuple):
    """The motion of clips: a tangent at the reference, and the length in standard deviations (see above)."""

    tangent: Float[Array, "b k 136"]
    length: Float[Array, " b"]


class MotionNetwork(nnx.Module):
    """The generator: noise and a label become a `Motion`."""

    def __init__(self, config: MotionConfig, *, rngs: nnx.Rngs):
        labels, width = len(config.labels), config.width
        start = config.frames // 8  # steps in time before three doublings
        self.entrance = nnx.Linear(config.noise + labels, start * width, rngs=rngs)
        sizes = [width, width // 2, width // 4, width // 4]
        self.convs = nnx.List(
            [nnx.Conv(a + labels, b, (3,), rngs=rngs) for a, b in zip(sizes, sizes[1:], strict=False)]
        )
        small = nnx.initializers.variance_scaling(0.01, "fan_in", "normal")
        self.exit = nnx.Conv(sizes[-1] + labels, 136, (1,), kernel_init=small, rngs=rngs)
        self.length = nnx.Linear(start * width, 1, kernel_init=small, rngs=rngs)
        steps = config.frames - 1
        self.reference = Statistic(jnp.full((steps, 136), (136 * steps) ** -0.5))
        self.mean_log_length = Statistic(jnp.zeros(labels))  # of each expression's training clips
        self.std_log_length = Statistic(jnp.ones(labels))

    def __call__(self, noise: Float[Array, "b z"], label: Int[Array, " b"]) -> Motion:
        labels = one_hot(label, self.mean_log_length.shape[0])
        h = nnx.relu(self.entrance(jnp.concatenate([noise, labels], axis=-1)))
        length = self.length(h)[:, 0]
        h = h.reshape(len(h), -1, self.convs[0].in_features - labels.shape[1])  # [b, time, width]
        for conv in self.convs:
            h = nnx.relu(_along_time(conv, _labelled(jnp.repeat(h, 2, axis=1), labels)))
        vector = jnp.tanh(self.exit(_labelled(h, labels)))[:, :-1]  # n frames have n - 1 steps
        return Motion(curves.tangential(vector, jax.lax.stop_gradient(self.reference[...])[None]), length)


class Critic(nnx.Module):
    """The critic: a motion as `seen` gives it and a label become a number, larger for real motions."""

    def __init__(self, config: MotionConfig, *, rngs: nnx.Rngs):
        labels, sizes = len(config.labels), (136, 64, 32, 16)
        self.convs = nnx.List(
            [nnx.Conv(a + labels * (a == 136), b, (5,), 2, rngs=rngs) for a, b in zip(sizes, sizes[1:], strict=False)]
        )
        self.hidden = nnx.Linear(16 * (config.frames // 8) + labels + 1, 1024, rngs=rngs)
        self.exit = nnx.Linear(1024, 1, rngs=rngs)

    def __call__(self, motion: Motion, label: Int[Array, " b"]) -> Float[Array, " b"]:
        labels = one_hot(label, self.convs[0].in_features - 136)
        h = _labelled(motion.tangent, labels)
        for conv in self.convs:
            h = nnx.leaky_relu(_along_time(conv, h, stride=2), 0.2)
        h = jnp.concatenate([h.reshape(len(h), -1), labels, motion.length[:, None]], axis=-1)
        return self.exit(nnx.leaky_relu(self.hidden(h), 0.2))[:, 0]


def _along_time(conv: nnx.Conv, x: Float[Array, "b t c"], stride: int = 1) -> Float[Array, "b t2 d"]:
    """The convolution as one product, because XLA for CPUs computes the gradients of one along a line slowly."""
    kernel, time = conv.kernel[...], x.shape[1]
    last = (time - 1) // stride * stride  # the step in the middle of the last output, if the first's is 0
    around = last + kernel.shape[0] - time
    padded = jnp.pad(x, ((0, 0), (around // 2, around - around // 2), (0, 0)))
    taps = jnp.concatenate([padded[:, tap : tap + last + 1 : stride] for tap in range(kernel.shape[0])], axis=-1)
    return taps @ kernel.reshape(-1, kernel.shape[-1]) + conv.bias[...].reshape(1, 1, -1)


def _labelled(h: Float[Array, "b t c"], labels: Float[Array, "b l"]) -> Float[Array, "b t d"]:
    return jnp.concatenate([h, jnp.broadcast_to(labels[:, None], (*h.shape[:2], labels.shape[1]))], axis=-1)


def seen(motion: Motion) -> Motion:
    """The motion as the critic takes it, and the penalty of its gradient: with numbers of about 1 and more."""
    return Motion(TANGENT_UNIT * motion.tangent, LENGTH_UNIT * motion.length)


def networks(config: MotionConfig) -> tuple[Pure, Pure]:
    """The generator and the critic."""
    return Pure(MotionNetwork, config), Pure(Critic, config)


def motion_of(arrays: dict, landmarks: Float[Array, "b n 68 2"], label: Int[Array, " b"]) -> Motion:
    """The motion of real clips, seen from the generator's reference. In the first frame nothing has moved yet."""
    q, length = curves.to_sphere(curves.normalised(landmarks))
    logs = jnp.log(jnp.maximum(length, 1e-6))
    standard = (logs - arrays["mean_log_length"][label]) / arrays["std_log_length"][label]
    return Motion(curves.logarithm(q, arrays["reference"][None]), standard)


def landmarks_of(
    arrays: dict,
    motion: Motion,
    label: Int[Array, " b"],
    neutral: Float[Array, "b 68 2"],
    strength: Float[Array, ""] | float = 1.0,
) -> Float[Array, "b n 68 2"]:
    """The landmarks of faces that move so, from the neutral ones on; pixels of the low-res frame.

    `strength` scales the length of the way: 0 leaves the face as it is, 1 is usual.
    """
    deviations = jnp.clip(motion.length, *LENGTHS)
    length = strength * jnp.exp(arrays["mean_log_length"][label] + arrays["std_log_length"][label] * deviations)
    q = curves.exponential(motion.tangent, arrays["reference"][None])
    return curves.aligned(curves.from_sphere(q, length, curves.normalised(neutral)))
