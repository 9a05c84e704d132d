"""The training loop on a model of one small matrix: exact resumption, the log, and what the loop survives."""

import itertools
import signal
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from small_run import (
    assert_same,
    final_state,
    initial_state,
    logged,
    make_batch,
    make_config,
    numbered,
    raising,
    small_step,
    train,
)
from tensorboardX.proto import event_pb2

from facenhance_jax.evaluation.metrics.frames import psnr, ssim
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints, run_folder
from facenhance_jax.training import log, loop, validation

ROOT = Path(__file__).parents[2]


# ---- the loop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_six_steps_of_the_loop_equal_six_plain_steps(tmp_path, parallel, capfd):
    config = make_config(parallel=parallel)
    train(config, tmp_path / "run")
    assert f"{tmp_path}/run: step 6 of 6, finished\n" in capfd.readouterr().out
    expected = initial_state(config)
    losses = []
    for step in range(6):
        expected, metrics = jax.jit(small_step(config))(expected, numbered(make_batch(step, 8)))
        losses.append(float(metrics["loss"]))
    actual = final_state(tmp_path / "run", config)
    assert int(actual.step) == 6
    for got, wanted in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose([line["loss"] for line in logged(tmp_path / "run")], losses, rtol=1e-5)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stopped_by_a_signal_and_resumed_ends_with_the_same_bits(tmp_path, parallel, number, monkeypatch, capfd):
    config = make_config(parallel=parallel, sample_every=3)
    train(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        patch.setattr(loop.Pictures, "draw", raising(lambda: signal.raise_signal(number)))
        train(config, tmp_path / "stopped")
    assert f"step 3 of 6, stopped by {number.name}; run it again to go on" in capfd.readouterr().out
    assert checkpoints.steps(tmp_path / "stopped" / "checkpoints") == [3]
    train(config, tmp_path / "stopped")
    assert_same(final_state(tmp_path / "stopped", config), final_state(tmp_path / "straight", config))
    assert [line["step"] for line in logged(tmp_path / "stopped")] == [1, 2, 3, 4, 5, 6]
    for stopped, straight in zip(logged(tmp_path / "stopped"), logged(tmp_path / "straight"), strict=True):
        assert stopped["loss"] == straight["loss"]


def test_steps_lost_in_a_crash_are_done_again_and_logged_once(tmp_path, monkeypatch):
    config = make_config(sample_every=5, save_every=3)

    def crash():
        raise RuntimeError("crash")

    with monkeypatch.context() as patch:
        patch.setattr(loop.Pictures, "draw", raising(crash))
        with pytest.raises(RuntimeError, match="crash"):
            train(config, tmp_path)
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 3, 4]
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # left by a process that was killed while writing
    train(config, tmp_path)
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir()) == ["3", "6"]


