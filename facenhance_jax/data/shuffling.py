"""Endless batches of shuffled records with NumPy and threads alone: a batch is a function of (seed, step)."""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

PERMUTATION, SAMPLE = 0, 1  # what a generator is for: no two of them share a seed


def batches(
    source: Sequence[Mapping[str, Any]],
    choose: Callable[[Mapping[str, Any], np.random.Generator], Any],
    render: Callable[[Sequence[Any]], Any],
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    process: int,
    processes: int,
    threads: int,
) -> Iterator[Any]:
    """Yields `render` of `batch_size` samples each, made ahead by `threads` threads; they change nothing else.

    Sample i is `choose` of a record and a generator of its own, seeded by (seed, i). Each epoch takes every record
    once, in an order seeded by (seed, epoch). The samples process, process + processes, ... are this process's.
    """

    @functools.lru_cache(maxsize=4)
    def order(epoch: int) -> np.ndarray:
        return np.random.default_rng((seed, PERMUTATION, epoch)).permutation(len(source))

    def sample(index: int) -> Any:
        epoch, at = divmod(index, len(source))
        return choose(source[int(order(epoch)[at])], np.random.default_rng((seed, SAMPLE, index)))

    def batch(step: int) -> Any:
        rows = range(step * batch_size, (step + 1) * batch_size)
        return render([sample(process + processes * row) for row in rows])

    pool, waiting, steps = ThreadPoolExecutor(threads), deque(), itertools.count(start_step)
    try:
        while True:
            while len(waiting) < 2 * threads:
                waiting.append(pool.submit(batch, next(steps)))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
