"""Trained generators behind the door of `generators`: MotionGAN with the renderer, and ImaGINator."""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from facenhance_jax.data.face_clips import masked, photo_face
from facenhance_jax.faces import alignment
from facenhance_jax.faces.portrait import Portrait
from facenhance_jax.generators import asking, motiongan, released, renderer
from facenhance_jax.generators.modules import Pure
from facenhance_jax.messages import InputError
from facenhance_jax.network.pixels import to_pixels, to_signal

# Of the way that the motion model gives, at strength 1. Its ways are straighter than those that it learned their length
# from, so they lead farther: by 12 to 28 %, on the people that it was trained on.
USUAL = 0.85
CHUNK = 8  # frames that are rendered at once; the last chunk is padded
PARTS = ("motion", "renderer")  # the folders of a `Learned`

Face = UInt8[np.ndarray, "64 64 3"]
Points = Float[np.ndarray, "68 2"]


class Learned:
    """MotionGAN moves the landmarks, the renderer moves and paints the photo's low-res face."""

    name = "learned"

    def __init__(self, motion: tuple[Pure, dict], pictures: tuple[Pure, dict]):
        """Both networks with their arrays. Raises InputError if they know other expressions."""
        self.motion, self.pictures = motion, pictures
        self.labels = motion[0].config.labels
        if pictures[0].config.labels != self.labels:
            raise InputError("the renderer knows other expressions than the motion model; train both with one config")

    def generate(
        self, photo: Portrait, expression: str, strength: float, frames: int, seed: int
    ) -> UInt8[np.ndarray, "n 64 64 3"]:
        """A framed photo's way from neutral to the apex of an expression, a function of the arguments.

        The first frame is the photo's own low-res face. `strength` scales the landmarks' way: 0 to 1.5, 1 is usual.
        Raises InputError for an expression that the model does not know, a strength out of range, no frames, or a photo
        without a face.
        """
        return self.perform(photo, expression, strength, frames, seed).low

    def perform(self, photo: Portrait, expression: str, strength: float, frames: int, seed: int) -> asking.Performance:
        """`generate`, with the landmarks that the frames should have."""
        low, track = self._performed(*face_of(photo), expression, strength, frames, seed)
        to_frame = cv2.invertAffineTransform(alignment.crop_matrix(photo.landmarks))
        return asking.Performance(low, track @ to_frame[:, :2].T + to_frame[:, 2])

    def moved(
        self, photo: Portrait, moves: Float[np.ndarray, "n 68 2"], expression: str
    ) -> Iterator[UInt8[np.ndarray, "64 64 3"]]:
        """The photo's low-res face with its landmarks moved, in pixels of it, and painted as of this expression.

        Frames are made as they are taken. Raises InputError, at once, for an expression that the model does not know,
        and for a photo without a face.
        """
        face, points = face_of(photo)
        label = asking.number_of(self.labels, expression, 1.0, len(moves))
        starts = range(0, len(moves), CHUNK)
        rows = (self._rendered(face, points, points + moves[at : at + CHUNK], label) for at in starts)
        return itertools.chain.from_iterable(rows)

    def of_face(
        self, face: Face, points: Points, expression: str, strength: float, frames: int, seed: int
    ) -> UInt8[np.ndarray, "n 64 64 3"]:
        """`generate`, from what `data.face_clips.photo_face` makes of the photo."""
        return self._performed(face, points, expression, strength, frames, seed)[0]

    def _performed(
        self, face: Face, points: Points, expression: str, strength: float, frames: int, seed: int
    ) -> tuple[UInt8[np.ndarray, "n 64 64 3"], Float[np.ndarray, "n 68 2"]]:
        """The clip, and the landmarks in pixels of its frames."""
        label = asking.number_of(self.labels, expression, strength, frames)
        moved = np.asarray(_moved(*self.motion, points[None], label, USUAL * strength, jax.random.key(seed)))
        track = _resampled(moved, frames)
        low = np.concatenate(
            [self._rendered(face, points, track[at : at + CHUNK], label) for at in range(0, frames, CHUNK)]
        )
        low[0] = masked(face, points)
        return low, track

    def _rendered(
        self, face: Face, points: Points, track: Float[np.ndarray, "n 68 2"], label: int
    ) -> UInt8[np.ndarray, "n 64 64 3"]:
        count = len(track)
        track = np.concatenate([track, np.repeat(track[-1:], CHUNK - count, axis=0)])
        masks = np.stack([alignment.face_mask(shape.astype(np.float64)) for shape in track])
        both = np.stack([np.broadcast_to(points, track.shape), track], axis=1).astype(np.float32)
        return np.array(_drawn(*self.pictures, face, both, masks, label))[:count]


