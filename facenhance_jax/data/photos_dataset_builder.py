"""Photographs of faces as the TFDS data set `photos`: pairs of one person's photos become morphs."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from facenhance_jax import messages
from facenhance_jax.data import layout, photo_pairs
from facenhance_jax.data.clip_dataset import ClipConfig, ClipDataset
from facenhance_jax.data.records import Job, Recipe, Record, encode, record_of, tracked
from facenhance_jax.faces import alignment, framing, recognition
from facenhance_jax.media.pictures import read_photo
from facenhance_jax.messages import InputError


@dataclasses.dataclass
class PhotoConfig(ClipConfig):
    """How a data set of photos is made.

    Attributes:
      both_ways: whether a pair also becomes a second clip, from the other photo to the neutral one.
      force: whether to use a pair even if the two faces look like two people's.
    """

    frames: int = 8
    part: str = "full"
    both_ways: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name += "_both_ways" * self.both_ways


CUT_OFF = 0.05  # of the aligned face's side: how far a landmark may lie beyond the picture's edge
SMALLEST = 0.6  # pixels of a photo for each of a frame; with less, the frames would be blurred

Photo = tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "68 2"]]  # with the landmarks of its face


class Photos(ClipDataset):
    """Photos in a folder for each person; see `layout.read_photos`."""

    DESCRIPTION = "Clips made from photographs of faces, with aligned low-resolution faces."
    BUILDER_CONFIGS = [PhotoConfig()]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"manual_dir is a folder of your own that holds {layout.PHOTO_LAYOUT}."

    def read(self, root: Path) -> layout.Tree:
        tree = layout.read_photos(root)
        if self.builder_config.both_ways:
            back = [dataclasses.replace(pair, take="take001", frames=pair.frames[::-1]) for pair in tree.recordings]
            tree.recordings = sorted(tree.recordings + back, key=lambda recording: recording.name)
        return tree

    def identity(self, recording: layout.Recording, others: Sequence[layout.Recording], root: Path) -> Path:
        return recording.frames[0]

    def make(self, job: Job, recipe: Recipe) -> tuple[list[Record], Counter]:
        """The record of a pair: frames from the first photo to the second, of which the first is the identity photo."""
        recording = job.recording
        (first, points), (second, others) = (_photo(file, recording.subject, recipe) for file in recording.frames)
        if not self.builder_config.force:
            _check_same(recording, (first, points), (second, others))
        clip = photo_pairs.clip(first, points, second, others, recipe.resolution, recipe.frames)
        frames = [(encode(high, ".jpg"), encode(low, ".png")) for high, low in clip]
        return [record_of(recording, frames, frames[0][0])], Counter({"clips": 1, "frames": len(frames)})


def _photo(file: Path, subject: str, recipe: Recipe) -> Photo:
    """A photo with its largest face. Raises InputError for a photo that cannot be used."""
    photo = read_photo(file)
    track = tracked(layout.Recording(subject, "", "", file.stem, (file,)), [photo], recipe.tracks)
    if track.faces > 1:
        messages.note(f"{file}: {track.faces} faces; the largest is taken")
    points = track.landmarks[0].astype(np.float64)
    pixels = alignment.shrinking(points, round(framing.CROP * recipe.resolution))
    if pixels < SMALLEST:
        width = round(framing.CROP * recipe.resolution * pixels)
        least = round(framing.CROP * recipe.resolution * SMALLEST)
        raise InputError(f"{file}: the face is {width} pixels wide; give a photo in which it has {least} or more")
    beyond = np.maximum(-points, points - np.array(photo.shape[1::-1]) + 1).max()
    if beyond > CUT_OFF * alignment.shrinking(points, 1):
        raise InputError(f"{file}: the face is cut off by the picture's edge; give a photo that shows it whole")
    return photo, points


def _check_same(recording: layout.Recording, *photos: Photo) -> None:
    """Raises InputError if the photos seem to show different people."""
    models = recognition.models()
    first, second = (models.describe(photo, recognition.box_of(points)) for photo, points in photos)
    if (distance := float(np.linalg.norm(first - second))) > recognition.SAME_PERSON:
        raise InputError(
            f"{recording.frames[1]}: does not look like the person of {recording.frames[0].name} (distance "
            f"{distance:.2f}, at most {recognition.SAME_PERSON}); correct it, or use it with --force"
        )
