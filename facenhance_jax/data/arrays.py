"""Clip records as plain arrays in an `.npz` file, or in a folder of such files; NumPy alone reads them.

| member | what it is |
|---|---|
| high | uint8 [r, n, h, w, 3], the n frames of r records |
| low | uint8 [r, n, l, l, 3], their low-res faces |
| identity | uint8 [r, h, w, 3], the photos |
| split | text [r], "train" or "test" |
| subject, session, expression, take | text [r] |
| place | float32 [r, 4] or without the angle [r, 3], the low-res face's place (see `placement`); may be left out |
| drawn | bool [], whether a program drew the people; may be left out |

Images that are not compressed are mapped into memory: a sample reads its own images from the disk and nothing else,
and a file may be larger than the memory. Compressed ones (`np.savez_compressed`) are loaded whole.
"""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from facenhance_jax.data.stored import WORDS, decoded, words
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError

SUFFIX = ".npz"
IMAGES = {"high": "[records, frames, h, w, 3]", "low": "[records, frames, l, l, 3]", "identity": "[records, h, w, 3]"}
TEXTS = ("split", *WORDS)
SPLITS = ("train", "test")
PART = 2**28  # bytes of images in a file of a folder

Member = Shaped[np.ndarray, "..."]
Record = Mapping[str, Any]


def rows_of(files: Sequence[Mapping[str, Member]], split: str) -> list[tuple[int, int]]:
    """(file, row) of each record of a split: "train", "test" or "all"."""
    return [
        (file, row)
        for file, members in enumerate(files)
        for row, name in enumerate(members["split"].tolist())
        if split in (name, "all")
    ]


class Arrays(Sequence[Record]):
    """The records of one split. Their fields are those of a prepared data set, with images that are decoded already.

    Args:
      files: the members of each file, by name.
      split: "train", "test" or "all".
    """

    def __init__(self, files: Sequence[Mapping[str, Member]], split: str) -> None:
        self._files = files
        self._rows = rows_of(files, split)
        self.drawn = all(bool(members.get("drawn", False)) for members in files)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Record:
        file, row = self._rows[index]
        members = self._files[file]
        record = {field: members[field][row] for field in IMAGES} | {word: str(members[word][row]) for word in WORDS}
        if "place" in members:
            record["place"] = " ".join(f"{number:.9g}" for number in members["place"][row])  # float32 exactly
        return record


# Reading


def are_at(path: Path | str) -> bool:
    """Whether `path` names an .npz file (there or not) or a folder of some."""
    path = Path(path)
    return path.suffix == SUFFIX or any(path.glob(f"*{SUFFIX}"))


def source(path: Path | str, split: str) -> Arrays:
    """The records of an .npz file, or of all those in a folder, in the order of their names; "train", "test" or "all".

    Raises InputError for a file that is missing or damaged, lacks a member, or has one of another type or shape.
    """
    path = Path(path)
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    read = [_read(file) for file in files]
    for file, members in zip(files, read, strict=True):
        for field in IMAGES:
            sides = [part[field].shape[-3:-1] for part in (members, read[0])]
            if sides[0] != sides[1]:
                here, there = (f"{width}x{height}" for height, width in sides)
                raise InputError(f"{file}: {field} is {here}, but {there} in {files[0].name}; give all one size")
    return Arrays(read, split)


def _read(file: Path) -> dict[str, Member]:
    members = read_members(file, (*IMAGES, *TEXTS, "place", "drawn"), IMAGES)
    if wrong := _fault(members):
        raise InputError(f"{file}: {wrong}; write it as facenhance_jax/data/arrays.py says")
    return members


