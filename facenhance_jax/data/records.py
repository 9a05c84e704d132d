"""Turns a clip into records: the frames that are kept, each with its low-res face, and the person's photo.

A record holds `high` and `low` (the encoded frames and their low-res faces), `identity` (the encoded photo), `place`
(where the low-res face belongs in the photo: "left top side angle"; see `placement`), and the words `subject`,
`session`, `expression` and `take`. Images stay encoded, so that the pipeline decodes only those it needs.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image

from facenhance_jax import media
from facenhance_jax.data import layout, openface
from facenhance_jax.data.stored import WORDS
from facenhance_jax.faces import alignment, framing, gaps, placement, tracking
from facenhance_jax.faces.registration import find_face
from facenhance_jax.media.pictures import decode_image, resize, shrink
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError

JPEG_QUALITY = 95
LOW_SIZE = 64
Record = dict[str, Any]
LowFrame = Callable[[int, UInt8[np.ndarray, "h w 3"], int], UInt8[np.ndarray, "l l 3"]]
"""(index of a frame, the frame, how many times smaller it was decoded) -> its low-res face."""


class Faces(NamedTuple):
    """What is known about the face in a clip.

    Attributes:
      length: number of the clip's frames.
      low_frame: makes the low-res face of a frame.
      filled: {frame in which no face was found: the frame that is kept instead}; the same frame where its landmarks
        could be interpolated.
      landmarks: of every frame, pixels, not finite where unknown; None if no frame has any.
    """

    length: int
    low_frame: LowFrame
    filled: dict[int, int]
    landmarks: Float[np.ndarray, "n 68 2"] | None


class Job(NamedTuple):
    """A clip that becomes records, and the file of its photo."""

    recording: layout.Recording
    identity: Path


@dataclass(frozen=True)
class Recipe:
    """How clips become records.

    Attributes:
      root: folder of the tree of clips.
      frames: number of frames in a record; see `layout.positions`.
      resolution: side of the kept frames, pixels.
      part: "onset", "full" or "windows"; see `layout.positions`.
      openface: folder of OpenFace's output, with the same layout as the tree; "" for none.
      tracks: folder that keeps the landmarks which our tracker found, for the next preparation; "" for none.
      around_face: whether to keep a square around the face if the middle square does not frame it; see `framing`.
    """

    root: str
    frames: int = 32
    resolution: int = 192
    part: str = "onset"
    openface: str = ""
    tracks: str = ""
    around_face: bool = False

    def __post_init__(self) -> None:
        for field in ("frames", "resolution"):
            if getattr(self, field) < 1:
                raise InputError(f"{field}: {getattr(self, field)} is below 1; give a positive number")
        if self.part not in layout.PARTS:
            raise InputError(f"part: {self.part!r} is none of {', '.join(layout.PARTS)}")


Make = Callable[[Job, Recipe], tuple[list[Record], Counter]]
"""(clip, how) -> its records, and counts for the report. Raises InputError or OSError for a clip that is of no use."""


def attempt(make: Make, job: Job, recipe: Recipe) -> tuple[list[Record], Counter] | str:
    """`make(job, recipe)`, or the reason why it failed."""
    try:
        return make(job, recipe)
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: cannot be read ({error.strerror})"


def clip_records(recording: layout.Recording, identity: Path, recipe: Recipe) -> tuple[list[Record], Counter]:
    """The records of a clip whose photo is in the file `identity`, and counts.

    The counts: "clips" (1), "frames" (of all its records), "repeated" (frames that occur again in the same record),
    "filled" (frames in which no face was found), "own_photo" (1 if the photo is the clip's own first frame), and
    "unframed" (1 if the photo should be cut around its face, but no face was found).

    The low-res faces come from the landmarks next to the clip, or else OpenFace's output, or else our tracker. For up
    to five consecutive frames without a face, landmarks are interpolated. OpenFace's aligned images cannot be
    interpolated, so the nearest frame with a face is kept instead.

    Images that already have the right size keep their bytes; others become JPEG of quality 95. Files that are not
    needed are not read, so damage in them goes unnoticed. Raises InputError, which names the file, if the clip or the
    photo cannot be used.
    """
    known = faces_of(recording, recipe)
    positions = layout.positions(known.length, recipe.frames, recipe.part)
    wanted = {at for record in positions for at in record}
    square = _clip_square(recording, known, recipe)
    frames = _encoded_frames(recording, wanted, known, square, recipe)
    photo, unframed = _encoded_photo(recording, identity, square, recipe)
    place = _known_place(recording, identity, known, square, recipe)
    records = [record_of(recording, [frames[at] for at in record], photo, place) for record in positions]
    if len(records) > 1:
        for number, record in enumerate(records):
            record["take"] += f"-{number:03d}"
    counts = {
        "clips": 1,
        "frames": sum(map(len, positions)),
        "repeated": sum(len(record) - len(set(record)) for record in positions),
        "filled": len(wanted & known.filled.keys()),
    }
    remarks = {"own_photo": identity == recording.frames[0], "unframed": unframed}
    return records, Counter(counts | {name: 1 for name, applies in remarks.items() if applies})


def record_of(
    recording: layout.Recording, frames: Sequence[tuple[bytes, bytes]], photo: bytes, place: str = ""
) -> Record:
    """One record from pairs (encoded frame, encoded low-res face); the place is looked for if it is not given."""
    high, low = (list(images) for images in zip(*frames, strict=True))
    words = {word: getattr(recording, word) for word in WORDS}
    return {"high": high, "low": low, "identity": photo, **words, "place": place or _place(low, photo)}


def faces_of(recording: layout.Recording, recipe: Recipe) -> Faces:
    """From the landmarks next to the clip, or else OpenFace's output, or else our tracker."""
    if recording.landmarks is not None:
        landmarks = read_landmarks(recording.landmarks, _length(recording))
        return Faces(len(landmarks), _cut_by(landmarks), {}, landmarks)
    report = openface.find(recording, recipe.root, recipe.openface) if recipe.openface else None
    if report is None:
        track = tracked(recording, _frames(recording), recipe.tracks)
        landmarks, filled = track.landmarks, {at: at for at in track.missing}
        return Faces(len(landmarks), _cut_by(landmarks), filled, landmarks)
    output = openface.read(report, _length(recording))
    length = len(output.success)
    if output.aligned:
        low_frames = {at: low for at in range(length) if (low := output.low_frame(at, LOW_SIZE)) is not None}
        found = np.array([at in low_frames for at in range(length)])
        gaps.check(np.flatnonzero(~found).tolist(), length, report)
        return Faces(length, lambda at, *_: low_frames[at], gaps.nearest(found), output.landmarks)
    if output.landmarks is None:
        raise InputError(f"{report}: has neither the points x_0 ... y_67 nor a folder of aligned faces next to it")
    missing = np.flatnonzero(~output.success).tolist()
    gaps.check(missing, length, report)
    landmarks = gaps.fill(output.landmarks)
    return Faces(length, _cut_by(landmarks), {at: at for at in missing}, landmarks)


def _cut_by(landmarks: Shaped[np.ndarray, "n 68 2"]) -> LowFrame:
    # Whole numbers are pixel centres; adding 0.5 makes the scaling start at the frame's corner.
    return lambda at, frame, reduction: alignment.low_frame(frame, (landmarks[at] + 0.5) / reduction - 0.5, LOW_SIZE)


def read_landmarks(file: Path, frames: int) -> Float[np.ndarray, "n 68 2"]:
    """Reads a file of landmarks. Raises InputError unless it is a float array [frames, 68, 2]."""
    shape = (frames, 68, 2)
    try:
        landmarks = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{file}: not a NumPy array file; write float32 {list(shape)}") from error
    if landmarks.shape != shape or landmarks.dtype.kind != "f":
        found = f"{landmarks.dtype} {list(landmarks.shape)}"
        raise InputError(f"{file}: is {found}; write float32 {list(shape)}, one row for each frame")
    return landmarks


def tracked(recording: layout.Recording, frames: Iterable[UInt8[np.ndarray, "h w 3"]], tracks: str) -> tracking.Track:
    """Where our tracker finds the face in the frames of a recording.

    The result is stored in `tracks` under the clip's name and a hash of its files' names, sizes and dates, and reused.
    """
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in recording.frames]
    kept = tracks and Path(tracks) / f"{recording.name}.{hashlib.sha256(repr(stamps).encode()).hexdigest()[:8]}.npz"
    if kept and kept.is_file():
        with np.load(kept, allow_pickle=False) as stored:
            faces = int(stored["faces"]) if "faces" in stored else 1  # earlier versions did not keep it
            return tracking.Track(stored["landmarks"], tuple(stored["missing"].tolist()), faces)
    track = tracking.track(frames, recording.name)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as part, part.open("wb") as stream:
            np.savez(stream, landmarks=track.landmarks, missing=np.array(track.missing, np.int64), faces=track.faces)
    return track


