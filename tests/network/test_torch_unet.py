"""PyTorch's network and training step, with which ours is timed, do the same work. Skipped without PyTorch."""

import jax
import numpy as np
import pytest

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.training import experiment, objective

torch = pytest.importorskip("torch")

from benchmarks import call, torch_unet  # noqa: E402

VARIANTS = {
    "everything": {},
    "as configs/mug.py": {
        "unet.patch": 1,
        "unet.multipliers": (1, 2),
        "expression": "encoder",
        "gate_std": 0.0,
        "warp_low": False,
    },
    "no tokens": dict(expression="concat", place_low=False, previous="none", target="frame", warp_low=False),
}


def random_batch(config) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sides = dict.fromkeys(("high", "previous", "identity"), config.model.resolution) | {"low": config.model.low_size}
    batch = {name: rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8) for name, side in sides.items()}
    places = np.array([[3.0, 5.0, 20.0, 0.0], [-4.0, 0.0, 30.0, 12.0]], np.float32)
    return batch | {"place": places, "index": np.arange(2, dtype=np.int32)}


def our_draw(state, batch, timesteps: int) -> tuple:
    """The noise and the timesteps that our next step will draw."""
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl="threefry2x32"), state.step)
    drawn = [objective._draw(key, index, batch["high"].shape[1:], timesteps) for index in range(2)]
    noise, z, timestep = (torch.tensor(np.stack(values)) for values in zip(*drawn, strict=True))
    return noise.permute(0, 3, 1, 2), z.permute(0, 3, 1, 2), timestep


def flat(tensors: list) -> torch.Tensor:
    return torch.cat([tensor.detach().ravel() for tensor in tensors])


def ours_flat(params: dict) -> torch.Tensor:
    return flat(jax.tree.leaves(torch_unet.converted(params)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_three_steps_are_ours(variant):
    config = smoke.get_config()
    config.model.update_from_flattened_dict(VARIANTS[variant])
    config.train.warmup_steps, config.train.decay = 0, "none"  # as PyTorch's has it
    chosen = settings.read(config)
    ours = experiment.make(chosen)
    start = ours.initial_state()
    rng = np.random.default_rng(1)  # no zeros: last layers that start at zero would hide all before them
    params = jax.tree.map(lambda x: x + 0.05 * rng.standard_normal(x.shape, np.float32), start.params)
    state, batch = start._replace(params=params, ema=params), random_batch(config)
    training, step = torch_unet.Training(chosen, params, "cpu", compiled=False), jax.jit(ours.step)
    on_devices = training.placed(batch)
    for _ in range(3):
        loss = training.step(on_devices, our_draw(state, batch, config.schedule.timesteps))
        state, metrics = step(state, batch)
        np.testing.assert_allclose(loss, metrics["loss"], rtol=1e-5)
    for ours, found in ((state.params, training.parameters), (state.ema, training.ema)):
        moved = ours_flat(ours) - ours_flat(params)
        # Relative to the distance moved: Adam makes full steps even where a gradient is only rounding error.
        assert (flat(found) - ours_flat(ours)).norm() < 0.01 * moved.norm()


def test_the_calls_that_are_timed_give_the_same_velocity():
    config, rng = smoke.get_config(), np.random.default_rng(1)
    params, given = call.inputs("smoke", config, 2)
    params = jax.tree.map(lambda x: x + 0.05 * rng.standard_normal(x.shape, np.float32), params)
    ours = np.asarray(call.our_call(config)(params, given["high"], given))
    tensors = {name: torch_unet.tensor(value) for name, value in given.items()}
    theirs = call.their_call(config, "cpu", compiled=False)(torch_unet.converted(params), tensors["high"], tensors)
    assert np.std(ours) > 0.1
    np.testing.assert_allclose(theirs.permute(0, 2, 3, 1), ours, atol=2e-5)
