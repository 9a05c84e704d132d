"""The scores of one clip: every metric of a method's frames, compared with the real ones.

A metric that cannot be computed is absent, and the reason is kept; it is never zero or NaN instead.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from facenhance_jax.evaluation.clip_sets import EvaluationClip
from facenhance_jax.evaluation.metrics import fvd, i3d, identity, landmarks, motion
from facenhance_jax.evaluation.metrics.frames import psnr, ssim
from facenhance_jax.evaluation.metrics.sharpness import sharpness
from facenhance_jax.faces import dlib_models, tracking
from facenhance_jax.messages import InputError

GROUPS = {  # {group that can be chosen: what it computes for each clip}
    "psnr": ("psnr", "face_psnr"),
    "ssim": ("ssim", "face_ssim"),
    "temporal": ("temporal",),
    "colour": ("colour_shift", "background_drift"),
    "sharpness": ("sharpness",),
    "acd": ("acd",),  # and acd_i, acd_real, faceless
    "expression": ("landmarks", "acting_mouth", "acting_brows"),  # and the landmarks of its parts
    "fvd": (),  # a number of the whole set, not of a clip
}


@dataclass(frozen=True)
class Metric:
    """How a number is shown."""

    label: str
    unit: str
    best: str  # "high", "low", or "1" where that is right and more is too much
    digits: int  # after the decimal point


METRICS = {
    "psnr": Metric("PSNR", "dB, mean over frames, at most 100", "high", 2),
    "ssim": Metric("SSIM", "", "high", 4),
    "face_psnr": Metric("face PSNR", "dB, within the face", "high", 2),
    "face_ssim": Metric("face SSIM", "within the face", "high", 4),
    "fvd": Metric("FVD", "", "low", 1),
    "fvd_half": Metric("FVD/2", "of half of the clips to the other half's real ones", "low", 1),
    "acd": Metric("ACD", "L2 of dlib's features, consecutive frames", "low", 3),
    "acd_i": Metric("ACD-I", "L2 of dlib's features, frame to photo", "low", 3),
    "acd_real": Metric("ACD-real", "L2 of dlib's features, frame to real frame", "low", 3),
    "faceless": Metric("no face", "share of the frames in which none was found", "low", 3),
    "temporal": Metric("flicker", "grey levels", "low", 2),
    "colour_shift": Metric("colour", "grey levels, within the face", "low", 2),
    "background_drift": Metric("background", "grey levels, outside the face", "low", 2),
    "landmarks": Metric("landmarks", "percent of the eye distance, 68 points", "low", 2),
    "landmarks_mouth": Metric("mouth", "percent of the eye distance", "low", 2),
    "landmarks_brows": Metric("brows", "percent of the eye distance", "low", 2),
    "acting_mouth": Metric("mouth acts", "the mouth's way from the photo, over the real one's", "1", 2),
    "acting_brows": Metric("brows act", "the brows' way from the photo, over the real ones'", "1", 2),
    "sharpness": Metric("sharpness", "mean |Laplacian| in the face, over the real one's", "1", 2),
}


@dataclass(frozen=True)
class Score:
    """A clip's numbers."""

    numbers: dict[str, float] = field(default_factory=dict)  # by metric
    absent: dict[str, str] = field(default_factory=dict)  # {metric: why it has no number}
    features: list[float] | None = None  # I3D's 400 logits, if FVD is computed
    took: dict[str, float] = field(default_factory=dict)  # {group: seconds}


@dataclass(frozen=True)
class Reference:
    """What is computed of a real clip once for all methods; a field is None if not asked for or not computable."""

    score: Score  # of the real frames themselves: ACD, and the features for FVD
    photo: Float64[np.ndarray, "128"] | None = None  # the photo's features for ACD-I
    features: identity.Features | None = None  # the real frames', for ACD-real
    points: Float[np.ndarray, "n 68 2"] | None = None  # landmarks, pixels; NaN in frames without a face
    photo_points: Float[np.ndarray, "68 2"] | None = None


