"""The state of a training, and one step of it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt32

LossFn = Callable[..., tuple[Float[Array, ""], dict]]
"""(params, batch, key) -> the mean loss of the batch, and sums over its examples by name, for the log."""


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
    """The EMA's decay, min(decay, (1 + step) / (10 + step)): small at first, so the fresh parameters soon fade."""
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def train_step(
    state: TrainState,
    batch: dict,
    *,
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    ema_decay: float,
    ema_warmup: bool = True,
    accumulate: int = 1,
    axis: str | None = None,
) -> tuple[TrainState, dict]:
    """One step of Algorithm 1, pure. `batch` is this device's share if `axis` names a mapped axis, else all of it.

    With `accumulate` > 1 the batch goes through the network in that many parts, one after the other; there is still one
    update of the parameters and of the EMA. If the loss or a gradient is not finite, only the counters are updated.
    Metrics: loss, grad_norm, param_norm, skipped, and the loss's own sums.
    """
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl="threefry2x32"), state.step)
    gradient = partial(jax.value_and_grad(loss_fn, has_aux=True), state.params, key=key)
    (value, sums), gradients = _accumulated(gradient, batch, accumulate)
    if axis:
        value, gradients = jax.lax.pmean((value, gradients), axis)
        sums = jax.lax.psum(sums, axis)
    norm = optax.tree.norm(gradients)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    decay = warmed_up_decay(state.step, ema_decay) if ema_warmup else ema_decay
    ema = optax.incremental_update(params, state.ema, 1.0 - decay)
    finite = jnp.isfinite(value) & jnp.isfinite(norm)
    params, ema, opt_state = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, ema, opt_state),
        (state.params, state.ema, state.opt_state),
    )
    skipped = state.skipped + (1 - finite.astype(jnp.int32))
    new_state = TrainState(state.step + 1, params, ema, opt_state, state.key, skipped)
    metrics = {"loss": value, "grad_norm": norm, "param_norm": optax.tree.norm(params), "skipped": skipped}
    return new_state, metrics | sums


def _accumulated(gradient: Callable, batch: dict, parts: int) -> tuple:
    """((mean loss, sums), mean gradient) of a batch in equal parts, one part's activations in memory at a time."""
    if parts == 1:
        return gradient(batch)
    # Part a holds the rows a, a + parts, ...: rows that lie on one device stay there.
    split = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), batch)

    def add(total, part):
        return jax.tree.map(jnp.add, total, gradient(part)), None

    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gradient, _first(split)))
    # XLA for CPUs makes convolutions fast only outside of loops: in a loop their gradients take 15 times as long. So on
    # CPUs the loop is unrolled, and the parts save no memory.
    unroll = jax.default_backend() == "cpu"
    ((value, sums), gradients), _ = jax.lax.scan(add, zeros, split, unroll=unroll)
    return (value / parts, sums), jax.tree.map(lambda x: x / parts, gradients)


def _first(tree: dict) -> dict:
    return jax.tree.map(lambda x: x[0], tree)
