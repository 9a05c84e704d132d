"""The straightener's map in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.data import augmentation
from facenhance_jax.network import warping
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.network.straightening import shifts_of_squares
from facenhance_jax.training import experiment, fitting


def restoring(**train):
    config = smoke.get_config()
    config.model.restore_low = True
    config.train.update(train)
    return settings.read(config)


def smooth(rng, side):
    return augmentation.blur(rng.integers(0, 256, (side, side, 3), dtype=np.uint8), 2.0)


def batch_of(seed, warped=True):
    """Two frames, of which the first is warped; they show other faces than the photos."""
    rng = np.random.default_rng(seed)
    clean = np.stack([smooth(rng, 16) for _ in range(2)])
    moved = clean.copy()
    if warped:
        moved[0] = augmentation.warp(clean[0], rng, augmentation.WARP)
    low = np.stack([augmentation.noise(frame, rng, 8) for frame in moved])
    place = np.tile(np.float32([8, 8, 16, 0]), (2, 1))
    photos = np.stack([smooth(rng, 32) for _ in range(2)])
    return {"low": low, "clean_low": clean, "warped_low": moved, "identity": photos, "place": place}


@pytest.fixture(scope="module")
def batches():
    return [batch_of(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def params():
    return restoring().denoiser().init(0)


def fitted(params, batches):
    return fitting.with_fitted_straightener(params, batches, len(batches), restoring().denoiser())


def kernel_of(params):
    return np.asarray(params["restorer"]["straightener"]["moves"]["kernel"])


def test_it_is_the_ridge_regression_of_the_warped_frames(batches, params):
    """By least squares with one row more for each weight, which asks it to be 0."""

    def shifts(other, low):
        return np.asarray(shifts_of_squares(other[:1], to_signal(low[:1]))).reshape(-1)

    rows, wanted = [], []
    for batch in batches:
        own = warping.low_of(to_signal(batch["identity"]), jnp.asarray(batch["place"]), 16)
        rows += [shifts(own, batch["low"]), shifts(own, batch["warped_low"])]
        wanted += 2 * [-shifts(to_signal(batch["clean_low"]), batch["warped_low"])]
    rows += list(fitting.SHRINKAGE**0.5 * np.eye(128))
    wanted += list(np.zeros((128, 128)))
    expected = np.linalg.lstsq(np.stack(rows), np.stack(wanted), rcond=None)[0]
    found = fitted(params, batches)
    np.testing.assert_allclose(kernel_of(found), expected, atol=1e-6)
    assert np.abs(expected).max() > 1e-3
    found["restorer"]["straightener"]["moves"] = params["restorer"]["straightener"]["moves"]
    jax.tree.map(np.testing.assert_array_equal, found, params)  # all else is as it was


def test_frames_without_a_warp_do_not_count(batches, params):
    expected = kernel_of(fitted(params, batches[:2]))
    others = [batches[0], batch_of(9, warped=False), batches[1]]
    np.testing.assert_allclose(kernel_of(fitted(params, others)), expected, atol=1e-7)
    nothing = fitted(params, [batch_of(9, warped=False)])
    np.testing.assert_array_equal(kernel_of(nothing), 0)


def test_of_two_processes_both_have_the_map_of_all_batches(batches, params, monkeypatch):
    sums = []
    monkeypatch.setattr(fitting.multihost_utils, "process_allgather", lambda own: sums.append(own) or own[None])
    fitted(params, batches[:1])
    monkeypatch.setattr(fitting.multihost_utils, "process_allgather", lambda own: np.stack([sums[0], own]))
    both = fitted(params, batches[1:])
    monkeypatch.undo()
    np.testing.assert_allclose(kernel_of(both), kernel_of(fitted(params, batches)), atol=1e-7)


def test_a_training_starts_with_it(batches, monkeypatch):
    monkeypatch.setattr(experiment, "batches", lambda *_: iter(batches))
    made = experiment.make(restoring(fit_batches=2))
    state = made.warm_start(made.initial_state())
    expected = kernel_of(fitted(state.params, batches[:2]))
    for params in (state.params, state.ema):
        np.testing.assert_array_equal(kernel_of(params), expected)
