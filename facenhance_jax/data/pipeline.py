"""Training batches out of clip records, by grain: shuffled, endless, and the same after a stop at any step.

Which frames a step sees is a function of (seed, step) alone, so a run resumes by starting at its step: there is no
iterator state to save.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import grain
import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from facenhance_jax.data import augmentation
from facenhance_jax.data.stored import words
from facenhance_jax.errors import InputError
from facenhance_jax.media.pictures import decode_image

Batch = dict[str, Shaped[np.ndarray, "b ..."]]

# More than the cores only make the batches in the making fall out of their caches: 680 samples/s by 8 threads on two
# cores, 980 by 2.
THREADS = min(os.cpu_count() or 1, 16)
DROPPED = 0.1  # the chance, at `degrade` = 1, that the low-res frame is a neighbour's


def batches(
    source: Sequence[Mapping[str, Any]],
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    flip: bool = True,
    any_previous: bool = False,
    jitter: float = 0.0,
    degrade: float = 0.0,
    process: int = 0,
    processes: int = 1,
    threads: int = THREADS,
    workers: int = 0,
) -> Iterator[Batch]:
    """Endless batches of uint8 images [batch_size, h, w, 3], `high`, `previous`, `identity`, `low`, and `place`.

    `place`, float32 [batch_size, 3], is where the low-res face belongs: left, top and side of a square of the frame in
    pixels. It is there where the records have it.

    `source` gives records by index: a prepared data set, or a list of them. Each clip comes once an epoch, with one of
    its frames drawn at random; `flip` mirrors half of the examples, all four images alike.
    `any_previous` takes `previous` from anywhere in the clip; see `draw`. `jitter` and `degrade`, 0 to 1, are the
    strengths of `augmentation`'s functions; see `draw` for dropped frames.
    `batch_size` is for this process, which takes every `processes`-th example. `threads` decode, in all; with `workers`
    they are in as many processes, which need absl's flags parsed, take seconds to start, and hand batches over through
    /dev/shm. Neither changes a batch.
    Raises InputError for an empty source and an option out of range; and, with a batch, for an image it cannot use.
    """
    if len(source) == 0:
        raise InputError("data: no clips; prepare a data set that has some")
    for name, strength in (("jitter", jitter), ("degrade", degrade)):
        if not 0 <= strength <= 1:
            raise InputError(f"data: {name} must be from 0 to 1, not {strength}")
    if workers < 0:
        raise InputError(f"data: workers must be 0 or more, not {workers}")
    # Records wait as bytes, and a whole batch is decoded into one array: fresh memory costs more than its copying.
    choose = partial(
        draw, flip=flip, any_previous=any_previous, augmented=bool(jitter or degrade), drop=DROPPED * degrade
    )
    drawn = grain.MapDataset.source(source).seed(seed).shuffle().repeat().random_map(choose)
    steps = drawn[process::processes].batch(batch_size, batch_fn=partial(render, jitter=jitter, degrade=degrade))
    # The buffer counts whole batches here, and grain's default of 500 would fill the memory.
    each = max(1, threads // max(1, workers))
    reading = grain.ReadOptions(num_threads=each, prefetch_buffer_size=2 * each)
    ready = steps[start_step:].to_iter_dataset(reading)
    if not workers:
        return iter(ready)
    return _from_workers(ready.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers)))


def _from_workers(steps: grain.IterDataset) -> Iterator[Batch]:
    """Copies batches out of shared memory, which is scarce, and ends the processes when this is dropped or closed."""
    with contextlib.closing(iter(steps)) as ready:
        for batch in ready:
            copy = _room({name: (array.shape, array.dtype) for name, array in batch.items()})
            for name, array in batch.items():
                copy[name][...] = array
            yield copy


@dataclass(frozen=True)
class Draw:
    """What chance decided of an example.

    Attributes:
      name: of the record.
      images: by their names in a batch, the record's field and the encoded image.
      place: the record's (left, top, side), where it has one.
      mirrored: all four, or none.
      rng: for what is done to them; None for nothing.
    """

    name: str
    images: Mapping[str, tuple[str, bytes]]
    place: Float32[np.ndarray, "3"] | None
    mirrored: bool
    rng: np.random.Generator | None


def draw(
    record: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    flip: bool,
    any_previous: bool,
    augmented: bool = False,
    drop: float = 0.0,
) -> Draw:
    """One random frame n of a clip, with its conditions; nothing else of the clip is kept.

    `previous` is frame n - 1, and the photo when n = 0, as where Algorithm 3 starts. With `any_previous` it is any
    frame of the clip, or the photo: it then tells who and where, not which expression, which the model has to read
    from the low-res frame. The aim is less drift when it is fed its own output; that has not been shown yet.
    With the probability `drop`, which asks for `augmented`, `low` is that of frame n - 1 or n + 1: a generator's
    frame that came late or early.
    """
    frames = len(record["high"])
    frame = int(rng.integers(frames))
    mirrored = flip and rng.random() < 0.5
    before = int(rng.integers(-1, frames)) if any_previous else frame - 1
    # Runs that were begun without augmentation go on with the same frames: its numbers come last, and only if asked.
    later = np.random.default_rng(int(rng.integers(2**63))) if augmented else None
    shown = frame
    if later is not None and later.random() < drop:
        neighbours = [n for n in (frame - 1, frame + 1) if 0 <= n < frames]
        shown = int(later.choice(neighbours)) if neighbours else frame
    images = {
        "high": ("high", record["high"][frame]),
        "previous": ("high", record["high"][before]) if before >= 0 else ("identity", record["identity"]),
        "identity": ("identity", record["identity"]),
        "low": ("low", record["low"][shown]),
    }
    return Draw(words(record), images, _place(record), mirrored, later)


def render(draws: Sequence[Draw], *, jitter: float = 0.0, degrade: float = 0.0) -> Batch:
    """Decodes, augments and mirrors the images of a batch, and lays them in one array for each name."""
    batch: Batch = {}
    for row, drawn in enumerate(draws):
        images = {name: _decode(drawn.name, *image) for name, image in drawn.images.items()}
        if drawn.place is not None:
            images["place"] = drawn.place
        if drawn.rng is not None:
            images = augmentation.jitter(images, drawn.rng, jitter)
            images["low"] = augmentation.degrade(images["low"], drawn.rng, degrade)
        batch = batch or _room({name: ((len(draws), *image.shape), image.dtype) for name, image in images.items()})
        for name, image in images.items():
            room = batch[name][row]
            if image.shape != room.shape:
                sizes = [f"{shape[1]}x{shape[0]}" for shape in (image.shape, room.shape)]
                raise InputError(f"record {drawn.name}, {name}: is {sizes[0]}, others {sizes[1]}; prepare them alike")
            if not drawn.mirrored:
                room[...] = image
            elif name == "place":
                left, top, side = image
                room[...] = images["high"].shape[1] - left - side, top, side
            else:
                cv2.flip(image, 1, dst=room)
    return batch


def _room(kinds: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> Batch:
    """Empty arrays of these shapes and types, all images in one block: NumPy asks for huge pages from 4 MiB on.

    Fresh memory in small pages costs a third as much as the decoding does.
    """
    shapes = {name: shape for name, (shape, dtype) in kinds.items() if dtype == np.uint8}
    sizes = [math.prod(shape) for shape in shapes.values()]
    blocks = np.split(np.empty(sum(sizes), np.uint8), np.cumsum(sizes)[:-1])
    images = {name: block.reshape(shape) for (name, shape), block in zip(shapes.items(), blocks, strict=True)}
    return images | {name: np.empty(*kind) for name, kind in kinds.items() if name not in images}


def residual_scale(source: Sequence[Mapping[str, Any]], clips: int = 500) -> float:
    """1 / rms(frame - photo) in signal units, over up to `clips` clips spread through `source`: the k of a config.

    Diffused residuals then have unit size. Infinite where every frame is its photo.
    """
    squares = []
    for index in np.unique(np.linspace(0, len(source) - 1, min(clips, len(source))).round().astype(int)):
        record = source[int(index)]
        identity = _decode(words(record), "identity", record["identity"]).astype(np.float32)
        for data in record["high"]:
            squares.append(np.mean(((_decode(words(record), "high", data) - identity) / 127.5) ** 2))
    mean = float(np.mean(squares))
    return 1.0 / mean**0.5 if mean else float("inf")


def _place(record: Mapping[str, Any]) -> Float32[np.ndarray, "3"] | None:
    if "place" not in record:
        return None
    text = record["place"]
    return np.array((text.decode() if isinstance(text, bytes) else text).split(), np.float32)


def _decode(name: str, field: str, data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    return decode_image(data, f"record {name}, {field}")
