"""Measurements of a config in a process of their own, which then has the device and its memory to itself."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import ml_collections

from benchmarks.measuring import child, peak_memory

MIB = 2**20


def device() -> dict:
    """The first device's platform, kind, and peak (FLOP/s or None).

    Asked in another process: in this one JAX would keep a GPU's memory.
    """
    return json.loads(child("apart").splitlines()[-1])


def measured(module: str, config: ml_collections.ConfigDict, *arguments: object, **environment: str) -> dict | None:
    """What `answer` gives in `benchmarks.<module>`; None where the device's memory did not suffice."""
    environment = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95"} | environment  # by default JAX takes no more than 0.75
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(config.to_dict()))
        return json.loads(child(module, file, *arguments, **environment).splitlines()[-1])


def answer(measure: Callable[..., dict]) -> None:
    """In that process: prints what `measure(config, *arguments)` finds out."""
    from facenhance_jax.runs import checkpoints

    config = ml_collections.ConfigDict(checkpoints.read_config(Path(sys.argv[1]), "run the benchmark again"))
    try:
        found = measure(config, *sys.argv[2:])
    except Exception as error:  # XLA's and PyTorch's have no class in common
        if "RESOURCE_EXHAUSTED" not in str(error) and "out of memory" not in str(error):
            raise
        found = None
    print(json.dumps(found))


def memory() -> float:
    """The most memory in use so far, MiB: on the first device, or where that does not say, by this process."""
    import jax

    from facenhance_jax.training import hardware

    used = hardware.peak_memory(jax.devices()[0])
    return used / MIB if used else peak_memory()


def counted(function: Callable, *arguments: object) -> dict:
    """The FLOPs of a program, as XLA counts them before it compiles; arguments may be abstract.

    To be asked for in a process on the CPU: for a GPU the uncompiled program has no count, and that of the compiled one
    leaves out what cuDNN and cuBLAS do (github.com/jax-ml/jax, issues 22713 and 22249).
    """
    import jax

    return {"flops": jax.jit(function).lower(*arguments).cost_analysis()["flops"]}


def share(flops: float, peak: float | None) -> str:
    """The model's FLOP/s as a share of the device's peak."""
    return f"{100 * flops / peak:.1f} %" if peak else "unknown"


def main() -> None:
    """In a process of its own: describes the first device."""
    import jax

    from facenhance_jax.training import hardware

    first = jax.devices()[0]
    print(json.dumps({"platform": first.platform, "kind": first.device_kind, "peak": hardware.peak_flops(first)}))


if __name__ == "__main__":
    main()
