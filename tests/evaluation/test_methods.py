"""The frames of a batch of clips equal those of the public API, which makes one clip at a time."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.evaluation import clip_sets, methods, pasting
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.messages import InputError


@pytest.fixture(scope="module")
def model():
    """A tiny denoiser whose zero-initialised layers are filled, so that its output is not trivial."""
    chosen = settings.read_model(smoke.get_config())
    leaves, tree = jax.tree.flatten(chosen.denoiser().init(0))
    rng = np.random.default_rng(1)
    filled = [leaf if leaf.any() else 0.05 * rng.standard_normal(leaf.shape, np.float32) for leaf in leaves]
    return Enhancer(chosen.denoiser(), jax.tree.unflatten(tree, filled), chosen.sampling)


def clip(seed: int, size: int = 32, low_size: int = 16) -> clip_sets.EvaluationClip:
    rng = np.random.default_rng(seed)
    real, identity, low = (
        rng.integers(0, 256, shape, np.uint8)
        for shape in ((3, size, size, 3), (size, size, 3), (3, low_size, low_size, 3))
    )
    return clip_sets.EvaluationClip(str(seed), "fear", "", real, identity, low, np.ones((3, size, size), bool))


def test_a_batch_gives_the_pixels_of_the_public_api(model):
    """Three clips in batches of two; the second is half full. Equal up to a grey level: sums have another order."""
    method = methods.Enhanced(model, steps=3, batch=2, seed=5)
    clips = [clip(seed) for seed in (1, 2, 3)]
    batched = np.concatenate([method(clips[:2])[0], method(clips[2:])[0]])
    one_by_one = np.stack([model.enhance(one.low, one.identity, steps=3, seed=5) for one in clips])
    difference = np.abs(batched.astype(int) - one_by_one)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
    assert one_by_one.std() > 10


def test_a_known_place_is_given_to_the_model(model):
    place, method = np.array([3, 4, 20, 5], np.float32), methods.Enhanced(model, steps=1, batch=2)
    [made], _ = method([dataclasses.replace(clip(1), place=place)])
    given = {}
    method.enhancer = SimpleNamespace(size=32, low_size=16, compile=lambda *_, **__: None)
    method.enhancer.enhance_batch = lambda lows, photos, **options: given.update(options) or lows
    method([dataclasses.replace(clip(1), place=place), clip(2)])
    assert given["places"][0] is place and given["places"][1] is None and made.shape == (3, 32, 32, 3)


def test_seconds_are_of_the_clips_and_not_of_the_compiling(model, monkeypatch):
    """A half-full batch counts half of its time; only making the frames is timed."""
    now = iter(range(100))
    monkeypatch.setattr(methods, "time", SimpleNamespace(perf_counter=lambda: float(next(now))))
    method = methods.Enhanced(model, steps=1, batch=2)
    assert [method([clip(1), clip(2)])[1], method([clip(1)])[1]] == [1.0, 0.5]


def test_what_a_method_depends_on_is_written_down(model):
    denoiser, params = model.denoiser, model.params
    described = methods.Enhanced(model, steps=3, batch=2, seed=5).describe()
    sampling = {"steps": 3, "solver": "ddim", "temperature": 0.8, "shared_noise": True, "corrections": 0}
    assert described == {"model": methods.fingerprint(denoiser, params), "seed": 5} | sampling
    changed = jax.tree.map(lambda leaf: leaf, params)
    changed["unet"]["exit"]["bias"] = changed["unet"]["exit"]["bias"] + 1e-3
    config = smoke.get_config()
    config.model.residual_scale = 2.0
    other = settings.read_model(config).denoiser()
    digests = {methods.fingerprint(*pair) for pair in ((denoiser, params), (denoiser, changed), (other, params))}
    assert len(digests) == 3 and all(len(one) == 64 for one in digests)


def test_a_model_is_sampled_as_its_config_says_unless_asked_otherwise(model):
    assert methods.Enhanced(model, batch=1).sampling == model.sampling
    assert methods.Enhanced(model, batch=1, steps=None, shared_noise=False).describe()["steps"] == 8
    assert not methods.Enhanced(model, batch=1, shared_noise=False).sampling.shared_noise


@pytest.mark.parametrize("sizes, message", [((64, 16), "photos are 64 pixels"), ((32, 8), "low-res frames are 8")])
def test_clips_of_another_size_are_refused(model, sizes, message):
    with pytest.raises(InputError, match=message):
        methods.Enhanced(model, steps=1, batch=1)([clip(1, *sizes)])


def test_steps_that_the_model_cannot_take_are_refused(model):
    with pytest.raises(InputError, match="steps must be from 1 to 1000"):
        methods.Enhanced(model, steps=1001, batch=1)


def test_the_baselines():
    clips = [clip(1), clip(2)]
    copied, seconds = methods.PhotoCopied()(clips)
    np.testing.assert_array_equal(copied[1, 2], clips[1].identity)
    assert copied.shape == (2, 3, 32, 32, 3) and seconds == 0
    flat = np.full((3, 16, 16, 3), 7, np.uint8)
    upsampled, _ = methods.Upsampled()([dataclasses.replace(clips[0], low=flat)])
    np.testing.assert_array_equal(upsampled, np.full((1, 3, 32, 32, 3), 7))
    assert [method.key for method in methods.baselines()] == ["photo", "pasted", "upsampled"]
    real, seconds = methods.RealFrames()(clips)
    np.testing.assert_array_equal(real[1], clips[1].real)
    assert seconds == 0


def test_the_low_res_face_is_pasted_where_a_model_finds_it(monkeypatch):
    """By the frames by which a model finds it, those of its first chunk, and by the same function."""
    clips, asked = [clip(1), clip(2)], []
    places = iter(np.array([[4, 5, 16, 0], [6, 7, 20, 9]], np.float32))

    def find_face(low, photo):
        asked.append((low, photo))
        return next(places)

    monkeypatch.setattr(methods, "find_face", find_face)
    made, seconds = methods.Pasted()(clips)
    assert made.shape == (2, 3, 32, 32, 3) and seconds == 0
    place = np.array([6, 7, 20, 9], np.float32)
    np.testing.assert_array_equal(made[1, 2], pasting.paste(clips[1].low[2], clips[1].identity, place))
    assert len(asked) == 2
    known = dataclasses.replace(clips[0], place=place)
    np.testing.assert_array_equal(
        methods.Pasted()([known])[0][0, 1], pasting.paste(clips[0].low[1], clips[0].identity, place)
    )
    assert len(asked) == 2
    np.testing.assert_array_equal(asked[1][0], clips[1].low[:8])
    np.testing.assert_array_equal(asked[1][1], clips[1].identity)
