"""Training batches out of clip records, by grain: shuffled, endless, and the same after a stop at any step.

Which frames a step sees is a function of (seed, step) alone, so a run resumes by starting at its step: there is no
iterator state to save.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import grain
import numpy as np
from jaxtyping import UInt8

from facenhance_jax.data import layout
from facenhance_jax.errors import InputError

Batch = dict[str, UInt8[np.ndarray, "b h w 3"]]
Example = dict[str, UInt8[np.ndarray, "h w 3"]]


def batches(
    source: Sequence[Mapping[str, Any]],
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    flip: bool = True,
    any_previous: bool = False,
    process: int = 0,
    processes: int = 1,
    threads: int = 8,
) -> Iterator[Batch]:
    """Endless batches of uint8 images [batch_size, h, w, 3]: `high`, `previous`, `identity`, `low`.

    `source` gives records by index: a prepared data set, or a list of `mug_dataset_builder.records`. Each clip comes
    once an epoch, with one of its frames drawn at random; `flip` mirrors half of the examples, all four images alike.
    `any_previous` takes `previous` from anywhere in the clip; see `example`.
    `batch_size` is for this process, which takes every `processes`-th example. Raises InputError for an empty source.
    """
    if len(source) == 0:
        raise InputError("data: no clips; prepare a data set that has some")
    make = partial(example, flip=flip, any_previous=any_previous)
    examples = grain.MapDataset.source(source).seed(seed).shuffle().repeat().random_map(make)
    steps = examples[process::processes].batch(batch_size)[start_step:]
    # The buffer counts whole batches here, and grain's default of 500 would fill the memory.
    return iter(steps.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)))


def example(record: Mapping[str, Any], rng: np.random.Generator, *, flip: bool, any_previous: bool) -> Example:
    """One random frame n of a clip, with its conditions; nothing else of the clip is decoded.

    `previous` is frame n - 1, and the photo when n = 0, as where Algorithm 3 starts. With `any_previous` it is any
    frame of the clip, or the photo: it then tells who and where, not which expression, which the model has to read
    from the low-res frame. The aim is less drift when it is fed its own output; that has not been shown yet.
    """
    frame = int(rng.integers(len(record["high"])))
    mirrored = flip and rng.random() < 0.5
    before = int(rng.integers(-1, len(record["high"]))) if any_previous else frame - 1
    identity = _decode(record, "identity", record["identity"])
    images = {
        "high": _decode(record, "high", record["high"][frame]),
        "previous": identity if before < 0 else _decode(record, "high", record["high"][before]),
        "identity": identity,
        "low": _decode(record, "low", record["low"][frame]),
    }
    return {name: np.ascontiguousarray(image[:, ::-1]) if mirrored else image for name, image in images.items()}


def residual_scale(source: Sequence[Mapping[str, Any]], clips: int = 500) -> float:
    """1 / rms(frame - photo) in signal units, over up to `clips` clips spread through `source`: the k of a config.

    Diffused residuals then have unit size. Infinite where every frame is its photo.
    """
    squares = []
    for index in np.unique(np.linspace(0, len(source) - 1, min(clips, len(source))).round().astype(int)):
        record = source[int(index)]
        identity = _decode(record, "identity", record["identity"]).astype(np.float32)
        for data in record["high"]:
            squares.append(np.mean(((_decode(record, "high", data) - identity) / 127.5) ** 2))
    mean = float(np.mean(squares))
    return 1.0 / mean**0.5 if mean else float("inf")


def _decode(record: Mapping[str, Any], field: str, data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    return layout.decode(data, f"record {record['subject']}/{record['expression']}/{record['take']}, {field}")
