"""How long a call takes, what memory it needs, and measurements in a process of their own."""

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax

from facenhance_jax.training import hardware

MIB = 2**20


class Times(NamedTuple):
    """Measurements of one piece of work: seconds on the clock and of the process's CPU time, and the peak, MiB."""

    wall: list[float]
    cpu: list[float]
    peak: float


def times(run: Callable[[], object], repeats: int, peak: Callable[[], float], parts: int = 1) -> Times:
    """Times calls of `run`, the first (which compiles) left out, and divides by the `parts` that a call consists of."""
    run()
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        run()
        wall.append((time.perf_counter() - start) / parts)
        cpu.append((time.process_time() - used) / parts)
    return Times(wall, cpu, peak())


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """The median time of a call, the first (which compiles) left out."""
    return statistics.median(times(run, repeats, peak_memory).wall)


def in_turn(ways: dict[str, Callable[[], Times | None]], rounds: int) -> dict[str, Times | None]:
    """All times of several ways to do the same; each call in `ways` measures in a process of its own (see `apart`).

    The ways take turns, so that whatever else the machine does disturbs all of them. They have the same cores, and as
    many threads. Waiting threads of OpenMP sleep: on a busy machine, spinning ones made PyTorch eight times as slow.
    A way that does not fit into the device's memory is None.
    """
    found = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as programs:  # what one round compiled, the next finds
        environment = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(threads())}
        for name in ("JAX_COMPILATION_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
            environment[name] = os.environ.get(name, f"{programs}/{name}")
        with mock.patch.dict(os.environ, environment):
            for name in [*ways] * rounds:
                if None not in found[name]:
                    found[name].append(its := ways[name]())
                    print(f"{name}: {1000 * statistics.median(its.wall):.2f} ms" if its else name, file=sys.stderr)
    return {name: None if None in several else _joined(several) for name, several in found.items()}


def _joined(several: list[Times]) -> Times:
    wall, cpu = (sum((getattr(times, field) for times in several), []) for field in ("wall", "cpu"))
    return Times(wall, cpu, max(times.peak for times in several))


def threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


COMPARISON = (
    f"{'way':24s} {'ms (least..most)':>28s} {'CPU ms':>9s} {'images/s':>9s} {'MFU':>9s} {'peak MiB':>9s}   of our time"
)
"""The heading of `compare`'s rows."""


def compare(about: str, found: dict[str, Times | None], images: int, flops: float, peak: float | None) -> None:
    """Prints a row for each way: medians; the first is ours, and the others say how much of our time they take."""
    ours = next(iter(found.values()))
    for name, its in found.items():
        if its is None:
            print(f"{about} {name:24s} does not fit into the device's memory", flush=True)
            continue
        wall, cpu = statistics.median(its.wall), statistics.median(its.cpu)
        clock = f"{1000 * wall:10.2f} ({1000 * min(its.wall):.2f}..{1000 * max(its.wall):.2f})"
        rates = f"{1000 * cpu:9.1f} {images / wall:9.2f} {share(flops / wall, peak):>9s} {its.peak:9.0f}"
        part = f"{wall / statistics.median(ours.wall):13.2f}" if ours and its is not ours else ""
        print(f"{about} {name:24s} {clock:>28s} {rates} {part}".rstrip(), flush=True)


def apart(function: Callable, *arguments: object, **environment: str) -> Any:
    """Returns `function(*arguments)` of a new process, which has the device and its memory to itself.

    `environment` holds further variables of that process. Returns None if the device's memory did not suffice.
    """
    environment = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95"} | environment  # by default JAX takes no more than 0.75
    spawn = multiprocessing.get_context("spawn")  # JAX cannot be forked
    with mock.patch.dict(os.environ, environment), ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(_guarded, function, *arguments).result()


def _guarded(function: Callable, *arguments: object) -> Any:
    try:
        return function(*arguments)
    except Exception as error:  # XLA's and PyTorch's have no class in common
        if "RESOURCE_EXHAUSTED" not in str(error) and "out of memory" not in str(error):
            raise
        return None


def device() -> dict:
    """The first device's platform, kind, and peak (FLOP/s or None). For `apart`: JAX would keep a GPU's memory."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "peak": hardware.peak_flops(first)}


def share(flops: float, peak: float | None) -> str:
    """FLOP/s as a share of the device's peak."""
    return f"{100 * flops / peak:.1f} %" if peak else "unknown"


def peak_memory() -> float:
    """The most memory this process has held so far, MiB (Linux; `resource` would count what its parent held)."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def device_memory() -> float:
    """The most memory in use so far, MiB: on the first device, or by this process if the device does not say."""
    used = hardware.peak_memory(jax.devices()[0])
    return used / MIB if used else peak_memory()
