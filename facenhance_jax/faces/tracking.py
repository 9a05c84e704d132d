"""Landmarks of an ordinary face video: one face is followed from frame to frame by dlib's detector and predictor.

The detector uses HOG features (Dalal & Triggs, 2005), the predictor gives the 68 iBUG points (Kazemi & Sullivan, 2014).
Both come with the extra [faces]; dlib is imported only when a clip is tracked.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from facenhance_jax.faces import alignment, dlib_models, gaps

NEAR_FACE = 100  # pixels: width of the last face in the scaled search around it; the detector's window is 80
NEAR_REACH = 2.2  # side of that search, in widths of the last face
JUMP = 1.0  # widths of the last face: a face farther away from it is another person's
SEARCHED = (640, 1280)  # pixels: longer side of a whole frame as it is searched first, and again if nothing was found
SMALL_FRAME = 160  # pixels, the shorter side; smaller frames are enlarged to twice that before they are searched
LARGEST_ZOOM = 4  # more adds no detail
PREDICTED_FACE = 320  # pixels: width to which a face is scaled before its points are predicted, which are whole pixels
# The detector's boxes lie on a coarse grid, so the points predicted in them jump from frame to frame. Therefore a first
# prediction gives a better box, and the points are the mean over it and four shifted ones: a third of the jitter.
BOX_CENTRE = np.array([31.5, 33.0])  # of the detector's usual box, in the coordinates of alignment.mean_shape()
BOX_SIDE = 60.0  # the same
CENTRED = np.zeros((1, 2))
NUDGES = 0.03 * np.array([(0, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)])  # face widths
_POINTS = "shape_predictor_68_face_landmarks.dat"


def faces(picture: UInt8[np.ndarray, "h w 3"]) -> tuple[Float64[np.ndarray, "n 68 2"], float]:
    """The landmarks of all faces in an RGB picture, from left to right, and the detector's score of the surest one.

    A face has to be about 1/16 of the longer side wide. n may be 0; the score is then -inf. Raises InputError if dlib
    or its models are not installed.
    """
    follower = _Follower()
    boxes = follower.search_whole(picture)
    found = sorted((follower.settle(picture, box)[1] for box in boxes), key=lambda points: points[:, 0].mean())
    return np.reshape(found, (-1, 68, 2)), max((box.score for box in boxes), default=-np.inf)


@dataclass(frozen=True)
class Track:
    """Where one face was in every frame of a clip."""

    landmarks: Float32[np.ndarray, "n 68 2"]  # (x, y) in pixels, iBUG order, whole numbers are pixel centres
    missing: tuple[int, ...]  # frames, from 0, in which no face was found: their rows are interpolated
    faces: int  # the most faces seen in a frame that was searched as a whole


def track(frames: Iterable[UInt8[np.ndarray, "h w 3"]], name: str | Path) -> Track:
    """Follows one face through a clip: the largest in the first frame with a face, then always the nearest to the last.

    Takes RGB frames one at a time and keeps none. The face is searched for around the last one, then in the whole
    frame, where it has to be at least about 1/16 of the longer side wide. If the nearest face is farther from the last
    one than the last one's width, it is another person's and does not count. Up to 5 frames in a row without the face
    are interpolated, linearly in time; before the first face and after the last, its landmarks are repeated.

    `name` is the clip's, for messages. Raises InputError if dlib or its models are not installed, or if the clip has no
    frames, no face, or more than 5 frames in a row without the face.
    """
    follower = _Follower()
    rows = [follower.find(frame) for frame in frames]
    missing = tuple(index for index, row in enumerate(rows) if row is None)
    gaps.check(missing, len(rows), name)
    unknown = np.full((68, 2), np.nan)
    landmarks = gaps.fill(np.stack([unknown if row is None else row for row in rows]))
    return Track(landmarks, missing, follower.faces)


class _Box(NamedTuple):
    """A face's square as the detector sees it: from the brows to the chin."""

    x: float  # pixels, the centre
    y: float
    side: float
    score: float = 0.0  # the detector's

    @classmethod
    def of(cls, points: Float64[np.ndarray, "68 2"]) -> "_Box":
        """The box that fits a face's points."""
        rigid = list(alignment.RIGID)
        matrix = alignment.similarity(alignment.mean_shape()[rigid], points[rigid])
        x, y = matrix[:, :2] @ BOX_CENTRE + matrix[:, 2]
        return cls(float(x), float(y), BOX_SIDE * float(np.hypot(*matrix[:, 0])))

    def distance(self, other: "_Box") -> float:
        """Pixels between the centres."""
        return float(np.hypot(self.x - other.x, self.y - other.y))


