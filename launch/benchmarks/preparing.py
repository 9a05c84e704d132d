"""From photographs and videos to what training reads: preparing a MUG-sized tree, and finding faces."""

import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measuring import child, peak_memory

SIZE, LENGTH = 896, 70  # pixels, frames: MUG's photographs, and its usual clip
GRAIN, QUALITY = 5.0, 95  # levels, of the camera's noise: a file then has about 270 kB
TAKES = 12  # the same files under other names: they are decoded anew, and drawing them anew would take minutes
LIMIT = 1536  # MiB that preparing may need
VIDEO_SIZE, VIDEO_LENGTH = 512, 60  # pixels, frames


def mug_sized(root: Path) -> None:
    """Two drawn people's clips, enlarged to the size of MUG's photographs."""
    import cv2
    import numpy as np

    from facenhance_jax.data.synthetic.population import draw_clip, draw_subject

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
    """(frames kept, seconds): as many threads as preparing has decode the photographs that it cannot do without."""
    from facenhance_jax.data import layout
    from facenhance_jax.media.pictures import decode_image

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
            seconds, peak = map(float, child("preparing", "prepare", root, Path(folder) / f"data{run}").split())
            runs.append((frames / seconds, decoding / seconds, peak))
    speed, ratio, peak = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"preparing {SIZE}x{SIZE} JPEGs: {speed:.0f} kept frames/s, {ratio:.2f} of what only decoding them gives")
    print(f"peak {peak:.0f} MiB, {peak / LIMIT:.2f} of the limit")


def extract() -> None:
    """Prints the table of `--what=extract`: CPU time of finding a face, following it and cutting it out."""
    from facenhance_jax import media
    from facenhance_jax.data.synthetic.population import draw_clip, draw_subject

    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "clip.mp4"
        with media.open_writer(video, 25) as writer:
            for frame in draw_clip(draw_subject(0, 0), "happiness", 0, VIDEO_LENGTH, VIDEO_SIZE)[0]:
                writer.write(frame)
        first, speed = map(float, child("preparing", "extract", video).split())
    print(f"extracting from {VIDEO_SIZE}x{VIDEO_SIZE} video, on one core: {speed:.0f} frames/s after the first frame")
    print(f"the first frame: {first:.2f} s")


def in_child_prepare(root: str, output: str) -> None:
    """Prints the seconds that preparing took, its imports left out, and the peak memory."""
    from facenhance_jax.data import clip_dataset
    from facenhance_jax.data.mug_dataset_builder import Mug

    report = clip_dataset.prepare(Mug(data_dir=output), root)
    print(report.seconds, peak_memory())


def in_child_extract(video: str) -> None:
    """Prints the CPU seconds of the first frame, the models' loading left out, and the frames/s of the others."""
    import cv2
    import numpy as np

    from facenhance_jax import media
    from facenhance_jax.faces import alignment, tracking

    cv2.setNumThreads(1)
    clip, taken = media.open_clip(video), []
    tracking.track([next(iter(clip))], video)

    def noting() -> Iterator[np.ndarray]:
        for frame in clip:
            taken.append(time.process_time())
            yield frame

    track = tracking.track(noting(), video)
    for frame, points in zip(clip, track.landmarks, strict=True):
        alignment.low_frame(frame, points)
    print(taken[1] - taken[0], (len(taken) - 1) / (time.process_time() - taken[1]))


if __name__ == "__main__":
    {"prepare": in_child_prepare, "extract": in_child_extract}[sys.argv[1]](*sys.argv[2:])
