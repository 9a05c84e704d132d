"""Clip records as they are stored: one entry for each frame, so that a training sample reads only what it needs.

All records of a data set have the same number of frames, and the entries of a record follow one another. An entry holds
one frame of `high` and of `low`, the words and `place`. The photo, `identity`, is in the record's first entry only; in
the others it is empty.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from facenhance_jax.media.pictures import decode_image
from facenhance_jax.messages import InputError

WORDS = ("subject", "session", "expression", "take")
TEXTS = (*WORDS, "place")  # the other fields are bytes: encoded images
PER_FRAME = ("high", "low")
Record = Mapping[str, Any]  # a clip: `high`, `low` and `identity`, as encoded or as decoded images, and the texts
Entry = Mapping[str, Any]  # field -> tf.train.Feature; its bytes are copied only when a field is asked for


@runtime_checkable
class Serialized(Protocol):
    """Entries by index, as the bytes of a tf.train.Example."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> bytes: ...


def entries(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A record's entries, in the order of its frames."""
    for index, (high, low) in enumerate(zip(record["high"], record["low"], strict=True)):
        yield {**record, "high": high, "low": low, "identity": b"" if index else record["identity"]}


def words(record: Mapping[str, Any], *fields: str) -> str:
    """The named words of a record, by default all, joined: "001/session0/anger/take000"."""
    return "/".join(filter(None, (record[field] for field in fields or WORDS)))


def decoded(image: bytes | UInt8[np.ndarray, "h w 3"], name: object) -> UInt8[np.ndarray, "h w 3"]:
    """An image of a record, which may be decoded already. Raises InputError, with `name`, if it cannot be decoded."""
    return image if isinstance(image, np.ndarray) else decode_image(image, name)


class Records(Sequence[Mapping[str, Any]]):
    """The records of a data set, by index. A record reads an entry from disk only when it is asked for a part of it.

    Args:
      data: the serialized entries, `frames` of them for each record.
      folder: the name for messages.
      drawn: whether a program drew the people.

    Reading a record raises InputError if a file is missing or damaged.
    """

    def __init__(self, data: Serialized, frames: int, folder: object, drawn: bool = False) -> None:
        from tensorflow_datasets.proto import tf_example_pb2  # not at the top: records in plain arrays need no TFDS

        # TFDS's own decoding takes five times as long and blocks the threads that decode images.
        self._parse = tf_example_pb2.Example.FromString
        self.data, self.frames, self.folder, self.drawn = data, frames, str(folder), drawn

    def __len__(self) -> int:
        return len(self.data) // self.frames

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return _Record(cache(partial(self.entry, range(len(self))[index])), self.frames)

    def entry(self, record: int, frame: int) -> Entry:
        """The entry of a frame of a record, both counted from 0."""
        try:
            data = self.data[record * self.frames + frame]
        except (RuntimeError, OSError) as error:  # what array_record raises where a file is cut short or gone
            why = str(error).split(":")[0]
            raise InputError(f"{self.folder}: record {record} cannot be read ({why}); prepare it again") from error
        return self._parse(data).features.feature


class _Record(Mapping[str, Any]):
    """One record. `read` keeps the entries that it read, so a record may grow to a whole clip in memory."""

    def __init__(self, read: Callable[[int], Entry], frames: int) -> None:
        self._read, self._frames = read, frames

    def __getitem__(self, field: str) -> Any:
        return _Frames(self._read, self._frames, field) if field in PER_FRAME else _value(self._read(0), field)

    def __iter__(self) -> Iterator[str]:
        return iter(self._read(0))

    def __len__(self) -> int:
        return len(self._read(0))


class _Frames(Sequence[bytes]):
    """The encoded frames of one record."""

    def __init__(self, read: Callable[[int], Entry], frames: int, field: str) -> None:
        self._read, self._frames, self._field = read, frames, field

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, frame: int) -> bytes:
        return _value(self._read(range(self._frames)[frame]), self._field)


def _value(entry: Entry, field: str) -> bytes | str:
    if field not in entry:  # a protocol buffer's map would add an empty one
        raise KeyError(field)
    value = entry[field].bytes_list.value[0]
    return value.decode() if field in TEXTS else value
