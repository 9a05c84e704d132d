"""ACD and ACD-I: whether a clip shows one person throughout, and whether it is the person of the photo.

Distances are L2 between the 128-d features that dlib's ResNet-29 outputs for a face; two pictures of one person are
usually nearer than 0.6. Distances of different extractors cannot be compared, so show `extractor()` with them.

dlib's HOG detector finds faces that are at least 80 pixels wide. It searches the frame as it is, then at twice the
size, then (only frames under 160 pixels) at four times the size, until it finds one. The largest face is taken and
aligned by its 5 points. (dlib's 68 points would do too, but their training data exclude commercial use.) A frame in
which no face is found is counted as missing but not left out: its features are computed in the box of the nearest frame
with a face (the earlier one of two).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from facenhance_jax.faces import dlib_models
from facenhance_jax.messages import InputError

Box = tuple[int, int, int, int]  # pixels: left, top, right, bottom

SMALL_FRAME = 160  # pixels, the shorter side

_PURPOSE = "measuring identity"
_WEIGHTS, _POINTS = "dlib_face_recognition_resnet_model_v1.dat", "shape_predictor_5_face_landmarks.dat"


class NoFaceError(InputError):
    """No face is found in a photo, or in any frame of a clip, so there is no ACD."""


@dataclass(frozen=True)
class Extractor:
    """The network that outputs the features."""

    name: str
    weights: str  # the file's name
    sha256: str  # of the weights' file, hexadecimal


@dataclass(frozen=True)
class Features:
    """The features of a clip's faces, a vector for each frame."""

    vectors: Float64[np.ndarray, "n 128"]
    missing: tuple[int, ...]  # indices of the frames in which no face was found


@dataclass(frozen=True)
class ClipIdentity:
    """The distances of one clip."""

    acd: float | None  # mean L2 between the features of consecutive frames; None for a clip of one frame
    acd_i: float  # mean L2 between each frame's features and the photo's
    missing_share: float  # share of frames, 0 to 1, in which no face was found; both means include them


def extractor() -> Extractor:
    """The extractor of all features here. Raises InputError if the extra [faces] is not installed."""
    return _models().extractor


def describe(frames: UInt8[np.ndarray, "n h w 3"], name: str | Path) -> Features:
    """The features of a clip's frames (RGB); for a frame that equals the one before, they are not computed again.

    `name` is the clip's name for messages. Raises InputError if the extra [faces] is not installed or there are no
    frames, and NoFaceError if no face is found in any frame.
    """
    models = _models()
    if not len(frames):
        raise InputError(f"{name}: no frames; give a clip with at least one")
    repeated = [False, *(np.array_equal(before, frame) for before, frame in pairwise(frames))]
    boxes: list[Box | None] = []
    for frame, same in zip(frames, repeated, strict=True):
        boxes.append(boxes[-1] if same else models.find(frame))
    missing = tuple(index for index, box in enumerate(boxes) if box is None)
    if len(missing) == len(frames):
        raise NoFaceError(
            f"{name}: no face was found in any of its {len(frames)} frames; give a clip that shows one from the front"
        )
    boxes = _filled(boxes)
    vectors: list[np.ndarray] = []
    for index, (frame, same) in enumerate(zip(frames, repeated, strict=True)):
        same = same and boxes[index] == boxes[index - 1]
        vectors.append(vectors[-1] if same else models.describe(frame, boxes[index]))
    return Features(np.stack(vectors), missing)


def describe_photo(photo: UInt8[np.ndarray, "h w 3"], name: str | Path) -> Float64[np.ndarray, "128"]:
    """The features of an RGB photo's face. Raises InputError as `describe` does, NoFaceError if no face is found."""
    models = _models()
    box = models.find(photo)
    if box is None:
        raise NoFaceError(f"{name}: no face was found; give a photo that shows one from the front")
    return models.describe(photo, box)


def compare(clip: Features, photo: Float64[np.ndarray, "128"]) -> ClipIdentity:
    """ACD and ACD-I as the paper defines them (section 5.3)."""
    count = len(clip.vectors)
    acd = float(np.linalg.norm(np.diff(clip.vectors, axis=0), axis=1).mean()) if count > 1 else None
    acd_i = np.linalg.norm(clip.vectors - photo, axis=1).mean()
    return ClipIdentity(acd, float(acd_i), len(clip.missing) / count)


def distance(clip: Features, real: Features) -> float:
    """Mean L2 between the features of each frame and of the real one."""
    return float(np.linalg.norm(clip.vectors - real.vectors, axis=1).mean())


def _filled(boxes: Sequence[Box | None]) -> list[Box]:
    """Fills each gap with the box of the nearest frame that has one, the earlier one of two."""
    known = np.flatnonzero([box is not None for box in boxes])
    return [boxes[known[np.abs(known - index).argmin()]] for index in range(len(boxes))]


class _Models:
    """dlib's detector, 5-point predictor and ResNet."""

    def __init__(self):
        self._dlib = dlib_models.library(_PURPOSE)
        points, weights = (dlib_models.model_file(_PURPOSE, name) for name in (_POINTS, _WEIGHTS))
        self._detect = self._dlib.get_frontal_face_detector()
        self._predict = self._dlib.shape_predictor(str(points))
        self._network = self._dlib.face_recognition_model_v1(str(weights))
        name = f"dlib {self._dlib.__version__}, ResNet-29, 128-d, faces aligned by 5 points"
        self.extractor = Extractor(name, _WEIGHTS, hashlib.sha256(weights.read_bytes()).hexdigest())

    def find(self, frame: UInt8[np.ndarray, "h w 3"]) -> Box | None:
        frame = np.ascontiguousarray(frame)  # dlib's detector can misread strided views without an error
        for doublings in range(3 if min(frame.shape[:2]) < SMALL_FRAME else 2):
            found = self._detect(frame, doublings)
            if found:
                box = max(found, key=lambda box: box.area())
                return box.left(), box.top(), box.right(), box.bottom()
        return None

    def describe(self, frame: UInt8[np.ndarray, "h w 3"], box: Box) -> Float64[np.ndarray, "128"]:
        frame = np.ascontiguousarray(frame)
        points = self._predict(frame, self._dlib.rectangle(*box))
        return np.array(self._network.compute_face_descriptor(frame, points), np.float64)


@lru_cache(maxsize=1)
def _models() -> _Models:
    """The models, read only once."""
    return _Models()
