"""Enhancing clips: one and several at once; and the released model's speed, start and memory."""

import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from benchmarks.measuring import apart, device, device_memory, peak_memory, seconds, share, threads
from benchmarks.networks import network, parameters
from configs import demo
from facenhance_jax import media
from facenhance_jax.faces.placement import whole
from facenhance_jax.faces.registration import find_face
from facenhance_jax.inference.compile_cache import keep_compiled_programs
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.settings import read, read_model

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
    enhancer = Enhancer(denoiser, jax.device_put(parameters(denoiser)), settings.sampling)
    photos = rng.integers(0, 256, (clips, enhancer.size, enhancer.size, 3), dtype=np.uint8)
    places = [whole(enhancer.size)] * clips
    for steps, frames in plan.items():
        lows = rng.integers(0, 256, (clips, frames, enhancer.low_size, enhancer.low_size, 3), dtype=np.uint8)
        # The places are given, as `facenhance extract` gives them: to find one takes the host 0.03 s a frame tried.
        run = functools.partial(enhancer.enhance_batch, lows, photos, places=places, steps=steps)
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
    expression = jax.eval_shape(denoiser.encode, params, low, frame)
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
    expression = jax.jit(denoiser.encode)(enhancer.params, to_signal(low), identity, find_face(low[0], photo)[None])
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
    """Prints the table of `--what=start`: the command, from its start to its end, on a clip of one frame."""
    with tempfile.TemporaryDirectory() as folder:
        low, photo = np.zeros((1, 64, 64, 3), np.uint8), np.zeros((192, 192, 3), np.uint8)
        media.write_array(f"{folder}/low.npy", low)
        media.write_png(f"{folder}/photo.png", photo)
        program = "import sys; from facenhance_jax.cli import main; sys.exit(main())"
        options = ["--low=low.npy", "--identity=photo.png", "--output=frames/", "--steps=1"]
        environment = os.environ | {"XDG_CACHE_HOME": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        times = [ran([sys.executable, "-c", program, "enhance", *options], folder, environment) for _ in range(4)]
    (first, _), second = times[0], [statistics.median(column) for column in zip(*times[1:], strict=True)]
    print(f"facenhance enhance, one frame at one step: first {first:.1f} s, second {second[0]:.1f} s")
    print(f"CPU time of the second {second[1]:.2f} s; second / first = {second[0] / first:.2f}")


def ran(line: list[str], folder: str, environment: dict[str, str]) -> tuple[float, float]:
    """The seconds on the clock, and of CPU time, that a program takes."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(line, cwd=folder, env=environment, check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, used


def memory() -> None:
    """Prints the table of `--what=memory`; the peaks of processes that find their compiled programs, and of the first.

    Of a training it needs a data set, so one of random pixels is made.
    """
    imports = apart(imported)
    print(f"{'peak memory':44s}  MiB   of it beyond the imports")
    print(f"{'importing the enhancer, and the training':44s} {imports[0]:4.0f} and {imports[1]:.0f}")
    with tempfile.TemporaryDirectory() as folder:
        rows = {"enhancing 64 frames, the first time": (streamed, 64), "enhancing 64 frames": (streamed, 64)}
        rows |= {"enhancing 640 frames": (streamed, 640)}
        rows |= {f"training, batch 4, {when}": (trained, folder) for when in ("the first time", "again")}
        peaks = {}
        for name, (function, argument) in rows.items():
            peaks[name] = apart(function, argument, XDG_CACHE_HOME=folder)
            beyond = peaks[name] - imports[function is trained]
            print(f"{name:44s} {peaks[name]:4.0f} {beyond:6.0f}", flush=True)
    print(f"640 / 64 frames = {peaks['enhancing 640 frames'] / peaks['enhancing 64 frames']:.3f}")


def imported() -> tuple[float, float]:
    """The peak memory, MiB, of a process that has imported what enhances (this file does), then what trains."""
    enhancing = peak_memory()
    from facenhance_jax.data import pipeline, sources  # noqa: F401
    from facenhance_jax.training import loop  # noqa: F401

    return enhancing, peak_memory()


def streamed(frames: int) -> float:
    """The peak memory, MiB, of a process that enhances a clip of so many frames at one step."""
    stream(Enhancer.load(), frames, 1)
    return peak_memory()


def trained(folder: str) -> float:
    """The peak memory, MiB, of a process that trains configs/demo.py for two steps of batch 4, with its checkpoint."""
    from facenhance_jax.training import experiment, loop

    keep_compiled_programs()
    config, rng, data = demo.get_config(), np.random.default_rng(0), Path(folder) / "data.npz"
    shapes = {"high": (8, 3, 192, 192, 3), "low": (8, 3, 64, 64, 3), "identity": (8, 192, 192, 3)}
    members = {name: rng.integers(0, 256, shape, np.uint8) for name, shape in shapes.items()}
    words = dict.fromkeys(("subject", "session", "expression", "take"), np.full(8, "x"))
    place = np.tile(find_face(members["low"][0, 0], members["identity"][0]), (8, 1))
    np.savez(data, split=np.full(8, "train"), place=place, **members, **words)
    config.data.directory = str(data)
    config.run.update(steps=2, log_every=1)
    loop.train(experiment.make(read(config)), Path(folder) / uuid.uuid4().hex)
    return peak_memory()