class _Follower:
    def __init__(self):
        detect, self._predict = _dlib_models()
        # The detector lets other Python threads run but must not be used by two at once (dlib issues 340 and 998).
        self._detect = copy.deepcopy(detect)
        self._last: _Box | None = None
        self.faces = 0

    def find(self, frame: UInt8[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "68 2"] | None:
        """The points of the followed face, or None if it is not found."""
        last = self._last
        boxes = (last and self._search_near(frame, last)) or self.search_whole(frame)
        if last:
            boxes = [box for box in boxes if box.distance(last) <= JUMP * last.side]
        if not boxes:
            return None
        box = min(boxes, key=last.distance) if last else max(boxes, key=lambda box: box.side)
        self._last, points = self.settle(frame, box)
        return points

    def settle(self, frame: UInt8[np.ndarray, "h w 3"], box: _Box) -> tuple[_Box, Float64[np.ndarray, "68 2"]]:
        """The box that fits the face in a box of the detector, and the face's points."""
        fitting = _Box.of(self._points(frame, box, CENTRED))
        return fitting, self._points(frame, fitting, NUDGES)

    def _search_near(self, frame: UInt8[np.ndarray, "h w 3"], last: _Box) -> list[_Box]:
        return self._search(_View.around(frame, last, NEAR_REACH, NEAR_FACE / last.side))

    def search_whole(self, frame: UInt8[np.ndarray, "h w 3"]) -> list[_Box]:
        height, width, _ = frame.shape
        zoom = 2 * SMALL_FRAME / min(height, width) if min(height, width) < SMALL_FRAME else 1.0
        boxes, tried = [], 0.0
        for attempt, longest in enumerate(SEARCHED):
            scale = min(zoom * 2**attempt, longest / max(height, width), LARGEST_ZOOM)
            if not boxes and scale > tried:
                boxes, tried = self._search(_View(frame, 0, 0, scale)), scale
        self.faces = max(self.faces, len(boxes))
        return boxes

    def _search(self, view: "_View") -> list[_Box]:
        boxes = []
        for found, score, _ in zip(*self._detect.run(view.grey, 0, 0.0), strict=True):
            edges = np.array([(found.left(), found.top()), (found.right(), found.bottom())], np.float64)
            edges = view.to_frame(edges)
            (x, y), (side, _) = edges.mean(0), edges[1] - edges[0]
            boxes.append(_Box(float(x), float(y), float(side), score))
        return boxes

    def _points(
        self, frame: UInt8[np.ndarray, "h w 3"], box: _Box, nudges: Float64[np.ndarray, "n 2"]
    ) -> Float64[np.ndarray, "68 2"]:
        """The mean of the points predicted in the box, shifted by each of `nudges` (in widths of the box)."""
        import dlib

        view = _View.around(frame, box, 2.0, PREDICTED_FACE / box.side)
        square = box.side / 2 * np.array([(-1, -1), (1, 1)])
        guesses = []
        for nudge in nudges:
            corners = view.from_frame(np.array([box.x, box.y]) + nudge * box.side + square)
            shape = self._predict(view.grey, dlib.rectangle(*np.rint(corners).astype(int).ravel().tolist()))
            guesses.append([(point.x, point.y) for point in shape.parts()])
        return view.to_frame(np.mean(guesses, 0))


class _View:
    """A part of a frame, in grey and at another scale; maps points between its coordinates and the frame's."""

    def __init__(self, part: UInt8[np.ndarray, "h w 3"], left: int, top: int, scale: float):
        height, width, _ = part.shape
        size = max(1, round(width * scale)), max(1, round(height * scale))
        grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        self.grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        self._corner = np.array([left, top])
        self._scale = np.array(size) / [width, height]  # not quite `scale`: sizes are whole

    @classmethod
    def around(cls, frame: UInt8[np.ndarray, "h w 3"], box: _Box, reach: float, scale: float) -> "_View":
        """The part of the frame in a square around the box, `reach` times as wide."""
        height, width, _ = frame.shape
        half = box.side * reach / 2
        left, top = int(np.clip(box.x - half, 0, width - 1)), int(np.clip(box.y - half, 0, height - 1))
        right, bottom = int(np.clip(box.x + half, left + 1, width)), int(np.clip(box.y + half, top + 1, height))
        return cls(frame[top:bottom, left:right], left, top, scale)

    def to_frame(self, points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        return (points + 0.5) / self._scale - 0.5 + self._corner

    def from_frame(self, points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        return (points - self._corner + 0.5) * self._scale - 0.5


@lru_cache(maxsize=1)
def _dlib_models() -> tuple[Callable, Callable]:
    """dlib's face detector and 68-point predictor, read once: half a second each."""
    dlib = dlib_models.library("finding a face")
    points = dlib_models.model_file("finding a face", _POINTS)
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(points))
