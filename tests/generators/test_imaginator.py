"""ImaGINator: the size of each part, and its convolutions beside XLA's own."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import imaginator as config
from facenhance_jax.generators import imaginator, settings
from facenhance_jax.generators.modules import Pure

RNG = np.random.default_rng(3)
STATISTICS = ("mean", "variance", "direction")


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def parameters(tree: dict) -> int:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return sum(math.prod(leaf.shape) for path, leaf in leaves if path[-1].key not in STATISTICS)


def convolution(kernel: int, inputs: int, outputs: int) -> int:
    return kernel * inputs * outputs + outputs


def test_the_parts_of_the_published_network_have_the_published_sizes():
    network = settings.read_model(config.get_config().to_dict())
    arrays = network.abstract()
    encoder = sum(convolution(16, a, b) + 2 * b for a, b in [(3, 64), (64, 128), (128, 256), (256, 512)])
    assert parameters(arrays["encoder"]) == encoder + convolution(16, 512, 100)
    blocks = [(618, 4096, 512), (1030, 3072, 256), (518, 1536, 128), (262, 768, 64), (134, 36, 3)]
    for number, (inputs, middle, outputs) in enumerate(blocks):
        own = convolution(2 if number == 0 else 4, inputs, middle) + 2 * middle + convolution(16, middle, outputs)
        assert parameters(arrays["ups"][number]) == own + 2 * outputs * (number < 4)
    assert round(parameters(arrays) / 1e5) == 754
    critics = Pure(imaginator.Discriminators, network.config).abstract()
    sizes = [(3, 64), (64, 128), (128, 256), (256, 512)]
    video = sum(convolution(64, a + 6 * (a == 64), b) for a, b in sizes) + convolution(32, 512, 1)
    image = sum(convolution(16, a, b) for a, b in sizes) + convolution(16, 512, 1)
    assert parameters(critics["video"]) == video and parameters(critics["image"]) == image


def test_the_shapes_of_a_clip_and_of_what_judges_it():
    network = settings.read_model(config.get_config("narrow").to_dict())
    critics, label = Pure(imaginator.Discriminators, network.config), jnp.zeros(2, jnp.int32)

    def run(arrays, judges):
        clip = network(arrays, jnp.zeros((2, 64, 64, 3)), jnp.zeros((2, 128)), label)[0]
        return clip, critics(judges, clip, clip[:, 0], label)[0]

    clip, judged = jax.eval_shape(run, network.abstract(), critics.abstract())
    assert clip.shape == (2, 32, 64, 64, 3) and [logits.shape for logits in judged] == [(2,), (2,)]


def test_doubling_equals_xlas_transposed_convolutions():
    x = normal(2, 3, 4, 5, 6)
    time = imaginator.TimeUp(6, 7, 4, rngs=nnx.Rngs(0))
    kernel = time.kernel[...][:, None, None]
    space = ("NDHWC", "DHWIO", "NDHWC")
    # PyTorch's transposed convolution with padding 1 is the gradient of a convolution with padding 1.
    expected = jax.lax.conv_general_dilated(
        x, kernel[::-1], (1, 1, 1), [(2, 2), (0, 0), (0, 0)], lhs_dilation=(2, 1, 1), dimension_numbers=space
    )
    np.testing.assert_allclose(time(x), expected, atol=1e-5)
    up = imaginator.SpaceUp(6, 7, False, rngs=nnx.Rngs(0))
    kernel = up.kernel[...][None, ::-1, ::-1]
    expected = jax.lax.conv_general_dilated(
        x, kernel, (1, 1, 1), [(0, 0), (2, 2), (2, 2)], lhs_dilation=(1, 2, 2), dimension_numbers=space
    )
    np.testing.assert_allclose(up(x), expected, atol=1e-5)


def test_the_first_block_makes_two_frames_of_4x4_pixels():
    x = normal(2, 1, 1, 1, 6)
    time, space = imaginator.TimeUp(6, 7, 2, rngs=nnx.Rngs(0)), imaginator.SpaceUp(6, 7, True, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(time(x)[:, 1, 0, 0], x[:, 0, 0, 0] @ time.kernel[1], atol=1e-5)
    np.testing.assert_allclose(space(x)[:, 0, 2, 3], x[:, 0, 0, 0] @ space.kernel[2, 3], atol=1e-5)
    assert time(x).shape == (2, 2, 1, 1, 7) and space(x).shape == (2, 1, 4, 4, 7)


@pytest.mark.parametrize("shape", [(2, 8, 6, 3), (2, 4, 8, 6, 3)])
def test_halving_equals_xlas_strided_convolution(shape):
    x, count = normal(*shape), len(shape) - 2
    kernel = normal(*(4,) * count, 3, 5)
    space = "DHW"[-count:]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    expected = jax.lax.conv_general_dilated(x, kernel, (2,) * count, [(1, 1)] * count, dimension_numbers=numbers)
    np.testing.assert_allclose(imaginator.halving(x, kernel), expected, atol=1e-4)


def test_spectral_norm_divides_by_the_largest_singular_value():
    conv = imaginator.SpectralConv(3, 5, (4, 4), rngs=nnx.Rngs(0))
    x = normal(1, 8, 8, 3)
    for _ in range(50):
        made = conv(x, train=True)
    largest = np.linalg.svd(np.asarray(conv.kernel[...]).reshape(-1, 5), compute_uv=False)[0]
    np.testing.assert_allclose(made, imaginator.halving(x, conv.kernel[...] / largest), rtol=1e-3, atol=1e-5)
    before = np.asarray(conv.direction[...])
    conv(x, train=False)
    np.testing.assert_array_equal(conv.direction[...], before)


def test_batch_norm_normalizes_a_batch_and_remembers_it():
    norm = imaginator.BatchNorm(4, rngs=nnx.Rngs(0))
    norm.scale[...] = jnp.ones(4)
    x = 3.0 + 2.0 * normal(5, 6, 6, 4)
    made = norm(x, train=True)
    np.testing.assert_allclose(made.mean(axis=(0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(made.std(axis=(0, 1, 2)), 1.0, rtol=1e-4)
    np.testing.assert_allclose(norm.mean[...], 0.1 * x.mean(axis=(0, 1, 2)), rtol=1e-5)
    for _ in range(200):
        norm(x, train=True)
    np.testing.assert_allclose(norm(x, train=False), made, atol=1e-3)
