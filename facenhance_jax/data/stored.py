"""Clip records as they lie on disk: an entry for each frame, so that a training sample reads no more than it needs.

The entries of a clip follow one another, as many for every clip of a data set. Each holds one frame of `high` and of
`low`, the words and `place`; `identity`, which is one for all, is in the first only and empty in the others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Protocol, runtime_checkable

from tensorflow_datasets.proto import tf_example_pb2

from facenhance_jax.errors import InputError

WORDS = ("subject", "session", "expression", "take")
PER_FRAME = ("high", "low")
Entry = Mapping[str, Any]  # of a field to a tf.train.Feature; taking the bytes out waits until they are asked for


@runtime_checkable
class Serialized(Protocol):
    """Entries by index, as the bytes of a tf.train.Example."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> bytes: ...


def entries(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A clip record as entries, in the order of its frames."""
    for at, (high, low) in enumerate(zip(record["high"], record["low"], strict=True)):
        yield {**record, "high": high, "low": low, "identity": b"" if at else record["identity"]}


def words(record: Mapping[str, Any], *fields: str) -> str:
    """Words of a record, or all, such as "001/session0/anger/take000". They are text as made, bytes as stored."""
    found = (record[field] for field in fields or WORDS)
    return "/".join(word.decode() if isinstance(word, bytes) else word for word in found if word)


class Records(Sequence[Mapping[str, Any]]):
    """The clip records of a data set, by index; a record reads an entry when something of it is asked for.

    `data` are the entries as bytes, `frames` of them for each clip, `folder` is where they are, for messages, and
    `drawn` tells whether a program drew the people.
    Reading raises InputError where a file is gone or damaged.
    """

    def __init__(self, data: Serialized, frames: int, folder: object, drawn: bool = False) -> None:
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
            raise InputError(f"{self.folder}: record {record} cannot be read ({why}); prepare it anew") from error
        # TFDS's own way from bytes to words takes five times as long, and holds up the threads that decode.
        return tf_example_pb2.Example.FromString(data).features.feature


class _Record(Mapping[str, Any]):
    """One record. `read` gives its entries and keeps them, so one that is held on to grows to the whole clip."""

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


def _value(entry: Entry, field: str) -> bytes:
    if field not in entry:  # a protocol buffer's map would make one up
        raise KeyError(field)
    return entry[field].bytes_list.value[0]
