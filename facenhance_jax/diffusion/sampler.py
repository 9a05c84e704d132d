"""From noise to one frame: a scan over timesteps. It takes a velocity function and knows nothing of networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from facenhance_jax.diffusion.formulas import Schedule, clean_of

VelocityFn = Callable[[Float[Array, "b h w c"], Int[Array, ""], Any], Float[Array, "b h w c"]]
"""(x_t [b, h, w, c], t int32, what is given for the step) -> v_t [b, h, w, c]."""

SOLVERS = ("ddim", "2m")


@dataclass(frozen=True)
class Plan:
    """The coefficients of a sampler, one row per step.

    A step is x_s = on_noisy x_t + on_velocity v_t + on_last D, where D is the x_0 that the step before estimated.

    Attributes:
      timesteps: int [K], decreasing; the last step ends at timestep 0.
      phi: float64 [K], the angle of each timestep.
      on_noisy, on_velocity, on_last: float64 [K].
    """

    timesteps: Int[np.ndarray, " K"]
    phi: Float[np.ndarray, " K"]
    on_noisy: Float[np.ndarray, " K"]
    on_velocity: Float[np.ndarray, " K"]
    on_last: Float[np.ndarray, " K"]


def spaced_timesteps(total: int, steps: int) -> list[int]:
    """`steps` timesteps evenly spaced from `total` down; `steps = total` gives total, total - 1, ..., 1."""
    if not 1 <= steps <= total:
        raise ValueError(f"steps must be from 1 to {total}, not {steps}")
    return [round(total * (steps - k) / steps) for k in range(steps)]


def make_plan(schedule: Schedule, timesteps: Sequence[int], solver: str = "ddim") -> Plan:
    """The coefficients of sampling along `timesteps` down to 0, in float64.

    Args:
      schedule: gives the angles.
      timesteps: strictly decreasing, within 1..T.
      solver: "ddim", the exact step of a constant velocity (Song et al. 2021, arXiv:2010.02502); or "2m",
        DPM-Solver++ 2M (Lu et al. 2022, arXiv:2211.01095, algorithm 2), second order from the second step on.

    Raises:
      ValueError: the timesteps do not decrease within 1..T, or there is no solver of that name.
    """
    walk = np.asarray([*timesteps, 0])
    if len(walk) < 2 or walk[0] > schedule.timesteps or not np.all(np.diff(walk) < 0):
        raise ValueError(f"timesteps must decrease within {schedule.timesteps}..1, not {list(timesteps)}")
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {SOLVERS}, not {solver!r}")
    phi, phi_next = schedule.phi[walk[:-1]], schedule.phi[walk[1:]]
    delta = phi - phi_next
    on_noisy, on_velocity, on_last = np.cos(delta), -np.sin(delta), np.zeros(len(phi))
    if solver == "2m":
        # Written with x_0: x_s = (sin phi_s / sin phi_t) x_t + (sin delta / sin phi_t) D', where D' extrapolates the
        # last two estimates of x_0 in lambda = log(cos phi / sin phi). Not for the first step, which has one estimate,
        # nor for the step to timestep 0, where lambda is infinite.
        lam = -np.log(np.tan(phi))
        inner = slice(1, len(phi) - 1)
        weight = np.zeros(len(phi))
        weight[inner] = 0.5 * (lam[2:] - lam[1:-1]) / (lam[1:-1] - lam[:-2])
        on_clean = np.sin(delta) / np.sin(phi)
        on_noisy = np.sin(phi_next) / np.sin(phi) + on_clean * (1 + weight) * np.cos(phi)
        on_velocity = -on_clean * (1 + weight) * np.sin(phi)
        on_last = -on_clean * weight
    return Plan(walk[:-1], phi, on_noisy, on_velocity, on_last)


def sample(
    velocity_fn: VelocityFn, noise: Float[Array, "b h w c"], plan: Plan, given: Any = None
) -> Float[Array, "b h w c"]:
    """Algorithm 2 of the paper: x_T = `noise` denoised step by step along `plan` to x_0.

    `given` is a pytree of arrays with a first axis of K, whose rows `velocity_fn` gets step by step.
    """
    rows = (
        jnp.asarray(plan.timesteps, jnp.int32),
        *(jnp.asarray(x, noise.dtype) for x in (plan.phi, plan.on_noisy, plan.on_velocity, plan.on_last)),
    )

    def descend(carry, row):
        noisy, last = carry
        (timestep, phi, on_noisy, on_velocity, on_last), given = row
        velocity = velocity_fn(noisy, timestep, given)
        stepped = on_noisy * noisy + on_velocity * velocity + on_last * last
        return (stepped, clean_of(noisy, velocity, phi)), None

    (clean, _), _ = jax.lax.scan(descend, (noise, jnp.zeros_like(noise)), (rows, given))
    return clean
