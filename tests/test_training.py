"""The training loop on a model of one small matrix: exact resumption, equal wrappers, and what lies in the folder."""

import itertools
import json
import os
import signal
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
from PIL import Image
from tensorboardX.proto import event_pb2

from facenhance_jax import build, checkpoints, state, training
from facenhance_jax.errors import InputError

ROOT = Path(__file__).parent.parent
OPTIMIZER = optax.adam(1e-2)


def make_config(**run) -> ml_collections.ConfigDict:
    run = dict(steps=6, log_every=1, sample_every=100, save_every=100, parallel="jit") | run
    return ml_collections.ConfigDict(
        dict(run=run, train=dict(seed=3, batch_size=8, start_from=""), model=dict(multipliers=(1, 2)))
    )


def loss(params, batch, key, indices):
    """Linear regression of `low` from `high`, with noise that is a function of (key, index)."""
    noise = jax.vmap(lambda index: jax.random.normal(jax.random.fold_in(key, index), (12,)))(indices)
    pixels = batch["high"].reshape(len(indices), 12) / 255.0 + 0.1 * noise
    return jnp.mean((pixels @ params["kernel"] - batch["low"].reshape(len(indices), 12) / 255.0) ** 2)


def initial_state(config) -> state.TrainState:
    kernel = jax.random.normal(jax.random.key(config.train.seed), (12, 12))
    return state.initial_state({"kernel": kernel}, OPTIMIZER, config.train.seed)


def train_step(config, axis=None):
    return partial(state.train_step, loss_fn=loss, optimizer=OPTIMIZER, ema_decay=0.9, axis=axis)


