"""The peak speed of devices, by their makers' data sheets, their memory, and the FLOPs of a training step."""

import contextlib
import ctypes
import functools
from collections.abc import Callable
from typing import Any

import jax

# Dense bfloat16 FLOP/s of one device as JAX counts them (published figures); float16 for those without bfloat16.
_PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10G": 70e12,
    "L40S": 362e12,
    "L4": 121e12,
    "V100": 125e12,
    "T4": 65e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "TPU v6 lite": 918e12,
    "TPU v5p": 459e12,
    "TPU v5 lite": 197e12,
    "TPU v4": 275e12,
}


def peak_flops(device: jax.Device) -> float | None:
    """The peak FLOP/s of a device in half precision; None if unknown, as for every CPU."""
    return next((peak for name, peak in _PEAKS.items() if name in device.device_kind), None)


def peak_memory(device: jax.Device) -> int | None:
    """The most bytes in use on a device so far; None if it does not say."""
    return (device.memory_stats() or {}).get("peak_bytes_in_use")


def return_freed_memory() -> None:
    """Gives the pages that are free in the heap back to the system, where the C library can; a compiler leaves many."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library than glibc; no library of C
        ctypes.CDLL(None).malloc_trim(0)


def step_flops(step: Callable, abstract_state: Any, batch: dict) -> float | None:
    """FLOPs of one update of the whole batch, as XLA counts them; None if JAX may not use the CPU.

    Counted in the program for the CPU, before it is compiled: the count of one compiled for a GPU leaves out the
    convolutions.
    """
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
    whole = functools.partial(step, accumulate=1)  # a loop's body would be counted once
    with jax.default_device(cpu):
        return jax.jit(whole).lower(abstract_state, jax.eval_shape(lambda: batch)).cost_analysis()["flops"]
