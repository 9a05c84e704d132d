"""The shell scripts: shellcheck, the Slurm job with a fake srun of two tasks, and a TPU slice of two folders."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kill_and_resume import command, environment, logged, prepared, wait_for

from facenhance_jax.runs import checkpoints

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "launch").glob("*.sh"))

# Like srun: two tasks on this node, each with its number; signals are passed on, the first failure ends the other.
SRUN = """#!/bin/bash
echo "$@" > {here}/srun.arguments
shift # --kill-on-bad-exit=1
export SLURM_NTASKS=2 SLURM_STEP_NUM_NODES=1 SLURM_STEP_NODELIST=localhost
for task in 0 1; do
  SLURM_PROCID=$task SLURM_LOCALID=$task "$@" > {here}/task$task 2>&1 &
  tasks+=($!)
done
trap 'kill -TERM "${{tasks[@]}}"' TERM
for task in 0 1; do
  while wait -n; (($? > 128)); do :; done
done
wait "${{tasks[0]}}" && wait "${{tasks[1]}}"
"""


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def bin_folder(tmp_path) -> Path:
    """A folder that comes first on the PATH of the scripts."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "scontrol", f'#!/bin/bash\necho "$@" >> {tmp_path}/scontrol.arguments\n')
    return folder


def variables(bin_folder: Path, **more: str) -> dict[str, str]:
    return environment(devices=2) | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHON": sys.executable} | more


def free_job() -> str:
    """A job number for which JAX chooses a free port: 61440 + number % 4096."""
    while True:
        number = random.randrange(4096)
        with socket.socket() as probe:
            try:
                probe.bind(("localhost", 61440 + number))
                return str(number)
            except OSError:
                continue