def make_batch(step: int, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {name: rng.integers(0, 256, (size, 2, 2, 3), dtype=np.uint8) for name in ("high", "low")}


def batches(config, start_step=0):
    return (make_batch(step, config.train.batch_size) for step in itertools.count(start_step))


def sample_grid(config):
    return lambda params, batch: np.concatenate([batch["high"][0], batch["low"][0]], axis=1)


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    """Everything that a config makes, but for `run_settings`, is this file's own."""
    for function in (initial_state, train_step, batches, sample_grid):
        monkeypatch.setattr(build, function.__name__, function)


def final_state(workdir: Path, config) -> state.TrainState:
    folder = workdir / "checkpoints"
    abstract = jax.eval_shape(lambda: initial_state(config))
    return checkpoints.restore(folder, checkpoints.latest_step(folder), abstract)


def assert_same(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def logged(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def raising(error):
    """A `sample_grid` that does not get to draw."""

    def picture(params, batch):
        error()
        return np.zeros((2, 2, 3), np.uint8)

    return lambda config: picture


# ---- the loop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_six_steps_are_the_plain_step_six_times(tmp_path, parallel, capfd):
    config = make_config(parallel=parallel)
    training.train(config, tmp_path / "run")
    assert f"{tmp_path}/run: step 6 of 6, finished\n" in capfd.readouterr().out
    expected = initial_state(config)
    losses = []
    for step in range(6):
        expected, metrics = jax.jit(train_step(config))(expected, make_batch(step, 8))
        losses.append(float(metrics["loss"]))
    actual = final_state(tmp_path / "run", config)
    assert int(actual.step) == 6
    for got, wanted in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose([line["loss"] for line in logged(tmp_path / "run")], losses, rtol=1e-5)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_by_a_signal_and_started_again_it_ends_bit_for_bit_the_same(
    tmp_path, parallel, number, monkeypatch, capfd
):
    config = make_config(parallel=parallel, sample_every=3)
    training.train(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        patch.setattr(build, "sample_grid", raising(lambda: signal.raise_signal(number)))
        training.train(config, tmp_path / "stopped")
    assert f"step 3 of 6, stopped by {number.name}; run it again to go on" in capfd.readouterr().out
    assert checkpoints.latest_step(tmp_path / "stopped" / "checkpoints") == 3
    training.train(config, tmp_path / "stopped")
    assert_same(final_state(tmp_path / "stopped", config), final_state(tmp_path / "straight", config))
    assert [line["step"] for line in logged(tmp_path / "stopped")] == [1, 2, 3, 4, 5, 6]
    for stopped, straight in zip(logged(tmp_path / "stopped"), logged(tmp_path / "straight"), strict=True):
        assert stopped["loss"] == straight["loss"]


def test_steps_lost_in_a_crash_are_done_again_and_logged_once(tmp_path, monkeypatch):
    config = make_config(sample_every=5, save_every=3)

    def crash():
        raise RuntimeError("crash")

    with monkeypatch.context() as patch:
        patch.setattr(build, "sample_grid", raising(crash))
        with pytest.raises(RuntimeError, match="crash"):
            training.train(config, tmp_path)
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 3, 4]
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # as a process killed while writing leaves it
    training.train(config, tmp_path)
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir()) == ["3", "6"]


def test_a_finished_run_started_again_does_nothing(tmp_path):
    training.train(make_config(), tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    training.train(make_config(), tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_a_second_signal_acts_as_it_did_before():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("second"))
    try:
        with training.Interruption() as interruption:
            signal.raise_signal(signal.SIGTERM)
            assert (interruption.received, seen) == ("SIGTERM", [])
            signal.raise_signal(signal.SIGTERM)
            assert seen == ["second"]
    finally:
        signal.signal(signal.SIGTERM, before)


# ---- devices ---------------------------------------------------------------------------------------------------------


def test_pmap_and_jit_give_the_same_numbers_on_four_devices():
    config = make_config()
    ends = []
    for parallel in ("pmap", "jit"):
        device = training.data_parallel(partial(train_step, config), parallel)
        run = jax.jit(lambda: initial_state(make_config()), out_shardings=device.replicated)()
        for step in range(5):
            run, metrics = device.update(run, device.place(make_batch(step, 8)))
        assert all(len(leaf.devices()) == 4 for leaf in jax.tree.leaves(run))
        ends.append((run, metrics))
    for one, other in zip(jax.tree.leaves(ends[0]), jax.tree.leaves(ends[1]), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_a_batch_is_split_in_order_over_the_devices():
    batch = make_batch(0, 8)
    for parallel, shape in (("pmap", (4, 2, 2, 2, 3)), ("jit", (8, 2, 2, 3))):
        placed = training.data_parallel(partial(train_step, make_config()), parallel).place(batch)
        assert placed["high"].shape == shape
        for device, shard in enumerate(placed["high"].addressable_shards):
            mine = batch["high"][2 * device : 2 * device + 2]
            np.testing.assert_array_equal(np.asarray(shard.data).reshape(mine.shape), mine)


def test_batches_are_placed_two_ahead_and_none_is_lost():
    placed = []
    feed = training.ahead((placed.append(n) or n for n in range(6)), depth=2)
    assert (next(feed), placed) == (0, [0, 1, 2])
    assert (list(feed), placed) == ([1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])


# ---- the folder ------------------------------------------------------------------------------------------------------


def test_another_config_is_refused_by_the_names_of_its_fields(tmp_path):
    training.train(make_config(), tmp_path)
    other = make_config(steps=7)
    other.model.multipliers = (1, 3)
    with pytest.raises(InputError) as error:
        training.train(other, tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/config.json: begun with other values of model.multipliers, run.steps; "
        "give those or another --workdir"
    )
    assert json.loads((tmp_path / "config.json").read_text())["run"]["steps"] == 6


def test_a_batch_that_does_not_split_is_refused_before_anything_is_written(tmp_path):
    config = make_config()
    config.train.batch_size = 6
    with pytest.raises(InputError, match="config.train.batch_size: 6 examples do not split over 4 devices"):
        training.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="run: is a file; give a folder as --workdir"):
        training.train(make_config(), tmp_path / "run")


def test_only_the_steps_asked_for_are_logged_and_what_is_not_finite_is_null(tmp_path, monkeypatch):
    def broken(config, axis=None):
        def step(run, batch):
            run, metrics = train_step(config, axis)(run, batch)
            return run, metrics | {"loss": jnp.where(run.step == 4, jnp.nan, metrics["loss"])}

        return step

    monkeypatch.setattr(build, "train_step", broken)
    training.train(make_config(log_every=4), tmp_path)
    lines = logged(tmp_path)
    assert [line["step"] for line in lines] == [4, 6]  # every fourth, and the last
    assert lines[0]["loss"] is None and lines[1]["loss"] > 0
    assert set(lines[0]) == {"step", "loss", "grad_norm", "skipped", "steps_per_second", "examples_per_second"}
    assert lines[0]["examples_per_second"] == pytest.approx(8 * lines[0]["steps_per_second"])


def test_pictures_show_the_first_batch_at_every_due_step(tmp_path):
    training.train(make_config(sample_every=2), tmp_path)
    files = sorted(file.name for file in (tmp_path / "samples").iterdir())
    assert files == ["00000002.png", "00000004.png", "00000006.png"]
    batch = make_batch(0, 8)
    expected = np.concatenate([batch["high"][0], batch["low"][0]], axis=1)
    for file in files:
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "samples" / file)), expected)


