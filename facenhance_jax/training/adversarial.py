"""Training against a critic: one step of `loop.train`, in which the critic is updated before the generator.

A `TrainState` holds both: `params` and the optimizers' states of "generator" and "critic", and the generator's average.
Their statistics (of batch norm, of the power iteration) lie among the parameters. A loss has no gradient for them, so
Adam does not move them, and each pass's own change is taken over.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from facenhance_jax.generators.modules import root
from facenhance_jax.training import packing
from facenhance_jax.training.train_step import TrainState, chosen, initial_state, warmed_up_decay

Loss = Callable[..., tuple[Float[Array, ""], dict]]
"""(its own arrays, the other's, batch, key) -> (the loss, its own arrays with the statistics of this pass)."""


class Players(NamedTuple):
    """The two losses and optimizers.

    Attributes:
      generator_loss: (generator, critic, batch, key) -> (loss, generator).
      critic_loss: (critic, generator, batch, key) -> (loss, critic).
      optimizer: of both, each with a state of its own.
      critic_updates: in a step, before the generator's; each with other noise.
    """

    generator_loss: Loss
    critic_loss: Loss
    optimizer: optax.GradientTransformationExtraArgs
    critic_updates: int


def start(generator: dict, critic: dict, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    """A run's start."""
    state = initial_state(generator, optimizer, seed)
    both = {"generator": generator, "critic": critic}
    return state._replace(params=both, opt_state=(state.opt_state, optimizer.init(critic)))


def step(
    state: TrainState,
    batch: dict,
    *,
    players: Players,
    ema_decay: float,
    accumulate: int = 1,
    axis: str | None = None,
) -> tuple[TrainState, dict]:
    """One step, pure; see `train_step.train_step`, which it takes the place of. A batch is never split (`accumulate`).

    If a loss or a gradient of either is not finite, only the counters are updated. Metrics: loss (the generator's),
    critic_loss, grad_norm, skipped.
    """
    assert accumulate == 1
    before = state
    state = packing.unpacked_state(state)
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl="threefry2x32"), state.step)
    generator, critic = state.params["generator"], state.params["critic"]
    generator_state, critic_state = state.opt_state
    finite = jnp.array(True)
    for number in range(players.critic_updates):
        loss = partial(players.critic_loss, batch=batch, key=jax.random.fold_in(key, number))
        critic, critic_state, critic_value, norm = _updated(loss, critic, generator, critic_state, players, axis)
        finite &= jnp.isfinite(critic_value) & jnp.isfinite(norm)
    loss = partial(players.generator_loss, batch=batch, key=jax.random.fold_in(key, players.critic_updates))
    generator, generator_state, value, norm = _updated(loss, generator, critic, generator_state, players, axis)
    finite &= jnp.isfinite(value) & jnp.isfinite(norm)
    ema = optax.incremental_update(generator, state.ema, 1.0 - warmed_up_decay(state.step, ema_decay))
    new = ({"generator": generator, "critic": critic}, ema, (generator_state, critic_state))
    params, ema, opt_state = chosen(finite, new, (state.params, state.ema, state.opt_state))
    skipped = state.skipped + (1 - finite.astype(jnp.int32))
    state = TrainState(state.step + 1, params, ema, opt_state, state.key, skipped)
    metrics = {"loss": value, "critic_loss": critic_value, "grad_norm": norm, "skipped": skipped}
    return packing.packed_state(state, before.ema.turned) if isinstance(before.ema, packing.Packed) else state, metrics


def _updated(loss: Loss, own: dict, other: dict, opt_state: Any, players: Players, axis: str | None) -> tuple:
    """(its arrays after one update, the optimizer's state, the loss, the gradient's norm)."""
    (value, passed), gradients = jax.value_and_grad(lambda own: loss(own, other), has_aux=True)(own)
    if axis:
        value, passed, gradients = jax.lax.pmean((value, passed, gradients), axis)
    updates, opt_state = players.optimizer.update(gradients, opt_state, own)
    return optax.apply_updates(passed, updates), opt_state, value, optax.tree.norm(gradients)


def gradient_penalty(
    critic: Callable[[Any], Float[Array, " b"]], real: Any, fake: Any, key: PRNGKeyArray
) -> Float[Array, ""]:
    """The mean of (|gradient of the critic| - 1)^2 between real and fake examples (Gulrajani et al. 2017).

    Examples are trees of arrays [b, ...]; the norm is that over all arrays of an example.
    """
    share = jax.random.uniform(key, (len(jax.tree.leaves(real)[0]),))

    def between(a: Array, b: Array) -> Array:
        weight = share.reshape(-1, *(1,) * (a.ndim - 1))
        return weight * a + (1.0 - weight) * b

    gradients = jax.grad(lambda x: critic(x).sum())(jax.tree.map(between, real, fake))
    squares = [jnp.sum(leaf.reshape(len(leaf), -1) ** 2, axis=1) for leaf in jax.tree.leaves(gradients)]
    return jnp.mean((root(sum(squares)) - 1.0) ** 2)


def noise_of(key: PRNGKeyArray, index: Array, size: int) -> Float[Array, "b z"]:
    """Each example's own noise, a function of (key, index)."""
    return jax.vmap(lambda index: jax.random.normal(jax.random.fold_in(key, index), (size,)))(index)
