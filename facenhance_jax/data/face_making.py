"""Makes `face_clips` for the generators out of trees of clips and photos.

Each clip of a tree becomes one. A pair of photos becomes the morph from one to the other, and its neutral photo
performs the expressions that the pair lacks; a single photo performs those that it is given.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from jaxtyping import Float, UInt8

from facenhance_jax.data import layout, photo_pairs
from facenhance_jax.data.animation import checking
from facenhance_jax.data.animation.animator import Animator
from facenhance_jax.data.animation.performing import plan
from facenhance_jax.data.face_clips import LOW_SIZE, FaceClip, aligned, photo_face
from facenhance_jax.data.photos_dataset_builder import STRENGTHS, framed_photo
from facenhance_jax.data.records import Job, Recipe, faces_of, read_frames, read_landmarks, tracked
from facenhance_jax.data.synthetic.face_shape import smoothstep
from facenhance_jax.faces import alignment, framing
from facenhance_jax.media.pictures import read_photo
from facenhance_jax.messages import InputError

SIZE = 192  # pixels: side of the frames in which photos are animated and morphed
LOOKED_AT = 2  # frames in which an animated face is searched for, the photo and the apex


def of_job(job: Job, recipe: Recipe, seed: int = 0) -> list[FaceClip]:
    """The clips of a recording of any kind of tree. Raises InputError for one that is of no use."""
    recording = job.recording
    if len(recording.frames) == 1 and not recording.is_video:
        return [_animated(job, recipe, recording.expression, seed)]
    if len(recording.frames) == 2:
        others = [expression for expression in layout.EXPRESSIONS if expression != recording.expression]
        return [_morphed(job, recipe)] + [_animated(job, recipe, expression, seed) for expression in others]
    return list(_recorded(job, recipe))


def _cut(
    photo: UInt8[np.ndarray, "h w 3"],
    photo_landmarks: Float[np.ndarray, "68 2"],
    frames: Sequence[tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "68 2"]]],
    *words: str,
) -> FaceClip:
    """Cuts the low-res faces out of a photo and frames, each with its landmarks."""
    low = np.stack([alignment.low_frame(frame, points, LOW_SIZE) for frame, points in frames])
    moved = np.stack([aligned(points) for _, points in frames])
    return FaceClip(*photo_face(photo, photo_landmarks), low, moved, *words)


def _recorded(job: Job, recipe: Recipe) -> Iterator[FaceClip]:
    recording = job.recording
    known = faces_of(recording, recipe)
    if known.landmarks is None or not np.isfinite(known.landmarks).all():
        raise InputError(f"{recording.stem}: its landmarks are not known in every frame; leave --openface out")
    photo = read_photo(job.identity) if not recording.is_video else None
    positions = layout.positions(known.length, recipe.frames, recipe.part)
    frames = {at: frame for at, _, frame in read_frames(recording, {at for kept in positions for at in kept}, 1)}
    if photo is None or job.identity == recording.frames[0]:
        photo, points = frames.get(0, next(iter(frames.values()))), known.landmarks[min(frames)]
    else:
        points = _photo_landmarks(job.identity, photo, recipe)
    for number, kept in enumerate(positions):
        take = recording.take + (f"-{number:03d}" if len(positions) > 1 else "")
        shown = [(frames[at], known.landmarks[at]) for at in kept]
        yield _cut(photo, points, shown, recording.subject, recording.expression, take)


def _photo_landmarks(file: Path, photo: UInt8[np.ndarray, "h w 3"], recipe: Recipe) -> Float[np.ndarray, "68 2"]:
    """Those next to a clip whose first frame the photo is, or else our tracker's."""
    beside = file.parent / "landmarks.npy"
    if beside.is_file():
        return read_landmarks(beside, len([other for other in file.parent.iterdir() if other.suffix == file.suffix]))[0]
    whose = layout.Recording(file.parent.name, "", "", file.stem, (file,))
    return tracked(whose, [photo], recipe.tracks).landmarks[0]


def _morphed(job: Job, recipe: Recipe) -> FaceClip:
    recording = job.recording
    photos = [framed_photo(file, recording.subject, recipe) for file in recording.frames]
    pair = photo_pairs.aligned_pair(*photos[0], *photos[1], SIZE)
    shares = smoothstep(0.0, 1.0, np.linspace(0.0, 1.0, recipe.frames))
    frames = [photo_pairs.morph(*pair, float(share)) for share in shares]
    return _cut(pair[0], pair[2], frames, recording.subject, recording.expression, recording.take)


def _animated(job: Job, recipe: Recipe, expression: str, seed: int) -> FaceClip:
    """The way of a photo to an expression's apex; strength and timing are functions of the seed and the name."""
    subject = job.recording.subject
    still, points, animator = _animator(job.recording.frames[0], subject, recipe)
    rng = np.random.default_rng((seed, crc32(f"{subject}/{expression}".encode())))
    strength = rng.uniform(*STRENGTHS)
    poses = plan(expression, recipe.frames, seed=[seed, crc32(still)], take=0, strength=strength, hold=True)
    share = min(animator.largest_share(pose) for pose in poses)
    frames = [animator.draw(pose, share) for pose in poses]
    drawn, landmarks = (np.stack(part) for part in zip(*frames, strict=True))
    if why := checking.check(drawn, landmarks, LOOKED_AT):
        raise InputError(f"{job.recording.frames[0]}: cannot perform {expression}, {why}")
    return _cut(still, points, frames, subject, expression, "animated")


@functools.lru_cache(maxsize=2)  # the expressions of one photo come one after the other
def _animator(file: Path, subject: str, recipe: Recipe) -> tuple[np.ndarray, np.ndarray, Animator]:
    photo, points = framed_photo(file, subject, recipe)
    matrix = framing.portrait(points, SIZE)
    still, points = alignment.warp(photo, matrix, SIZE), photo_pairs.moved(points, matrix)
    return still, points, Animator(still, points)
