"""A state with its small arrays in one vector trains as the plain one does, in fewer operations; and the optimizer."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_run import assert_same

from facenhance_jax.training import packing, train_step
from facenhance_jax.training.optimizer import make_optimizer

SHAPES = {"a": {0: (3, 3, 64, 32), 1: (5,)}, "b": (128, 128), "c": {"d": (), "e": (127, 129)}}  # b is just large


def tree_of(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: jnp.asarray(rng.standard_normal(shape), jnp.float32),
        SHAPES,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def loss(params, batch, key):
    """With gradients that differ in sign and size."""
    leaves = jax.tree.leaves(params)
    value = sum((1 + n) * jnp.mean((leaf - batch["high"].mean()) ** 2) for n, leaf in enumerate(leaves))
    return value, {"rows": jnp.float32(1)}


def step_and_start(clip: float = 1.0):
    optimizer = make_optimizer(lambda step: 0.1 / (1 + step), clip)
    start = train_step.initial_state(tree_of(0), optimizer, 0)
    return functools.partial(train_step.train_step, loss_fn=loss, optimizer=optimizer, ema_decay=0.9), start


def test_packing_is_undone_and_leaves_large_arrays_where_they_are():
    _, start = step_and_start()
    state = packing.packed_state(start)
    for tree in (state.params, state.ema, state.opt_state[1][0].mu, state.opt_state[1][0].nu):
        assert [leaf.shape for leaf in jax.tree.leaves(tree)] == [(3, 3, 64, 32), (128, 128), (5 + 1 + 127 * 129,)]
    back = packing.unpacked_state(state)
    assert_same(back, start)
    assert back.params["b"] is start.params["b"]
    assert packing.unpacked(start.params) is start.params


def test_kernels_are_turned_for_a_gpu_and_back():
    _, start = step_and_start()
    state = packing.packed_state(start, turned=True)
    kernel, vector, matrix = state.params.large[0], state.params.small, state.params.large[1]
    np.testing.assert_array_equal(kernel, jnp.transpose(start.params["a"][0], (3, 0, 1, 2)))
    assert_same((matrix, vector), (start.params["b"], packing.packed(start.params).small))
    assert_same(packing.unpacked_state(state), start)


@pytest.mark.parametrize("turned", [False, True])
def test_a_packed_state_trains_as_the_plain_one(turned):
    step, plain = step_and_start()
    packed, jitted = packing.packed_state(plain, turned), jax.jit(step)
    for value in (1.0, 2.0, jnp.nan, 3.0):
        batch = {"high": jnp.full((2, 1), value)}
        (plain, metrics), (packed, packed_metrics) = jitted(plain, batch), jitted(packed, batch)
    assert int(packed.skipped) == 1
    np.testing.assert_allclose(packed_metrics["grad_norm"], metrics["grad_norm"], rtol=1e-6)
    back = packing.unpacked_state(packed)
    assert jax.tree.structure(back) == jax.tree.structure(plain)
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("every", [1, 4])
def test_an_update_writes_the_new_state_over_the_old_without_copies(every):
    """Also without packing, where there would be more of them. The gradients are the batch, as if from far away."""

    def product(params, batch, key):
        return sum(map(jnp.vdot, *map(jax.tree.leaves, (params, batch)))), {}

    step, plain = step_and_start()
    step = functools.partial(step, ema_every=every, loss_fn=product)
    for state in (plain, jax.eval_shape(packing.packed_state, plain)):
        program = jax.jit(step, donate_argnums=0).lower(state, plain.params).compile().as_text()
        assert re.findall(r"= f32\[.* copy\(", program) == []


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_the_optimizer_is_optaxs_adam(clip):
    rate = optax.linear_schedule(0.1, 0.01, 5)
    ours, plain = make_optimizer(rate, clip), optax.adam(rate)
    plain = optax.chain(optax.clip_by_global_norm(clip), plain) if clip else plain
    params = tree_of(0)
    state, expected = ours.init(params), plain.init(params)
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for seed in range(1, 5):
        updates, state = ours.update(tree_of(seed), state, params)
        wanted, expected = plain.update(tree_of(seed), expected, params)
        for one, other in zip(jax.tree.leaves((updates, state)), jax.tree.leaves((wanted, expected)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)
    _, after = ours.update(jax.tree.map(lambda leaf: leaf * jnp.nan, params), state, params, finite=jnp.array(False))
    assert_same(after, state)
