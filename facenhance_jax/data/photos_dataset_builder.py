"""Photographs of faces as the TFDS data set `photos`.

Two photos of one person become a morph (`photo_pairs`); a single photo is animated (`animation`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
from jaxtyping import Float, UInt8

from facenhance_jax import messages
from facenhance_jax.data import layout, photo_pairs
from facenhance_jax.data.animation import checking
from facenhance_jax.data.animation.animator import animate
from facenhance_jax.data.animation.light import relight
from facenhance_jax.data.clip_dataset import ClipConfig, ClipDataset
from facenhance_jax.data.records import Job, Recipe, Record, encode, record_of, tracked
from facenhance_jax.faces import alignment, framing, placement, recognition
from facenhance_jax.media.pictures import read_photo
from facenhance_jax.messages import InputError


@dataclass
class PhotoConfig(ClipConfig):
    """How a data set of photos is made.

    Attributes:
      both_ways: whether a pair also becomes a second clip, from the other photo to the neutral one.
      force: whether to use a pair even if the two faces look like two people's.
      takes: how many of the six expressions a single photo performs; which ones goes round from photo to photo.
      relight: strength of another light, exposure and colour on the face in an animated photo's frames than in its
        identity photo, 0 for none; see `animation.light`. The surroundings keep the photo's light, as in a pair: they
        are to be taken from the photo, and the face's light from the low-res face.
      seed: of the animations and their light.
    """

    frames: int = 8
    part: str = "full"
    both_ways: bool = False
    force: bool = False
    takes: int = len(layout.EXPRESSIONS)
    relight: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.takes <= len(layout.EXPRESSIONS):
            raise InputError(f"takes: {self.takes} is not from 1 to {len(layout.EXPRESSIONS)}")
        if not 0 <= self.relight <= 2:
            raise InputError(f"relight: {self.relight} is not from 0 to 2")
        self.name += (
            "_both_ways" * self.both_ways
            + "_force" * self.force
            + f"_{self.takes}takes" * (self.takes < len(layout.EXPRESSIONS))
        )
        self.name += f"_relight{self.relight:g}" * bool(self.relight) + f"_seed{self.seed}" * bool(self.seed)


ROOM = 0.01  # of the aligned face's side, between landmarks and the picture's edge; those of a cut face cling to it
STRENGTHS = (0.7, 1.3)  # of animations: people differ in how much they show
SMALLEST = 0.6  # pixels of a photo for each of a frame; with less, the frames would be blurred

Photo = tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "68 2"]]  # with the landmarks of its face


class Photos(ClipDataset):
    """Photos in a folder for each person; see `layout.read_photos`."""

    DESCRIPTION = "Clips made from photographs of faces, with aligned low-resolution faces."
    BUILDER_CONFIGS = [PhotoConfig()]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"manual_dir is a folder of your own that holds {layout.PHOTO_LAYOUT}."

    def read(self, root: Path) -> layout.Tree:
        tree = layout.read_photos(root)
        config = self.builder_config
        pairs = [recording for recording in tree.recordings if len(recording.frames) == 2]
        singles = [recording for recording in tree.recordings if len(recording.frames) == 1]
        back = [replace(pair, take="take001", frames=pair.frames[::-1]) for pair in pairs if config.both_ways]
        every = layout.EXPRESSIONS
        acted = [
            replace(single, expression=every[(number * config.takes + take) % len(every)])
            for number, single in enumerate(singles)
            for take in range(config.takes)
        ]
        tree.recordings = sorted(pairs + back + acted, key=lambda recording: recording.name)
        return tree

    def identity(self, recording: layout.Recording, others: Sequence[layout.Recording], root: Path) -> Path:
        return recording.frames[0]

    def make(self, job: Job, recipe: Recipe) -> tuple[list[Record], Counter]:
        """One record: of a pair the way from the first photo to the second, of a single photo a performance.

        The first photo, framed, is the identity photo. A pair's first frame is the same.
        """
        recording = job.recording
        photos = [framed_photo(file, recording.subject, recipe) for file in recording.frames]
        if len(photos) == 2:
            if not self.builder_config.force:
                _check_same(recording, *photos)
            clip = list(photo_pairs.clip(*photos[0], *photos[1], recipe.resolution, recipe.frames))
            identity = clip[0][0]
        else:
            identity, clip = self._performance(recording, photos[0], recipe)
        frames = [(encode(high, ".jpg"), encode(low, ".png")) for high, low in clip]
        # Of the landmarks: `find_face` is off by up to 0.8 px of the size here, and a network learns to expect it.
        points = photo_pairs.moved(photos[0][1], framing.portrait(photos[0][1], recipe.resolution))
        place = placement.to_text(placement.of_landmarks(points))
        record = record_of(recording, frames, encode(identity, ".jpg"), place)
        return [record], Counter({"clips": 1, "frames": len(frames)})

    def _performance(
        self, recording: layout.Recording, photo: Photo, recipe: Recipe
    ) -> tuple[photo_pairs.Image, list[photo_pairs.Shown]]:
        """The framed photo, and (frame, low-res face) of its way to the expression's apex."""
        config, size = self.builder_config, photo_pairs.FINE * recipe.resolution
        rng = np.random.default_rng((config.seed, crc32(recording.name.encode())))
        matrix = framing.portrait(photo[1], size)
        still, points = alignment.warp(photo[0], matrix, size), photo_pairs.moved(photo[1], matrix)
        strength = rng.uniform(*STRENGTHS)
        act = (recording.expression, recipe.frames)
        frames, landmarks = animate(still, points, *act, seed=config.seed, strength=strength, hold=True)
        if why := checking.check(frames, landmarks):
            raise InputError(f"{recording.frames[0]}: cannot perform {recording.expression}, {why}")
        if config.relight:
            lit = relight(frames, rng, config.relight)
            rows = zip(frames, lit, landmarks, strict=True)
            frames = [photo_pairs.only_face(frame, other, shape) for frame, other, shape in rows]
        clip = [
            (photo_pairs.shrunk(frame), alignment.low_frame(frame, shape))
            for frame, shape in zip(frames, landmarks, strict=True)
        ]
        return photo_pairs.shrunk(still), clip


def framed_photo(file: Path, subject: str, recipe: Recipe) -> Photo:
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
    room = np.minimum(points, np.array(photo.shape[1::-1]) - 1 - points).min()
    if room < ROOM * alignment.shrinking(points, 1):
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
