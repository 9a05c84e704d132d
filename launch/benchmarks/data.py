"""From photographs to training batches."""

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measuring import apart, peak_memory
from facenhance_jax.data import layout
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.media.pictures import decode_image

PREPARE = Path(__file__).parents[1] / "prepare.py"
SIZE, LENGTH = 896, 70  # pixels, frames: MUG's photographs, and its usual clip
GRAIN, QUALITY = 5.0, 95  # levels, of the camera's noise: a file then has about 270 kB
TAKES = 12  # the same files under other names: they are decoded again, and drawing others would take minutes
LIMIT = 1536  # MiB that preparing may need
BATCH = 16  # training samples
BATCHES = 40  # timed together; the median of three such runs is taken


def draw() -> None:
    """Prints the table of `--what=draw`: CPU time, on one core, of three people's clips, the portraits included."""
    cv2.setNumThreads(1)
    began = time.process_time()
    for subject in range(3):
        draw_clip(draw_subject(0, subject), "happiness", 0, 40)
    print(f"drawing at 192 px: {3 * 40 / (time.process_time() - began):.0f} frames/s on one core")


def mug_sized(root: Path) -> None:
    """Two drawn people's clips, enlarged to the size of MUG's photographs."""
    rng = np.random.default_rng(0)
    for subject, expression in itertools.product(range(2), ("neutral", "happiness", "surprise")):
        frames, landmarks = draw_clip(draw_subject(0, subject), expression, 0, 1 if expression == "neutral" else LENGTH)
        large = (cv2.resize(frame[..., ::-1], (SIZE, SIZE)).astype(np.float32) for frame in frames)
        noisy = (np.clip(frame + rng.normal(0, GRAIN, frame.shape), 0, 255).astype(np.uint8) for frame in large)
        jpegs = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes() for frame in noisy]
        scale = SIZE / frames.shape[1]
        first = root / f"{subject + 1:03d}" / expression / "take000"
        first.mkdir(parents=True)
        for n, jpeg in enumerate(jpegs):
            (first / f"img_{n:04d}.jpg").write_bytes(jpeg)
        np.save(first / "landmarks.npy", ((landmarks + 0.5) * scale - 0.5).astype(np.float32))
        for take in range(1, 1 if expression == "neutral" else TAKES):
            shutil.copytree(first, first.with_name(f"take{take:03d}"), copy_function=os.link)


def only_decoding(root: Path) -> tuple[int, float]:
    """Decodes the photographs that preparing needs, in as many threads; returns (frames kept, seconds)."""
    tree = layout.read_tree(root).recordings
    clips = [clip for clip in tree if clip.expression != layout.NEUTRAL]
    kept = [[clip.frames[at] for at in layout.positions(len(clip.frames), 32, "onset")[0]] for clip in clips]

    def decode(files: list[Path]) -> None:
        for file in files:
            decode_image(file.read_bytes(), file)

    needed = [[*files, layout.identity_frame(clip, tree)] for clip, files in zip(clips, kept, strict=True)]
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode, needed))
    return sum(map(len, kept)), time.perf_counter() - began


def prepare() -> None:
    """Prints the table of `--what=prepare`."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        mug_sized(root)
        runs = []
        for run in range(3):
            frames, decoding = only_decoding(root)
            seconds, peak = apart(prepared, root, Path(folder) / f"data{run}")
            runs.append((frames / seconds, decoding / seconds, peak))
    speed, ratio, peak = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"preparing {SIZE}x{SIZE} JPEGs: {speed:.0f} kept frames/s, {ratio:.2f} of what only decoding them gives")
    print(f"peak {peak:.0f} MiB, {peak / LIMIT:.2f} of the limit")


def prepared(root: Path, output: Path) -> tuple[float, float]:
    """The seconds that preparing took, without its imports, and the process's peak memory, MiB."""
    # Not at the top: where TFDS is not installed, the other tables can be made.
    from facenhance_jax.data import clip_dataset
    from facenhance_jax.data.mug_dataset_builder import Mug

    report = clip_dataset.prepare(Mug(data_dir=output), root)
    return report.seconds, peak_memory()


class Again(Sequence):
    """A few clips, repeated until they are as many as in a real data set: shuffling very few takes longest of all."""

    def __init__(self, clips: Sequence):
        self.clips = clips

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> dict:
        return self.clips[index % len(self.clips)]


def decoded(clips: Sequence, threads: int) -> Iterator[None]:
    """Only decodes, in each step the images of a batch."""

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
    """Over `BATCHES` steps, after as many that may have been made, in whole or in part, before they were asked for."""
    for _ in range(BATCHES):
        next(steps)
    began = time.perf_counter()
    for _ in range(BATCHES):
        next(steps)
    return BATCHES * BATCH / (time.perf_counter() - began)


def data() -> None:
    """Prints the table of `--what=data`: two drawn people's clips of 32 frames, in the page cache."""
    from facenhance_jax.data import pipeline, sources  # not at the top: `prepare` measures a process without them

    with tempfile.TemporaryDirectory() as folder:
        prepare = [sys.executable, str(PREPARE), f"--root={folder}/tree", f"--output={folder}/data"]
        subprocess.run([*prepare, "--draw=2"], check=True, capture_output=True)
        prepared = sources.records(f"{folder}/data", "all")
        memory = [prepared[index] for index in range(len(prepared))]

        def training(clips: Sequence, **options) -> Iterator:
            return pipeline.batches(Again(clips), batch_size=BATCH, seed=0, **options)

        runs = {
            "only decoding": decoded(memory, pipeline.THREADS),
            "batches, clips in memory": training(memory),
            "batches, clips prepared": training(prepared),
            "prepared, jitter and degrade 0.5": training(prepared, jitter=0.5, degrade=0.5),
        }
        rounds = [{name: samples_per_second(steps) for name, steps in runs.items()} for _ in range(3)]
    print(f"samples of 192 px, {pipeline.THREADS} threads {'samples/s':>25s}   of only decoding")
    rates = {name: statistics.median(rates[name] for rates in rounds) for name in runs}
    for name, rate in rates.items():
        print(f"{name:40s} {rate:12.0f} {rate / rates['only decoding']:18.2f}")
