"""Training batches of clip records: shuffled, endless, and resumable at any step.

A batch is a function of (seed, step) alone, so a run resumes by starting at its step: there is no iterator state to
save.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from facenhance_jax.data import augmentation, shuffling
from facenhance_jax.data.arrays import Arrays
from facenhance_jax.data.shuffling import Mix
from facenhance_jax.data.stored import decoded, words
from facenhance_jax.faces import placement
from facenhance_jax.messages import InputError

Batch = dict[str, Shaped[np.ndarray, "b ..."]]

# More threads than cores push the batches out of the caches: on two cores, 8 threads give 680 samples/s, 2 give 980.
THREADS = min(os.cpu_count() or 1, 16)
DROPPED = 0.1  # the probability, at `degrade` = 1, that the low-res frame is that of a neighbouring frame


def batches(
    source: Sequence[Mapping[str, Any]] | Mix,
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
) -> Iterator[Batch]:
    """Endless batches: `high`, `previous`, `identity` and `low`, uint8 images [batch_size, h, w, 3], and `place`.

    `place`, float32 [batch_size, 4], is where the low-res face belongs in the photo (see `placement`); a batch has it
    if the records have it. With `degrade` it also has `clean_low` and `warped_low`, the low-res frames before their
    faults and with their warps alone.

    `source` gives records by index: a prepared data set, arrays, or a list; or it is a mix of such. Arrays and mixes
    are shuffled by `shuffling`, all else by grain, so the same clips come in another order. Each record comes once an
    epoch, with one of its frames drawn at random; `flip` mirrors half of the samples, all four images of each.
    `any_previous` takes `previous` from anywhere in the record; see `draw`. `jitter` and `degrade`, 0 to 1, are the
    strengths of `augmentation`'s functions; see `draw` for dropped frames.
    `batch_size` is that of this process, which takes every `processes`-th sample, starting with sample `process`.
    `threads` is the number of decoding threads; it does not change a batch.
    Raises InputError for an empty source or an option out of range, and later for an image that cannot be used.
    """
    if len(source) == 0:
        raise InputError("data: no clips; prepare a data set that has some")
    for name, strength in (("jitter", jitter), ("degrade", degrade)):
        if not 0 <= strength <= 1:
            raise InputError(f"data: {name} must be from 0 to 1, not {strength}")
    # Encoded images are queued, and a batch is decoded right into its arrays: new memory costs more than copying.
    choose = partial(
        draw, flip=flip, any_previous=any_previous, augmented=bool(jitter or degrade), drop=DROPPED * degrade
    )
    finish = partial(render, jitter=jitter, degrade=degrade)
    if isinstance(source, Arrays | Mix):
        share = {"batch_size": batch_size, "process": process, "processes": processes, "threads": threads}
        return shuffling.batches(source, choose, finish, seed=seed, start_step=start_step, **share)
    try:
        import grain  # not at the top: arrays need none, and it takes a third of a second
    except ModuleNotFoundError as error:
        raise InputError("data: a prepared data set needs grain; install it, or write an .npz of the set") from error
    drawn = grain.MapDataset.source(source).seed(seed).shuffle().repeat().random_map(choose)
    steps = drawn[process::processes].batch(batch_size, batch_fn=finish)
    # The buffer counts whole batches here: grain's default of 500 would fill the memory.
    reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    return iter(steps[start_step:].to_iter_dataset(reading))


@dataclass(frozen=True)
class Draw:
    """The random choices of a sample.

    Attributes:
      name: of the record.
      images: {name in a batch: (field of the record, encoded or decoded image)}.
      place: the record's (left, top, side, angle), if it has one.
      mirrored: whether all four images are mirrored.
      rng: for the augmentation; None without any.
    """

    name: str
    images: Mapping[str, tuple[str, bytes | UInt8[np.ndarray, "h w 3"]]]
    place: Float32[np.ndarray, "4"] | None
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
    """Draws one frame n of a record, with its conditions.

    `previous` is frame n - 1, or the photo if n = 0, as at the start of Algorithm 3. With `any_previous` it is any
    frame of the record or the photo: it then shows the person and the pose but not the expression, so the model has to
    take that from the low-res frame. The aim is less drift when the model is fed its own output; that has not been
    shown yet. With `augmented`, `low` belongs to frame n - 1 or n + 1 with the probability `drop`, like a generator's
    frame that comes late or early.
    """
    frames = len(record["high"])
    frame = int(rng.integers(frames))
    mirrored = flip and rng.random() < 0.5
    before = int(rng.integers(-1, frames)) if any_previous else frame - 1
    # Drawn last, and only if needed, so that older runs without augmentation see the same batches.
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
    place = placement.from_text(record["place"]) if "place" in record else None
    return Draw(words(record), images, place, mirrored, later)


def render(draws: Sequence[Draw], *, jitter: float = 0.0, degrade: float = 0.0) -> Batch:
    """Decodes, augments and mirrors the images of a batch: one array for each name."""
    batch: Batch = {}
    for row, drawn in enumerate(draws):
        images = {name: _decode(drawn.name, *image) for name, image in drawn.images.items()}
        if drawn.place is not None:
            images["place"] = drawn.place
        if drawn.rng is not None:
            images = augmentation.jitter(images, drawn.rng, jitter)
            if degrade:
                images["clean_low"] = images["low"]
                images["low"], images["warped_low"] = augmentation.degrade(images["low"], drawn.rng, degrade)
            if "place" in images:
                images["place"] = augmentation.misplace(images["place"], drawn.rng, degrade)
        batch = batch or _empty({name: ((len(draws), *image.shape), image.dtype) for name, image in images.items()})
        for name, image in images.items():
            target = batch[name][row]
            if image.shape != target.shape:
                sizes = [f"{shape[1]}x{shape[0]}" for shape in (image.shape, target.shape)]
                raise InputError(f"record {drawn.name}, {name}: is {sizes[0]}, others {sizes[1]}; give all one size")
            if not drawn.mirrored:
                target[...] = image
            elif name == "place":
                target[...] = placement.mirrored(image, images["high"].shape[1])
            else:
                cv2.flip(image, 1, dst=target)
    return batch


def _empty(kinds: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> Batch:
    """Uninitialized arrays of these shapes and types; the images share one block of memory.

    NumPy asks for huge pages for blocks of 4 MiB or more; new memory in small pages takes a third of the decoding time.
    """
    shapes = {name: shape for name, (shape, dtype) in kinds.items() if dtype == np.uint8}
    sizes = [math.prod(shape) for shape in shapes.values()]
    blocks = np.split(np.empty(sum(sizes), np.uint8), np.cumsum(sizes)[:-1])
    images = {name: block.reshape(shape) for (name, shape), block in zip(shapes.items(), blocks, strict=True)}
    return images | {name: np.empty(*kind) for name, kind in kinds.items() if name not in images}


def residual_scale(source: Sequence[Mapping[str, Any]], clips: int = 500) -> float:
    """1 / rms(frame - photo), in signal units, of up to `clips` records spread over `source`.

    As `config.model.residual_scale` it gives the diffused residuals an rms of 1. Infinite if every frame is its photo.
    """
    squares = []
    for index in np.unique(np.linspace(0, len(source) - 1, min(clips, len(source))).round().astype(int)):
        record = source[int(index)]
        identity = _decode(words(record), "identity", record["identity"]).astype(np.float32)
        for data in record["high"]:
            squares.append(np.mean(((_decode(words(record), "high", data) - identity) / 127.5) ** 2))
    mean = float(np.mean(squares))
    return 1.0 / mean**0.5 if mean else float("inf")


def _decode(name: str, field: str, data: bytes | UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return decoded(data, f"record {name}, {field}")