class Imagined:
    """ImaGINator: the photo's low-res face becomes a clip in one pass."""

    name = "imaginator"

    def __init__(self, model: tuple[Pure, dict]):
        self.model, self.labels = model, model[0].config.labels

    def generate(
        self, photo: Portrait, expression: str, strength: float, frames: int, seed: int
    ) -> UInt8[np.ndarray, "n 64 64 3"]:
        """As `Learned.generate`, but the network makes 32 frames at strength 1; other numbers repeat or skip some."""
        return self.of_face(*face_of(photo), expression, strength, frames, seed)

    def of_face(
        self, face: Face, points: Points, expression: str, strength: float, frames: int, seed: int
    ) -> UInt8[np.ndarray, "n 64 64 3"]:
        """`generate`, from what `data.face_clips.photo_face` makes of the photo."""
        label = asking.number_of(self.labels, expression, strength, frames)
        if strength != 1.0:
            raise InputError(f"strength: {strength:g}; ImaGINator has no strengths, so leave it at 1")
        made = np.array(_imagined(*self.model, masked(face, points), label, jax.random.key(seed)))
        return made[np.linspace(0, len(made) - 1, frames).round().astype(int)]


def load(folder: Path | str) -> Learned | Imagined:
    """The generator in a folder, an ImaGINator or motion/ and renderer/.

    Each of them is a released model or a training run. Raises InputError if they are not there, or damaged.
    """
    folder = Path(folder)
    if all((folder / part).is_dir() for part in PARTS):
        models = [released.load(folder / part) for part in PARTS]
        for part, (network, _), kind in zip(PARTS, models, ("motiongan", "renderer"), strict=True):
            if network.config.kind != kind:
                raise InputError(f"{folder / part}: is a {network.config.kind}, not a {kind}; give each its folder")
        return Learned(*models)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give that of a trained generator")
    network, arrays = released.load(folder)
    if network.config.kind != "imaginator":
        raise InputError(
            f"{folder}: a {network.config.kind} alone is half a generator; give a folder of motion/ and renderer/"
        )
    return Imagined((network, arrays))


def face_of(photo: Portrait) -> tuple[Face, Points]:
    """What a generator sees of a framed photo. Raises InputError if it has no face."""
    return photo_face(photo.frame, asking.landmarks_of(photo))


def _resampled(track: Float[np.ndarray, "m 68 2"], frames: int) -> Float[np.ndarray, "n 68 2"]:
    """The motion in another number of frames, by interpolation in time; a single one is the first."""
    at = np.linspace(0, len(track) - 1, frames)
    before = np.minimum(at.astype(int), len(track) - 2)
    share = (at - before)[:, None, None]
    return (1.0 - share) * track[before] + share * track[before + 1]


@functools.partial(jax.jit, static_argnums=0)
def _moved(network: Pure, arrays: dict, neutral, label, strength, key) -> Float[jax.Array, "n 68 2"]:
    noise = jax.random.normal(jax.random.fold_in(key, label), (1, network.config.noise))
    labels = jnp.full(1, label)
    motion = network(arrays, noise, labels)[0]
    return motiongan.landmarks_of(arrays, motion, labels, neutral, strength)[0]


@functools.partial(jax.jit, static_argnums=0)
def _drawn(network: Pure, arrays: dict, face, points, masks, label) -> UInt8[jax.Array, "n 64 64 3"]:
    count = len(points)
    photos = jnp.broadcast_to(to_signal(face)[None], (count, *face.shape))
    phases = renderer.phase_of(points[:, 0], points[:, 1])
    inputs = (photos, points, masks.astype(jnp.float32), jnp.full(count, label), phases)
    return to_pixels(network(arrays, *inputs)[0])


@functools.partial(jax.jit, static_argnums=0)
def _imagined(network: Pure, arrays: dict, face, label, key) -> UInt8[jax.Array, "n 64 64 3"]:
    noise = jax.random.normal(jax.random.fold_in(key, label), (1, network.config.noise))
    return to_pixels(network(arrays, to_signal(face)[None], noise, jnp.full(1, label))[0][0])
