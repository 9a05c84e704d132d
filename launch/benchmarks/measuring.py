"""How long a call takes, what memory it needs, and measurements in a process of their own."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import jax

from facenhance_jax.training import hardware

MIB = 2**20


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """The median time of a call, the first (which compiles) left out."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


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
