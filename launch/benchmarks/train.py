"""A training step: ours, and PyTorch's (tests/network/test_torch_unet.py shows that both do the same)."""

import importlib.util
import os

import jax
import ml_collections
import numpy as np

from benchmarks.measuring import MIB, apart, device, device_memory, peak_memory, seconds, share
from configs import demo, mug
from facenhance_jax import settings
from facenhance_jax.training import experiment, hardware

OURS, EAGER, COMPILED = "ours", "PyTorch", "PyTorch, torch.compile"
ON_GPU = {4: (COMPILED,), 8: (), 16: (COMPILED,), 32: (), 64: ()}  # batch: what is timed besides ours
ON_CPU = {4: (EAGER, COMPILED)}
GPU_STEPS, CPU_STEPS = 20, 2  # timed together; the median of five such runs is taken


def train() -> None:
    """Prints the table of `--what=train`: configs/mug.py's network on a GPU, configs/demo.py's elsewhere."""
    here, torch = apart(device), importlib.util.find_spec("torch")
    gpu = here["platform"] == "gpu"
    config, plan, steps = (mug.get_config(), ON_GPU, GPU_STEPS) if gpu else (demo.get_config(), ON_CPU, CPU_STEPS)
    model = config.model
    print(f"a training step at {model.resolution} px, {model.dtype}, on {here['kind']}, {os.cpu_count()} cores")
    if not torch:
        print("PyTorch is not installed, so ours stands alone (pip install torch)")
    print("batch                           ms a step   samples/s       MFU   peak MiB   ours is faster")
    for batch, ways in plan.items():
        needed = apart(flops_of_step, config, batch, JAX_PLATFORMS="cpu")  # of our program, whoever makes the step
        mine, on = apart(ours, config, batch, steps), "cuda" if gpu else "cpu"
        for way in (OURS, *ways) if torch else (OURS,):
            name, compiled = f"{batch:5d}   {way:24s}", way == COMPILED
            found = mine if way == OURS else apart(theirs, config, batch, steps, on, compiled, JAX_PLATFORMS="cpu")
            if found is None:
                print(f"{name} does not fit into the device's memory", flush=True)
                continue
            time, mib = found
            used = f"{share(needed / time, here['peak']):>9s} {mib:10.0f}"
            faster = f"{time / mine[0]:12.2f} x" if mine and way != OURS else ""
            print(f"{name} {1000 * time:10.1f} {batch / time:11.2f} {used} {faster}".rstrip(), flush=True)


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


def ours(config: ml_collections.ConfigDict, batch: int, steps: int) -> tuple[float, float]:
    """Our seconds a step, and the peak memory, MiB."""
    made = experiment.make(settings.read(config))
    state, placed = made.initial_state(), jax.device_put(random_batch(config, batch))
    update = jax.jit(made.step, donate_argnums=0)

    def run() -> None:
        nonlocal state
        for _ in range(steps):
            state, metrics = update(state, placed)
        jax.block_until_ready(metrics)

    return seconds(run) / steps, device_memory()


def theirs(config: ml_collections.ConfigDict, batch: int, steps: int, on: str, compiled: bool) -> tuple[float, float]:
    """PyTorch's seconds a step, and the peak memory, MiB; `on` is "cuda" or "cpu"."""
    import torch

    from benchmarks import torch_unet

    torch.backends.cudnn.benchmark = True
    chosen = settings.read(config)
    training = torch_unet.Training(chosen, chosen.denoiser().init(0), on, compiled)
    placed = training.placed(random_batch(config, batch))

    def run() -> None:
        for _ in range(steps):
            loss = training.step(placed)
        loss.item()  # waits for it

    found = seconds(run) / steps
    return found, torch.cuda.max_memory_allocated() / MIB if on == "cuda" else peak_memory()
