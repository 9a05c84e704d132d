"""Enhancing with the released model: speed, start and memory."""

import os
import sys
import tempfile
import time

from benchmarks.measuring import child, peak_memory, seconds

CALLS = 10  # network calls timed together; the median of several such runs is taken
FRAMES = 16  # of the clip that is enhanced: two chunks


def clip(enhancer, frames: int):
    """Random pixels: the time does not depend on what is in them."""
    import numpy as np

    rng = np.random.default_rng(0)
    low = rng.integers(0, 256, (enhancer.low_size, enhancer.low_size, 3), dtype=np.uint8)
    photo = rng.integers(0, 256, (enhancer.size, enhancer.size, 3), dtype=np.uint8)
    return (low for _ in range(frames)), photo


def seconds_per_call(enhancer) -> float:
    """One call of the network by itself: `CALLS` of them in a row, each fed the last one's output."""
    import jax
    import jax.numpy as jnp

    from facenhance_jax.faces.registration import find_face
    from facenhance_jax.network.denoiser import Conditions
    from facenhance_jax.network.pixels import to_signal

    denoiser, (frames, photo) = enhancer.denoiser, clip(enhancer, 1)
    low, identity = next(frames)[None], to_signal(photo[None])
    expression = jax.jit(denoiser.encode)(enhancer.params, to_signal(low), find_face(low[0], photo)[None])

    # All are arguments: what the compiler knew beforehand it would work out once, not in every call.
    @jax.jit
    def calls(params, identity, previous, expression):
        def call(x, timestep):
            return denoiser.velocity(params, x, timestep[None], Conditions(identity, previous, expression)), None

        return jax.lax.scan(call, previous, jnp.arange(1, CALLS + 1))[0]

    previous = jax.random.normal(jax.random.key(0), identity.shape)
    return seconds(lambda: calls(enhancer.params, identity, previous, expression).block_until_ready()) / CALLS


def enhance() -> None:
    """Prints the table of `--what=enhance`."""
    import jax

    from facenhance_jax.inference.enhancer import Enhancer

    enhancer = Enhancer.load()
    call = seconds_per_call(enhancer)
    print(
        f"released model on {jax.devices()[0].device_kind}, {os.cpu_count()} cores: {1000 * call:.1f} ms a network call"
    )
    print("steps   frames/s   of which in the network")
    for steps in (4, 8):

        def run(steps=steps):
            frames, photo = clip(enhancer, FRAMES)
            for _ in enhancer.stream(frames, photo, steps=steps):
                pass

        total = seconds(run, repeats=3)
        print(f"{steps:5d} {FRAMES / total:10.2f} {100 * FRAMES * steps * call / total:10.0f} %")


def start() -> None:
    """Prints the table of `--what=start`."""
    with tempfile.TemporaryDirectory() as cache:
        times = []
        for _ in range(2):
            began = time.perf_counter()
            child("inference", 1, XDG_CACHE_HOME=cache)
            times.append(time.perf_counter() - began)
    print(f"from the process's start to its first frame (1 step): first {times[0]:.1f} s, second {times[1]:.1f} s")
    print(f"second / first = {times[1] / times[0]:.2f}")


def memory() -> None:
    """Prints the table of `--what=memory`."""
    peaks = {frames: float(child("inference", frames)) for frames in (64, 640)}
    for frames, peak in peaks.items():
        print(f".stream over {frames:3d} frames: peak {peak:.0f} MiB")
    print(f"640 / 64 frames = {peaks[640] / peaks[64]:.3f}")


def main() -> None:
    """In a process of its own: streams a clip at one step, and prints the peak memory."""
    from facenhance_jax.inference.enhancer import Enhancer

    enhancer = Enhancer.load()
    for _ in enhancer.stream(*clip(enhancer, int(sys.argv[1])), steps=1):
        pass
    print(peak_memory())


if __name__ == "__main__":
    main()
