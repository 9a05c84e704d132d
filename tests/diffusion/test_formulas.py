"""The formulas against their closed forms, in float64 on the host and float32 on the device."""

import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.diffusion import formulas

SCHEDULE = formulas.linear_schedule()


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((2, 5, 4, 4, 3))  # x_0 and eps


def test_the_schedule_is_the_papers():
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    np.testing.assert_allclose(SCHEDULE.alpha_bar[1:], alpha_bar, rtol=1e-9)
    assert SCHEDULE.timesteps == 1000
    assert SCHEDULE.phi[0] == 0.0 and SCHEDULE.alpha_bar[0] == 1.0
    # The known end of DDPM's schedule: alpha_bar_1000 = 4.0358e-5.
    np.testing.assert_allclose(SCHEDULE.alpha_bar[-1], 4.0358e-5, rtol=1e-4)
    np.testing.assert_allclose(np.sin(SCHEDULE.phi[1]), np.sqrt(1e-4), rtol=1e-12)


def test_the_deltas_add_up_to_phi():
    np.testing.assert_allclose(np.cumsum(SCHEDULE.delta), SCHEDULE.phi, rtol=1e-12)


@pytest.mark.parametrize("bad", [dict(timesteps=0), dict(beta_start=0.0), dict(beta_end=1.0), dict(beta_start=0.03)])
def test_an_impossible_schedule_is_refused(bad):
    with pytest.raises(ValueError, match="no such schedule"):
        formulas.linear_schedule(**bad)


def test_a_step_is_exact_between_any_two_timesteps(images):
    clean, noise = images
    for t, s in [(1000, 999), (1000, 0), (700, 3), (2, 1), (1, 0)]:
        phi_t, phi_s = SCHEDULE.phi[t], SCHEDULE.phi[s]
        noisy, velocity = formulas.diffuse(clean, noise, phi_t), formulas.velocity(clean, noise, phi_t)
        stepped = formulas.step(noisy, velocity, phi_t - phi_s)
        np.testing.assert_allclose(stepped, formulas.diffuse(clean, noise, phi_s), atol=1e-12)
        np.testing.assert_allclose(formulas.velocity_of_step(noisy, stepped, phi_t - phi_s), velocity, atol=1e-9)


def test_the_clean_image_comes_back(images):
    clean, noise = images
    for phi in (SCHEDULE.phi[1000], SCHEDULE.phi[300]):
        noisy, velocity = formulas.diffuse(clean, noise, phi), formulas.velocity(clean, noise, phi)
        np.testing.assert_allclose(formulas.clean_of(noisy, velocity, phi), clean, atol=1e-12)


def test_the_velocity_is_the_derivative_by_phi(images):
    clean, noise = images
    phi, h = SCHEDULE.phi[400], 1e-6
    slope = (formulas.diffuse(clean, noise, phi + h) - formulas.diffuse(clean, noise, phi - h)) / (2 * h)
    np.testing.assert_allclose(slope, formulas.velocity(clean, noise, phi), atol=1e-9)


def test_the_papers_loss_is_sin_squared_times_the_velocitys(images):
    """||x_{t-1} - xhat_{t-1}||^2 = sin(delta)^2 ||v - vhat||^2, for any guess vhat."""
    clean, noise = images
    t = np.array([1, 2, 500, 999, 1000])
    phi, delta = SCHEDULE.phi[t], SCHEDULE.delta[t]
    noisy, velocity = formulas.diffuse(clean, noise, phi), formulas.velocity(clean, noise, phi)
    guess = velocity + np.random.default_rng(1).standard_normal(velocity.shape)
    truth = formulas.diffuse(clean, noise, SCHEDULE.phi[t - 1])
    left = ((truth - formulas.step(noisy, guess, delta)) ** 2).sum(axis=(1, 2, 3))
    right = np.sin(delta) ** 2 * ((velocity - guess) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(left, right, rtol=1e-9)


def test_the_device_agrees_with_the_host(images):
    clean, noise = images
    phi = SCHEDULE.phi[[1, 10, 500, 900, 1000]]
    on_device = formulas.diffuse(jnp.asarray(clean, jnp.float32), jnp.asarray(noise, jnp.float32), phi)
    assert on_device.dtype == jnp.float32
    np.testing.assert_allclose(on_device, formulas.diffuse(clean, noise, phi), atol=1e-6)


def test_the_gaussian_gain_is_the_regression_of_v_on_x():
    rng = np.random.default_rng(2)
    clean, noise = 0.3 * rng.standard_normal((1, 400, 400, 3)), rng.standard_normal((1, 400, 400, 3))
    for phi in SCHEDULE.phi[[50, 300, 900]]:
        noisy, velocity = formulas.diffuse(clean, noise, phi), formulas.velocity(clean, noise, phi)
        slope = (noisy * velocity).sum() / (noisy**2).sum()
        np.testing.assert_allclose(formulas.gaussian_gain(phi, 0.3), slope, atol=0.01)
    assert abs(formulas.gaussian_gain(SCHEDULE.phi[300], 1.0)) < 1e-12  # unit data: v and x_t are uncorrelated
