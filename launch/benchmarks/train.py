"""A training step: ours, and PyTorch's (tests/network/test_torch_unet.py shows that both do the same)."""

import functools
import importlib.util
import itertools
from collections.abc import Callable

import cpu
import jax
import ml_collections
import numpy as np

from benchmarks.measuring import (
    COMPARISON,
    MIB,
    Times,
    apart,
    compare,
    device,
    device_memory,
    in_turn,
    peak_memory,
    threads,
    times,
)
from benchmarks.networks import network, parameters
from facenhance_jax import settings
from facenhance_jax.training import experiment, hardware
from facenhance_jax.training.packing import packed_state
from facenhance_jax.training.parallel import over_devices

OURS, EAGER, COMPILED = "ours", "PyTorch", "PyTorch, torch.compile"
GPU_STEPS, CPU_STEPS = 20, 2  # timed together
REPEATS = 5  # of them in a process


def train(networks: list[str] | None = None, batches: list[int] | None = None, rounds: int = 3) -> None:
    """Prints the table of `--what=train`: without `networks`, configs/mug.py on a GPU, configs/demo.py elsewhere."""
    here = apart(device)
    gpu = here["platform"] == "gpu"
    names, sizes = networks or ["mug" if gpu else "released"], batches or ([4, 8, 16, 32, 64] if gpu else [4])
    environment = cpu.variables()  # as launch/train.py starts; huge pages also make PyTorch faster
    print(f"training steps on {here['kind']}, {threads()} cores, {rounds} processes each, in turn")
    print(f"network   dtype    batch {COMPARISON}")
    for name, batch in itertools.product(names, sizes):
        config = network(name, here["platform"])
        ours_alone = config.model.prediction != "velocity"  # the twin knows no other
        ways = {OURS: functools.partial(apart, ours, config, batch, gpu, **environment)} | {
            way: functools.partial(
                apart, theirs, config, batch, gpu, way == COMPILED, **(environment | {"JAX_PLATFORMS": "cpu"})
            )
            for way in torch_ways(gpu)
            if not ours_alone
        }
        # Of our program, whoever makes the step.
        needed = apart(flops_of_step, config, batch, JAX_PLATFORMS="cpu") if here["peak"] else 0
        about = f"{name:9s} {config.model.dtype:8s} {batch:5d}"
        compare(about, in_turn(ways, rounds), batch, needed, here["peak"])


def torch_ways(gpu: bool) -> tuple[str, ...]:
    """How PyTorch is timed: compiled, on a CPU as it is too; not at all where it is not installed."""
    if not importlib.util.find_spec("torch"):
        print("PyTorch is not installed, so ours stands alone (pip install torch)")
        return ()
    return (COMPILED,) if gpu else (EAGER, COMPILED)


def random_batch(config: ml_collections.ConfigDict, size: int) -> dict[str, np.ndarray]:
    """As a training takes it; the time does not depend on the pixels."""
    rng, side, low = np.random.default_rng(0), config.model.resolution, config.model.low_size
    sides = {"high": side, "previous": side, "identity": side, "low": low}
    batch = {name: rng.integers(0, 256, (size, side, side, 3), dtype=np.uint8) for name, side in sides.items()}
    place = np.tile(np.float32([0.1 * side, 0.2 * side, 0.7 * side, 3.0]), (size, 1))
    return batch | {"place": place, "index": np.arange(size, dtype=np.int32)}


def flops_of_step(config: ml_collections.ConfigDict, batch: int) -> float:
    """The FLOPs of our step."""
    made = experiment.make(settings.read(config))
    return hardware.step_flops(made.step, jax.eval_shape(made.initial_state), random_batch(config, batch))


def ours(config: ml_collections.ConfigDict, batch: int, gpu: bool) -> Times:
    """Our steps."""
    steps = GPU_STEPS if gpu else CPU_STEPS
    cpu.share_cores(batch)
    run = updates(experiment.make(settings.read(config)), random_batch(config, batch), steps)
    return times(run, REPEATS, device_memory, steps)


def updates(made: experiment.Experiment, batch: dict[str, np.ndarray], steps: int) -> Callable[[], None]:
    """A call makes so many steps, on the same devices as launch/train.py after `cpu.share_cores`."""
    state = packed_state(jax.jit(made.initial_state)())
    devices = over_devices(made.step, "jit", jax.eval_shape(lambda: state))
    state, placed = jax.device_put(state, devices.replicated), devices.put(batch)

    def run() -> None:
        nonlocal state
        for _ in range(steps):
            state, metrics = devices.update(state, placed)
        jax.block_until_ready(metrics)

    return run


def theirs(config: ml_collections.ConfigDict, batch: int, gpu: bool, compiled: bool) -> Times:
    """PyTorch's steps."""
    import torch

    from benchmarks import torch_unet

    torch.backends.cudnn.benchmark = True
    chosen, steps = settings.read(config), GPU_STEPS if gpu else CPU_STEPS
    training = torch_unet.Training(chosen, parameters(chosen.denoiser()), "cuda" if gpu else "cpu", compiled)
    placed = training.placed(random_batch(config, batch))

    def run() -> None:
        for _ in range(steps):
            loss = training.step(placed)
        loss.item()  # waits for it

    return times(run, REPEATS, torch_memory if gpu else peak_memory, steps)


def torch_memory() -> float:
    """The most memory that PyTorch has held on the GPU so far, MiB."""
    import torch

    return torch.cuda.max_memory_allocated() / MIB
