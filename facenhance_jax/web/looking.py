"""What the page sees in an upload: the faces of a photo, drawn in it, and a few frames of a clip. Errors are words."""

import base64
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Num, UInt8

from facenhance_jax import media, messages
from facenhance_jax.faces import framing, portrait
from facenhance_jax.inference.expressing import frame_face
from facenhance_jax.media.pictures import resize
from facenhance_jax.messages import InputError

SHOWN = 560  # pixels, the longer side of a picture on the page
LARGEST = 1920  # pixels, the longer side of a photo that is animated at its own size
MOST_FRAMES = 3000  # of a clip: two minutes
LOW_RES = 128  # pixels: a clip up to this side is taken for a low-res one
COLUMNS = 6  # frames of a clip that are shown
CHOSEN, OTHER = (64, 220, 120), (255, 255, 255)  # colours of the boxes around faces


class Seen(NamedTuple):
    """An upload as it is shown.

    Attributes:
      picture: uint8 [h, w, 3].
      notes: lines that the user should know.
      faces: how many faces the photo has; of a clip 0.
      chosen: the number of the face that is used, from 1; 0 for none.
      low_res: whether a clip looks like a low-res one.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    notes: list[str]
    faces: int = 0
    chosen: int = 0
    low_res: bool = False


def photo_of(path: str) -> UInt8[np.ndarray, "h w 3"]:
    """The photo of an upload, made smaller if it is very large. Raises InputError as `media.read_photo` does."""
    photo = media.read_photo(path)
    largest = max(photo.shape[:2])
    if largest <= LARGEST:
        return photo
    messages.note(f"{path}: is made smaller, to {LARGEST} pixels; the command `express` keeps its size")
    return shrunk(photo, LARGEST)


def at_photo(path: str, size: int, face: int | None, needed: bool) -> Seen:
    """The photo with a box around each face that is found, and its number if there are several.

    Without a face, the part that `portrait.find` takes is drawn; but if a face is `needed`, InputError is raised, as it
    is by `photo_of` and `portrait.find`.
    """
    with messages.gathered() as notes:
        photo = photo_of(path)
        framed = (frame_face if needed else portrait.find)(photo, size, face=face, name=path)
        faces = portrait.search(photo)[0] if framed.faces else []
    if framed.note and framed.faces < 2:  # of several, the page shows which
        notes.append(framed.note)
    if not framed.faces:
        square = framing.middle(*photo.shape[:2])
        corners = np.array([[square.left, square.top], [square.left + square.side, square.top + square.side]])
        return Seen(_boxed(photo, corners[None], 0, numbered=False), notes)
    number = face or 1 + int(np.argmax([np.rint(np.ptp(points, axis=0).max()) for points in faces]))  # as `find`
    return Seen(_boxed(photo, faces, number, numbered=framed.faces > 1), notes, framed.faces, number)


def at_clip(path: str) -> Seen:
    """A few frames of a clip, from its beginning. Raises InputError as `clip_of` does."""
    with messages.gathered() as notes:
        clip = clip_of(path)
        frames = [frame for frame, _ in zip(clip, range(4 * COLUMNS), strict=False)]
    kept = [frames[index] for index in media.drawing.spread(COLUMNS, len(frames))]
    side = min(clip.height, clip.width)
    shown = np.concatenate([resize(framing.middle(*frame.shape[:2]).cut(frame), 128) for frame in kept], axis=1)
    length = f"{clip.count} frames, " if clip.count else ""
    notes.insert(0, f"{length}{clip.width}x{clip.height}, {float(clip.fps):.3g} frames/s")
    return Seen(shown, notes, low_res=side <= LOW_RES and clip.height == clip.width)


def clip_of(path: str) -> media.ClipFile:
    """The clip of an upload. Raises InputError as `media.open_clip` does, and if it is too long."""
    clip = media.open_clip(path)
    if (clip.count or 0) > MOST_FRAMES:
        raise InputError(f"{path}: {clip.count} frames are too many for the page (at most {MOST_FRAMES}); cut the clip")
    return clip


def shrunk(picture: UInt8[np.ndarray, "h w 3"], longest: int) -> UInt8[np.ndarray, "a b 3"]:
    """The picture with its longer side at most `longest` pixels."""
    height, width, _ = picture.shape
    scale = longest / max(height, width)
    if scale >= 1:
        return picture
    sides = [max(1, round(scale * side)) for side in (width, height)]
    return cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)


def as_url(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """The picture as a data URL (JPEG): it reaches the page without becoming a file that could be fetched."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def in_words(error: Exception | str) -> str:
    """The message without the folders of the server's machine: a file is called what its owner calls it."""
    return re.sub(rf"{re.escape(tempfile.gettempdir())}/(?:[^/\n:]+/)*", "", str(error))


@contextmanager
def refused() -> Iterator[list[str]]:
    """Gives a list that has a line in words after the block if what was done there refused its input."""
    said: list[str] = []
    try:
        yield said
    except InputError as error:
        said.append(in_words(error))


def _boxed(
    photo: UInt8[np.ndarray, "h w 3"],
    shapes: Num[np.ndarray, "n p 2"],
    chosen: int,
    numbered: bool,
) -> UInt8[np.ndarray, "a b 3"]:
    """The photo at the page's size with a box around each set of points (x, y)."""
    shown = shrunk(photo, SHOWN).copy()
    scale = shown.shape[1] / photo.shape[1]
    for number, points in enumerate(shapes, 1):
        colour = CHOSEN if number == chosen else OTHER
        low, high = (np.rint(scale * edge(points, axis=0)).astype(int).tolist() for edge in (np.min, np.max))
        for thickness, ink in ((5, (20, 20, 20)), (3, colour)):
            cv2.rectangle(shown, low, high, ink, thickness, cv2.LINE_AA)
        if numbered:
            for thickness, ink in ((6, (20, 20, 20)), (2, colour)):
                place = (low[0] + 4, low[1] - 8 if low[1] > 30 else high[1] - 8)
                cv2.putText(shown, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, ink, thickness, cv2.LINE_AA)
    return shown
