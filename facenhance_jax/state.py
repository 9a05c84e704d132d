"""What a training carries from step to step, and one step of it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt32

LossFn = Callable[..., Float[Array, ""]]
"""(params, batch, key, indices int [b]) -> the mean loss of the batch."""


class TrainState(NamedTuple):
    """The whole of a training run; a checkpoint holds exactly this.

    Attributes:
      step: int32 [], updates done.
      params: the network's, float32.
      ema: their exponential moving average, float32.
      opt_state: the optimizer's.
      key: uint32 [2]; the randomness of step n is fold_in(key, n).
      skipped: int32 [], steps in which the loss or a gradient was not finite and nothing was updated.
    """

    step: Int[Array, ""]
    params: dict
    ema: dict
    opt_state: optax.OptState
    key: UInt32[Array, " 2"]
    skipped: Int[Array, ""]


def initial_state(params: dict, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    """A run's start: the EMA is a copy of the fresh parameters."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),
        opt_state=optimizer.init(params),
        key=jax.random.key_data(jax.random.key(seed, impl="threefry2x32")),
        skipped=jnp.zeros((), jnp.int32),
    )


def warmed_up_decay(step: Int[Array, ""], decay: float) -> Float[Array, ""]:
    """The EMA's decay, min(decay, (1 + step) / (10 + step)): an average of the recent past while the past is short."""
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def train_step(
    state: TrainState,
    batch: dict,
    *,
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    ema_decay: float,
    axis: str | None = None,
) -> tuple[TrainState, dict]:
    """One step of Algorithm 1, pure. `batch` is this device's share where `axis` names a mapped axis, else all of it.

    A loss or gradient that is not finite updates nothing but the counters. Metrics: loss, grad_norm, skipped.
    """
    size = batch["high"].shape[0]
    first = jax.lax.axis_index(axis) * size if axis else 0
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl="threefry2x32"), state.step)
    value, gradients = jax.value_and_grad(loss_fn)(state.params, batch, key, first + jnp.arange(size))
    if axis:
        value, gradients = jax.lax.pmean((value, gradients), axis)
    norm = optax.tree.norm(gradients)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = optax.incremental_update(params, state.ema, 1.0 - warmed_up_decay(state.step, ema_decay))
    finite = jnp.isfinite(value) & jnp.isfinite(norm)
    params, ema, opt_state = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, ema, opt_state),
        (state.params, state.ema, state.opt_state),
    )
    skipped = state.skipped + (1 - finite.astype(jnp.int32))
    new_state = TrainState(state.step + 1, params, ema, opt_state, state.key, skipped)
    return new_state, {"loss": value, "grad_norm": norm, "skipped": skipped}