class Scorer:
    """Computes the chosen groups of metrics for clips of one length and size.

    Attributes:
      absent: {group: why it is not computed}.
    """

    def __init__(
        self, frames: int, size: int, groups: Sequence[str] | None = None, protocol: fvd.Protocol | None = None
    ):
        """
        Args:
          frames: of each clip.
          size: side of the frames, pixels.
          groups: keys of `GROUPS`; by default all that can be computed.
          protocol: the frames and size that FVD compares; by default the clips' own.

        Raises:
          InputError: if a group in `groups` does not exist, or cannot be computed because an extra is not installed or
            the clips are too short.
        """
        for group in groups or ():
            if group not in GROUPS:
                raise InputError(f"metrics: {group} is none of {', '.join(GROUPS)}")
        self.frames, self.size, self.protocol, self.absent, self._active = frames, size, protocol, {}, []
        self._i3d: dict[str, i3d.Unit] = {}
        for group in GROUPS:
            if groups and group not in groups:
                self.absent[group] = "not asked for"
                continue
            try:
                self._prepare(group)
            except InputError as error:
                if groups:
                    raise
                self.absent[group] = str(error)
            else:
                self._active.append(group)

    def _prepare(self, group: str) -> None:
        if group == "temporal" and self.frames < 2:
            raise InputError("temporal: clips of one frame; consecutive ones are compared: give at least 2")
        if group == "acd":
            identity.extractor()
            if self.frames < 2:
                self.absent["acd"] = "clips of one frame have only ACD-I and ACD-real; ACD compares consecutive frames"
        if group == "expression":
            dlib_models.library("finding a face")
            dlib_models.model_file("finding a face", "shape_predictor_68_face_landmarks.dat")
        if group == "fvd":
            self.protocol = self.protocol or fvd.Protocol(self.frames, self.size)
            if self.frames < self.protocol.frames:
                raise InputError(
                    f"fvd: clips of {self.frames} frames; this preset takes {self.protocol.frames} of each: draw or "
                    f"prepare them with --frames={self.protocol.frames}"
                )
            self._i3d = i3d.load()

    def describe(self) -> dict[str, Any]:
        """{group: {}}; for a group that uses a network, its extractor and weights."""
        about: dict[str, Any] = {group: {} for group in self._active}
        if "acd" in about:
            made_by = identity.extractor()
            about["acd"] = {"extractor": made_by.name, "weights": made_by.weights, "weights_sha256": made_by.sha256}
        if "expression" in about:
            extractor = "dlib's 68 points (their training data exclude commercial use)"
            about["expression"] = {"extractor": extractor, "acting": f"real moves of {landmarks.STILL:g} % or more"}
        if "fvd" in about:
            about["fvd"] = self.protocol.describe()
        return about

    def reference(self, clip: EvaluationClip) -> Reference:
        """Scores a clip's real frames, and computes what the methods' frames are compared with."""
        numbers, absent, took = {}, {}, {}
        photo = features = points = photo_points = None
        if "acd" in self._active:
            with _reason(absent, "acd"), _timed(took, "acd"):
                photo = identity.describe_photo(clip.identity, f"{clip.name}, photo")
                features = identity.describe(clip.real, clip.name)
                numbers |= _identity(features, photo)
        if "expression" in self._active:
            with _reason(absent, "landmarks"), _timed(took, "expression"):
                points = _points(clip.real, f"{clip.name}, real frames")
            with _reason(absent, "acting"), _timed(took, "expression"):
                photo_points = _points(clip.identity[None], f"{clip.name}, photo")[0]
        score = Score(numbers, absent, self._features(clip.real, clip.name, took), took)
        return Reference(score, photo, features, points, photo_points)

    def score(self, frames: UInt8[np.ndarray, "n h w 3"], clip: EvaluationClip, reference: Reference) -> Score:
        """Scores a method's frames. Raises InputError if their size or number differs from the real ones'."""
        if frames.shape != clip.real.shape:
            raise InputError(f"{clip.name}: made frames are {frames.shape[:3]}, real ones {clip.real.shape[:3]}")
        points = functools.cache(lambda: _points(frames, clip.name))
        compute: dict[str, Callable[[], dict[str, float]]] = {
            "psnr": lambda: {"psnr": float(psnr(frames, clip.real).mean())},
            "ssim": lambda: {"ssim": float(ssim(frames, clip.real).mean())},
            "face_psnr": lambda: {"face_psnr": float(psnr(frames, clip.real, _face(clip)).mean())},
            "face_ssim": lambda: {"face_ssim": float(ssim(frames, clip.real, _face(clip)).mean())},
            "temporal": lambda: {"temporal": motion.temporal(frames, clip.real)},
            "colour_shift": lambda: {"colour_shift": motion.colour_shift(frames, clip.real, clip.face)},
            "background_drift": lambda: {"background_drift": motion.background_drift(frames, clip.real, clip.face)},
            "sharpness": lambda: {"sharpness": sharpness(frames, clip.real, _face(clip))},
            "acd": lambda: _likeness(frames, reference, clip.name),
            "landmarks": lambda: _landmarks(points, reference),
            "acting_mouth": lambda: {"acting_mouth": _acting(points, reference, landmarks.MOUTH)},
            "acting_brows": lambda: {"acting_brows": _acting(points, reference, landmarks.BROWS)},
        }
        numbers, absent, took = {}, {}, {}
        chosen = [(group, name) for group in self._active for name in GROUPS[group]]
        for group, name in chosen:
            try:
                with _timed(took, group):
                    numbers |= compute[name]()
            except InputError as error:
                absent[name] = str(error)
                if isinstance(error, identity.NoFaceError):
                    numbers["faceless"] = 1.0
        return Score(numbers, absent, self._features(frames, clip.name, took), took)

    def _features(self, frames: UInt8[np.ndarray, "n h w 3"], name: str, took: dict[str, float]) -> list[float] | None:
        if "fvd" not in self._active:
            return None
        with _timed(took, "fvd"):
            return fvd.features(self._i3d, self.protocol.cut(frames, name)[None])[0].tolist()


