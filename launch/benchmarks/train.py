"""A training step: ours beside PyTorch's."""

import importlib.util
import os

import ml_collections
import numpy as np

from benchmarks import apart
from benchmarks.measuring import peak_memory, seconds

OURS, EAGER, COMPILED = "ours", "PyTorch", "PyTorch, torch.compile"
ON_GPU = {4: (OURS, COMPILED), 8: (OURS,), 16: (OURS, COMPILED), 32: (OURS,), 64: (OURS,)}  # batch: what is timed
ON_CPU = {4: (OURS, EAGER, COMPILED)}
GPU_STEPS, CPU_STEPS = 20, 2  # timed together; the median of five such runs is taken


def train() -> None:
    """Prints the table of `--what=train`: configs/mug.py's network on a GPU, configs/demo.py's elsewhere."""
    from configs import demo, mug

    if apart.device()["platform"] == "gpu":
        table(mug.get_config(), ON_GPU, GPU_STEPS)
    else:
        table(demo.get_config(), ON_CPU, CPU_STEPS)


def table(config: ml_collections.ConfigDict, plan: dict[int, tuple[str, ...]], steps: int) -> None:
    """Prints how well the two networks agree, then a row for each batch size and way of training."""
    device, torch, model = apart.device(), importlib.util.find_spec("torch"), config.model
    print(f"a training step at {model.resolution} px, {model.dtype}, on {device['kind']}, {os.cpu_count()} cores")
    if torch:
        difference = apart.measured("train", config, "agreement", JAX_PLATFORMS="cpu")["difference"]
        print(f"with the same parameters, float32: PyTorch's output differs by {difference:.1e} of its rms at most")
    else:
        print("PyTorch is not installed, so ours stands alone (pip install torch)")
    print("batch                           ms a step   samples/s       MFU   peak MiB   ours is faster")
    for batch, ways in plan.items():
        flops = apart.measured("train", config, "flops", batch, JAX_PLATFORMS="cpu")["flops"]
        timed = (batch, steps, device["platform"])
        mine = apart.measured("train", config, OURS, *timed)
        print_row(batch, OURS, mine, flops, device["peak"])
        for way in ways[1:] if torch else ():
            found = apart.measured("train", config, way, *timed, JAX_PLATFORMS="cpu")
            faster = f"{found['seconds'] / mine['seconds']:12.2f} x" if found and mine else ""
            print_row(batch, way, found, flops, device["peak"], faster)


def print_row(batch: int, way: str, found: dict | None, flops: float, peak: float | None, faster: str = "") -> None:
    """The FLOPs of a step are those of our program, whoever makes it."""
    name = f"{batch:5d}   {way:24s}"
    if found is None:
        print(f"{name} does not fit into the device's memory", flush=True)
        return
    time = found["seconds"]
    used = f"{apart.share(flops / time, peak):>9s} {found['mib']:10.0f}"
    print(f"{name} {1000 * time:10.1f} {batch / time:11.2f} {used} {faster}".rstrip(), flush=True)


def random_batch(config: ml_collections.ConfigDict, size: int) -> dict[str, np.ndarray]:
    """As a training takes it; the time does not depend on the pixels."""
    rng, side, low = np.random.default_rng(0), config.model.resolution, config.model.low_size
    sides = {"high": side, "previous": side, "identity": side, "low": low}
    batch = {name: rng.integers(0, 256, (size, side, side, 3), dtype=np.uint8) for name, side in sides.items()}
    place = np.tile(np.float32([0.1, 0.2, 0.7]) * side, (size, 1))
    return batch | {"place": place, "index": np.arange(size, dtype=np.int32)}


def flops_of_step(config: ml_collections.ConfigDict, batch: int) -> dict:
    """The FLOPs of our step."""
    import jax

    from facenhance_jax import settings
    from facenhance_jax.training import experiment

    ours = experiment.make(settings.read(config))
    return apart.counted(ours.step, jax.eval_shape(ours.initial_state), random_batch(config, batch))


def ours(config: ml_collections.ConfigDict, batch: int, steps: int) -> dict:
    """Seconds a step, and memory."""
    import jax

    from facenhance_jax import settings
    from facenhance_jax.training import experiment

    made = experiment.make(settings.read(config))
    state, placed = made.initial_state(), jax.device_put(random_batch(config, batch))
    update = jax.jit(made.step, donate_argnums=0)

    def run() -> None:
        nonlocal state
        for _ in range(steps):
            state, metrics = update(state, placed)
        jax.block_until_ready(metrics)

    return {"seconds": seconds(run) / steps, "mib": apart.memory()}


def theirs(config: ml_collections.ConfigDict, batch: int, steps: int, platform: str, compiled: bool) -> dict:
    """The same of PyTorch's step."""
    import torch

    from benchmarks import torch_unet
    from facenhance_jax import settings

    torch.backends.cudnn.benchmark = True
    device, chosen = "cuda" if platform == "gpu" else "cpu", settings.read(config)
    training = torch_unet.Training(chosen, chosen.denoiser().init(0), device, compiled)
    placed = training.placed(random_batch(config, batch))

    def run() -> None:
        for _ in range(steps):
            loss = training.step(placed)
        loss.item()  # waits for it

    found = seconds(run) / steps
    used = torch.cuda.max_memory_allocated() / apart.MIB if device == "cuda" else peak_memory()
    return {"seconds": found, "mib": used}


def agreement(config: ml_collections.ConfigDict) -> dict:
    """The largest difference between the velocities of the two networks, in units of their rms; on the CPU."""
    import jax
    import torch

    from benchmarks import torch_unet
    from facenhance_jax import settings
    from facenhance_jax.network.denoiser import Conditions

    config.model.dtype = "float32"
    denoiser, batch, rng = settings.read_model(config).denoiser(), random_batch(config, 1), np.random.default_rng(1)
    # Fresh networks output zeros, whatever is before their last layers.
    params = jax.tree.map(lambda x: x + 0.02 * rng.standard_normal(x.shape, np.float32), denoiser.init(0))
    noisy, identity, previous, low = (
        rng.standard_normal(batch[name].shape, np.float32) for name in ("high", "identity", "previous", "low")
    )
    timestep = np.array([denoiser.schedule.timesteps // 2], np.int32)

    @jax.jit
    def velocity(params, noisy, identity, previous, low, place):
        conditions = Conditions(identity, previous, denoiser.encode(params, low, place))
        return denoiser.velocity(params, noisy, timestep, conditions)

    expected = np.asarray(velocity(params, noisy, identity, previous, low, batch["place"]))
    network = torch_unet.Network(denoiser.config)
    network.load_state_dict(torch_unet.converted(params))
    images = [torch.tensor(x).permute(0, 3, 1, 2) for x in (noisy, identity, previous, low)]
    phi = torch.tensor(np.asarray(denoiser.phi(timestep)))
    with torch.no_grad():
        found = network.velocity(images[0], phi, torch.tensor(timestep), *images[1:], torch.tensor(batch["place"]))
    difference = np.abs(found.permute(0, 2, 3, 1).numpy() - expected).max()
    return {"difference": float(difference / np.sqrt(np.mean(expected**2)))}


def measure(config: ml_collections.ConfigDict, what: str, *arguments: str) -> dict:
    """In a process of its own."""
    if what == "agreement":
        return agreement(config)
    if what == "flops":
        return flops_of_step(config, int(arguments[0]))
    batch, steps, platform = arguments
    if what == OURS:
        return ours(config, int(batch), int(steps))
    return theirs(config, int(batch), int(steps), platform, what == COMPILED)


if __name__ == "__main__":
    apart.answer(measure)
