"""FVD on the CPU: the time of I3D, beside PyTorch's where that is installed, and the memory of a comparison."""

import importlib.util
import os
import statistics
import sys
import time

from benchmarks.measuring import child, peak_memory

FRAMES, SIZE = 32, 192  # of a clip: our preset
CLIPS = 256  # in each of the two sets whose memory is measured
ROUNDS = 5  # the networks are timed in turns, so that what else the machine does falls on both


def metrics() -> None:
    """Prints the table of `--what=metrics`."""
    runs = networks()
    outputs = {name: run() for name, run in runs.items()}  # compiles as well
    times = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    print(f"I3D on the CPU, {os.cpu_count()} cores, clips of {FRAMES} frames at 224 px")
    ours = statistics.median(times["ours"])
    for name in runs:
        taken = statistics.median(times[name])
        apart = abs(outputs[name] - outputs["ours"]).max()
        print(f"{name:24s} {1000 * taken:7.0f} ms a clip   {taken / ours:5.2f} x ours   logits apart {apart:.1e}")
    if len(runs) == 1:
        print("PyTorch is not installed: nothing to compare with")
    peak = float(child("metrics", CLIPS, JAX_PLATFORMS="cpu"))
    print(f"FVD of 2 x {CLIPS} clips of {FRAMES} frames at {SIZE} px: peak {peak:.0f} MiB")


def networks() -> dict:
    """Each network by name, as a call that returns the logits of one random clip: all on the CPU."""
    import jax
    import numpy as np

    from facenhance_jax.evaluation.metrics import i3d

    clip = np.random.default_rng(0).uniform(-1, 1, (1, FRAMES, i3d.SIZE, i3d.SIZE, 3)).astype(np.float32)
    units, on_device = jax.device_put((i3d.load(), clip), jax.devices("cpu")[0])
    runs = {"ours": lambda: np.asarray(i3d.logits(units, on_device))}
    if importlib.util.find_spec("torch"):
        import torch

        from benchmarks.torch_i3d import TorchI3D

        for name in ("contiguous_format", "channels_last_3d"):
            layout = getattr(torch, name)
            network = TorchI3D(units, layout)
            video = torch.from_numpy(clip.transpose(0, 4, 1, 2, 3).copy()).contiguous(memory_format=layout)
            runs[f"torch {name}"] = lambda network=network, video=video: network(video).numpy()
    return runs


def main() -> None:
    """In a process of its own: FVD of two sets of random clips, made one at a time; prints the peak memory."""
    import numpy as np

    from facenhance_jax.evaluation.metrics import fvd, i3d

    def clips(seed: int, count: int):
        rng = np.random.default_rng(seed)
        for _ in range(count):
            yield rng.integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)

    units = i3d.load()
    first, second = (fvd.features(units, clips(seed, int(sys.argv[1]))) for seed in (0, 1))
    fvd.frechet_distance(first, second)
    print(peak_memory())


if __name__ == "__main__":
    main()
