"""Whose face it is: 128 features, whose L2 distance tells people apart.

They are the output of dlib's ResNet-29; two pictures of one person are usually nearer than `SAME_PERSON`. dlib's HOG
detector finds faces that are at least 80 pixels wide. It searches the frame as it is, then at twice the size, then
(only frames under 160 pixels) at four times the size, until it finds one. The largest face is taken and aligned by its
5 points. (dlib's 68 points would do too, but their training data exclude commercial use.)
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Shaped, UInt8

from facenhance_jax.faces import dlib_models

Box = tuple[int, int, int, int]  # pixels: left, top, right, bottom

SAME_PERSON = 0.6  # the usual threshold of these features
SMALL_FRAME = 160  # pixels, the shorter side

_PURPOSE = "measuring identity"
_WEIGHTS, _POINTS = "dlib_face_recognition_resnet_model_v1.dat", "shape_predictor_5_face_landmarks.dat"


@dataclass(frozen=True)
class Extractor:
    """The network that outputs the features."""

    name: str
    weights: str  # the file's name
    sha256: str  # of the weights' file, hexadecimal


class Models:
    """dlib's detector, 5-point predictor and ResNet. Raises InputError if the extra [faces] is not installed."""

    def __init__(self):
        self._dlib = dlib_models.library(_PURPOSE)
        points, weights = (dlib_models.model_file(_PURPOSE, name) for name in (_POINTS, _WEIGHTS))
        self._detect = self._dlib.get_frontal_face_detector()
        self._predict = self._dlib.shape_predictor(str(points))
        self._network = self._dlib.face_recognition_model_v1(str(weights))
        name = f"dlib {self._dlib.__version__}, ResNet-29, 128-d, faces aligned by 5 points"
        self.extractor = Extractor(name, _WEIGHTS, hashlib.sha256(weights.read_bytes()).hexdigest())

    def find(self, frame: UInt8[np.ndarray, "h w 3"]) -> Box | None:
        """The box of the largest face of an RGB frame, or None."""
        frame = np.ascontiguousarray(frame)  # dlib's detector can misread strided views without an error
        for doublings in range(3 if min(frame.shape[:2]) < SMALL_FRAME else 2):
            found = self._detect(frame, doublings)
            if found:
                box = max(found, key=lambda box: box.area())
                return box.left(), box.top(), box.right(), box.bottom()
        return None

    def describe(self, frame: UInt8[np.ndarray, "h w 3"], box: Box) -> Float64[np.ndarray, "128"]:
        """The features of the face in the box."""
        frame = np.ascontiguousarray(frame)
        points = self._predict(frame, self._dlib.rectangle(*box))
        return np.array(self._network.compute_face_descriptor(frame, points), np.float64)


@lru_cache(maxsize=1)
def models() -> Models:
    """The models, read only once."""
    return Models()


def box_of(points: Shaped[np.ndarray, "68 2"]) -> Box:
    """About the box that the detector finds around a face with these points: as wide as the jaw, down to the chin."""
    (left, _), (right, bottom) = points.min(0), points.max(0)
    return round(float(left)), round(float(bottom - (right - left))), round(float(right)), round(float(bottom))
