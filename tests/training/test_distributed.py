"""Two real processes on this machine: they train as one does, and one resumes what they were stopped or killed in."""

import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
from absl import flags
from kill_and_resume import SIZE, command, environment, final_state, logged, prepared, smallest, start

from facenhance_jax import cli, settings
from facenhance_jax.media.writing import write_png
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints, export
from facenhance_jax.training import distributed, experiment, loop

ROOT = Path(__file__).parents[2]
STEPS = 5
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "n[01-02]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    flags.FLAGS.mark_as_parsed()  # as launch/train.py has done
    return prepared(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> Path:
    """A run of one process, this one, on its four devices."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    loop.train(experiment.make(settings.read(smallest(data, run__steps=STEPS))), workdir)
    return workdir


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def start_two(workdir: Path, data: Path, log: Path, **changes) -> list[subprocess.Popen]:
    """Two processes of two devices each."""
    where = [f"--coordinator=localhost:{free_port()}", "--num_processes=2", "--coordinator_timeout=120"]
    return [
        start(command(workdir, data, *where, f"--process_id={n}", **changes), log.with_suffix(f".{n}"), devices=2)
        for n in range(2)
    ]


def finish(processes: list[subprocess.Popen], log: Path) -> list[str]:
    """Waits for both, and returns what each printed."""
    codes = [process.wait(timeout=240) for process in processes]
    said = [log.with_suffix(f".{n}").read_text() for n in range(2)]
    assert codes == [0, 0], "\n".join(said)
    return said


def wait_for_checkpoint(workdir: Path, after: int, processes: list[subprocess.Popen]) -> int:
    """Waits for a step after `after`, or for the end of a process; returns the newest step."""
    newest = 0
    while newest <= after and all(process.poll() is None for process in processes):
        time.sleep(0.01)
        newest = max(checkpoints.steps(workdir / "checkpoints"), default=0)
    return newest


def assert_near(workdir: Path, other: Path, config) -> None:
    states = [jax.tree.map(np.asarray, final_state(where, config)) for where in (workdir, other)]
    assert int(states[0].step) == int(states[1].step)
    for left, right in zip(*(jax.tree.leaves((state.params, state.ema)) for state in states), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


@pytest.mark.parametrize("parallel", ["jit", "fsdp"])
def test_two_processes_end_with_the_numbers_of_one(data, alone, tmp_path, parallel):
    changes = {"run__steps": STEPS, "run__parallel": parallel}
    said = finish(start_two(tmp_path / "run", data, tmp_path / "log", **changes), tmp_path / "log")
    assert f"{tmp_path}/run: step {STEPS} of {STEPS}, finished\n" in said[0]
    assert "step" not in said[1]  # only the first prints
    assert_near(tmp_path / "run", alone, smallest(data, **changes))
    assert [line["step"] for line in logged(tmp_path / "run")] == list(range(1, STEPS + 1))
    for ours, its in zip(logged(tmp_path / "run"), logged(alone), strict=True):
        assert ours["loss"] == pytest.approx(its["loss"], rel=1e-5)


def test_a_run_of_two_processes_killed_and_stopped_is_resumed_by_one_and_enhances(data, tmp_path, capfd):
    workdir, log = tmp_path / "run", tmp_path / "log"
    processes = start_two(workdir, data, log, run__steps=1_000_000)
    first = wait_for_checkpoint(workdir, 0, processes)
    time.sleep(random.uniform(0.0, 0.5))
    for process in processes:
        process.kill()
        process.wait()

    processes = start_two(workdir, data, log, run__steps=1_000_000)
    assert wait_for_checkpoint(workdir, first, processes) > first > 0
    for process in processes:
        process.terminate()
    said = finish(processes, log)
    reached = max(checkpoints.steps(workdir / "checkpoints"))
    assert f"step {reached} of 1000000, stopped by SIGTERM; run it again to go on\n" in said[0]

    config = smallest(data, run__steps=reached + 2)
    one = experiment.make(settings.read(config))
    loop.train(one, workdir, allow_config_change=True)
    loop.train(one, tmp_path / "straight")
    states = [jax.tree.map(np.asarray, final_state(where, config)) for where in (workdir, tmp_path / "straight")]
    for left, right in zip(*(jax.tree.leaves(state.params) for state in states), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-4)  # differences from the order of sums add up

    export.export_model(workdir, tmp_path / "model")
    rng = np.random.default_rng(0)
    np.save(tmp_path / "low.npy", rng.integers(0, 256, (2, 64, 64, 3), np.uint8))
    write_png(tmp_path / "photo.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    made = []
    for model in (tmp_path / "model", workdir):
        made.append(tmp_path / f"{model.name}_frames")
        inputs = ["--low", f"{tmp_path}/low.npy", "--identity", f"{tmp_path}/photo.png", "--output", str(made[-1])]
        assert cli.main(["enhance", "--model", str(model), "--steps=2", *inputs]) == 0, capfd.readouterr().err
    assert [file.name for file in sorted(made[0].iterdir())] == [file.name for file in sorted(made[1].iterdir())]
    for file in made[0].iterdir():
        assert cv2.imread(str(file)).shape == (SIZE, SIZE, 3)
        np.testing.assert_array_equal(cv2.imread(str(file)), cv2.imread(str(made[1] / file.name)))  # labels differ


# ---- which processes join --------------------------------------------------------------------------------------------


def test_slurm_steps_are_recognised_and_batch_scripts_are_not():
    assert distributed.in_slurm_step(SLURM)
    assert not distributed.in_slurm_step(SLURM | {"SLURM_NTASKS": "1"})
    assert not distributed.in_slurm_step({name: SLURM[name] for name in SLURM if name != "SLURM_STEP_NODELIST"})
    assert not distributed.in_slurm_step({})


@pytest.mark.parametrize(
    ("tasks", "visible", "devices"),
    [
        ("8", "0,1,2,3", None),  # four tasks on a node see all four GPUs: JAX takes the one of the task's number
        ("8", "3", [0]),  # Slurm has bound each task to one GPU
        ("2", "0,1,2,3", [0, 1, 2, 3]),  # the only task of a node has all
    ],
)
def test_a_slurm_task_takes_its_own_gpus(tasks, visible, devices):
    assert distributed.slurm_devices(SLURM | {"SLURM_NTASKS": tasks, "CUDA_VISIBLE_DEVICES": visible}) == devices


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"coordinator": "a:1"}, "--num_processes, --process_id: missing; give --coordinator, --num_processes, "),
        ({"processes": 2, "process": 0}, "--coordinator: missing"),
        ({"coordinator": "a", "processes": 2, "process": 0}, "--coordinator=a: not HOST:PORT; write it like 10.0.0.2"),
        ({"coordinator": "a:70000", "processes": 2, "process": 0}, "--coordinator=a:70000: not HOST:PORT"),
        ({"coordinator": "a:1", "processes": 2, "process": 2}, "--process_id=2: not from 0 to 1"),
        ({"coordinator": "a:1", "processes": 1, "process": 1}, "--process_id=1: not from 0 to 0"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused_in_one_line(given, says):
    with pytest.raises(InputError) as error:
        distributed.join(**given)
    assert str(error.value).startswith(says) and "\n" not in str(error.value)


def test_a_process_is_alone_by_default_or_if_asked(monkeypatch):
    def initialize(**_):
        raise AssertionError

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    distributed.join()
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    distributed.join(processes=1)
    with pytest.raises(AssertionError):
        distributed.join()


def test_a_process_that_waits_for_the_other_in_vain_says_so_in_one_line(tmp_path):
    """The first without the second, and the second without the first."""
    where = [f"--workdir={tmp_path}/run", "--num_processes=2", "--coordinator_timeout=2"]
    ports = [free_port(), free_port()]
    waiting = [
        subprocess.Popen(
            [sys.executable, "launch/train.py", "--config=configs/smoke.py", *where]
            + [f"--coordinator=localhost:{port}", f"--process_id={n}"],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n, port in enumerate(ports)
    ]
    for process, port in zip(waiting, ports, strict=True):
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (2, "")
        assert err == (
            f"facenhance: the coordinator localhost:{port}: not all processes came within 2 s; "
            "start them all, or see to the network between\n"
        )
    assert list(tmp_path.iterdir()) == []
