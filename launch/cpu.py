"""What makes a training on a CPU faster: environment variables, set before the process starts, and a device a core.

* Huge pages for what glibc's `malloc` hands out: XLA takes fresh memory for each step's intermediate arrays, 68,000
  small pages of it with configs/demo.py. A step takes 12 % less time on an EPYC.
* Without AVX-512, XLA's own convolutions instead of YNNPACK's: a step takes 0.68 of the time there, but 1.2 times as
  long with AVX-512.

* A JAX device for each core, so that each works on its share of the batch: XLA runs many operations on one core, among
  them convolutions to 64 channels. On 2 cores a step of configs/demo.py takes 0.80 of the time.

On accelerators they change nothing.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

TUNABLES = "glibc.malloc.hugetlb=1"
DEVICES = "--xla_force_host_platform_device_count"
MOST_DEVICES = 4  # each holds a copy of the training's state
CONVOLUTIONS = "--xla_cpu_experimental_ynn_fusion_type="  # the kinds of operations that YNNPACK gets: none


def variables(environment: Mapping[str, str] = os.environ, processor: str | None = None) -> dict[str, str]:
    """The variables to add to the environment; none that are set already, and no flag that is.

    `processor` is what Linux says about it, /proc/cpuinfo by default. On other systems there are none.
    """
    file = Path("/proc/cpuinfo")
    if processor is None:
        processor = file.read_text() if sys.platform == "linux" and file.exists() else ""
    found = {}
    if processor and "GLIBC_TUNABLES" not in environment:
        found["GLIBC_TUNABLES"] = TUNABLES
    flags = environment.get("XLA_FLAGS", "")
    words = set(processor.split())
    if "avx2" in words and "avx512f" not in words and CONVOLUTIONS not in flags:
        found["XLA_FLAGS"] = f"{flags} {CONVOLUTIONS}".strip()
    return found


def start_again() -> None:
    """Starts this program again with `variables`, as the same process; goes on if there are none to add."""
    if more := variables():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | more)


def share_cores(batch_size: int) -> None:
    """Makes a JAX device of each core, as far as the batch splits, unless the user has set how many there are.

    To be called before JAX looks for devices. Where several processes train together it changes nothing.
    """
    import jax  # not before: a program that starts again would import it twice

    chosen = DEVICES in os.environ.get("XLA_FLAGS", "") or jax.config.jax_num_cpu_devices > 0
    if not chosen and not jax.distributed.is_initialized():
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
        jax.config.update("jax_num_cpu_devices", devices(batch_size, cores))


def devices(batch_size: int, cores: int) -> int:
    """The largest number, up to `cores` and `MOST_DEVICES`, into which the batch splits equally."""
    return max(count for count in range(1, min(cores, MOST_DEVICES) + 1) if batch_size % count == 0)
