"""Endless batches of shuffled records with NumPy and threads alone: a batch is a function of (seed, step)."""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from facenhance_jax.data.stored import Record
from facenhance_jax.messages import InputError

PERMUTATION, SAMPLE, MIX = 0, 1, 2  # what a generator is for: no two of them share a seed
BLOCK = 1000  # samples in which every data set of a mix has exactly its share


class Mix:
    """Several data sets, of which a training takes given shares of its samples.

    Each set is shuffled epoch by epoch, as it would be alone; a small set with a large share is just repeated more
    often. Sample i comes from a set that is a function of (seed, i), and of every 1,000 samples (0 to 999, ...) each
    set has its share, rounded to thousandths, exactly.

    Args:
      sets: the records of each data set.
      weights: of each set, more than 0; their ratios are the shares.

    Raises InputError for a set without records or a share under a thousandth.
    """

    def __init__(self, sets: Sequence[Sequence[Record]], weights: Sequence[float]) -> None:
        exact = BLOCK * np.asarray(weights, np.float64) / np.sum(weights)
        counts = np.floor(exact).astype(int)
        counts[np.argsort(counts - exact, kind="stable")[: BLOCK - counts.sum()]] += 1  # the largest remainders
        if not counts.all() or not all(map(len, sets)):
            raise InputError("data: a data set of the mix has no clips, or a share under 1/1000; leave it out")
        self.sets, self.counts = sets, counts

    def __len__(self) -> int:
        return sum(map(len, self.sets))

    def places(self, seed: int, block: int) -> tuple[np.ndarray, np.ndarray]:
        """(set, number of the sample among those of its set) of the samples of a block."""
        sets = np.repeat(np.arange(len(self.sets)), self.counts)
        sets = np.random.default_rng((seed, MIX, block)).permutation(sets)
        numbers = np.empty(BLOCK, int)
        for which, count in enumerate(self.counts):
            numbers[sets == which] = block * count + np.arange(count)
        return sets, numbers


def endless(source: Sequence[Record] | Mix, *seed: int) -> Callable[[int], Record]:
    """Number of a sample -> its record. Each epoch takes every record once, in an order seeded by (seed, epoch)."""
    if isinstance(source, Mix):
        places = functools.lru_cache(maxsize=4)(functools.partial(source.places, *seed))
        parts = [endless(records, *seed, MIX, which) for which, records in enumerate(source.sets)]

        def mixed(index: int) -> Record:
            sets, numbers = places(index // BLOCK)
            return parts[sets[index % BLOCK]](int(numbers[index % BLOCK]))

        return mixed

    @functools.lru_cache(maxsize=4)
    def order(epoch: int) -> np.ndarray:
        return np.random.default_rng((*seed, PERMUTATION, epoch)).permutation(len(source))

    def shuffled(index: int) -> Record:
        epoch, at = divmod(index, len(source))
        return source[int(order(epoch)[at])]

    return shuffled


def batches(
    source: Sequence[Record] | Mix,
    choose: Callable[[Record, np.random.Generator], Any],
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

    Sample i is `choose` of a record (see `endless`) and a generator of its own, seeded by (seed, i). The samples
    process, process + processes, ... are this process's.
    """
    record = endless(source, seed)

    def sample(index: int) -> Any:
        return choose(record(index), np.random.default_rng((seed, SAMPLE, index)))

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
