"""What the device could do at best, and what a training step spends its time on."""

import collections
import functools
import itertools
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections

from benchmarks.measuring import apart, device, seconds
from benchmarks.networks import network
from benchmarks.train import random_batch
from facenhance_jax import settings
from facenhance_jax.training import experiment
from facenhance_jax.training.packing import packed_state

STEPS = 5  # traced
SHOWN = 3  # items of a profile


def ceilings() -> None:
    """Prints the table of `--what=ceilings`: measured limits of copying, and of products and convolutions."""
    gpu = jax.default_backend() == "gpu"
    side, batch, width, megabytes = (8192, 16, 192, 2048) if gpu else (512, 1, 48, 64)
    a, images = jnp.ones((side, side), jnp.bfloat16), jnp.ones((batch, width, width, 128), jnp.bfloat16)
    kernel, flat = jnp.ones((3, 3, 128, 128), jnp.bfloat16), jnp.ones((megabytes * 2**18,), jnp.float32)
    convolved = functools.partial(
        jax.lax.conv_general_dilated,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    print(f"at best, on {jax.devices()[0].device_kind}")
    copied = _time(lambda x: x + 1.0, flat)
    print(f"copying {megabytes} MiB of float32: {2 * flat.nbytes / copied / 1e9:.0f} GB/s read and written", flush=True)
    print(f"bf16 product of {side}x{side}: {2 * side**3 / _time(jnp.matmul, a, a) / 1e12:.3f} TFLOP/s", flush=True)
    flops = 2 * images.size * 9 * 128
    rate = flops / _time(convolved, images, kernel) / 1e12
    print(f"bf16 convolution, 3x3, {batch} x {width}x{width} x 128 channels: {rate:.3f} TFLOP/s", flush=True)


def _time(function: Callable, *arguments: jax.Array) -> float:
    """Seconds of a call, from ten that are under way together."""
    compiled = jax.jit(function)
    return seconds(lambda: jax.block_until_ready([compiled(*arguments) for _ in range(10)][-1])) / 10


def profile(networks: list[str] | None = None, batches: list[int] | None = None) -> None:
    """Prints the table of `--what=profile`: the largest items of a traced training step."""
    here = apart(device)
    print(f"{STEPS} training steps on {here['kind']}: ms a step")
    for name, batch in itertools.product(
        networks or ["mug" if here["platform"] == "gpu" else "released"], batches or [4]
    ):
        found = apart(traced, network(name, here["platform"]), batch)
        if found is None:
            print(f"{name} batch {batch}: does not fit into the device's memory", flush=True)
            continue
        busy, whole, kernels, items = found
        share = f"the device at work in {100 * busy / whole:.0f} %, {kernels:.0f} kernels"
        print(f"{name} batch {batch}: {whole:.2f}, {share}")
        for item, (total, count) in items:
            print(f"    {total:9.3f}  {100 * total / whole:5.1f} %  {count:6.0f} x  {item}", flush=True)


def traced(config: ml_collections.ConfigDict, batch: int) -> tuple[float, float, float, list]:
    """A step's ms at work and in all, its number of kernels, and its `SHOWN` largest items: (name, (ms, times))."""
    made = experiment.make(settings.read(config))
    state, placed = packed_state(jax.jit(made.initial_state)()), jax.device_put(random_batch(config, batch))
    update = jax.jit(made.step, donate_argnums=0)
    for _ in range(3):
        state, metrics = update(state, placed)
    jax.block_until_ready(metrics)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(STEPS):
                state, metrics = update(state, placed)
            jax.block_until_ready((state, metrics))
        (file,) = Path(folder).rglob("*.xplane.pb")
        return summary(list(kernels_of(jax.profiler.ProfileData.from_file(str(file)))), STEPS)


def kernels_of(trace: jax.profiler.ProfileData) -> Iterator[tuple[str, float, float]]:
    """(name, start, end) of what ran on the device, ns: a GPU's streams, or the operations of a program on the CPU."""
    for plane in trace.planes:
        for line in plane.lines:
            gpu = plane.name.startswith("/device:") and line.name.startswith("Stream")
            for event in line.events:
                if gpu or ("host:CPU" in plane.name and any(name == "hlo_op" for name, _ in event.stats)):
                    yield event.name, event.start_ns, event.start_ns + event.duration_ns


def summary(kernels: list[tuple[str, float, float]], steps: int) -> tuple[float, float, float, list]:
    """As `traced`. Kernels that only a number tells apart are one item; overlapping ones count once as busy time."""
    items, busy, until = collections.defaultdict(lambda: [0.0, 0.0]), 0.0, 0.0
    for name, start, end in sorted(kernels, key=lambda kernel: kernel[1]):
        item = items[re.sub(r"[._]?\d+$", "", name)[:100]]
        item[0] += (end - start) / 1e6 / steps
        item[1] += 1 / steps
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    whole = until - min(start for _, start, _ in kernels)
    largest = sorted(items.items(), key=lambda item: -item[1][0])[:SHOWN]
    shown = [(name, (total, count)) for name, (total, count) in largest]
    return busy / 1e6 / steps, whole / 1e6 / steps, len(kernels) / steps, shown
