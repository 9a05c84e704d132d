"""From files to training batches."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.measuring import LAUNCH

BATCH = 16  # training samples
BATCHES = 40  # timed together; the median of three such runs is taken


def draw() -> None:
    """Prints the table of `--what=draw`: CPU time, on one core, of three people's clips, the portraits included."""
    import cv2

    from facenhance_jax.data.synthetic.population import draw_clip, draw_subject

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
        prepare = [sys.executable, str(LAUNCH / "prepare.py"), f"--root={folder}/tree", f"--output={folder}/data"]
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
