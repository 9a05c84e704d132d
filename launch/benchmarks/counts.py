"""What a compiled program does, counted, not timed: its kernels, their kinds, the bytes they move. Needs no GPU.

The programs are compiled for the CPU or for a GPU that is not there, with arrays that are only shapes, and never run.
The counts are for comparing two versions of the code, not for predicting a time: much of what is moved stays in caches.
"""

import collections
import functools
import itertools
import re
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from benchmarks import absent_gpu
from benchmarks.inference import flops_of_call
from benchmarks.measuring import apart
from benchmarks.networks import network
from benchmarks.train import random_batch
from facenhance_jax import settings
from facenhance_jax.inference.enhancer import CHUNK, Enhancer, as_computed
from facenhance_jax.training import experiment, hardware
from facenhance_jax.training.packing import packed_state

BATCH, STEPS = 4, 8  # training samples; denoising steps of a frame
KINDS = ("convolution", "dot", "reduce", "copy", "other")
SLICES = ("slice", "dynamic-slice")
NO_KERNEL = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id"}
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f64": 8, "s64": 8, "u64": 8, "c64": 8}


class Line(NamedTuple):
    """An instruction of HLO text: its operation, the size of its result, its operands' names, and all that follows."""

    operation: str
    bytes: int
    operands: list[str]
    rest: str


Computations = dict[str, dict[str, Line]]


def counts(networks: list[str] | None = None, target: str = "cpu") -> None:
    """Prints the table of `--what=counts`: a training step, and a network call of `CHUNK` frames' enhancing.

    Raises InputError for a target of h100 without JAX's CUDA plugin.
    """
    if gpu := target == "h100":
        absent_gpu.check()
    print(f"compiled for {'an H100' if gpu else 'the CPU'}, not run; kernels inside loops count as often as they run")
    print(f"{'program':36s} kernels  update " + "".join(f"{kind:>12s}" for kind in KINDS) + "    MB moved     GFLOP")
    for name, (what, count) in itertools.product(
        networks or ["released", "mug"],
        {f"training step, batch {BATCH}": step_counts, f"a call, {STEPS} steps": call_counts}.items(),
    ):
        config = network(name, "gpu" if gpu else "cpu")
        found = apart(count, config, gpu, **(absent_gpu.VARIABLES if gpu else {"JAX_PLATFORMS": "cpu"}))
        kinds = "".join(f"{found[kind]:12.0f}" for kind in KINDS)
        sizes = f"{found['bytes'] / 1e6:12.0f} {found['flops'] / 1e9:9.1f}"
        print(f"{f'{name}, {what}':36s} {found['kernels']:7.0f} {found['update']:7.0f} {kinds}{sizes}", flush=True)


def step_counts(config: ml_collections.ConfigDict, gpu: bool) -> collections.Counter:
    """The training step's; "update" are the kernels after the gradient, as far as XLA still names their source."""
    made, batch = experiment.make(settings.read(config)), random_batch(config, BATCH)
    state = jax.eval_shape(lambda: packed_state(made.initial_state(), turned=gpu))
    program = jax.jit(made.step, donate_argnums=0).lower(_on(state, gpu), _on(batch, gpu)).compile()
    found = counted(program.as_text())
    found["flops"] = hardware.step_flops(made.step, state, batch)
    return found


def call_counts(config: ml_collections.ConfigDict, gpu: bool) -> collections.Counter:
    """A network call's share of the program that enhances `CHUNK` frames of one clip."""
    chosen = settings.read_model(config)
    denoiser = chosen.denoiser()
    enhancer = Enhancer(denoiser, {}, chosen.sampling)
    cast = functools.partial(as_computed, dtype=denoiser.config.dtype)
    enhancer.params = _on(jax.eval_shape(cast, denoiser.abstract_params()), gpu)
    enhancer.compile(steps=STEPS)
    (program,) = enhancer._programs.values()
    whole = counted(program.as_text())
    share = collections.Counter({name: number / (CHUNK * STEPS) for name, number in whole.items()})
    share["update"], share["flops"] = 0, flops_of_call(config)
    return share


def _on(tree: Any, gpu: bool) -> Any:
    """The tree as the shapes of arrays on what is compiled for."""
    where = absent_gpu.sharding() if gpu else None
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where), tree)