def _length(recording: layout.Recording) -> int:
    return sum(1 for _ in media.open_clip(recording.frames[0])) if recording.is_video else len(recording.frames)


def _frames(recording: layout.Recording) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    if recording.is_video:
        yield from media.open_clip(recording.frames[0])
        return
    for file in recording.frames:
        yield decode_image(file.read_bytes(), file)


def _clip_square(recording: layout.Recording, known: Faces, recipe: Recipe) -> framing.Square | None:
    """The square that is kept of each frame; None for the middle square."""
    if not recipe.around_face or known.landmarks is None:
        return None
    first = media.open_clip(recording.frames[0])
    return framing.around(known.landmarks, first.height, first.width)


def _encoded_frames(
    recording: layout.Recording, wanted: set[int], known: Faces, square: framing.Square | None, recipe: Recipe
) -> dict[int, tuple[bytes, bytes]]:
    """{wanted frame: (encoded frame, encoded low-res face)}, or those of the frame that is kept instead."""
    instead = {at: known.filled.get(at, at) for at in wanted}
    kept = set(instead.values())
    landmarks = None if known.landmarks is None else known.landmarks[sorted(kept)]
    reduction = 1 if square else _reduction(recording, landmarks, recipe.resolution)
    encoded = {}
    for at, data, frame in read_frames(recording, kept, reduction):
        try:
            low = known.low_frame(at, frame, reduction)
        except InputError as error:
            raise InputError(f"{recording.frames[0 if recording.is_video else at]}: {error}") from error
        encoded[at] = _encode_high(data, frame, recipe.resolution, square), encode(low, ".png")
    return {at: encoded[instead[at]] for at in wanted}