def test_a_finished_run_started_again_does_nothing(tmp_path):
    train(make_config(), tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    train(make_config(), tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_a_second_signal_acts_as_it_did_before():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("second"))
    try:
        with loop.Interruption() as interruption:
            signal.raise_signal(signal.SIGTERM)
            assert (interruption.received, seen) == ("SIGTERM", [])
            signal.raise_signal(signal.SIGTERM)
            assert seen == ["second"]
    finally:
        signal.signal(signal.SIGTERM, before)


# ---- the folder ------------------------------------------------------------------------------------------------------


def test_another_config_is_refused_and_its_fields_are_named(tmp_path):
    train(make_config(), tmp_path)
    other = make_config(steps=7)
    other.model.unet.base = 64
    with pytest.raises(InputError) as error:
        train(other, tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/config.json: begun with other values of model.unet.base, run.steps; "
        "give those or another --workdir"
    )
    assert checkpoints.read_config(tmp_path / "config.json", "")["run"]["steps"] == 6


def test_fields_that_do_not_change_the_network_may_change_if_asked(tmp_path, capfd):
    train(make_config(steps=3), tmp_path)
    longer = make_config(steps=6)
    longer.train.learning_rate = 0.5
    with pytest.raises(InputError, match="run.steps, train.learning_rate; give .* or --allow_config_change"):
        train(longer, tmp_path)
    train(longer, tmp_path, allow_config_change=True)
    assert "going on with other values of run.steps, train.learning_rate" in capfd.readouterr().err
    assert checkpoints.read_config(tmp_path / "config.json", "")["run"]["steps"] == 6
    assert int(final_state(tmp_path, longer).step) == 6
    longer.model.unet.base = 64
    longer.run.steps = 7
    with pytest.raises(InputError, match="other values of model.unet.base; give those or another --workdir$"):
        train(longer, tmp_path, allow_config_change=True)


def test_a_batch_that_does_not_split_is_refused_before_anything_is_written(tmp_path):
    config = make_config()
    config.train.batch_size = 6
    with pytest.raises(InputError, match="config.train.batch_size: 6 examples of this process do not split into 4"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="run: is a file; give a folder as --workdir"):
        train(make_config(), tmp_path / "run")


def test_only_the_steps_asked_for_are_logged_and_what_is_not_finite_is_null(tmp_path):
    config = make_config(log_every=4)

    def broken(run, batch, axis=None):
        run, metrics = small_step(config)(run, batch, axis=axis)
        return run, metrics | {"loss": jnp.where(run.step <= 4, jnp.nan, metrics["loss"])}

    train(config, tmp_path, step=broken)
    lines = logged(tmp_path)
    assert [line["step"] for line in lines] == [4, 6]  # every fourth, and the last
    assert lines[0]["loss"] is None and lines[1]["loss"] > 0
    norms, rates = {"grad_norm", "param_norm"}, {"learning_rate", "steps_per_second", "examples_per_second"}
    levels = {"loss_noise1of2", "loss_noise2of2"}
    assert set(lines[1]) == {"step", "loss", "skipped"} | norms | rates | levels
    assert lines[1]["learning_rate"] == pytest.approx(1e-2)
    norm = np.linalg.norm(final_state(tmp_path, config).params["kernel"])
    assert lines[1]["param_norm"] == pytest.approx(norm) and lines[0]["param_norm"] != pytest.approx(norm)
    assert lines[0]["examples_per_second"] == pytest.approx(8 * lines[0]["steps_per_second"])


def test_a_line_is_the_mean_of_the_steps_since_the_last(tmp_path):
    """The loss and that of each noise level are averaged; here the levels are the two halves of each batch."""
    train(make_config(), tmp_path / "each")
    train(make_config(log_every=3), tmp_path / "third")
    each = logged(tmp_path / "each")
    for line, steps in zip(logged(tmp_path / "third"), (each[:3], each[3:]), strict=True):
        for name in ("loss", "loss_noise1of2", "loss_noise2of2"):
            assert line[name] == pytest.approx(np.mean([step[name] for step in steps]))
        assert line["loss"] == pytest.approx((line["loss_noise1of2"] + line["loss_noise2of2"]) / 2)


def test_a_validation_scores_samples_and_the_copied_photo_and_names_the_best(tmp_path, monkeypatch):
    """The samples here are the low-res frames, so their scores are known without a network."""
    large = {name: np.repeat(np.repeat(value, 8, 1), 8, 2) for name, value in make_batch(9, 8).items()}
    losses = iter([0.3, 0.2, 0.4])
    monkeypatch.setattr(validation.Validation, "score", scored := spy(validation.Validation.score, losses))
    parts = dict(validation_batches=lambda: [large], loss=lambda params, batch, key: (params["kernel"][0, 0] * 0, {}))
    train(make_config(validate_every=2, save_every=100), tmp_path, **parts)
    lines = [line for line in logged(tmp_path) if "validation_loss" in line]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert lines[0]["validation_psnr"] == pytest.approx(psnr(large["low"], large["high"]).mean())
    assert lines[0]["validation_psnr_copied"] == pytest.approx(psnr(large["identity"], large["high"]).mean())
    assert lines[0]["validation_ssim_copied"] == pytest.approx(ssim(large["identity"], large["high"]).mean())
    assert lines[2] == {"step": 6} | {f"validation_{name}": value for name, value in scored.last.items()}
    assert checkpoints.steps(tmp_path / "checkpoints") == [4, 6]
    assert [run_folder.chosen_step(tmp_path, which) for which in ("newest", "best")] == [6, 4]


def spy(score, losses):
    """`Validation.score` with these losses; it keeps its last result."""

    def scored(self, params):
        scored.last = score(self, params) | {"loss": next(losses)}
        return scored.last

    return scored


def test_a_loss_that_stays_not_finite_stops_the_run_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "MAX_SKIPPED", 3)
    config = make_config(steps=50)

    def broken(run, batch, axis=None):
        spoilt = batch["high"] * jnp.where(run.step < 4, 1.0, jnp.nan)
        return small_step(config)(run, batch | {"high": spoilt}, axis=axis)

    with pytest.raises(InputError, match="not finite for 3 steps in a row, up to step 7: nothing was learned"):
        train(config, tmp_path, step=broken)
    (step,) = checkpoints.steps(tmp_path / "checkpoints")
    end = final_state(tmp_path, make_config())
    assert int(end.step) == step <= 9 and int(end.skipped) == step - 4
    train(make_config(steps=4), tmp_path / "good", step=broken)
    good = final_state(tmp_path / "good", make_config())
    assert_same((end.params, end.ema, end.opt_state), (good.params, good.ema, good.opt_state))


def test_a_checkpoint_is_also_due_by_the_clock(tmp_path, monkeypatch):
    clock = itertools.count(0, 60)  # seconds: a minute passes between two calls
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    saved = []
    monkeypatch.setattr(checkpoints.RunCheckpoints, "save", lambda self, step, state, loss: saved.append(step))
    monkeypatch.setattr(checkpoints.RunCheckpoints, "wait", lambda self: True)
    train(make_config(save_minutes=2.5), tmp_path)
    assert saved == [3, 6]


def test_a_trace_is_written_of_the_steps_asked_for(tmp_path):
    train(make_config(profile_steps=(2, 4)), tmp_path)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_the_environment_is_written_beside_the_config(tmp_path):
    train(make_config(), tmp_path)
    found = checkpoints.read_config(tmp_path / "environment.json", "")
    assert found["packages"]["jax"] == jax.__version__ and found["devices"] == "4 x cpu" and found["processes"] == 1


def test_pictures_show_the_first_batch_at_every_due_step(tmp_path):
    train(make_config(sample_every=2), tmp_path)
    files = sorted(file.name for file in (tmp_path / "samples").iterdir())
    assert files == ["00000002.png", "00000004.png", "00000006.png"]
    batch = make_batch(0, 8)
    rows = [batch[name] for name in ("identity", "low", "previous", "low", "high")]  # the samples here are `low`
    expected = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    for file in files:
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "samples" / file)), expected)


def test_tensorboard_gets_the_same_scalars_and_the_pictures(tmp_path):
    train(make_config(sample_every=3), tmp_path)
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


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, flags, says",
    [
        (["launch/train.py"], ["--config=configs/none.py", "--workdir=x"], "No such file or directory"),
        (["launch/train.py"], ["--config=configs/demo.py", "--workdir=x", "--config.train.sede=1"], "seed"),
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
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "facenhance: config.run: parallel must be one of jit, fsdp, pmap, not 'tpu'\n"
    assert list(tmp_path.iterdir()) == []
