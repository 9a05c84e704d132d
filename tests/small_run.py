"""A training of one small matrix, for the tests of the loop, its folder and its devices."""

import itertools
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from facenhance_jax import build, checkpoints, state

OPTIMIZER = optax.adam(1e-2)


def make_config(**run) -> ml_collections.ConfigDict:
    defaults = dict(steps=6, log_every=1, sample_every=100, save_every=100, save_minutes=0.0, validate_every=0)
    defaults |= dict(validate_batches=1, profile_steps=(0, 0), parallel="jit")
    train = dict(seed=3, batch_size=8, accumulate=1, start_from="", learning_rate=1e-2, warmup_steps=0, decay="none")
    train |= dict(gradient_clip=0.0, ema_decay=0.9, loss_weighting="velocity")
    return ml_collections.ConfigDict(dict(run=defaults | run, train=train, model=dict(multipliers=(1, 2))))


def loss(params, batch, key):
    """Linear regression of `low` from `high`, with noise that is a function of (key, index)."""
    index, rows = batch["index"], len(batch["index"])
    noise = jax.vmap(lambda index: jax.random.normal(jax.random.fold_in(key, index), (12,)))(index)
    pixels = batch["high"].reshape(rows, 12) / 255.0 + 0.1 * noise
    error = jnp.mean((pixels @ params["kernel"] - batch["low"].reshape(rows, 12) / 255.0) ** 2, axis=1)
    early = index < 4
    return error.mean(), {
        "level_loss": jnp.stack([jnp.sum(error * early), jnp.sum(error * ~early)]),
        "level_count": jnp.stack([jnp.sum(early), jnp.sum(~early)]),
    }


def initial_state(config) -> state.TrainState:
    kernel = jax.random.normal(jax.random.key(config.train.seed), (12, 12))
    return state.initial_state({"kernel": kernel}, OPTIMIZER, config.train.seed)


def train_step(config, axis=None):
    parts = config.train.accumulate
    return partial(state.train_step, loss_fn=loss, optimizer=OPTIMIZER, ema_decay=0.9, accumulate=parts, axis=axis)


def make_batch(step: int, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    names = ("high", "low", "previous", "identity")
    return {name: rng.integers(0, 256, (size, 2, 2, 3), dtype=np.uint8) for name in names}


def numbered(batch):
    """As the devices get it."""
    return batch | {"index": np.arange(len(batch["high"]), dtype=np.int32)}


def batches(config, start_step=0):
    return (make_batch(step, config.train.batch_size) for step in itertools.count(start_step))


def sampled(config):
    """Frames that are the low-res ones."""
    return lambda params, batch: batch["low"]


def final_state(workdir: Path, config) -> state.TrainState:
    folder = workdir / "checkpoints"
    abstract = jax.eval_shape(lambda: initial_state(config))
    return checkpoints.restore(folder, checkpoints.steps(folder)[-1], abstract)


def assert_same(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def logged(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def raising(error):
    """A drawing of pictures that does not get to draw."""

    def draw(pictures, params):
        error()
        return np.zeros((2, 2, 3), np.uint8)

    return draw


def denoiser(config):
    """What a run's folder asks of it: the shapes of the parameters."""
    return SimpleNamespace(abstract_params=lambda: jax.eval_shape(lambda: initial_state(config)).params)


def use(monkeypatch) -> None:
    """Everything that a config makes, but for `run_settings`, is this file's own."""
    for function in (initial_state, train_step, batches, sampled, denoiser):
        monkeypatch.setattr(build, function.__name__, function)
