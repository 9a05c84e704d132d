"""The straightener's map in closed form, and the detectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.data import augmentation
from facenhance_jax.network import straightening, warping
from facenhance_jax.network.faults import FaultDetector
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.network.straightening import shifts_of_squares
from facenhance_jax.training import experiment, fitting, objective


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
    return fitting.with_fitted_restorer(params, batches, len(batches), restoring().denoiser(), whole=True)


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
    found["restorer"]["straightener"] = params["restorer"]["straightener"]
    found["restorer"]["faulty"] = params["restorer"]["faulty"]
    jax.tree.map(np.testing.assert_array_equal, found, params)  # all else is as it was


def test_frames_without_a_warp_do_not_count(batches, params):
    expected = kernel_of(fitted(params, batches[:2]))
    others = [batches[0], batch_of(9, warped=False), batches[1]]
    np.testing.assert_allclose(kernel_of(fitted(params, others)), expected, atol=1e-7)
    nothing = fitted(params, [batch_of(9, warped=False)])
    np.testing.assert_array_equal(kernel_of(nothing), 0)


def test_of_two_processes_both_have_what_fits_all_batches(batches, params, monkeypatch):
    given = []
    monkeypatch.setattr(fitting.multihost_utils, "process_allgather", lambda own: given.append(own) or joined([own]))
    fitted(params, batches[:1])
    others = iter(given)
    monkeypatch.setattr(fitting.multihost_utils, "process_allgather", lambda own: joined([next(others), own]))
    both = fitted(params, batches[1:2])
    monkeypatch.undo()
    np.testing.assert_allclose(kernel_of(both), kernel_of(fitted(params, batches[:2])), atol=1e-7)


def joined(of_processes):
    return jax.tree.map(lambda *parts: np.stack(parts), *of_processes)


def shares_told(detector, signs):
    graph, start = nnx.split(FaultDetector(rngs=nnx.Rngs(1)), nnx.Param)
    nnx.replace_by_pure_dict(start, detector)
    return np.asarray(nnx.sigmoid(nnx.merge(graph, start).logit_of(jnp.asarray(signs))))


def examples(seed, count):
    signs = np.random.default_rng(seed).standard_normal((count, 6)).astype(np.float32)
    return signs, np.where(signs[:, 2] > 0.3, 0.9, 0.2).astype(np.float32)


def test_a_detector_tells_the_share_from_the_signs(monkeypatch):
    both = [examples(seed, 300) for seed in (0, 1)]
    detector = fitting._fitted_detector(both)
    signs, shares = examples(2, 200)
    clear = np.abs(signs[:, 2] - 0.3) > 0.2
    assert np.abs(shares_told(detector, signs) - shares)[clear].mean() < 0.05
    constant = fitting._fitted_detector([(signs, np.full(200, 0.3, np.float32))])
    np.testing.assert_allclose(shares_told(constant, signs), 0.3, atol=1e-3)
    monkeypatch.setattr(fitting.multihost_utils, "process_allgather", lambda own: joined([own, [*both[1]]]))
    of_two = fitting._fitted_detector(both[:1])
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-4), of_two, detector)


def test_the_detectors_tell_the_shares_that_the_loss_wants(batches, params):
    """Where the cross entropy is least, the shares told are on average those that would be best."""
    rng, denoiser = np.random.default_rng(0), restoring().denoiser()
    exit_ = jax.tree.map(lambda x: x + 0.02 * rng.standard_normal(x.shape, np.float32), params["restorer"]["exit"])
    params = params | {"restorer": params["restorer"] | {"exit": exit_}}
    found = fitted(params, batches)
    warps, faults = [], []
    for batch in batches:
        low, own, clean, warped = fitting._frames(found, jax.tree.map(jnp.asarray, batch), denoiser=denoiser)
        for given in (low, warped):
            restored = denoiser.restored(found, given, own)
            straightened = restored.straightened
            best = objective.best_share(warped, straightening.moved(warped, straightened.moves), clean)
            warps.append((nnx.sigmoid(straightened.warped_logit), best))
            faults.append(
                (nnx.sigmoid(restored.faulty_logit), objective.best_share(straightened.frame, restored.frame, clean))
            )
    for pairs in (warps, faults):
        told, best = map(np.concatenate, zip(*pairs, strict=True))
        assert best.std() > 0.1 and abs(told.mean() - best.mean()) < 0.01
        assert np.mean((told - best) ** 2) < 0.5 * best.var()
    start = fitting.with_fitted_restorer(params, batches, 3, denoiser, whole=False)
    jax.tree.map(np.testing.assert_array_equal, start["restorer"]["faulty"], params["restorer"]["faulty"])


def test_a_training_starts_with_it(batches, monkeypatch):
    monkeypatch.setattr(experiment, "batches", lambda *_: iter(batches))
    made = experiment.make(restoring(fit_batches=2))
    state = made.warm_start(made.initial_state())
    expected = kernel_of(fitted(state.params, batches[:2]))
    for params in (state.params, state.ema):
        np.testing.assert_array_equal(kernel_of(params), expected)
