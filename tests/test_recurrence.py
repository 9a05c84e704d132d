"""Algorithm 3, with networks small enough to know: causality, conditioning, and the same pixels however it is cut."""

import functools

import jax
import numpy as np
import pytest

from configs import smoke
from facenhance_jax import build, recurrence
from facenhance_jax.enhancer import CHUNK, Enhancer
from facenhance_jax.errors import InputError
from facenhance_jax.pixels import to_signal
from facenhance_jax.registration import find_face


def random_pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def enhancer():
    """A smoke-sized model with random weights everywhere, the zero-initialised ones too."""
    model = build.denoiser(smoke.get_config())
    leaves, tree = jax.tree.flatten(model.init(0))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [leaf + 0.05 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return Enhancer(model, jax.tree.unflatten(tree, noisy))


LOW = random_pixels(2 * CHUNK + 3, 16, 16, 3)
PHOTO = random_pixels(32, 32, 3, seed=1)


@pytest.fixture(scope="module")
def enhanced(enhancer):
    return enhancer.enhance(LOW, PHOTO, steps=2)


def test_one_scan_equals_chunks_equals_stream(enhancer, enhanced):
    """Bit for bit: the recurrence over the whole clip in a single scan, in chunks of 8, and frame by frame."""
    whole = jax.jit(
        functools.partial(
            recurrence.enhance_chunk,
            denoiser=enhancer.denoiser,
            plan=build.plan(enhancer.denoiser, 2),
            shared_noise=True,
        )
    )
    photo = PHOTO[None]
    count = np.int32(len(LOW))
    key, place = jax.random.key(0), find_face(LOW[0], PHOTO)[None]
    _, frames = whole(enhancer.params, LOW[:, None], photo, to_signal(photo), np.int32(0), count, key, place)
    np.testing.assert_array_equal(np.asarray(frames)[:, 0], enhanced)
    previous, singles = to_signal(photo), []
    for n, low in enumerate(LOW[:5]):
        one = np.int32(1)
        previous, frame = whole(enhancer.params, low[None, None], photo, previous, np.int32(n), one, key, place)
        singles.append(np.asarray(frame)[0, 0])
    np.testing.assert_array_equal(np.stack(singles), enhanced[:5])
    streamed = list(enhancer.stream(iter(LOW), PHOTO, steps=2))
    np.testing.assert_array_equal(np.stack(streamed), enhanced)


def test_a_shorter_clip_gives_the_same_first_frames(enhancer, enhanced):
    for length in (1, CHUNK, CHUNK + 1):
        np.testing.assert_array_equal(enhancer.enhance(LOW[:length], PHOTO, steps=2), enhanced[:length])


def test_the_future_does_not_reach_the_past(enhancer, enhanced):
    changed = LOW.copy()
    changed[3] = 255 - changed[3]
    again = enhancer.enhance(changed, PHOTO, steps=2)
    np.testing.assert_array_equal(again[:3], enhanced[:3])
    assert (again[3] != enhanced[3]).any()
    assert (again[4] != enhanced[4]).any()  # its frame is the next one's condition


def test_the_seed_is_the_noise(enhancer, enhanced):
    np.testing.assert_array_equal(enhancer.enhance(LOW[:3], PHOTO, steps=2, seed=0), enhanced[:3])
    assert (enhancer.enhance(LOW[:3], PHOTO, steps=2, seed=1) != enhanced[:3]).any()


def test_noise_is_shared_by_all_frames_or_drawn_anew_for_each():
    """A zero velocity leaves the noise, scaled (0.86 of it in 8 steps): what the frames differ by is their noise."""
    config = smoke.get_config()
    config.model.residual_scale = 4.0
    model = build.denoiser(config)
    untrained = Enhancer(model, model.init(0))
    grey = np.full_like(PHOTO, 128)
    shared, fresh = (untrained.enhance(LOW[:10], grey, steps=8, shared_noise=share) for share in (True, False))
    np.testing.assert_array_equal(shared, np.broadcast_to(shared[0], shared.shape))
    np.testing.assert_array_equal(fresh[0], shared[0])
    a, b = (fresh[n].astype(float).ravel() - 128 for n in (1, 9))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05 and min(a.std(), b.std()) > 20


def test_temperature_scales_the_noise_that_sampling_starts_from():
    """A zero velocity leaves the noise, scaled."""
    config = smoke.get_config()
    config.model.residual_scale = 8.0
    grey, made = np.full_like(PHOTO, 128), []
    for config.model.temperature in (1.0, 0.5):
        model = build.denoiser(config)
        made.append(Enhancer(model, model.init(0)).enhance(LOW[:1], grey, steps=8).astype(float) - 128)
    assert made[0].std() > 10
    np.testing.assert_allclose(made[1], made[0] / 2, atol=1)


def test_a_stream_reads_no_further_than_its_chunk(enhancer):
    read = []

    def clip():
        for frame in LOW:
            read.append(1)
            yield frame

    next(enhancer.stream(clip(), PHOTO, steps=2))
    assert len(read) == CHUNK


def test_without_training_the_photo_comes_back():
    """A zero velocity from unit noise: the residual is noise / k, and its mean the photo."""
    config = smoke.get_config()
    config.model.residual_scale = 1e4
    model = build.denoiser(config)
    out = Enhancer(model, model.init(0)).enhance(LOW[:2], PHOTO, steps=2)
    np.testing.assert_array_equal(out, np.stack([PHOTO, PHOTO]))


def test_an_empty_clip_and_wrong_shapes_are_refused(enhancer):
    for clip, photo, message in [
        (LOW[:0], PHOTO, "no frames"),
        (LOW, PHOTO[:-1], r"the photo must be uint8 of shape \(32, 32, 3\)"),
        (LOW[:, :8], PHOTO, r"frame 0 of the clip must be uint8 of shape \(16, 16, 3\)"),
        (LOW / 255.0, PHOTO, "not float64"),
    ]:
        with pytest.raises(InputError, match=message):
            enhancer.enhance(clip, photo, steps=2)


def test_steps_must_fit_the_model(enhancer):
    for steps in (0, 1001):
        with pytest.raises(InputError, match="steps must be from 1 to 1000"):
            enhancer.enhance(LOW[:1], PHOTO, steps=steps)


def test_a_model_of_x_prev_takes_only_its_own_steps():
    config = smoke.get_config()
    config.model.update(prediction="x_prev", gate_std=0.0, warp_low=False)
    config.schedule.timesteps = 5
    model = build.denoiser(config)
    enhancer = Enhancer(model, model.init(0))
    with pytest.raises(InputError, match="samples only with its own 5"):
        enhancer.enhance(LOW[:1], PHOTO, steps=4)
    # At initialisation the network prints x_{t-1} = 0, so the last step's output, the residual, is 0: the photo.
    np.testing.assert_array_equal(enhancer.enhance(LOW[:1], PHOTO, steps=5)[0], PHOTO)
