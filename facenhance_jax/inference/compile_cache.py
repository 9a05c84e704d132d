"""Programs are kept on disk, so that tracing and compiling are paid once for each shape, not once a process."""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import jax

from facenhance_jax.media.writing import replacing

PACKAGE = Path(__file__).parents[1]  # all of it: a program depends on every file


def keep_compiled_programs() -> None:
    """Turns on JAX's persistent compilation cache in the user's cache folder, unless a folder is set already."""
    if jax.config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facenhance_jax"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # s; many small ones add up


def traced(function: Callable, arguments: tuple, about: str) -> Callable:
    """`jax.jit(function)` for arguments of these shapes; what was traced once, in any process, is not traced again.

    Kept as StableHLO beside the compiled programs. `about` tells what `function` does beside its arguments and the
    package's code, both of which are seen by themselves. What cannot be kept is traced, as always.
    """
    folder = jax.config.jax_compilation_cache_dir
    if folder is None:
        return jax.jit(function)
    leaves, tree = jax.tree.flatten(arguments)
    shapes = [f"{leaf.dtype}{leaf.shape}" for leaf in map(jax.typeof, leaves)]
    name = hashlib.sha256(repr((_code(), about, str(tree), shapes)).encode()).hexdigest()
    file = Path(folder) / f"facenhance-{name}.stablehlo"
    try:
        program = jax.export.deserialize(bytearray(file.read_bytes()))
    except Exception:  # not there, cut short, of another release: its errors have no class in common
        try:
            program = jax.export.export(jax.jit(lambda *leaves: function(*jax.tree.unflatten(tree, leaves))))(*leaves)
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as part:
                part.write_bytes(program.serialize())
        except (OSError, ValueError, NotImplementedError):  # no room, or something in it that cannot be written
            return jax.jit(function)
    return jax.jit(lambda *given: program.call(*jax.tree.leaves(given)))


@functools.cache
def _code() -> str:
    """Tells this code, its JAX and its devices from others."""
    found = hashlib.sha256(f"{jax.__version__} {jax.default_backend()}".encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()
