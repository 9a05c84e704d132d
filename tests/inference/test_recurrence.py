"""Algorithm 3 with small networks: causality, conditioning, and the same pixels however a clip is split."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.faces.registration import find_face
from facenhance_jax.inference import recurrence
from facenhance_jax.inference.enhancer import CHUNK, Enhancer, as_computed
from facenhance_jax.messages import InputError
from facenhance_jax.network.pixels import to_signal


def random_pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def random_params(denoiser):
    """Random weights everywhere, also where they are initialised as zeros."""
    leaves, tree = jax.tree.flatten(denoiser.init(0))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [leaf + 0.05 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, noisy)


@pytest.fixture(scope="module")
def enhancer():
    """A smoke-sized model."""
    chosen = settings.read_model(smoke.get_config())
    return Enhancer(chosen.denoiser(), random_params(chosen.denoiser()), chosen.sampling)


def untrained(config):
    """A model whose velocity is zero everywhere."""
    chosen = settings.read_model(config)
    return Enhancer(chosen.denoiser(), chosen.denoiser().init(0), chosen.sampling)


LOW = random_pixels(2 * CHUNK + 3, 16, 16, 3)
PHOTO = random_pixels(32, 32, 3, seed=1)
PLACE = find_face(LOW[:CHUNK], PHOTO)


@pytest.fixture(scope="module")
def enhanced(enhancer):
    return enhancer.enhance(LOW, PHOTO, steps=2)


def test_one_scan_equals_chunks_equals_stream(enhancer, enhanced):
    """Bit for bit: the recurrence over the whole clip in a single scan, in chunks of 8, and frame by frame."""
    plan = enhancer.denoiser.plan(2)
    options = dict(denoiser=enhancer.denoiser, plan=plan, temperature=enhancer.sampling.temperature, shared_noise=True)
    whole = jax.jit(functools.partial(recurrence.enhance_chunk, **options))
    photo = PHOTO[None]
    count, key = np.int32(len(LOW)), jax.random.key(0)
    chunk = recurrence.Chunk(LOW[:, None], photo, to_signal(photo), np.int32(0), count, key, PLACE[None])
    _, frames = whole(enhancer.params, chunk)
    np.testing.assert_array_equal(np.asarray(frames)[:, 0], enhanced)
    singles = []
    for n, low in enumerate(LOW[:5]):
        chunk = chunk._replace(low=low[None, None], first=np.int32(n), count=np.int32(1))
        (previous, _), frame = whole(enhancer.params, chunk)
        chunk = chunk._replace(previous=previous)
        singles.append(np.asarray(frame)[0, 0])
    np.testing.assert_array_equal(np.stack(singles), enhanced[:5])
    streamed = list(enhancer.stream(iter(LOW), PHOTO, steps=2))
    np.testing.assert_array_equal(np.stack(streamed), enhanced)


def test_what_straightens_the_frames_before_is_usual():
    """Two frames in one chunk are two calls: the second is given half of what would straighten the first."""
    config = smoke.get_config()
    config.model.update(place_low=True, restore_low=True)
    denoiser = settings.read_model(config).denoiser()
    params = random_params(denoiser)
    plan, key, photo = denoiser.plan(1), jax.random.key(0), PHOTO[None]
    options = dict(denoiser=denoiser, plan=plan)
    chunk = recurrence.Chunk(
        LOW[:2, None],
        photo,
        to_signal(photo),
        np.int32(0),
        np.int32(2),
        key,
        PLACE[None],
        np.zeros((1, 8, 8, 2), np.float32),
    )
    (last, moves), _ = jax.jit(functools.partial(recurrence.enhance_chunk, **options))(params, chunk)

    @jax.jit
    def frame(low, previous, usual, index):
        noise = recurrence.draw_noise(jax.random.fold_in(key, index), **options)
        given = to_signal(low[None]), to_signal(photo), previous, jnp.asarray(PLACE)[None], noise
        return recurrence.enhance_frame(params, *given, usual=usual, **options)

    first, found = frame(LOW[0], to_signal(photo), 0.0 * moves, 0)
    second, found_next = frame(LOW[1], first, found / 2, 1)
    np.testing.assert_allclose(last, second, atol=1e-5)
    np.testing.assert_allclose(moves, found + found_next, atol=1e-4)
    assert float(np.abs(frame(LOW[1], first, 0.0 * moves, 1)[0] - second).max()) > 1e-3


def test_frames_handed_out_as_they_are_made_are_the_same_and_no_more_is_done_than_is_asked_for(enhancer, enhanced):
    single = Enhancer(enhancer.denoiser, enhancer.params, enhancer.sampling)
    single.at_once, ran = 1, []
    program = single._program
    single._program = lambda *given: ran.append(None) or program(*given)
    made = single.stream(iter(LOW), PHOTO, steps=2)
    frames = [next(made) for _ in range(CHUNK + 2)]  # over the end of a chunk
    np.testing.assert_array_equal(np.stack(frames), enhanced[: CHUNK + 2])
    assert len(ran) == CHUNK + 2


def test_z_drawn_ahead_gives_the_same_pixels(enhancer, enhanced, monkeypatch):
    monkeypatch.setattr(recurrence, "DRAWN_AHEAD", 1)
    within = Enhancer(enhancer.denoiser, enhancer.params, enhancer.sampling)
    np.testing.assert_array_equal(within.enhance(LOW[:3], PHOTO, place=PLACE, steps=2), enhanced[:3])


def test_a_bfloat16_models_layers_are_cast_once_and_its_pixels_stay(enhancer):
    config = smoke.get_config()
    config.model.dtype = "bfloat16"
    half = Enhancer(settings.read_model(config).denoiser(), enhancer.params, enhancer.sampling)
    block = half.params["unet"]["middle_in"]["block"]
    dtypes = {name: {its.dtype.name for its in block[name].values()} for name in ("conv_in", "modulation", "norm_in")}
    assert dtypes == {"conv_in": {"bfloat16"}, "modulation": {"bfloat16"}, "norm_in": {"float32"}}
    for leaf, original in zip(*map(jax.tree.leaves, (half.params, enhancer.params)), strict=True):
        np.testing.assert_array_equal(leaf, original.astype(leaf.dtype), strict=True)
    frames = half.enhance(LOW[:2], PHOTO, steps=2).astype(int)
    half._programs, half.params = {}, enhancer.params
    difference = np.abs(half.enhance(LOW[:2], PHOTO, steps=2) - frames)
    assert difference.max() <= 1 and difference.mean() < 0.1 and frames.std() > 10  # another order of rounding


def test_a_restorers_detectors_stay_exact_in_a_bfloat16_model():
    config = smoke.get_config()
    config.model.update(place_low=True, restore_low=True)
    params = as_computed(settings.read_model(config).denoiser().init(0), "bfloat16")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params["restorer"])} == {"float32"}


def test_a_face_is_looked_for_only_where_the_network_takes_its_place(enhancer, monkeypatch):
    looked = []
    monkeypatch.setattr("facenhance_jax.inference.enhancer.find_face", lambda low, photo: looked.append(low) or PLACE)
    enhancer.enhance(LOW[:2], PHOTO, steps=1)
    assert len(looked) == 1
    config = smoke.get_config()
    config.model.update(place_low=False, warp_photo=False)
    chosen = settings.read_model(config)
    whole = Enhancer(chosen.denoiser(), random_params(chosen.denoiser()), chosen.sampling)
    frames = whole.enhance(LOW[:2], PHOTO, steps=1)
    assert len(looked) == 1
    np.testing.assert_array_equal(whole.enhance(LOW[:2], PHOTO, place=PLACE, steps=1), frames)


def test_a_shorter_clip_gives_the_same_first_frames(enhancer, enhanced):
    """Given its place; else the first 8 frames decide it, and random ones rarely agree."""
    for length in (1, CHUNK, CHUNK + 1):
        np.testing.assert_array_equal(enhancer.enhance(LOW[:length], PHOTO, place=PLACE, steps=2), enhanced[:length])


def test_the_future_does_not_reach_the_past(enhancer, enhanced):
    changed = LOW.copy()
    changed[3] = 255 - changed[3]
    again = enhancer.enhance(changed, PHOTO, place=PLACE, steps=2)
    np.testing.assert_array_equal(again[:3], enhanced[:3])
    assert (again[3] != enhanced[3]).any()
    assert (again[4] != enhanced[4]).any()  # frame 3 is its condition


def test_the_seed_is_the_noise(enhancer, enhanced):
    np.testing.assert_array_equal(enhancer.enhance(LOW[:3], PHOTO, place=PLACE, steps=2, seed=0), enhanced[:3])
    assert (enhancer.enhance(LOW[:3], PHOTO, place=PLACE, steps=2, seed=1) != enhanced[:3]).any()


def test_a_given_place_is_used_and_a_bad_one_refused(enhancer, enhanced):
    other = PLACE + np.float32([2, 1, 0, 5])
    moved = enhancer.enhance(LOW[:2], PHOTO, place=other, steps=2)
    assert (moved[0] != enhanced[0]).any()
    both = enhancer.enhance_batch(np.stack([LOW[:2]] * 2), np.stack([PHOTO] * 2), places=[PLACE, other], steps=2)
    assert np.abs(both[0].astype(int) - enhanced[:2]).max() <= 1 and np.abs(both[1].astype(int) - moved).max() <= 1
    for bad in ([1, 2, 3], [0, 0, 0, 0], [0, 0, 9, float("nan")]):
        with pytest.raises(InputError, match=r"is not \(left, top, side, angle\)"):
            enhancer.stream(LOW, PHOTO, place=np.float32(bad))


def test_noise_is_shared_by_all_frames_or_new_for_each():
    """A zero velocity leaves the noise, scaled (0.86 of it in 8 steps): frames differ only by their noise."""
    config = smoke.get_config()
    config.model.residual_scale = 4.0
    model = untrained(config)
    grey = np.full_like(PHOTO, 128)
    shared, fresh = (model.enhance(LOW[:10], grey, steps=8, shared_noise=share) for share in (True, False))
    np.testing.assert_array_equal(shared, np.broadcast_to(shared[0], shared.shape))
    np.testing.assert_array_equal(fresh[0], shared[0])
    a, b = (fresh[n].astype(float).ravel() - 128 for n in (1, 9))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05 and min(a.std(), b.std()) > 20


def test_temperature_scales_the_noise_that_sampling_starts_from():
    """A zero velocity leaves the noise, scaled."""
    config = smoke.get_config()
    config.model.residual_scale = 8.0
    grey, made = np.full_like(PHOTO, 128), []
    for config.sampling.temperature in (1.0, 0.5):
        made.append(untrained(config).enhance(LOW[:1], grey, steps=8).astype(float) - 128)
    made.append(untrained(config).enhance(LOW[:1], grey, temperature=1.0).astype(float) - 128)
    assert made[0].std() > 10
    np.testing.assert_allclose(made[1], made[0] / 2, atol=1)
    np.testing.assert_array_equal(made[2], made[0])  # the argument overrides the config's 0.5


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
    out = untrained(config).enhance(LOW[:2], PHOTO, steps=2)
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
    config.schedule.timesteps = config.sampling.steps = 5
    enhancer = untrained(config)
    with pytest.raises(InputError, match="samples only with its own 5"):
        enhancer.enhance(LOW[:1], PHOTO, steps=4)
    # At initialisation the network outputs x_{t-1} = 0, so the last step's output, the residual, is 0: the photo.
    np.testing.assert_array_equal(enhancer.enhance(LOW[:1], PHOTO)[0], PHOTO)  # its own steps are the default


def test_a_batch_of_clips_gives_each_clips_pixels(enhancer, enhanced):
    """The noise is the same alone and in a batch. Equal up to one grey level, as sums are added in another order."""
    lows, photos = np.stack([LOW, LOW[::-1], LOW]), np.stack([PHOTO, PHOTO[::-1], PHOTO])
    together = enhancer.enhance_batch(lows, photos, steps=2)
    for one, made in zip(
        (enhanced, enhancer.enhance(LOW[::-1], PHOTO[::-1], steps=2), enhanced), together, strict=True
    ):
        difference = np.abs(made.astype(int) - one)
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
    with pytest.raises(InputError, match=r"photo 0 must be uint8 of shape \(32, 32, 3\)"):
        enhancer.enhance_batch(lows, photos[:, 1:], steps=2)
    with pytest.raises(InputError, match="the clips have no frames"):
        enhancer.enhance_batch(lows[:, :0], photos, steps=2)


def test_after_compile_nothing_is_compiled(enhancer, monkeypatch):
    """The first call after `compile` compiles nothing."""
    fresh = Enhancer(enhancer.denoiser, enhancer.params, enhancer.sampling)
    fresh.compile(steps=2)
    monkeypatch.setattr(jax, "jit", None)
    monkeypatch.setattr(Enhancer, "_first_chunk", lambda self, *clips: first)
    first = recurrence.Chunk(
        LOW[:1, None],
        PHOTO[None],
        np.zeros((1, 32, 32, 3), np.float32),
        0,
        1,
        jax.random.key(0),
        np.float32([[0, 0, 32, 0]]),
    )
    assert fresh.enhance(LOW[:1], PHOTO, steps=2).shape == (1, 32, 32, 3)