def counted(text: str) -> collections.Counter:
    """How many kernels a program in HLO text runs, how many of each of `KINDS`, and the bytes of what they read and
    write; "update" are those whose result has a source outside of what JAX differentiates.
    """
    computations, (entry,) = parsed(text), re.findall(r"^ENTRY %?([\w.-]+)", text, re.MULTILINE)
    return _counted(computations, entry)


def _counted(computations: Computations, name: str) -> collections.Counter:
    total, lines = collections.Counter(), computations[name]
    for line in lines.values():
        if line.operation in ("while", "call", "conditional"):
            found = max((_counted(computations, inner) for inner in _inner(line)), key=lambda found: found["kernels"])
            trips = re.search(r'known_trip_count":\{"n":"(\d+)"', line.rest) if line.operation == "while" else None
            total.update({key: number * int(trips[1] if trips else 1) for key, number in found.items()})
        elif line.operation not in NO_KERNEL:
            fused = re.search(r"calls=%?([\w.-]+)", line.rest)
            parts = [*(computations[fused[1]].values() if fused else ()), line]
            sources = [source[1] for part in parts if (source := re.search(r'op_name="(jit[^"]*)', part.rest))]
            total["kernels"] += 1
            total[_library(line) or _kind({part.operation for part in parts})] += 1
            total["update"] += bool(sources) and "jvp(" not in sources[-1]
            total["bytes"] += line.bytes + _bytes_read(lines, line, computations[fused[1]] if fused else None)
    return total


def _bytes_read(lines: dict[str, Line], line: Line, inside: dict[str, Line] | None) -> int:
    """The bytes of the operands; of one that a fusion takes slices of, those of the slices."""
    sliced = {}
    for name, its in (inside or {}).items():
        if its.operation == "parameter":
            users = [user for user in inside.values() if name in user.operands]
            if users and all(user.operation in SLICES for user in users):
                sliced[int(its.rest.partition(")")[0])] = sum(user.bytes for user in users)
    whole = line.bytes if line.operation in SLICES else float("inf")
    return sum(
        min(lines[operand].bytes, sliced.get(index, whole))
        for index, operand in enumerate(line.operands)
        if operand in lines
    )


def _inner(line: Line) -> list[str]:
    """The computations that control passes to: a loop's body, a function, or the branches of a choice."""
    listed = re.search(r"branch_computations=\{([^}]*)\}", line.rest)
    names = listed[1].replace("%", "").split(", ") if listed else []
    return names + re.findall(r"(?:body|to_apply|true_computation|false_computation)=%?([\w.-]+)", line.rest)


def _library(line: Line) -> str | None:
    """The kind of a call of cuDNN or cuBLAS."""
    target = re.search(r'custom_call_target="__(cudnn\$conv|cublas)', line.rest)
    return {"cudnn$conv": "convolution", "cublas": "dot"}[target[1]] if target else None


def _kind(operations: set[str]) -> str:
    """The kind of a kernel, by what it consists of: a copy only moves numbers."""
    if operations - NO_KERNEL - {"fusion"} <= {"copy", "transpose"}:
        return "copy"
    kinds = ("convolution", "dot", "reduce", "reduce-window")
    return next((kind.removesuffix("-window") for kind in kinds if kind in operations), "other")


def parsed(text: str) -> Computations:
    """HLO text by computation: name -> its instructions by name."""
    computations: Computations = {}
    for line in text.splitlines():
        if head := re.match(r"(?:ENTRY )?%?([\w.-]+) \(.*\{$", line):
            current = computations[head[1]] = {}
        elif found := re.match(r"\s+(?:ROOT )?%?([\w.-]+) = (.*)", line):
            shape, rest = _split(found[2])
            operation, _, rest = rest.partition("(")
            operands = re.findall(r"%([\w.-]+)", rest.partition(")")[0])
            if operation.strip() == "custom-call":
                shape = re.sub(r"[su]8\[\d+\]", "", shape)  # room that a library works in
            current[found[1]] = Line(operation.strip(), _bytes(shape), operands, rest)
    return computations


def _split(text: str) -> tuple[str, str]:
    """The shape at the start of an instruction, which may be a tuple of shapes in brackets; and what follows it."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == " " and not depth:
            return text[:at], text[at + 1 :]
    return text, ""


def _bytes(shape: str) -> int:
    arrays = re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shape)
    return sum(BYTES.get(kind, 4) * int(np.prod([int(n) for n in sides.split(",") if n])) for kind, sides in arrays)
