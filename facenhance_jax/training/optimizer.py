"""Adam, with a guard against what is not finite."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool

from facenhance_jax.training.train_step import chosen

B1, B2, EPSILON = 0.9, 0.999, 1e-8


def make_optimizer(
    rate: optax.Schedule, gradient_clip: float, b1: float = B1, b2: float = B2
) -> optax.GradientTransformationExtraArgs:
    """Adam (Kingma & Ba 2015), after a clip of the gradient's global norm to `gradient_clip`; 0 for none.

    The state is that of `optax.adam`, and so are the updates up to rounding. Unlike its, `update` also takes `finite`:
    if it is not, the state stays as it is.
    """
    plain = optax.adam(rate, b1, b2, EPSILON)
    adam = optax.GradientTransformationExtraArgs(plain.init, functools.partial(_update, rate, b1, b2))
    return optax.chain(optax.clip_by_global_norm(gradient_clip), adam) if gradient_clip else adam


def _update(
    rate: optax.Schedule,
    b1: float,
    b2: float,
    gradients: Any,
    state: tuple,
    params: Any = None,
    *,
    finite: Bool[Array, ""] | bool = True,
) -> tuple[Any, tuple]:
    moments, schedule = state
    _, new = optax.scale_by_adam(b1, b2, EPSILON).update(gradients, moments)
    # The update comes from the new moments as they are kept. From those before the choice, XLA for CPUs would compute
    # it out of the old moments, and so would have to copy them before it writes the new ones over them.
    moments = chosen(finite, new, moments)
    mean, square = (optax.tree.bias_correction(*args, moments.count) for args in ((moments.mu, b1), (moments.nu, b2)))
    step = -rate(schedule.count)
    updates = jax.tree.map(lambda m, v: step * (m / (jnp.sqrt(v) + EPSILON)), mean, square)
    return updates, (moments, schedule._replace(count=jnp.where(finite, schedule.count + 1, schedule.count)))
