"""A training of one small matrix, for the tests of the loop, its folder and its devices."""

import itertools
import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from configs import mug
from facenhance_jax import settings
from facenhance_jax.runs import checkpoints
from facenhance_jax.training import loop, train_step
from facenhance_jax.training.experiment import Experiment
from facenhance_jax.training.optimizer import make_optimizer

OPTIMIZER = make_optimizer(lambda step: 1e-2, gradient_clip=0.0)


def make_config(**run) -> ml_collections.ConfigDict:
    config = mug.get_config()
    config.run.update(steps=6, log_every=1, sample_every=100, save_every=100, save_minutes=0.0, validate_every=0)
    config.run.update(validate_batches=1, **run)
    config.train.update(seed=3, batch_size=8, learning_rate=1e-2, ema_decay=0.9)
    return config


def make_experiment(config: ml_collections.ConfigDict) -> Experiment:
    train = config.train
    return Experiment(
        settings=settings.read(config),
        initial_state=partial(initial_state, config),
        warm_start=lambda fresh: fresh,
        step=small_step(config),
        loss=loss,
        sample=lambda params, batch: batch["low"],
        batches=lambda start: (make_batch(step, train.batch_size) for step in itertools.count(start)),
        validation_batches=lambda: [make_batch(9, train.batch_size)],
        learning_rate=lambda step: train.learning_rate,
    )


def train(config: ml_collections.ConfigDict, workdir: Path, allow_config_change: bool = False, **parts) -> None:
    """Trains the matrix; `parts` replace fields of the experiment."""
    loop.train(make_experiment(config)._replace(**parts), workdir, allow_config_change)


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


def initial_state(config) -> train_step.TrainState:
    kernel = jax.random.normal(jax.random.key(config.train.seed), (12, 12))
    return train_step.initial_state({"kernel": kernel}, OPTIMIZER, config.train.seed)


def small_step(config):
    parts = config.train.accumulate
    return partial(train_step.train_step, loss_fn=loss, optimizer=OPTIMIZER, ema_decay=0.9, accumulate=parts)


def make_batch(step: int, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    names = ("high", "low", "previous", "identity")
    return {name: rng.integers(0, 256, (size, 2, 2, 3), dtype=np.uint8) for name in names}


def numbered(batch):
    """The batch with the index that `parallel` adds."""
    return batch | {"index": np.arange(len(batch["high"]), dtype=np.int32)}


def final_state(workdir: Path, config) -> train_step.TrainState:
    folder = workdir / "checkpoints"
    abstract = jax.eval_shape(lambda: initial_state(config))
    return checkpoints.restore(folder, checkpoints.steps(folder)[-1], abstract)


def assert_same(actual, expected):
    """Two trees have the same structure, and their arrays the same shapes, types and values."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(partial(np.testing.assert_array_equal, strict=True), actual, expected)


def logged(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def raising(error):
    """A stand-in for `Pictures.draw` that calls `error` first."""

    def draw(pictures, params):
        error()
        return np.zeros((2, 2, 3), np.uint8)

    return draw
