"""I3D (Carreira & Zisserman, 2017), RGB, trained on Kinetics-400: the network that computes FVD's features.

Plain functions of the weights, because the file of weights holds every shape, and nothing is trained here. A 3-D
convolution is computed as a sum of 2-D ones with the frames in the batch, and a 3-D pool one axis at a time: with the
three-dimensional forms, XLA on a CPU takes about three times as long for the whole network.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from facenhance_jax.evaluation.metrics import weights

SIZE = 224  # pixels: the size that the network was trained on, and the only one that its last pool fits
FEWEST_FRAMES = 9  # with fewer, less than the two frames that the last pool spans are left
NORM_EPSILON = 1e-3  # of Sonnet's batch norm, which has no scale
FEW_CHANNELS = 8  # with so few, the frames that a convolution spans are concatenated as channels

Video = Float[Array, "b t h w c"]
Seen = Float[Array, "b t2 h2 w2 c2"]  # a layer's output


class Unit(NamedTuple):
    """A convolution's weights, with the batch norm after it folded in."""

    kernel: Float32[Array, "kt kh kw c o"] | Float32[np.ndarray, "kt kh kw c o"]
    bias: Float32[Array, " o"] | Float32[np.ndarray, " o"]


def load() -> dict[str, Unit]:
    """The trained weights by layer, such as Mixed_3b/Branch_0/Conv3d_0a_1x1.

    Raises InputError if the extra [fvd] is not installed.
    """
    stored = weights.i3d()
    return jax.device_put(dict(_units(stored["params"], stored["batch_stats"])))


def _units(params: dict, statistics: dict, prefix: str = "") -> Iterator[tuple[str, Unit]]:
    """Walks the stored trees. In NumPy, because JAX would compile its operations for each layer."""
    for name, layer in params.items():
        if "Conv_0" not in layer:
            yield from _units(layer, statistics[name], f"{prefix}{name}/")
            continue
        kernel, bias = layer["Conv_0"]["kernel"], layer["Conv_0"].get("bias")
        if "BatchNorm_0" in layer:
            norm = statistics[name]["BatchNorm_0"]
            scale = 1 / np.sqrt(norm["var"].ravel() + np.float32(NORM_EPSILON))
            kernel, bias = kernel * scale, layer["BatchNorm_0"]["bias"] - norm["mean"].ravel() * scale
        yield prefix + name, Unit(kernel, bias)


@jax.jit
def logits(units: dict[str, Unit], videos: Float[Array, "b t 224 224 3"]) -> Float[Array, "b 400"]:
    """The class scores before the softmax, averaged over time, of videos in [-1, 1] with at least 9 frames."""
    x = _unit(units["Conv3d_1a_7x7"], videos, stride=2)
    x = _max_pool(x, (1, 3, 3), (1, 2, 2))
    x = _unit(units["Conv3d_2b_1x1"], x)
    x = _unit(units["Conv3d_2c_3x3"], x)
    x = _max_pool(x, (1, 3, 3), (1, 2, 2))
    x = _mixed(units, "3b", "3c", x=x)
    x = _max_pool(x, (3, 3, 3), (2, 2, 2))
    x = _mixed(units, "4b", "4c", "4d", "4e", "4f", x=x)
    x = _max_pool(x, (2, 2, 2), (2, 2, 2))
    x = _mixed(units, "5b", "5c", x=x)
    x = x.mean(axis=(2, 3))
    x = (x[:, :-1] + x[:, 1:]).mean(axis=1) / 2  # the last pool spans two frames, and its results are averaged
    kernel, bias = units["Logits/Conv3d_0c_1x1"]
    return jnp.dot(x, kernel[0, 0, 0], precision="highest") + bias[None]


def _mixed(units: dict[str, Unit], *names: str, x: Video) -> Seen:
    """Inception modules, one after the other; each concatenates four branches."""
    for name in names:
        unit = {key.removeprefix(f"Mixed_{name}/"): value for key, value in units.items()}
        first = _unit(unit["Branch_0/Conv3d_0a_1x1"], x)
        second = _unit(unit["Branch_1/Conv3d_0b_3x3"], _unit(unit["Branch_1/Conv3d_0a_1x1"], x))
        third = _unit(unit["Branch_2/Conv3d_0b_3x3"], _unit(unit["Branch_2/Conv3d_0a_1x1"], x))
        fourth = _unit(unit["Branch_3/Conv3d_0b_1x1"], _max_pool(x, (3, 3, 3), (1, 1, 1)))
        x = jnp.concatenate([first, second, third, fourth], axis=-1)
    return x


def _unit(unit: Unit, x: Video, stride: int = 1) -> Seen:
    """relu(convolution + bias), padded like TensorFlow's "SAME": an odd pixel of padding goes to the end."""
    kernel = unit.kernel
    shifted = _shifted(x, len(kernel), stride)
    if x.shape[-1] <= FEW_CHANNELS:
        shifted, kernel = [jnp.concatenate(shifted, axis=-1)], jnp.concatenate(list(kernel), axis=-2)[None]
    flat = partial(lax.conv_general_dilated, window_strides=(stride, stride), padding="SAME", precision="highest")
    frames = [images.reshape(-1, *images.shape[2:]) for images in shifted]
    layout = ("NHWC", "HWIO", "NHWC")
    total = sum(flat(images, tap, dimension_numbers=layout) for images, tap in zip(frames, kernel, strict=True))
    return jax.nn.relu(total + unit.bias[None, None, None]).reshape(*shifted[0].shape[:2], *total.shape[1:])


def _shifted(x: Video, taps: int, stride: int) -> list[Seen]:
    """For each tap of a kernel over time, its input frames; zeros before the first and after the last."""
    count = -(-x.shape[1] // stride)
    beyond = max((count - 1) * stride + taps - x.shape[1], 0)
    padded = jnp.pad(x, ((0, 0), (beyond // 2, beyond - beyond // 2), (0, 0), (0, 0), (0, 0)))
    return [lax.slice_in_dim(padded, tap, tap + (count - 1) * stride + 1, stride, axis=1) for tap in range(taps)]


def _max_pool(x: Video, window: tuple[int, int, int], strides: tuple[int, int, int]) -> Seen:
    """The maximum of each window over frames, rows and columns, with "SAME" padding."""
    for axis, (size, stride) in enumerate(zip(window, strides, strict=True), start=1):
        along = [1] * x.ndim
        along[axis] = size
        steps = [1] * x.ndim
        steps[axis] = stride
        x = lax.reduce_window(x, -jnp.inf, lax.max, along, steps, "SAME")
    return x
