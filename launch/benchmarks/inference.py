"""Enhancing clips: one and several at once; and the released model's speed, start and memory."""

import functools
import itertools
import os
import tempfile
import time

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from benchmarks.measuring import apart, device, device_memory, peak_memory, seconds, share
from configs import demo, mug
from facenhance_jax.faces.registration import find_face
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.network.denoiser import Conditions
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.settings import read_model

FRAMES = 32  # of a clip
FEW = 2  # frames of it, if all would take minutes: each frame takes equally long
CALLS = 10  # network calls timed together; the median of several such runs is taken
STREAMED = 16  # frames of the clip for `enhance`: two chunks


def sample() -> None:
    """Prints the table of `--what=sample`; on a CPU only for the released model's network."""
    here, small = apart(device), demo.get_config()
    networks, batches, plan = {"configs/demo.py, patched": small}, (1, 4), {4: FEW, 8: FEW}
    if here["platform"] == "gpu":
        small.model.dtype = "bfloat16"
        networks = {"configs/mug.py, full resolution": mug.get_config()} | networks
        batches, plan = (1, 4, 16), {4: FRAMES, 8: FRAMES, 1000: FEW}
    print(f"enhancing clips on {here['kind']}, {os.cpu_count()} cores")
    print("network                           clips   steps   frames timed   ms a call   frames/s       MFU   peak MiB")
    for (name, config), clips in itertools.product(networks.items(), batches):
        needed = clips * apart(flops_of_call, config, JAX_PLATFORMS="cpu")
        found = apart(measured, config, clips, plan)
        if found is None:
            print(f"{name:32s} {clips:6d}   do not fit into the device's memory", flush=True)
            continue
        times, mib = found
        for (steps, frames), total in zip(plan.items(), times, strict=True):
            call = total / (steps * frames)
            used = share(needed / call, here["peak"])
            rates = f"{1000 * call:11.2f} {clips * frames / total:10.2f} {used:>9s} {mib:10.0f}"
            print(f"{name:32s} {clips:6d} {steps:7d} {frames:14d} {rates}", flush=True)


def measured(config: ml_collections.ConfigDict, clips: int, plan: dict[int, int]) -> tuple[list[float], float]:
    """The seconds for each number of steps in `plan`, and the peak memory, MiB."""
    settings, rng = read_model(config), np.random.default_rng(0)
    denoiser = settings.denoiser()
    enhancer = Enhancer(denoiser, denoiser.init(0), settings.sampling)
    photos = rng.integers(0, 256, (clips, enhancer.size, enhancer.size, 3), dtype=np.uint8)
    times = []
    for steps, frames in plan.items():
        lows = rng.integers(0, 256, (clips, frames, enhancer.low_size, enhancer.low_size, 3), dtype=np.uint8)
        run = functools.partial(enhancer.enhance_batch, lows, photos, steps=steps)
        times.append(seconds(run, repeats=1 if steps == 1000 else 3))
    return times, device_memory()


def flops_of_call(config: ml_collections.ConfigDict) -> float:
    """The FLOPs of the network for one image, without the expression encoder, which runs once a frame; on the CPU."""
    denoiser = read_model(config).denoiser()
    params, side, low_side = denoiser.abstract_params(), config.model.resolution, config.model.low_size
    frame = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    low = jax.ShapeDtypeStruct((1, low_side, low_side, 3), jnp.float32)
    timestep = jax.ShapeDtypeStruct((1,), jnp.int32)
    conditions = Conditions(frame, frame, jax.eval_shape(denoiser.encode, params, low))
    return jax.jit(denoiser.velocity).lower(params, frame, timestep, conditions).cost_analysis()["flops"]


def clip(enhancer, frames: int):
    """Random pixels: the time does not depend on what is in them."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 256, (enhancer.low_size, enhancer.low_size, 3), dtype=np.uint8)
    photo = rng.integers(0, 256, (enhancer.size, enhancer.size, 3), dtype=np.uint8)
    return (low for _ in range(frames)), photo


def seconds_per_call(enhancer) -> float:
    """The time of one call of the network alone, from `CALLS` in a row, each fed the output of the one before."""
    denoiser, (frames, photo) = enhancer.denoiser, clip(enhancer, 1)
    low, identity = next(frames)[None], to_signal(photo[None])
    expression = jax.jit(denoiser.encode)(enhancer.params, to_signal(low), find_face(low[0], photo)[None])

    # Everything is an argument: of constants, the compiler would compute what it can once for all calls.
    @jax.jit
    def calls(params, identity, previous, expression):
        def call(x, timestep):
            return denoiser.velocity(params, x, timestep[None], Conditions(identity, previous, expression)), None

        return jax.lax.scan(call, previous, jnp.arange(1, CALLS + 1))[0]

    previous = jax.random.normal(jax.random.key(0), identity.shape)
    return seconds(lambda: calls(enhancer.params, identity, previous, expression).block_until_ready()) / CALLS


def stream(enhancer, frames: int, steps: int) -> None:
    """Enhances a clip and drops the frames."""
    for _ in enhancer.stream(*clip(enhancer, frames), steps=steps):
        pass


def enhance() -> None:
    """Prints the table of `--what=enhance`."""
    enhancer = Enhancer.load()
    call = seconds_per_call(enhancer)
    here = f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores"
    print(f"released model on {here}: {1000 * call:.1f} ms a network call")
    print("steps   frames/s   of which in the network")
    for steps in (4, 8):
        total = seconds(functools.partial(stream, enhancer, STREAMED, steps), repeats=3)
        print(f"{steps:5d} {STREAMED / total:10.2f} {100 * STREAMED * steps * call / total:10.0f} %")


def start() -> None:
    """Prints the table of `--what=start`."""
    with tempfile.TemporaryDirectory() as cache:
        times = []
        for _ in range(2):
            began = time.perf_counter()
            apart(streamed, 1, XDG_CACHE_HOME=cache)
            times.append(time.perf_counter() - began)
    print(f"from the process's start to its first frame (1 step): first {times[0]:.1f} s, second {times[1]:.1f} s")
    print(f"second / first = {times[1] / times[0]:.2f}")


def memory() -> None:
    """Prints the table of `--what=memory`."""
    peaks = {frames: apart(streamed, frames) for frames in (64, 640)}
    for frames, peak in peaks.items():
        print(f".stream over {frames:3d} frames: peak {peak:.0f} MiB")
    print(f"640 / 64 frames = {peaks[640] / peaks[64]:.3f}")


def streamed(frames: int) -> float:
    """The peak memory, MiB, of a process that enhances a clip of so many frames at one step."""
    stream(Enhancer.load(), frames, 1)
    return peak_memory()
