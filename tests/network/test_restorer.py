"""The restorer of low-res frames: what it starts as, and that it learns to take faults away."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from facenhance_jax.network.denoiser import DenoiserConfig
from facenhance_jax.network.restorer import Restorer


def images(seed, shape=(2, 16, 16, 3)):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def test_it_starts_as_the_identity():
    restorer = Restorer(dtype=jnp.float32, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(restorer(images(0), images(1)).frame, images(0))


def test_it_learns_to_return_the_photos_own_face_where_the_frame_is_noise():
    """So the photo reaches the output: the error to the photo's own face falls to less than a third."""
    graph, params = nnx.split(Restorer(dtype=jnp.float32, rngs=nnx.Rngs(0)))
    optimizer = optax.adam(3e-3)

    def error(params, noise, own):
        return jnp.mean((nnx.merge(graph, params)(noise, own).frame - own) ** 2)

    @jax.jit
    def step(params, state, noise, own):
        value, gradient = jax.value_and_grad(error)(params, noise, own)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    state, errors = optimizer.init(params), []
    for n in range(40):
        params, state, value = step(params, state, images(2 * n), images(2 * n + 1))
        errors.append(float(value))
    assert errors[-1] < errors[0] / 3


def test_it_needs_a_place_and_whole_squares():
    with pytest.raises(ValueError, match="restore_low needs place_low, and a low_size that is a multiple of 4"):
        dataclasses.replace(DenoiserConfig(), restore_low=True)
