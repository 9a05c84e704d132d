"""The records that a training or an evaluation reads: a prepared data set, or plain arrays."""

from collections.abc import Sequence
from pathlib import Path

from facenhance_jax.data import arrays
from facenhance_jax.data.stored import Record
from facenhance_jax.messages import InputError


def records(directory: Path | str, split: str) -> Sequence[Record]:
    """The records at `directory`, by index; `split` is "train", "test" or "all".

    `directory` is an .npz file or a folder of some (see `arrays`), or a data set of launch/prepare.py. Raises
    InputError as `arrays.source` and `clip_dataset.source` do, or if the latter's libraries are not installed.
    """
    if arrays.are_at(directory):
        return arrays.source(directory, split)
    try:
        from facenhance_jax.data import clip_dataset  # not at the top: arrays need no TFDS
    except ModuleNotFoundError as error:
        raise InputError(
            f"{directory}: a prepared data set needs {error.name}, which is not installed; install it, or use an .npz "
            "(launch/prepare.py --arrays)"
        ) from error
    return clip_dataset.source(directory, split)
