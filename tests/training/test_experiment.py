"""The parts of an experiment that no other file tests: its optimizer, and its start from another model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import smoke
from facenhance_jax import Enhancer, settings
from facenhance_jax.faces.registration import find_face
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints
from facenhance_jax.training import experiment, hardware
from facenhance_jax.training.optimizer import make_optimizer


def test_merged_takes_what_fits_and_keeps_the_rest():
    fresh = {"a": jnp.zeros((4, 4)), "b": {"c": jnp.zeros(3), "d": jnp.zeros(2)}}
    start = {"a": jnp.ones((4, 4)), "b": {"c": jnp.ones(5)}, "e": jnp.ones(9)}
    made = experiment.merged(fresh, start)
    assert jax.tree.structure(made) == jax.tree.structure(fresh)
    assert (made["a"] == 1).all() and (made["b"]["c"] == 0).all() and (made["b"]["d"] == 0).all()


def test_a_model_is_refused_if_less_than_half_of_it_fits():
    fresh = {"a": jnp.zeros(5), "b": jnp.zeros(6)}
    with pytest.raises(InputError, match="config.train.start_from: a model of another shape"):
        experiment.merged(fresh, {"a": jnp.ones(5), "b": jnp.ones(7)})


def test_a_training_starts_from_a_released_model_without_the_newest_layers(tmp_path):
    old = smoke.get_config()
    old.model.warp_low = False
    released = settings.read(old).denoiser().init(5)
    checkpoints.save_model(tmp_path / "model", released, old.to_dict(), "# A card")
    config = smoke.get_config()
    plain = experiment.make(settings.read(config))
    fresh = plain.initial_state()
    assert plain.warm_start(fresh) is fresh
    config.train.start_from = str(tmp_path / "model")
    begun = experiment.make(settings.read(config)).warm_start(fresh)
    np.testing.assert_array_equal(begun.params["unet"]["entrance"]["kernel"], released["unet"]["entrance"]["kernel"])
    np.testing.assert_array_equal(begun.ema["unet"]["entrance"]["kernel"], released["unet"]["entrance"]["kernel"])
    np.testing.assert_array_equal(begun.params["unet"]["extra"]["bias"], fresh.params["unet"]["extra"]["bias"])
    assert int(begun.step) == 0


def test_the_flops_of_a_step_are_three_times_the_forward_passes():
    """A gradient costs two more passes. The count is the same for a batch in parts. The optimizer's are few."""
    config = smoke.get_config()
    whole = experiment.make(settings.read(config))
    abstract = jax.eval_shape(whole.initial_state)
    sides = dict(high=32, previous=32, identity=32, low=16)
    batch = {name: np.zeros((4, side, side, 3), np.uint8) for name, side in sides.items()}
    batch |= {"index": np.arange(4, dtype=np.int32), "place": np.zeros((4, 4), np.float32)}
    step = hardware.step_flops(whole.step, abstract, batch)
    key = jax.random.key(0)
    forward = jax.jit(whole.loss).lower(abstract.params, batch, key).cost_analysis()["flops"]
    assert 2.6 < step / forward < 3.4
    config.train.accumulate = 2
    assert hardware.step_flops(experiment.make(settings.read(config)).step, abstract, batch) == step


def test_the_learning_rate_warms_up_and_decays():
    config = smoke.get_config()
    config.train.update(learning_rate=1.0, warmup_steps=4, decay="cosine")
    config.run.steps = 100
    rate = experiment.make(settings.read(config)).learning_rate
    np.testing.assert_allclose(rate(0), 0.25, rtol=1e-6)
    np.testing.assert_allclose([rate(50), rate(100)], [0.5, 0.0], atol=1e-6)
    config.train.update(warmup_steps=0, decay="none")
    assert experiment.make(settings.read(config)).learning_rate(0) == 1.0


def test_without_a_clip_the_optimizer_is_adam_only():
    adam = make_optimizer(lambda step: 1.0, gradient_clip=0.0)
    assert len(adam.init({"w": jnp.ones(1)})) == 2  # its moments and its rate


def test_a_picture_of_the_training_is_what_the_enhancer_makes_of_a_clips_first_frame():
    chosen = settings.read(smoke.get_config())
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + 0.05 * rng.standard_normal(leaf.shape, np.float32), chosen.denoiser().init(0)
    )
    photos, lows = (rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8) for side in (32, 16))
    place = np.stack([find_face(low, photo) for low, photo in zip(lows, photos, strict=True)])
    batch = {"low": lows, "identity": photos, "previous": photos, "place": place}
    made = jax.jit(experiment.make(chosen).sample)(params, batch)
    expected = Enhancer(chosen.denoiser(), params, chosen.sampling).enhance_batch(lows[:, None], photos)[:, 0]
    assert np.abs(np.asarray(made).astype(int) - expected).max() <= 1 and expected.std() > 10


@pytest.mark.parametrize("field", [{"restored_weight": 0.1}, {"only_restorer": True}, {"fit_batches": 1}])
def test_a_restorer_that_the_network_does_not_have_cannot_be_trained(field):
    config = smoke.get_config()
    config.train.update(field)
    with pytest.raises(InputError, match="need config.model.restore_low=True"):
        experiment.make(settings.read(config))
