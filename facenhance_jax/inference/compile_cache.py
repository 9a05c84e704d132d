"""Keeps programs on disk, so that each shape is traced and compiled once, not once per process."""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import jax

from facenhance_jax.inference import heap
from facenhance_jax.media.writing import replacing

# Compiling the released model's program, the peak in MiB and a frame's time: JAX 0.10.2 842 to 497, 122 to 127 ms
# to 128 to 130 (XLA's own emitters of fused operations instead of MLIR's); JAX 0.12 723 to 590, as fast.
LEAN = {"xla_cpu_use_fusion_emitters": False}, {"xla_cpu_opt_preset": "CPU_OPT_PRESET_FAST_COMPILE"}
PACKAGE = Path(__file__).parents[1]  # all of it: a program may depend on any file


def keep_compiled_programs() -> None:
    """Turns on JAX's persistent compilation cache in the user's cache folder, unless a folder is set already."""
    if jax.config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facenhance_jax"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # seconds; many small programs add up


def traced(function: Callable, arguments: tuple, about: str) -> Callable:
    """`jax.jit(function)` for arguments of these shapes, traced only once for all processes.

    The program is kept as StableHLO, next to the compiled programs, under a hash of the shapes, the package's code and
    `about`, which must name everything else that `function` depends on. If a program cannot be kept, `function` is
    traced as usual.
    """
    leaves, tree = jax.tree.flatten(arguments)
    shapes = [f"{leaf.dtype}{leaf.shape}" for leaf in map(jax.typeof, leaves)]
    file = _file(f"{about} {tree} {shapes}", "stablehlo")
    if file is None:
        return jax.jit(function)
    try:
        program = jax.export.deserialize(bytearray(file.read_bytes()))
    except Exception:  # missing, truncated, or of another release: the errors have no common class
        try:
            program = jax.export.export(jax.jit(lambda *leaves: function(*jax.tree.unflatten(tree, leaves))))(*leaves)
            _keep(file, bytes(program.serialize()))
        except (ImportError, OSError, ValueError, NotImplementedError):
            # No flatbuffers, which JAX does not ask for; no room; a part that cannot be serialized.
            return jax.jit(function)
    return jax.jit(lambda *given: program.call(*jax.tree.leaves(given)))


def compiled(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """The program, compiled with the options for a CPU that need least memory of those that this XLA knows."""
    heap.give_back()
    try:
        for options in LEAN if jax.default_backend() == "cpu" else ():
            try:
                return lowered.compile(options)
            except jax.errors.JaxRuntimeError as error:
                if "No such compile option" not in str(error):
                    raise
        return lowered.compile()
    finally:
        heap.give_back()


def remembered(make: Callable[[], dict], about: str) -> dict:
    """`make()`, a nested dict of shapes and dtypes, traced only once for all processes; `about` as of `traced`."""
    file = _file(about, "json")
    if file is None:
        return make()
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return _nested({tuple(path): jax.ShapeDtypeStruct(shape, dtype) for path, shape, dtype in rows})
    except (OSError, TypeError, ValueError):  # missing or truncated
        made = make()
        leaves, _ = jax.tree.flatten_with_path(made)
        rows = [([key.key for key in path], leaf.shape, str(leaf.dtype)) for path, leaf in leaves]
        with contextlib.suppress(OSError):
            _keep(file, json.dumps(rows).encode())
        return made


def _nested(leaves: dict[tuple, jax.ShapeDtypeStruct]) -> dict:
    tree = {}
    for (*above, name), leaf in leaves.items():
        functools.reduce(lambda node, key: node.setdefault(key, {}), above, tree)[name] = leaf
    return tree


def _file(about: str, suffix: str) -> Path | None:
    """Where to keep what depends on `about` and on the code; None if nothing should be kept."""
    folder = jax.config.jax_compilation_cache_dir
    name = hashlib.sha256(f"{_code()} {about}".encode()).hexdigest()
    return Path(folder) / f"facenhance-{name}.{suffix}" if folder else None


def _keep(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part:
        part.write_bytes(content)


@functools.cache
def _code() -> str:
    """A hash of the package's code, JAX's version and the kind of devices."""
    found = hashlib.sha256(f"{jax.__version__} {jax.default_backend()}".encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()
