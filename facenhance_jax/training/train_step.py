"""The state of a training, and one step of it."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, UInt32

from facenhance_jax.training import packing

LossFn = Callable[..., tuple[Float[Array, ""], dict]]
"""(params, batch, key) -> the mean loss of the batch, and sums over its examples by name, for the log."""


class TrainState(NamedTuple):
    """The whole of a training run; a checkpoint holds exactly this. While it runs, its dicts are packed (`packing`).

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
    optimizer: optax.GradientTransformationExtraArgs,
    ema_decay: float,
    ema_warmup: bool = True,
    ema_every: int = 1,
    accumulate: int = 1,
    axis: str | None = None,
) -> tuple[TrainState, dict]:
    """One step of Algorithm 1, pure. `batch` is this device's share if `axis` names a mapped axis, else all of it.

    With `accumulate` > 1 the batch goes through the network in that many parts, one after the other; there is still one
    update of the parameters and of the EMA. If the loss or a gradient is not finite, only the counters are updated;
    an optimizer with a state has to see to that itself, by its argument `finite`.
    With `ema_every` = k the EMA is updated in every k-th step only, with the decays of k steps at once, which saves
    reading and writing it in the others. Metrics: loss, grad_norm, skipped, and the loss's own sums.
    """
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl="threefry2x32"), state.step)
    gradient = partial(jax.value_and_grad(loss_fn, has_aux=True), packing.unpacked(state.params), key=key)
    (value, sums), gradients = _accumulated(gradient, batch, accumulate)
    if isinstance(state.params, packing.Packed):
        gradients = packing.packed(gradients, state.params.turned)
    if axis:
        value, gradients = jax.lax.pmean((value, gradients), axis)
        sums = jax.lax.psum(sums, axis)
    norm = optax.tree.norm(gradients)
    finite = jnp.isfinite(value) & jnp.isfinite(norm)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params, finite=finite)
    params = chosen(finite, optax.apply_updates(state.params, updates), state.params)
    decay = partial(warmed_up_decay, decay=ema_decay) if ema_warmup else lambda step: ema_decay
    ema = _averaged(params, state.ema, state.step, finite, decay, ema_every)
    skipped = state.skipped + (1 - finite.astype(jnp.int32))
    new_state = TrainState(state.step + 1, params, ema, opt_state, state.key, skipped)
    return new_state, {"loss": value, "grad_norm": norm, "skipped": skipped} | sums


def chosen(condition: Bool[Array, ""] | bool, new: Any, old: Any) -> Any:
    """The tree `new`, or `old` if the condition does not hold."""
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), new, old)


def _averaged(params: Any, ema: Any, step: Int[Array, ""], finite: Bool[Array, ""], decay: Callable, every: int):
    """The EMA after `step`, which gave these parameters."""
    if every == 1:
        return chosen(finite, optax.incremental_update(params, ema, 1.0 - decay(step)), ema)

    def update(ema):
        return optax.incremental_update(params, ema, 1.0 - math.prod(decay(step - back) for back in range(every)))

    return jax.lax.cond(finite & ((step + 1) % every == 0), update, lambda ema: ema, ema)


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
