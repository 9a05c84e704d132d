"""Environment variables with which a training on a CPU is faster. They have to be set before the process starts.

* Huge pages for what glibc's `malloc` hands out: XLA takes fresh memory for each step's intermediate arrays, 68,000
  small pages of it with configs/demo.py. A step takes 12 % less time on an EPYC.
* Without AVX-512, XLA's own convolutions instead of YNNPACK's: a step takes 0.68 of the time there, but 1.2 times as
  long with AVX-512.

On accelerators they change nothing.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

TUNABLES = "glibc.malloc.hugetlb=1"
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