def read_frames(
    recording: layout.Recording, kept: set[int], reduction: int
) -> Iterator[tuple[int, bytes, UInt8[np.ndarray, "h w 3"]]]:
    """(index, bytes of its file, decoded image) of each frame of `kept`; a video's frames have no bytes.

    Image files are decoded `reduction` times smaller.
    """
    if recording.is_video:
        yield from ((at, b"", frame) for at, frame in enumerate(_frames(recording)) if at in kept)
        return
    for at in sorted(kept):
        data = recording.frames[at].read_bytes()
        yield at, data, decode_image(data, recording.frames[at], reduction)


def _reduction(recording: layout.Recording, landmarks: Shaped[np.ndarray, "n 68 2"] | None, resolution: int) -> int:
    """2 if the clip's images may be decoded at half their size, else 1.

    Decoding a JPEG at half its size takes two thirds of the time and differs from the area mean by a third of a grey
    level. That is good enough if both the frame and the face with these landmarks are made at least 4 times smaller.
    """
    if recording.is_video or recording.frames[0].suffix.lower() not in (".jpg", ".jpeg"):
        return 1
    known = [] if landmarks is None else landmarks[np.isfinite(landmarks).all(axis=(1, 2))]
    try:
        with Image.open(recording.frames[0]) as header:
            width, height = header.size
        shrinks = [min(width, height) / resolution, *(alignment.shrinking(points, LOW_SIZE) for points in known)]
    except (OSError, InputError):
        return 1  # what decodes or cuts the frame next raises the error and names the frame
    same_middle = not (width | height) % 2 and not (width - height) % 4
    return 2 if same_middle and min(shrinks) >= 4 else 1


