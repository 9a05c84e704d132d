"""Enhancing clips: one and several at once; and the released model's speed, start and memory."""

import functools
import os
import tempfile
import time

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from benchmarks.measuring import apart, device, device_memory, peak_memory, seconds, share, threads
from benchmarks.networks import network
from facenhance_jax.faces.registration import find_face
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.settings import read_model

FRAMES = 32  # of a clip
FEW = 2  # frames of it, if all would take minutes: each frame takes equally long
CALLS = 10  # network calls timed together; the median of several such runs is taken
STREAMED = 16  # frames of the clip for `enhance`: two chunks


def sample(networks: list[str] | None = None, clips: list[int] | None = None, steps: list[int] | None = None) -> None:
    """Prints the table of `--what=sample`; by default on a CPU only for the released model's network."""
    here = apart(device)
    gpu = here["platform"] == "gpu"
    names, counts = networks or (["mug", "released"] if gpu else ["released"]), clips or ([1, 4, 16] if gpu else [1, 4])
    plan = {number: FRAMES if gpu and number < 1000 else FEW for number in steps or ([4, 8, 1000] if gpu else [4, 8])}
    print(f"enhancing clips on {here['kind']}, {threads()} cores")
    print("network    clips   steps   frames timed   ms a call   frames/s       MFU   peak MiB", flush=True)
    for name in names:
        config = network(name, here["platform"])
        needed = apart(flops_of_call, config, JAX_PLATFORMS="cpu") if here["peak"] else 0
        for count in counts:
            about = f"{name:9s} {count:6d}"
            if not apart(print_samples, about, config, count, plan, needed * count, here["peak"]):
                print(f"{about}   do not fit into the device's memory", flush=True)


def print_samples(
    about: str, config: ml_collections.ConfigDict, clips: int, plan: dict[int, int], flops: float, peak: float | None
) -> bool:
    """Prints a row for each number of steps in `plan`, as soon as it is measured: so many frames of so many clips."""
    settings, rng = read_model(config), np.random.default_rng(0)
    denoiser = settings.denoiser()
    enhancer = Enhancer(denoiser, denoiser.init(0), settings.sampling)
    photos = rng.integers(0, 256, (clips, enhancer.size, enhancer.size, 3), dtype=np.uint8)
    for steps, frames in plan.items():
        lows = rng.integers(0, 256, (clips, frames, enhancer.low_size, enhancer.low_size, 3), dtype=np.uint8)
        run = functools.partial(enhancer.enhance_batch, lows, photos, steps=steps)
        total = seconds(run, repeats=1 if steps == 1000 else 3)
        call = total / (steps * frames)
        rates = f"{1000 * call:11.2f} {clips * frames / total:10.2f} {share(flops / call, peak):>9s}"
        print(f"{about} {steps:7d} {frames:14d} {rates} {device_memory():10.0f}", flush=True)
    return True


def flops_of_call(config: ml_collections.ConfigDict) -> float:
    """The FLOPs of the network for one image, without the conditions, which are made once a frame; on the CPU."""
    denoiser = read_model(config).denoiser()
    params, side, low_side = denoiser.abstract_params(), config.model.resolution, config.model.low_size
    frame = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    low = jax.ShapeDtypeStruct((1, low_side, low_side, 3), jnp.float32)
    timestep = jax.ShapeDtypeStruct((1,), jnp.int32)
    expression = jax.eval_shape(denoiser.encode, params, low)
    conditions = jax.eval_shape(denoiser.conditions, params, frame, frame, expression)
    return jax.jit(denoiser.velocity).lower(params, frame, timestep, conditions, frame).cost_analysis()["flops"]


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
    conditions = jax.jit(denoiser.conditions)(enhancer.params, identity, identity, expression)

    # Everything is an argument: of constants, the compiler would compute what it can once for all calls.
    @jax.jit
    def calls(params, conditions, noise):
        def call(x, timestep):
            return denoiser.velocity(params, x, timestep[None], conditions, noise), None

        return jax.lax.scan(call, noise, jnp.arange(1, CALLS + 1))[0]

    noise = jax.random.normal(jax.random.key(0), identity.shape)
    return seconds(lambda: calls(enhancer.params, conditions, noise).block_until_ready()) / CALLS


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
