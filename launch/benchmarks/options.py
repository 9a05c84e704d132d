"""What each option of a training step costs and saves."""

import itertools
import math

import ml_collections

from benchmarks import apart
from benchmarks.measuring import seconds
from benchmarks.train import CPU_STEPS, GPU_STEPS, random_batch

KEPT = "kept"  # only that
NOT_DONATED, WAITED, DUE, AHEAD = "state not donated", "each step waited for", "batch carried when due", "carried ahead"
MODEL = {  # these change what is kept for the backward pass
    "float32, all kept": {},
    "bfloat16": {"model.dtype": "bfloat16"},
    "remat": {"model.remat": True},
    "accumulate 2": {"train.accumulate": 2},
    "accumulate 4": {"train.accumulate": 4},
    "remat, accumulate 4": {"model.remat": True, "train.accumulate": 4},
}
OPTIONS = {**MODEL, NOT_DONATED: {}, WAITED: {}, DUE: {}, AHEAD: {}}
BATCH = 4


def options() -> None:
    """Prints the table of `--what=options`: configs/mug.py's network on a GPU, configs/demo.py's elsewhere.

    "compiled" is the room that the compiled step asks for beside its arguments: activations, gradients, new state.
    "kept" is what the loss's forward pass keeps for its backward pass, before any compiler: a CPU's drops the barriers
    that make remat save memory. It needs no device, so on a CPU it is printed for configs/mug.py's network as well.
    """
    from configs import demo, mug

    device = apart.device()
    steps = GPU_STEPS if device["platform"] == "gpu" else CPU_STEPS
    config = mug.get_config() if device["platform"] == "gpu" else demo.get_config()
    config.model.dtype = "float32"
    print(f"a training step of {BATCH} at {config.model.resolution} px on {device['kind']}")
    print(f"{'':24s}   ms a step   of the first   compiled MiB   of the first   kept MiB   of the first")
    first = None
    for name, fields in OPTIONS.items():
        found = apart.measured("options", changed(config, fields), name, steps)
        if found is None:
            print(f"{name:24s} does not fit into the device's memory", flush=True)
            continue
        first = first or found
        time, room, kept = ((found[what], found[what] / first[what]) for what in ("seconds", "mib", "kept"))
        memory = f"{room[0]:14.0f} {room[1]:14.2f} {kept[0]:10.0f} {kept[1]:14.2f}"
        print(f"{name:24s} {1000 * time[0]:11.1f} {time[1]:14.2f} {memory}", flush=True)
    if device["platform"] != "gpu":
        print("configs/mug.py at 192 px, kept MiB:")
        for name, fields in MODEL.items():
            full = changed(mug.get_config(), {"model.dtype": "float32", **fields})
            print(f"{name:24s} {apart.measured('options', full, KEPT)['kept']:14.0f}", flush=True)


def changed(config: ml_collections.ConfigDict, fields: dict) -> ml_collections.ConfigDict:
    """A copy with other values in these fields."""
    copy = ml_collections.ConfigDict(config.to_dict())
    copy.update_from_flattened_dict(fields)
    return copy


def measure(config: ml_collections.ConfigDict, name: str, steps: str = "0") -> dict:
    """Seconds a step, and its memory in two ways; see `options`."""
    import jax

    from facenhance_jax import build, parallel

    batch = random_batch(config, BATCH)
    kept = kept_bytes(config, jax.eval_shape(lambda: build.initial_state(config)), batch) / apart.MIB
    if name == KEPT:
        return {"kept": kept}
    state, placed = build.initial_state(config), jax.device_put(batch)
    update = jax.jit(build.train_step(config), donate_argnums=() if name == NOT_DONATED else 0)
    compiled = update.lower(state, placed).compile()
    plan = compiled.memory_analysis()

    def feed():
        if name not in (DUE, AHEAD):
            return itertools.repeat(placed, int(steps))
        carried = map(jax.device_put, itertools.repeat(batch, int(steps)))
        return parallel.ahead(carried) if name == AHEAD else carried

    def run() -> None:
        nonlocal state
        for one in feed():
            state, metrics = compiled(state, one)
            if name == WAITED:
                jax.block_until_ready(metrics)
        jax.block_until_ready(metrics)

    beside = plan.temp_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return {"seconds": seconds(run) / int(steps), "mib": beside / apart.MIB, "kept": kept}


def kept_bytes(config: ml_collections.ConfigDict, state, batch: dict) -> int:
    """What the forward pass keeps for the backward pass, with one part of the batch; the parameters are in it."""
    import jax

    from facenhance_jax import build

    loss = build.loss(config)
    part = {name: value[: BATCH // config.train.accumulate] for name, value in batch.items()}

    def backward(params, part):
        """A function, which to JAX is a tree of the arrays that it holds."""
        return jax.vjp(lambda params: loss(params, part, jax.random.key(0))[0], params)[1]

    held = jax.tree.leaves(jax.eval_shape(backward, state.params, part))
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in held)


if __name__ == "__main__":
    apart.answer(measure)