def test_shellcheck_has_nothing_to_say():
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck, "it comes with the extra [dev]"
    assert [script.name for script in SCRIPTS] == ["one_gpu.sh", "slurm.sh", "tpu_vm.sh"]
    done = subprocess.run([shellcheck, *SCRIPTS], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_slurm_trains_on_two_tasks_and_a_stopped_job_queues_again(bin_folder, tmp_path):
    data, workdir = prepared(tmp_path), tmp_path / "runs/a run"
    program(bin_folder, "srun", SRUN.format(here=tmp_path))
    trains = command(workdir, data, run__steps=1_000_000)  # so many that it cannot end before it is stopped
    arguments = [argument for argument in trains[2:] if not argument.startswith("--workdir")]
    job = free_job()
    script = subprocess.Popen(
        [ROOT / "launch/slurm.sh", workdir, *arguments],
        env=variables(bin_folder, SLURM_JOB_ID=job, SLURM_SUBMIT_DIR=str(ROOT)),
    )
    wait_for(workdir, 2, script)
    script.send_signal(signal.SIGTERM)
    said = [(tmp_path / f"task{task}").read_text() for task in (0, 1)] if script.wait(timeout=240) else []
    assert script.returncode == 0, "\n".join(said)
    (reached,) = checkpoints.steps(workdir / "checkpoints")[-1:]
    ending = f"{workdir}: step {reached} of 1000000, stopped by SIGTERM; run it again to go on\n"
    said = [(tmp_path / f"task{task}").read_text() for task in (0, 1)]
    assert ending in said[0] and "step" not in said[1]
    assert len(logged(workdir)) == reached
    assert (tmp_path / "scontrol.arguments").read_text() == f"requeue {job}\n"
    first = f"--kill-on-bad-exit=1 {sys.executable} launch/train.py --workdir={workdir} --config=configs/smoke.py "
    assert (tmp_path / "srun.arguments").read_text().startswith(first)


@pytest.mark.parametrize("status", [0, 3])
def test_a_job_that_ends_by_itself_stays_out_of_the_queue(bin_folder, tmp_path, status):
    program(bin_folder, "srun", f"#!/bin/bash\nexit {status}\n")
    line = [ROOT / "launch/slurm.sh", tmp_path / "run", "--config=x"]
    done = subprocess.run(line, env=variables(bin_folder, SLURM_JOB_ID="1"), cwd=ROOT)
    assert done.returncode == status and not (tmp_path / "scontrol.arguments").exists()


def test_slurm_refuses_in_one_line(bin_folder, tmp_path):
    for arguments, folder, says in (
        ([], ROOT, "usage: sbatch launch/slurm.sh WORKDIR"),
        (["run", "--config=x"], tmp_path, f"slurm.sh: {tmp_path} has no launch/train.py; call sbatch in the checkout"),
    ):
        line = [ROOT / "launch/slurm.sh", *arguments]
        done = subprocess.run(line, env=variables(bin_folder), cwd=folder, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith(says) and done.stderr.count("\n") == 1


# ---- a slice of two workers, each a folder on this machine --------------------------------------------------------

GCLOUD = """#!/bin/bash
echo "$*" >> {here}/gcloud.arguments
for argument in "$@"; do
  case $argument in
    --worker=0) workers=(0) ;;
    --worker=all) workers=(0 1) ;;
    --command=*) command=${{argument#--command=}} ;;
  esac
done
[[ ${{command:-}} ]] || exit 0
for worker in "${{workers[@]}}"; do HOME={here}/worker$worker bash -c "$command" || exit; done
"""
PYTHON = """#!/bin/bash
printf '%s\\n' "$PWD" "$@"
while sleep 0.05; do :; done
"""


@pytest.fixture
def tpu(bin_folder, tmp_path):
    """Runs launch/tpu_vm.sh."""
    program(bin_folder, "gcloud", GCLOUD.format(here=tmp_path))
    for worker in ("worker0", "worker1"):
        (tmp_path / worker / "facenhance").mkdir(parents=True)
        (tmp_path / worker / "env/bin").mkdir(parents=True)
        program(tmp_path / worker / "env/bin", "python", PYTHON)

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        given = variables(bin_folder, **({"TPU_NAME": "mine", "ZONE": "here"} | more))
        return subprocess.run(
            [ROOT / "launch/tpu_vm.sh", *arguments], env=given, capture_output=True, text=True, timeout=30
        )

    yield run
    for file in tmp_path.glob("worker*/train.pid"):
        subprocess.run(["kill", "-9", file.read_text().strip()], stderr=subprocess.DEVNULL)


def test_a_slice_is_asked_for_by_type(tpu, tmp_path):
    assert tpu("create", TPU_TYPE="v5litepod-16", SPOT="1").returncode == 0
    assert tpu("delete").returncode == 0
    asked = (tmp_path / "gcloud.arguments").read_text().splitlines()
    assert asked == [
        "compute tpus tpu-vm create mine --zone=here --accelerator-type=v5litepod-16 "
        "--version=v2-alpha-tpuv5-lite --spot",
        "compute tpus tpu-vm delete mine --zone=here",
    ]


def test_every_worker_starts_once_and_stops(tpu, tmp_path):
    fields = ["--config=configs/mug.py:paper", "--config.model.unet.multipliers=(1, 2)"]
    assert tpu("start", "/mnt/run/a run", *fields).returncode == 0
    twice = tpu("start", "/mnt/run/a run", *fields)
    assert (twice.returncode, twice.stderr) == (1, "it runs already\n")
    for worker in (0, 1):
        home = tmp_path / f"worker{worker}"
        while (log := home / "train.log").read_text().count("\n") < 5:
            time.sleep(0.01)
        expected = [f"{home}/facenhance", "launch/train.py", "--workdir=/mnt/run/a run", *fields]
        assert log.read_text().splitlines() == expected
    assert tpu("stop").returncode == 0
    for worker in (0, 1):
        number = int((tmp_path / f"worker{worker}/train.pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_the_tpu_script_refuses_in_one_line(tpu):
    for arguments, more, says in (
        ([], {}, "usage: launch/tpu_vm.sh create|install"),
        (["begin"], {}, "usage: launch/tpu_vm.sh create|install"),
        (["start", "/mnt/run/x"], {}, "usage: launch/tpu_vm.sh create|install"),
        (["create"], {"TPU_NAME": ""}, "tpu_vm.sh: TPU_NAME is not set; export it"),
    ):
        done = tpu(*arguments, **more)
        assert done.returncode == 2 and done.stderr.startswith(says) and done.stderr.count("\n") == 1