def distances(
    made: Float32[np.ndarray, "n d"] | None, real: Float32[np.ndarray, "n d"]
) -> tuple[dict[str, float], dict[str, str]]:
    """The distances between the features of a set and of the real clips, and reasons for missing ones (too few clips).

    fvd compares the whole sets, fvd_half one half of the set with the other half of the real clips (see `fvd.halves`).
    `made` is None for the real clips themselves: they have only fvd_half, the floor of FVD at half of n.
    """
    numbers, absent = {}, {}
    pairs = {} if made is None else {"fvd": (made, real)}
    pairs["fvd_half"] = fvd.halves(real if made is None else made)[1], fvd.halves(real)[0]
    for name, (first, second) in pairs.items():
        try:
            numbers[name] = fvd.frechet_distance(first, second)
        except InputError as error:
            absent[name] = str(error)
    return numbers, absent


@contextlib.contextmanager
def _reason(absent: dict[str, str], name: str) -> Iterator[None]:
    """Notes why a metric cannot be computed."""
    try:
        yield
    except InputError as error:
        absent[name] = str(error)


@contextlib.contextmanager
def _timed(took: dict[str, float], group: str) -> Iterator[None]:
    """Adds the block's duration in seconds."""
    start = time.perf_counter()
    try:
        yield
    finally:
        took[group] = took.get(group, 0.0) + time.perf_counter() - start


def _face(clip: EvaluationClip) -> np.ndarray:
    """The clip's face masks. Raises InputError if a frame does not show the face."""
    seen = clip.face[:, 5:-5, 5:-5].any(axis=(1, 2))  # without the border that SSIM leaves out
    if not seen.all():
        raise InputError(f"{clip.name}: the face lies outside frame {int(seen.argmin())}; leave the clip out")
    return clip.face


def _known(value: Any, reference: Reference, group: str) -> Any:
    if value is None:
        raise InputError(reference.score.absent[group])
    return value


def _identity(features: identity.Features, photo: Float64[np.ndarray, "128"]) -> dict[str, float]:
    found = identity.compare(features, photo)
    acd = {} if found.acd is None else {"acd": found.acd}
    return {**acd, "acd_i": found.acd_i, "faceless": found.missing_share}


def _likeness(frames: UInt8[np.ndarray, "n h w 3"], reference: Reference, name: str) -> dict[str, float]:
    photo, real = _known(reference.photo, reference, "acd"), reference.features
    made = identity.describe(frames, name)
    return _identity(made, photo) | ({} if real is None else {"acd_real": identity.distance(made, real)})


Points = Callable[[], Float[np.ndarray, "n 68 2"]]  # finds a method's landmarks, once


def _landmarks(points: Points, reference: Reference) -> dict[str, float]:
    real = _known(reference.points, reference, "landmarks")
    error = landmarks.expression_error(points(), real)
    return {"landmarks": error.face, "landmarks_mouth": error.mouth, "landmarks_brows": error.brows}


def _acting(points: Points, reference: Reference, part: slice) -> float:
    real, photo = _known(reference.points, reference, "landmarks"), _known(reference.photo_points, reference, "acting")
    return landmarks.acting(points(), real, photo, part)


def _points(frames: UInt8[np.ndarray, "n h w 3"], name: str) -> Float[np.ndarray, "n 68 2"]:
    """Landmarks of each frame, NaN where none were found; if all frames are equal, only the first is searched."""
    still = bool((frames == frames[:1]).all())
    track = tracking.track(frames[:1] if still else frames, name)
    points = track.landmarks.copy()
    points[list(track.missing)] = np.nan
    return np.repeat(points, len(frames), axis=0) if still else points