def read_members(file: Path, known: Collection[str], images: Collection[str]) -> dict[str, Member]:
    """Those members of an .npz file that are `known`, by name; `images` are mapped into memory if not compressed.

    Raises InputError for a file that is missing or damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            return {name: _member(file, archive, found[name], name in images) for name in known if name in found}
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check config.data.directory") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, KeyError, NotImplementedError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{file}: not a whole .npz file ({why}); write it again with launch/prepare.py") from error


def _member(file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, image: bool) -> Member:
    """Maps images that are stored as they are, and loads everything else. Raises ValueError for Python objects."""
    if image and info.compress_type == zipfile.ZIP_STORED:
        return _mapped(file, archive, info)
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _mapped(file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    with archive.open(info) as stream:
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = readers[np.lib.format.read_magic(stream)](stream)
        header = stream.tell()
    if dtype.hasobject or header + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"{info.filename} is cut short or holds Python objects")
    with file.open("rb") as raw:  # the header in front of the member may be longer than its entry in the list
        raw.seek(info.header_offset + 26)
        names = sum(struct.unpack("<HH", raw.read(4)))
    start = info.header_offset + 30 + names + header
    return np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C").view(np.ndarray)


def _fault(members: Mapping[str, Member]) -> str | None:
    """What is wrong with a file's members; None if nothing is."""
    for name in (*IMAGES, *TEXTS):
        if name not in members:
            return f"has no {name}"
    for name, shape in IMAGES.items():
        found = members[name]
        if found.dtype != np.uint8 or found.ndim != shape.count(",") + 1 or found.shape[-1] != 3 or not found.size:
            return f"{name} is {found.dtype} {list(found.shape)}, not uint8 {shape}"
    high, low, identity = (members[name].shape for name in IMAGES)
    if high[:2] != low[:2] or (high[0], *high[2:]) != identity:
        return f"high {list(high)}, low {list(low)} and identity {list(identity)} do not fit together"
    for name in TEXTS:
        if members[name].dtype.kind != "U" or members[name].shape != high[:1]:
            return f"{name} is {members[name].dtype} {list(members[name].shape)}, not text [{high[0]}]"
    place = members.get("place", np.zeros((high[0], 4), np.float32))
    if place.dtype != np.float32 or place.shape not in ((high[0], 3), (high[0], 4)):
        return f"place is {place.dtype} {list(place.shape)}, not float32 [{high[0]}, 4]"
    if unknown := set(members["split"].tolist()) - set(SPLITS):
        return f"split has {sorted(unknown)[0]!r}, which is neither train nor test"
    return None


# Writing


def check_output(path: Path) -> None:
    """Raises InputError if `write` could not write to `path`."""
    if path.is_dir() == (path.suffix == SUFFIX) and path.exists():
        raise InputError(f"{path}: is in the way; remove it, or choose another name")
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"{path}: the folder is not empty; choose a new one")
    parent = path.resolve().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"{path}: the folder {parent} does not exist or is not writable; make it first")


def write(path: Path | str, splits: Mapping[str, Sequence[Record]], drawn: bool, part: int = PART) -> int:
    """Writes records as a file if `path` ends in .npz, else as a folder of files; whole or not at all.

    Decodes one record at a time, and compresses nothing. All records need the same number of frames.

    Args:
      splits: {"train": records, "test": records}.
      drawn: whether a program drew the people.
      part: bytes of images in each file of a folder, roughly.

    Returns:
      The number of records.

    Raises:
      InputError: as `check_output` does; for an image that cannot be decoded; if there are no records, or the disk is
        full.
    """
    path = Path(path)
    check_output(path)
    rows = [(split, records, index) for split, records in splits.items() for index in range(len(records))]
    if not rows:
        raise InputError(f"{path}: no records to write; prepare a data set that has some")
    one_file = path.suffix == SUFFIX
    count = len(rows) if one_file else max(1, part // sum(field.nbytes for field in _images(rows[0]).values()))
    try:
        with replacing(path) as target:
            if not one_file:
                target.mkdir()
            for number, first in enumerate(range(0, len(rows), count)):
                file = target if one_file else target / f"part{number:04d}{SUFFIX}"
                _write_file(file, rows[first : first + count], drawn)
    except OSError as error:
        raise InputError(f"{path}: could not be written ({error.strerror})") from error
    return len(rows)


_Row = tuple[str, Sequence[Record], int]  # split, its records, index


def _write_file(file: Path, rows: Sequence[_Row], drawn: bool) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for field in IMAGES:
            _write_images(archive, field, rows)
        for name, array in (_texts(rows) | {"drawn": np.array(drawn)}).items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def _texts(rows: Sequence[_Row]) -> dict[str, Member]:
    """All members but the images and `drawn`."""
    records = [records[index] for _, records, index in rows]
    texts = {word: np.array([record[word] for record in records]) for word in WORDS}
    texts["split"] = np.array([split for split, _, _ in rows])
    if all("place" in record for record in records):
        texts["place"] = np.array([record["place"].split() for record in records], np.float32)
    return texts


def _write_images(archive: zipfile.ZipFile, field: str, rows: Sequence[_Row]) -> None:
    shape = _images(rows[0], field)[field].shape
    about = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *shape)}
    with archive.open(f"{field}.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array_header_1_0(stream, about)
        for row in rows:
            images = _images(row, field)[field]
            if images.shape != shape:
                name = words(row[1][row[2]])
                raise InputError(f"record {name}: {field} is {list(images.shape)}, others {list(shape)}; prepare again")
            stream.write(images.tobytes())


def _images(row: _Row, *fields: str) -> dict[str, UInt8[np.ndarray, "..."]]:
    """The decoded images of a record, by default all."""
    _, records, index = row
    record = records[index]
    name = f"record {words(record)}"
    return {
        field: decoded(record[field], name)
        if field == "identity"
        else np.stack([decoded(data, name) for data in record[field]])
        for field in fields or IMAGES
    }
