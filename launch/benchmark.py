"""Measures speed and memory, as ratios within one run: `python launch/benchmark.py [--what=NAME]`.

enhance   ms a network call, frames/s at 4 and 8 steps, and the network's share of the time
start     how long a first and a second process take to the first frames (the second finds compiled programs)
memory    the peak of `.stream` over 64 and over 640 frames
draw      drawn people's frames/s on one core
data      training samples/s, beside those of a loop that only decodes the same images
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHECKOUT = str(Path(__file__).resolve().parent.parent)
if CHECKOUT not in sys.path:
    sys.path.insert(0, CHECKOUT)  # runs where the package is not installed, too

CALLS = 10  # network calls timed together; the median of several such runs is taken
FRAMES = 16  # of the clip that is enhanced: two chunks
BATCH = 16  # training samples
BATCHES = 40  # timed together; the median of three such runs is taken


def clip(enhancer, frames: int):
    """Random pixels: the time does not depend on what is in them."""
    import numpy as np

    rng = np.random.default_rng(0)
    low = rng.integers(0, 256, (enhancer.low_size, enhancer.low_size, 3), dtype=np.uint8)
    photo = rng.integers(0, 256, (enhancer.size, enhancer.size, 3), dtype=np.uint8)
    return (low for _ in range(frames)), photo


def seconds(run, repeats: int = 5) -> float:
    """The median time of a call, the first (which compiles) left out."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def seconds_per_call(enhancer) -> float:
    """One call of the network by itself: `CALLS` of them in a row, each fed the last one's output."""
    import jax
    import jax.numpy as jnp

    from facenhance_jax.denoiser import Conditions
    from facenhance_jax.pixels import to_signal
    from facenhance_jax.registration import find_face

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

    from facenhance_jax.enhancer import Enhancer

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
        environment = os.environ | {"XDG_CACHE_HOME": cache}
        times = []
        for _ in range(2):
            began = time.perf_counter()
            subprocess.run([sys.executable, __file__, "--child=8"], check=True, env=environment, capture_output=True)
            times.append(time.perf_counter() - began)
    print(f"from the process's start to 8 frames at 1 step: first {times[0]:.1f} s, second {times[1]:.1f} s")
    print(f"second / first = {times[1] / times[0]:.2f}")


def memory() -> None:
    """Prints the table of `--what=memory`."""
    peaks = {}
    for frames in (64, 640):
        command = [sys.executable, __file__, f"--child={frames}"]
        peaks[frames] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f".stream over {frames:3d} frames: peak {peaks[frames] / 1024:.0f} MiB")
    print(f"640 / 64 frames = {peaks[640] / peaks[64]:.3f}")


def draw() -> None:
    """Prints the table of `--what=draw`: CPU time, on one core, of three people's clips, the portraits included."""
    import cv2

    from facenhance_jax.data.synthetic import draw_clip, draw_subject

    cv2.setNumThreads(1)
    began = time.process_time()
    for subject in range(3):
        draw_clip(draw_subject(0, subject), "happiness", 0, 40)
    print(f"drawing at 192 px: {3 * 40 / (time.process_time() - began):.0f} frames/s on one core")


class Again(Sequence):
    """A few clips over and over, as many as a real data set has: shuffling very few costs more than all the rest."""

    def __init__(self, clips: Sequence):
        self.clips = clips

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> dict:
        return self.clips[index % len(self.clips)]


def decoded(clips: Sequence, threads: int) -> Iterator[None]:
    """Only decodes: each step the images of a batch."""
    import cv2
    import numpy as np

    def batch(step: int) -> None:
        for index in range(step * BATCH, (step + 1) * BATCH):
            clip = clips[index % len(clips)]
            at = 1 + index % (len(clip["high"]) - 1)
            for image in (clip["high"][at], clip["high"][at - 1], clip["identity"], clip["low"][at]):
                cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR_RGB)

    with ThreadPoolExecutor(threads) as pool:
        while True:
            yield from pool.map(batch, range(BATCHES))


def samples_per_second(steps: Iterator) -> float:
    """Over `BATCHES` steps, after as many whose results, or a part of them, may have been waiting."""
    for _ in range(BATCHES):
        next(steps)
    began = time.perf_counter()
    for _ in range(BATCHES):
        next(steps)
    return BATCHES * BATCH / (time.perf_counter() - began)


def data() -> None:
    """Prints the table of `--what=data`: two drawn people's clips of 32 frames, in the page cache."""
    from facenhance_jax.data import clip_dataset, pipeline

    with tempfile.TemporaryDirectory() as folder:
        prepare = [sys.executable, f"{CHECKOUT}/launch/prepare.py", f"--root={folder}/tree", f"--output={folder}/data"]
        subprocess.run([*prepare, "--draw=2"], check=True, capture_output=True)
        prepared = clip_dataset.source(f"{folder}/data", "all")
        memory = [prepared[index] for index in range(len(prepared))]

        def training(clips: Sequence, **options) -> Iterator:
            return pipeline.batches(Again(clips), batch_size=BATCH, seed=0, **options)

        runs = {
            "only decoding": decoded(memory, pipeline.THREADS),
            "batches, clips in memory": training(memory),
            "batches, clips prepared": training(prepared),
            "prepared, jitter and degrade 0.5": training(prepared, jitter=0.5, degrade=0.5),
        }
        rates = {name: [] for name in runs}
        for _ in range(3):
            for name, steps in runs.items():
                rates[name].append(samples_per_second(steps))
    print(f"samples of 192 px, {pipeline.THREADS} threads {'samples/s':>25s}   of only decoding")
    decoding = statistics.median(rates["only decoding"])
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"{name:40s} {rate:12.0f} {rate / decoding:18.2f}")


def child(frames: int) -> None:
    """Streams a clip at one step, and prints the process's peak memory in KiB (Linux)."""
    import resource

    from facenhance_jax.enhancer import Enhancer

    enhancer = Enhancer.load()
    for _ in enhancer.stream(*clip(enhancer, frames), steps=1):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    tables = {"enhance": enhance, "start": start, "memory": memory, "draw": draw, "data": data}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=tables, help="one table; without it, all")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    for name in [arguments.what] if arguments.what else tables:
        tables[name]()


if __name__ == "__main__":
    main()
