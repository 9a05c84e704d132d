"""The sampler with velocity functions whose result is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.diffusion import formulas, sampler

SCHEDULE = formulas.linear_schedule()
PHI = jnp.asarray(SCHEDULE.phi, jnp.float32)


def run(velocity, noise, steps, solver="ddim"):
    plan = sampler.make_plan(SCHEDULE, sampler.spaced_timesteps(SCHEDULE.timesteps, steps), solver)
    return jax.jit(lambda noise: sampler.sample(lambda x, t, _: velocity(x, t), noise, plan))(noise)


def start(seed=0):
    return jax.random.normal(jax.random.key(seed), (2, 4, 4, 3))


@pytest.mark.parametrize("solver", sampler.SOLVERS)
@pytest.mark.parametrize("steps", [1, 4, 1000])
def test_a_perfect_velocity_recovers_the_clean_image(steps, solver):
    clean = jax.random.uniform(jax.random.key(1), (2, 4, 4, 3), minval=-1, maxval=1)
    noise = start()
    noisy = formulas.diffuse(clean, noise, PHI[-1])

    def velocity(x, t):  # knows x_0, and takes the remaining noise from x
        eps = (x - jnp.cos(PHI[t]) * clean) / jnp.sin(PHI[t])
        return formulas.velocity(clean, eps, PHI[t])

    np.testing.assert_allclose(run(velocity, noisy, steps, solver), clean, atol=2e-4)


def gaussian(variance):
    """The ideal velocity where x_0 ~ N(0, variance): E[v | x_t]."""
    return lambda x, t: formulas.gaussian_gain(PHI[t], variance**0.5) * x


def test_gaussian_data_keep_their_variance():
    """The flow of the ideal velocity is x_t = sqrt(variance cos^2 + sin^2) times a constant, in closed form."""
    variance = 0.25
    scale = np.sqrt(variance / (variance * np.cos(SCHEDULE.phi[-1]) ** 2 + np.sin(SCHEDULE.phi[-1]) ** 2))
    errors = [
        float(jnp.abs(run(gaussian(variance), start(), steps) - scale * start()).max()) for steps in (16, 64, 1000)
    ]
    assert errors[2] < 5e-3
    assert errors[1] < errors[0] / 3 and errors[2] < errors[1] / 10  # first order: the error falls as 1 / steps


def test_the_second_order_solver_is_closer_at_equal_steps():
    variance = 0.25
    scale = np.sqrt(variance / (variance * np.cos(SCHEDULE.phi[-1]) ** 2 + np.sin(SCHEDULE.phi[-1]) ** 2))
    first, second = (
        float(jnp.abs(run(gaussian(variance), start(), 16, solver) - scale * start()).max())
        for solver in sampler.SOLVERS
    )
    assert second < first / 2


def test_each_step_gets_its_own_row_of_what_is_given():
    plan, rows = sampler.make_plan(SCHEDULE, [900, 500, 20]), jnp.stack([start(seed) for seed in (1, 2, 3)])
    found = sampler.sample(lambda x, t, row: row["v"], start(), plan, {"v": rows})
    expected = start()
    for row, angle, next_angle in zip(rows, SCHEDULE.phi[[900, 500, 20]], SCHEDULE.phi[[500, 20, 0]], strict=True):
        expected = np.cos(angle - next_angle) * expected - np.sin(angle - next_angle) * row
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_timesteps_are_spaced_evenly_from_the_top():
    assert sampler.spaced_timesteps(1000, 4) == [1000, 750, 500, 250]
    assert sampler.spaced_timesteps(1000, 1) == [1000]
    assert sampler.spaced_timesteps(5, 5) == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("timesteps", [[], [10, 10], [5, 6], [1001], [5, 0]])
def test_timesteps_that_do_not_decrease_are_refused(timesteps):
    with pytest.raises(ValueError, match="decrease"):
        sampler.make_plan(SCHEDULE, timesteps)


def test_the_solver_must_exist():
    with pytest.raises(ValueError, match="solver must be one of"):
        sampler.make_plan(SCHEDULE, [10], "euler")


def test_steps_must_fit_the_schedule():
    for steps in (0, 1001):
        with pytest.raises(ValueError, match="from 1 to 1000"):
            sampler.spaced_timesteps(1000, steps)
