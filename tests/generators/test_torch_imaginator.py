"""ImaGINator in PyTorch's own layers gives what ours gives, also its gradients and statistics."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.generators import imaginator
from facenhance_jax.generators.modules import Pure

torch = pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parents[2] / "launch"))
from benchmarks import torch_imaginator as theirs  # noqa: E402

CONFIG = imaginator.ImaginatorConfig("imaginator", 16, 8, 12, ("anger", "fear", "sadness", "disgust", "joy", "awe"))
RNG = np.random.default_rng(0)


def test_the_generator_and_its_statistics():
    network = Pure(imaginator.ImaginatorNetwork, CONFIG)
    arrays = network.init(0)
    tensors = theirs.converted(arrays)
    photo, noise = RNG.uniform(-1, 1, (2, 64, 64, 3)), RNG.standard_normal((2, 8))
    label = np.array([1, 4])
    made, passed = network(arrays, jnp.float32(photo), jnp.float32(noise), jnp.array(label), train=True)
    labels = torch.eye(6)[label]
    inputs = (torch.tensor(photo).float().permute(0, 3, 1, 2), torch.tensor(noise).float(), labels)
    with torch.no_grad():
        clip = theirs.generator(tensors, *inputs, train=True).permute(0, 2, 3, 4, 1).numpy()
    np.testing.assert_allclose(made, clip, atol=2e-4)
    own, other = passed["ups"][1]["norm"]["mean"], tensors["ups"][1]["norm"]["mean"]
    np.testing.assert_allclose(own, other, atol=1e-5)


def test_the_critics_and_their_gradients():
    network = Pure(imaginator.Discriminators, CONFIG)
    arrays = network.init(0)
    tensors = theirs.converted(arrays)
    clip, label = RNG.uniform(-1, 1, (2, 32, 64, 64, 3)), np.array([0, 5])

    def loss(arrays):
        logits, passed = network(arrays, jnp.float32(clip), jnp.float32(clip[:, 3]), jnp.array(label), train=True)
        return sum(100 * logit.sum() for logit in logits), passed

    (value, passed), gradients = jax.value_and_grad(loss, has_aux=True)(arrays)
    learned = theirs.learned(tensors)
    moving = torch.tensor(clip).float().permute(0, 4, 1, 2, 3)
    judged = theirs.critics(tensors, moving, moving[:, :, 3], torch.eye(6)[label], train=True)
    total = 100 * sum(logit.sum() for logit in judged)
    np.testing.assert_allclose(value, total.item(), rtol=1e-3)
    kernels = dict(zip(map(id, learned), torch.autograd.grad(total, learned), strict=True))
    for name in ("video", "image"):
        ours = np.moveaxis(np.asarray(gradients[name][2]["kernel"]), (-1, -2), (0, 1))
        np.testing.assert_allclose(ours, kernels[id(tensors[name][2]["kernel"])], rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(passed[name][2]["direction"], tensors[name][2]["direction"], atol=1e-5)
