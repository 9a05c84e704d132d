"""What a config makes, where no other file tests it: a training's start from another model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import smoke
from facenhance_jax import build, checkpoints
from facenhance_jax.errors import InputError


def test_merged_takes_what_fits_and_keeps_the_rest():
    fresh = {"a": jnp.zeros((4, 4)), "b": {"c": jnp.zeros(3), "d": jnp.zeros(2)}}
    start = {"a": jnp.ones((4, 4)), "b": {"c": jnp.ones(5)}, "e": jnp.ones(9)}
    made = build.merged(fresh, start)
    assert jax.tree.structure(made) == jax.tree.structure(fresh)
    assert (made["a"] == 1).all() and (made["b"]["c"] == 0).all() and (made["b"]["d"] == 0).all()


def test_a_model_of_which_less_than_half_fits_is_refused():
    fresh = {"a": jnp.zeros(5), "b": jnp.zeros(6)}
    with pytest.raises(InputError, match="config.train.start_from: a model of another shape"):
        build.merged(fresh, {"a": jnp.ones(5), "b": jnp.ones(7)})


def test_a_training_starts_from_a_released_model_without_the_newest_layers(tmp_path):
    old = smoke.get_config()
    old.model.warp_low = False
    released = build.denoiser(old).init(5)
    checkpoints.save_model(tmp_path / "model", released, old.to_dict(), "# A card")
    config = smoke.get_config()
    fresh = build.initial_state(config)
    assert build.started_from(config, fresh) is fresh
    config.train.start_from = str(tmp_path / "model")
    begun = build.started_from(config, fresh)
    np.testing.assert_array_equal(begun.params["unet"]["entrance"]["kernel"], released["unet"]["entrance"]["kernel"])
    np.testing.assert_array_equal(begun.ema["unet"]["entrance"]["kernel"], released["unet"]["entrance"]["kernel"])
    np.testing.assert_array_equal(begun.params["unet"]["extra"]["bias"], fresh.params["unet"]["extra"]["bias"])
    assert int(begun.step) == 0


def test_the_flops_of_a_step_are_three_times_the_forward_passes():
    """A gradient costs two more passes; counted alike in parts and with other batches. The optimizer's are few."""
    config = smoke.get_config()
    abstract = jax.eval_shape(lambda: build.initial_state(config))
    sides = dict(high=32, previous=32, identity=32, low=16)
    batch = {name: np.zeros((4, side, side, 3), np.uint8) for name, side in sides.items()}
    batch |= {"index": np.arange(4, dtype=np.int32), "place": np.zeros((4, 3), np.float32)}
    step = build.step_flops(config, abstract, batch)
    forward = jax.jit(build.validation_loss(config)).lower(abstract.params, batch).cost_analysis()["flops"]
    assert 2.6 < step / forward < 3.4
    config.train.accumulate = 2
    assert build.step_flops(config, abstract, batch) == step