def test_tensorboard_gets_the_same_scalars_and_the_pictures(tmp_path):
    training.train(make_config(sample_every=3), tmp_path)
    data = next(tmp_path.glob("events.out.tfevents.*")).read_bytes()
    values = {}
    while data:  # length, its crc, the event, its crc
        (length,) = struct.unpack("<Q", data[:8])
        event = event_pb2.Event.FromString(data[12 : 12 + length])
        data = data[12 + length + 4 :]
        values |= {(value.tag, event.step): value for value in event.summary.value}
    for line in logged(tmp_path):
        for name in set(line) - {"step"}:
            assert values[name, line["step"]].simple_value == pytest.approx(line[name])
    assert [step for name, step in values if name == "samples"] == [3, 6]


# ---- release ---------------------------------------------------------------------------------------------------------


def test_a_release_is_the_average_of_the_newest_checkpoint_with_its_config(tmp_path):
    config = make_config()
    config.data = dict(directory="/somewhere")
    training.train(config, tmp_path / "run")
    assert training.export_model(tmp_path / "run", tmp_path / "model", "# A card") == 6
    expected = {name: config.to_dict()[name] for name in ("model", "run", "train")}
    del expected["train"]["start_from"]  # as little as `data` a matter of the model
    assert checkpoints.load_config(tmp_path / "model") == expected
    end = final_state(tmp_path / "run", config)
    loaded = checkpoints.load_params(tmp_path / "model", end.ema)
    assert_same(loaded, end.ema)
    assert np.abs(np.asarray(loaded["kernel"] - end.params["kernel"])).max() > 0
    assert (tmp_path / "model" / "card.md").read_text() == "# A card"


def test_what_cannot_be_released_is_one_line(tmp_path):
    with pytest.raises(InputError, match="not a training run .it has no config.json.; give the --workdir"):
        training.export_model(tmp_path, tmp_path / "model")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no checkpoint yet; train until run.save_every first"):
        training.export_model(tmp_path, tmp_path / "model")


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, flags, says",
    [
        (["launch/train.py"], ["--config=configs/none.py", "--workdir=x"], "No such file or directory"),
        (["-m", "launch.train"], ["--config=configs/demo.py", "--workdir=x", "--config.train.sede=1"], "seed"),
        (["launch/train.py"], ["--config=configs/demo.py"], "--workdir must have a value"),
        (["launch/train.py"], ["--config=configs/demo.py", "--workdir=x", "--config.run.steps=many"], "'many'"),
    ],
)
def test_a_bad_flag_is_one_line_and_status_2(command, flags, says):
    done = subprocess.run([sys.executable, *command, *flags], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("facenhance: ") and done.stderr.count("\n") == 1 and says in done.stderr


def test_a_bad_value_in_the_config_is_one_line_and_status_2(tmp_path):
    flags = ["--config=configs/smoke.py", f"--workdir={tmp_path}/run", "--config.run.parallel=tpu"]
    command = [sys.executable, "launch/train.py", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=os.environ | {})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "facenhance: config.run: parallel must be pmap or jit, not 'tpu'\n"
    assert list(tmp_path.iterdir()) == []
