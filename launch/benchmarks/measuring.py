"""How long a call takes, and what another process needs."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

LAUNCH = Path(__file__).resolve().parents[1]


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """The median time of a call, the first (which compiles) left out."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def child(module: str, *arguments: object, **environment: str) -> str:
    """Runs `python -m benchmarks.<module> <arguments>` and returns what it printed."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    paths = os.pathsep.join([str(LAUNCH.parent), str(LAUNCH)])
    environment = os.environ | {"PYTHONPATH": paths} | environment
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def peak_memory() -> float:
    """The most memory this process has held so far, MiB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
