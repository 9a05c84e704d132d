"""Kills a training with -9 at random moments, and starts it again each time: python tests/kill_and_resume.py --times=20

In the end its state (on one device) and its log must be, bit for bit, those of a training that was never killed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import jax  # noqa: E402
import ml_collections  # noqa: E402
import numpy as np  # noqa: E402
from smooth_clips import write_clip  # noqa: E402

from configs import smoke  # noqa: E402
from facenhance_jax import settings  # noqa: E402
from facenhance_jax.data import clip_dataset  # noqa: E402
from facenhance_jax.data.mug_dataset_builder import Mug  # noqa: E402
from facenhance_jax.runs import checkpoints  # noqa: E402
from facenhance_jax.training import experiment  # noqa: E402

SIZE = 32  # pixels
SAVE_EVERY = 5  # steps
SMALLEST = {  # changes to configs/smoke.py that leave out what takes long to compile
    "model.resolution": SIZE,
    "model.low_size": 64,
    "model.unet.patch": 4,
    "model.unet.base": 64,  # with 32, a norm group would be one channel, and a bias's gradient only rounding error
    "model.unet.multipliers": (1,),
    "model.unet.attention_levels": (),
    "model.expression": "concat",
    "model.place_low": False,
    "model.warp_low": False,
    "model.gate_std": 0.0,
    "data.split": "train",
    "train.decay": "none",
    "run.sample_every": 1_000_000,
    "run.save_every": SAVE_EVERY,
}


def prepared(folder: Path) -> Path:
    """A data set of two subjects, with smooth noise instead of faces."""
    for name in ("001/anger", "001/neutral", "002/fear", "002/neutral"):
        write_clip(folder / "tree", f"{name}/take000")
    builder = Mug(data_dir=folder / "data", config=clip_dataset.ClipConfig(frames=3, resolution=SIZE))
    clip_dataset.prepare(builder, folder / "tree")
    return folder / "data"


def smallest(data: Path, **changes) -> ml_collections.ConfigDict:
    """The config of `command`. Changes are named like run__steps=3."""
    config = smoke.get_config()
    values = SMALLEST | {"data.directory": str(data)} | {key.replace("__", "."): changes[key] for key in changes}
    config.update_from_flattened_dict(values)
    return config


def command(workdir: Path, data: Path, *more: str, **changes) -> list[str]:
    """The command that trains with the config `smallest`."""
    values = SMALLEST | {"data.directory": str(data)} | {key.replace("__", "."): changes[key] for key in changes}
    fields = [f"--config.{name}={value}" for name, value in values.items()]
    return [sys.executable, str(ROOT / "launch/train.py"), "--config=configs/smoke.py", f"--workdir={workdir}"] + [
        *fields,
        *more,
    ]


def environment(devices: int = 1) -> dict[str, str]:
    # With several processes only the first finds its programs in the cache; while the others compile theirs, it may
    # give up waiting for them (30 s, with JAX on CPUs).
    cached = "true" if devices == 1 else "false"
    more = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "JAX_ENABLE_COMPILATION_CACHE": cached}
    return os.environ | more


def start(arguments: list[str], log: Path, devices: int = 1) -> subprocess.Popen:
    """Starts a program whose output is appended to `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(arguments, stdout=file, stderr=file, cwd=ROOT, env=environment(devices))


def logged(workdir: Path) -> list[dict]:
    """The complete lines of a training's log, also while it runs."""
    file = workdir / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}\n")]


def steps_done(workdir: Path) -> int:
    return max((line["step"] for line in logged(workdir)), default=0)


def wait_for(workdir: Path, step: int, *processes: subprocess.Popen) -> None:
    """Waits until a training has logged the step, or one of its processes has ended."""
    while steps_done(workdir) < step and all(process.poll() is None for process in processes):
        time.sleep(0.005)


def final_state(workdir: Path, config: ml_collections.ConfigDict):
    folder, abstract = workdir / "checkpoints", jax.eval_shape(experiment.make(settings.read(config)).initial_state)
    return checkpoints.restore(folder, checkpoints.steps(folder)[-1], abstract)


def kill_and_resume(folder: Path, times: int, steps: int, seed: int) -> list[str]:
    """What differs in the end between a training killed `times` times and one never killed; empty if all is well.

    Each kill comes up to half a second after a random step. If the training had reached that step before the last kill,
    the next one comes at a random time while it starts and catches up.
    """
    data = prepared(folder)
    straight, killed = folder / "straight", folder / "killed"
    began = time.monotonic()
    process = start(command(straight, data, run__steps=steps), folder / "straight.log")
    wait_for(straight, 1, process)
    startup = time.monotonic() - began
    if process.wait():
        return [f"the training failed: {(folder / 'straight.log').read_text()[-2000:]}"]
    draw = random.Random(seed)
    for target in sorted(draw.randrange(steps - SAVE_EVERY) for _ in range(times)):
        process = start(command(killed, data, run__steps=steps), folder / "killed.log")
        if (before := steps_done(killed)) >= target:
            moment = time.monotonic() + draw.uniform(0.0, startup)
            while time.monotonic() < moment and steps_done(killed) <= before:
                time.sleep(0.005)
        else:
            wait_for(killed, target, process)
            time.sleep(draw.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            return [f"it ended by itself before all kills: {(folder / 'killed.log').read_text()[-2000:]}"]
        kept = checkpoints.steps(killed / "checkpoints")
        print(f"killed at step {steps_done(killed)} (drawn: {target}); checkpoints {kept}", flush=True)
    if start(command(killed, data, run__steps=steps), folder / "killed.log").wait():
        return [f"it could not be finished: {(folder / 'killed.log').read_text()[-2000:]}"]
    return differences(straight, killed, smallest(data, run__steps=steps))


def differences(one: Path, other: Path, config: ml_collections.ConfigDict) -> list[str]:
    """The leaves of the two final states that differ in a bit, and "metrics.jsonl" if the logged losses differ."""
    leaves = [jax.tree_util.tree_leaves_with_path(final_state(workdir, config)) for workdir in (one, other)]
    found = [
        jax.tree_util.keystr(path)
        for (path, left), (_, right) in zip(*leaves, strict=True)
        if np.asarray(left).tobytes() != np.asarray(right).tobytes()
    ]
    losses = [[(line["step"], line.get("loss")) for line in logged(workdir)] for workdir in (one, other)]
    return found + ([] if losses[0] == losses[1] else ["metrics.jsonl"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="kills")
    parser.add_argument("--steps", type=int, default=200, help="of the training")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_and_resume(Path(folder), arguments.times, arguments.steps, arguments.seed)
    print(f"different: {', '.join(found)}" if found else f"killed {arguments.times} times, and the same bit for bit")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