def _encoded_photo(
    recording: layout.Recording, identity: Path, clip_square: framing.Square | None, recipe: Recipe
) -> tuple[bytes, bool]:
    """The encoded photo, and whether it should be cut around its face, but no face was found.

    The clip's own first frame is cut like the clip's frames; any other photo is cut around its own face.
    """
    if identity.suffix.lower() in layout.VIDEO_SUFFIXES:
        data, photo = b"", next(iter(media.open_clip(identity)))
    else:
        data = identity.read_bytes()
        photo = decode_image(data, identity)
    if identity == recording.frames[0]:
        return _encode_high(data, photo, recipe.resolution, clip_square), False
    square = _photo_square(photo, identity) if recipe.around_face else None
    return _encode_high(data, photo, recipe.resolution, square), recipe.around_face and square is None


def _photo_square(photo: UInt8[np.ndarray, "h w 3"], name: Path) -> framing.Square | None:
    """The square around a photo's face; None (the middle square) if no face is found or dlib is not installed."""
    try:
        found = tracking.track([photo], name)
    except InputError:
        return None
    return framing.around(found.landmarks, *photo.shape[:2])


def _known_place(
    recording: layout.Recording, identity: Path, known: Faces, clip_square: framing.Square | None, recipe: Recipe
) -> str:
    """The place by the photo's landmarks, if they are written next to it or are those of the clip's first frame.

    It is exact, and a place that is found by comparing pictures is not. "" if there are no such landmarks.
    """
    beside = identity.parent / "landmarks.npy"
    if identity == recording.frames[0]:
        points = None if known.landmarks is None else known.landmarks[0]
    elif beside.is_file():
        files = layout.images(identity.parent)
        points = read_landmarks(beside, len(files))[files.index(identity)]
    else:
        points = None
    if points is None or not np.isfinite(points).all() or recording.is_video:
        return ""
    with Image.open(identity) as header:
        width, height = header.size
    square = framing.middle(height, width) if identity != recording.frames[0] or not clip_square else clip_square
    scaled = (points + 0.5 - [square.left, square.top]) * (recipe.resolution / square.side) - 0.5
    return placement.to_text(placement.of_landmarks(scaled))


def _place(lows: Sequence[bytes], photo: bytes) -> str:
    """Where the low-res face belongs in the photo, found in the same way as by `Enhancer`."""
    frames = np.stack([decode_image(low, "low") for low in lows])
    return placement.to_text(find_face(frames, decode_image(photo, "photo")))


def _encode_high(
    data: bytes, frame: UInt8[np.ndarray, "h w 3"], resolution: int, square: framing.Square | None
) -> bytes:
    """The square of a frame, resized and encoded; `data`, the bytes of its file, if the file is that already."""
    height, width, _ = frame.shape
    square = square or framing.middle(height, width)
    if data and (height, width, square.side) == (resolution, resolution, resolution):
        return data
    part = square.cut(frame)
    shrinks = square.side > resolution
    kept = shrink(part, resolution, resolution) if shrinks else resize(part, resolution)
    return encode(kept, ".jpg")


def encode(image: UInt8[np.ndarray, "h w 3"], suffix: str) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
    return cv2.imencode(suffix, image[..., ::-1], options)[1].tobytes()
