"""Training against a critic: closed forms, and how both players, their statistics and the counters move."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.training import adversarial, packing
from facenhance_jax.training.optimizer import make_optimizer

KEY = jax.random.key(0)
BATCH = {"generator": jnp.array(1.0), "critic": jnp.array(1.0)}  # factors of the losses
OPTIMIZER = make_optimizer(lambda step: 0.1, 0.0, 0.5, 0.9)


def test_the_gradient_penalty_of_a_linear_critic():
    """Its gradient is the same everywhere: (|w| - 1)^2, here of weights over two arrays of an example."""
    weights = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[0.0, 4.0]])}

    def critic(x):
        return x["a"] @ weights["a"] + (x["b"] * weights["b"][None]).sum(axis=(1, 2))

    rng = np.random.default_rng(0)
    real, fake = (
        {"a": jnp.asarray(rng.normal(size=(6, 2))), "b": jnp.asarray(rng.normal(size=(6, 1, 2)))} for _ in range(2)
    )
    np.testing.assert_allclose(adversarial.gradient_penalty(critic, real, fake, KEY), 16.0, rtol=1e-5)


def test_the_penalty_looks_between_real_and_fake_examples():
    real, fake = jnp.full((2000, 1), 2.0), jnp.full((2000, 1), 4.0)
    # The critic's gradient is x: the mean of (x - 1)^2 for x uniform in 2..4 is 13/3.
    penalty = adversarial.gradient_penalty(lambda x: (x**2).sum(axis=1) / 2, real, fake, KEY)
    np.testing.assert_allclose(penalty, 13 / 3, rtol=0.05)


def generator_loss(own, other, batch, key):
    return (own["w"] * other["w"]).sum() * batch["generator"], own | {"count": own["count"] + 1.0}


def critic_loss(own, other, batch, key):
    return -(own["w"] * jax.lax.stop_gradient(other["w"])).sum() * batch["critic"], own


PLAYERS = adversarial.Players(generator_loss, critic_loss, OPTIMIZER, critic_updates=3)
STEP = partial(adversarial.step, players=PLAYERS, ema_decay=0.5)


def start():
    generator = {"w": jnp.array([1.0]), "count": jnp.array([0.0])}
    return adversarial.start(generator, {"w": jnp.array([2.0])}, OPTIMIZER, seed=1)


def test_a_step_updates_the_critic_several_times_and_then_the_generator():
    state, metrics = STEP(start(), BATCH)
    # Adam's steps have the size of the rate while the gradient keeps its sign and size.
    np.testing.assert_allclose(state.params["critic"]["w"], 2.3, atol=1e-5)
    np.testing.assert_allclose(state.params["generator"]["w"], 0.9, atol=1e-5)
    assert float(state.params["generator"]["count"][0]) == 1.0  # a statistic is taken over and not moved
    np.testing.assert_allclose(metrics["loss"], 2.3, atol=1e-5)
    np.testing.assert_allclose(metrics["critic_loss"], -2.2, atol=1e-5)
    np.testing.assert_allclose(state.ema["w"], 0.1 * 1.0 + 0.9 * 0.9, atol=1e-5)  # decay (1 + 0) / (10 + 0)
    assert int(state.step) == 1 and int(state.skipped) == 0


@pytest.mark.parametrize("player", BATCH)
def test_what_is_not_finite_changes_nothing_but_the_counters(player):
    before = start()
    after, metrics = STEP(before, BATCH | {player: jnp.array(jnp.nan)})
    assert int(after.step) == 1 and int(after.skipped) == int(metrics["skipped"]) == 1
    for name in ("params", "ema", "opt_state"):
        jax.tree.map(np.testing.assert_array_equal, getattr(after, name), getattr(before, name))


def test_a_packed_state_gives_the_same_and_stays_packed():
    plain, packed = STEP(start(), BATCH)[0], STEP(packing.packed_state(start()), BATCH)[0]
    assert isinstance(packed.params, packing.Packed) and isinstance(packed.ema, packing.Packed)
    jax.tree.map(np.testing.assert_array_equal, packing.unpacked_state(packed), plain)


def test_noise_is_a_function_of_the_key_and_the_examples_number():
    made = adversarial.noise_of(KEY, jnp.array([3, 5]), 4)
    np.testing.assert_array_equal(made[1], adversarial.noise_of(KEY, jnp.array([5]), 4)[0])
    assert float(jnp.abs(made[0] - made[1]).min()) > 1e-3
