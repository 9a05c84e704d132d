"""What each option of a training step costs and saves."""

import ml_collections

from benchmarks import apart
from benchmarks.measuring import seconds
from benchmarks.train import CPU_STEPS, GPU_STEPS, random_batch

OPTIONS = {
    "float32, all kept": {},
    "bfloat16": {"model.dtype": "bfloat16"},
    "remat": {"model.remat": True},
    "accumulate 2": {"train.accumulate": 2},
    "accumulate 4": {"train.accumulate": 4},
    "remat, accumulate 4": {"model.remat": True, "train.accumulate": 4},
    "state not donated": {},
    "each step waited for": {},
}
BATCH = 4


def options() -> None:
    """Prints the table of `--what=options`: configs/mug.py's network on a GPU, configs/demo.py's elsewhere."""
    from configs import demo, mug

    device = apart.device()
    steps = GPU_STEPS if device["platform"] == "gpu" else CPU_STEPS
    config = mug.get_config() if device["platform"] == "gpu" else demo.get_config()
    config.model.dtype = "float32"
    print(f"a training step of {BATCH} at {config.model.resolution} px on {device['kind']}")
    print(f"{'':20s}   ms a step   of the first   MiB of activations, gradients and new state   of the first")
    first = None
    for name, fields in OPTIONS.items():
        changed = ml_collections.ConfigDict(config.to_dict())
        changed.update_from_flattened_dict(fields)
        found = apart.measured("options", changed, steps, name)
        if found is None:
            print(f"{name:20s} does not fit into the device's memory", flush=True)
            continue
        first = first or found
        time, room = ((found[what], found[what] / first[what]) for what in ("seconds", "mib"))
        print(f"{name:20s} {1000 * time[0]:11.1f} {time[1]:14.2f} {room[0]:47.0f} {room[1]:14.2f}", flush=True)


def measure(config: ml_collections.ConfigDict, steps: str, name: str) -> dict:
    """Seconds a step, and the memory that the compiled step asks for beside its arguments."""
    import jax

    from facenhance_jax import build

    state, placed = build.initial_state(config), jax.device_put(random_batch(config, BATCH))
    update = jax.jit(build.train_step(config), donate_argnums=() if name == "state not donated" else 0)
    compiled = update.lower(state, placed).compile()
    plan = compiled.memory_analysis()

    def run() -> None:
        nonlocal state
        for _ in range(int(steps)):
            state, metrics = compiled(state, placed)
            if name == "each step waited for":
                jax.block_until_ready(metrics)
        jax.block_until_ready(metrics)

    beside = plan.temp_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return {"seconds": seconds(run) / int(steps), "mib": beside / apart.MIB}


if __name__ == "__main__":
    apart.answer(measure)
