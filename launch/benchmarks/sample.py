"""Enhancing clips, frame after frame: one at a time and several abreast."""

import functools
import os

import ml_collections
import numpy as np

from benchmarks import apart
from benchmarks.measuring import seconds

FRAMES = 32  # of a clip
FEW = 2  # frames of it, where all would take minutes: each frame takes as long as any other
FEW_FROM = 100  # steps
CPU_FRAMES = 2


def sample() -> None:
    """Prints the table of `--what=sample`; on a CPU only the released model's network."""
    from configs import demo, mug

    if apart.device()["platform"] == "gpu":
        small = demo.get_config()
        small.model.dtype = "bfloat16"
        networks = {"configs/mug.py, full resolution": mug.get_config(), "configs/demo.py, patched": small}
        table(networks, (1, 4, 16), {steps: FEW if steps >= FEW_FROM else FRAMES for steps in (4, 8, 1000)})
    else:
        table({"configs/demo.py, patched": demo.get_config()}, (1, 4), {4: CPU_FRAMES, 8: CPU_FRAMES})


def table(networks: dict[str, ml_collections.ConfigDict], clips: tuple[int, ...], plan: dict[int, int]) -> None:
    """Prints a row for each network, number of clips abreast and number of steps; `plan`: steps -> frames timed."""
    device = apart.device()
    print(f"enhancing clips on {device['kind']}, {os.cpu_count()} cores")
    print("network                           clips   steps   frames timed   ms a call   frames/s       MFU   peak MiB")
    for name, config in networks.items():
        flops = apart.measured("sample", config, 1, JAX_PLATFORMS="cpu")["flops"]
        for abreast in clips:
            steps = [f"{steps}:{frames}" for steps, frames in plan.items()]
            found = apart.measured("sample", config, abreast, *steps)
            if found is None:
                print(f"{name:32s} {abreast:6d}   do not fit into the device's memory", flush=True)
                continue
            for (steps, frames), total in zip(plan.items(), found["seconds"], strict=True):
                call = total / (steps * frames)
                used = apart.share(flops * abreast / call, device["peak"])
                rates = f"{1000 * call:11.2f} {abreast * frames / total:10.2f} {used:>9s} {found['mib']:10.0f}"
                print(f"{name:32s} {abreast:6d} {steps:7d} {frames:14d} {rates}", flush=True)


def measure(config: ml_collections.ConfigDict, clips: str, *plan: str) -> dict:
    """In a process of its own: seconds for each "steps:frames" and memory; without a plan the FLOPs of a call."""

    from facenhance_jax.inference.enhancer import Enhancer
    from facenhance_jax.settings import read_model

    chosen, abreast, rng = read_model(config), int(clips), np.random.default_rng(0)
    denoiser = chosen.denoiser()
    if not plan:
        return flops_of_call(denoiser, abreast)
    enhancer = Enhancer(denoiser, denoiser.init(0), chosen.sampling)
    photos = rng.integers(0, 256, (abreast, enhancer.size, enhancer.size, 3), dtype=np.uint8)
    times = []
    for steps, frames in (map(int, item.split(":")) for item in plan):
        lows = rng.integers(0, 256, (abreast, frames, enhancer.low_size, enhancer.low_size, 3), dtype=np.uint8)
        run = functools.partial(enhancer.enhance_batch, lows, photos, steps=steps)
        times.append(seconds(run, repeats=1 if steps >= FEW_FROM else 3))
    return {"seconds": times, "mib": apart.memory()}


def flops_of_call(denoiser, images: int) -> dict:
    """Those of the network, without the expression encoder, which runs once a frame."""
    import jax
    import jax.numpy as jnp

    from facenhance_jax.network.denoiser import Conditions

    config, params = denoiser.config, denoiser.abstract_params()
    frame = jax.ShapeDtypeStruct((images, config.resolution, config.resolution, 3), jnp.float32)
    low = jax.ShapeDtypeStruct((images, config.low_size, config.low_size, 3), jnp.float32)
    timestep = jax.ShapeDtypeStruct((images,), jnp.int32)
    conditions = Conditions(frame, frame, jax.eval_shape(denoiser.encode, params, low))
    return apart.counted(denoiser.velocity, params, frame, timestep, conditions)


if __name__ == "__main__":
    apart.answer(measure)
