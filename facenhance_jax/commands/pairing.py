"""Folders of clips and photos: which clip is enhanced with which photo, and into which file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from facenhance_jax.messages import InputError, note

NAMED = 5  # files in a message


class Job(NamedTuple):
    """A clip, a photo, and the .mp4 to write."""

    low: Path
    photo: Path
    output: Path


def jobs(low: str, photo: str, output: str) -> list[Job] | None:
    """Pairs a folder of clips with one photo, a folder of photos with one clip, or both by their names without suffix.

    The outputs are named after the file that changes. What has no partner is left out, with a note. Returns None if
    `low` and `photo` are one clip and one photo. Raises InputError if a folder is empty, if two files would give one
    output, if nothing has a partner, or if `output` cannot be a folder for the clips.
    """
    from facenhance_jax import media

    clips, photos = media.clips_in(low), media.photos_in(photo)
    if clips is None and photos is None:
        return None
    for files, folder, what in ((clips, low, "clips"), (photos, photo, "photos")):
        if files == []:
            raise InputError(f"{folder}: the folder holds no {what}; put them directly in it")
    _check_folder(Path(output), [Path(low), Path(photo)])
    if photos is None:
        names = _by_name(clips)
        return [Job(clip, Path(photo), _output(output, name)) for name, clip in names.items()]
    if clips is None:
        names = _by_name(photos)
        return [Job(Path(low), picture, _output(output, name)) for name, picture in names.items()]
    clips, photos = _by_name(clips), _by_name(photos)
    alone = [path for names, others in ((clips, photos), (photos, clips)) for path in _missing(names, others)]
    pairs = [Job(clip, photos[name], _output(output, name)) for name, clip in clips.items() if name in photos]
    if not pairs:
        raise InputError(f"{low}: no clip has the name of a photo in {photo}; name the pairs alike: a.mp4 and a.jpg")
    if alone:
        note(f"without a partner, so left out: {_listed(alone)}")
    return pairs


def missing(jobs: Sequence[Job], output: str, *, force: bool) -> list[Job]:
    """The jobs whose output is not there yet, with a note about the others; all of them with `force`."""
    todo = [job for job in jobs if force or not job.output.exists()]
    if there := len(jobs) - len(todo):
        note(f"{output}: {there} of {len(jobs)} clips are there already and are left; --force makes them anew")
    return todo


def _output(folder: str, name: str) -> Path:
    return Path(folder) / f"{name}.mp4"


def _by_name(files: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in files:
        name = file.name if file.is_dir() else file.stem
        if name in found:
            raise InputError(f"{file}: has the same name as {found[name].name}; both would be {name}.mp4, rename one")
        found[name] = file
    return found


def _missing(names: dict[str, Path], others: dict[str, Path]) -> list[Path]:
    return [path for name, path in names.items() if name not in others]


def _listed(paths: Sequence[Path]) -> str:
    more = len(paths) - NAMED
    return ", ".join(map(str, paths[:NAMED])) + (f" and {more} more" if more > 0 else "")


def _check_folder(output: Path, inputs: Sequence[Path]) -> None:
    """Raises InputError if `output` cannot be a folder or is an input."""
    if output.suffix and not output.is_dir():
        raise InputError(f"{output}: many clips are written into a folder; choose a name without {output.suffix}")
    if output.resolve() in {path.resolve() for path in inputs}:
        raise InputError(f"{output}: is also an input, whose clips would be lost; choose another folder")
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: a file of that name is in the way; choose another name")
    if not output.resolve().parent.is_dir():
        raise InputError(f"{output}: the folder {output.resolve().parent} does not exist; make it first")
