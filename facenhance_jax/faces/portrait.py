"""Any photo as identity: its face is found, and the part around it is cut out as the training's frames are framed."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from facenhance_jax.faces import alignment, framing, tracking
from facenhance_jax.media.pictures import resize
from facenhance_jax.messages import InputError

SMALLEST = 40  # pixels: the extent of the smallest face that is taken
SOFT = 0.6  # of the extent that a face has in the frame: a smaller one is enlarged so much that it looks soft
CUT_OFF = 17  # of the 68 points: if more are beyond the photo's edges, it does not show the face
FADE = 24  # the part of the side over which edges fade into blurred ones
INVENTED = 0.1  # of the frame's area: the least part beyond the photo's edges that is said
TURNS = (0, 1, 3, 2)  # quarter turns, counterclockwise, by which the photo is searched until a face is found for sure
# Of the detector's score. The surest faces of 66 photos had 0.7 to 3.2; upside down up to 0.4, on their sides none.
SURE = 0.6


class Portrait(NamedTuple):
    """A photo framed for the model.

    Attributes:
      frame: the part around the face, upright.
      matrix: the similarity (affine) from the photo's pixels to the frame's; its inverse pastes back.
      landmarks: of the face, in pixels of the frame; None if none was searched or found.
      faces: how many faces were found.
      note: what the user should know, one line; "" for nothing.
    """

    frame: UInt8[np.ndarray, "s s 3"]
    matrix: Float64[np.ndarray, "2 3"]
    landmarks: Float64[np.ndarray, "68 2"] | None
    faces: int
    note: str


def find(
    photo: UInt8[np.ndarray, "h w 3"], size: int, *, face: int | None = None, name: object = "the photo"
) -> Portrait:
    """Frames the face in a photo of any shape for a model that takes photos of size x size pixels.

    The largest face is taken, or the one with the number `face`, counted from the left and from 1. It is turned upright
    and framed by `framing.portrait`, closer if the photo ends near the face; beyond the photo its edges are repeated,
    blurred. If no face is found upright, the photo is searched by quarter turns.

    A photo of exactly size x size pixels has been cut for the model already: it is returned as it is, unless `face` is
    given. If no face is found, or dlib is not installed, it is the middle square, with a note.

    `name` is the photo's, for messages. Raises InputError if the face is under 40 pixels wide or is cut off by the
    photo's edge, or if there is no face with this number, or no dlib to find it.
    """
    height, width, _ = photo.shape
    if (height, width) == (size, size) and face is None:
        return _middle(photo, size, "")
    try:
        faces, turn = search(photo)
    except InputError as absent:  # no dlib
        if face is not None:
            raise
        return _middle(photo, size, f"{name}: {_which_middle(photo)} is used; {absent}")
    if not len(faces) and face is not None:
        raise InputError(f"{name}: face {face} was asked for, but no face was found; leave --face out")
    if not len(faces):
        return _middle(photo, size, f"{name}: no face was found, so {_which_middle(photo)} is used")
    widths = [round(float(extent)) for extent in np.ptp(faces, axis=1).max(axis=1)]
    if face is not None and face > len(faces):
        raise InputError(
            f"{name}: face {face} was asked for, but it has {len(faces)}; they count from the left, from 1"
        )
    number = widths.index(max(widths)) if face is None else face - 1
    framed = around(photo, faces[number], size, name=name)
    listed = ", ".join(f"{place} ({wide} px)" for place, wide in enumerate(widths, 1))
    notes = {
        f"{len(faces)} faces, from the left {listed}; number {number + 1} is used, --face takes another": len(faces)
        > 1,
        f"the face was found after turning the photo by {90 * min(turn, 4 - turn)} degrees": turn > 0,
        framed.note.removeprefix(f"{name}: "): framed.note,
    }
    said = "; ".join(text for text, applies in notes.items() if applies)
    return framed._replace(faces=len(faces), note=f"{name}: {said}" if said else "")


def around(
    photo: UInt8[np.ndarray, "h w 3"],
    landmarks: Float64[np.ndarray, "68 2"],
    size: int,
    *,
    name: object = "the photo",
) -> Portrait:
    """Frames the face with these landmarks (pixels of the photo), as `find` does. Raises InputError as `find` does."""
    height, width, _ = photo.shape
    wide = round(float(np.ptp(landmarks, axis=0).max()))
    _check(landmarks, wide, height, width, name)
    matrix = framing.inside(framing.portrait(landmarks, size), size, height, width)
    frame, invented = _cut(photo, matrix, size)
    notes = {
        f"the face is only {wide} pixels wide, so the frames will be soft": wide < SOFT * framing.CROP * size,
        f"the photo ends near the face: {invented:.0%} of the frame is made up from its edges": invented > INVENTED,
    }
    said = "; ".join(text for text, applies in notes.items() if applies)
    points = landmarks @ matrix[:, :2].T + matrix[:, 2]
    return Portrait(frame, matrix, points, 1, f"{name}: {said}" if said else "")


def search(photo: UInt8[np.ndarray, "h w 3"]) -> tuple[Float64[np.ndarray, "n 68 2"], int]:
    """The landmarks of all faces, in pixels of the photo, from left to right, and the quarter turns that it took.

    Raises InputError if dlib is not installed.
    """
    best, found, turned = -np.inf, np.zeros((0, 68, 2)), 0
    for turn in TURNS:
        faces, score = tracking.faces(np.ascontiguousarray(np.rot90(photo, turn)))
        if score > best:
            best, found, turned = score, faces, turn
        if best >= SURE:
            break
    (height, width, _), (x, y) = photo.shape, np.moveaxis(found, -1, 0)
    ways = ((x, y), (width - 1 - y, x), (width - 1 - x, height - 1 - y), (y, height - 1 - x))
    found = np.stack(ways[turned], -1)
    return found[np.argsort(found[..., 0].mean(axis=1))], turned


def _check(points: Float64[np.ndarray, "68 2"], wide: int, height: int, width: int, name: object) -> None:
    if wide < SMALLEST:
        raise InputError(f"{name}: the face is {wide} pixels wide, at least {SMALLEST} are needed; give a larger photo")
    beyond = ((points < -0.5) | (points > np.array([width, height]) - 0.5)).any(axis=1).sum()
    if beyond > CUT_OFF:
        raise InputError(f"{name}: the face is cut off by the photo's edge; give a photo that shows all of it")


def _which_middle(photo: UInt8[np.ndarray, "h w 3"]) -> str:
    side = min(photo.shape[:2])
    return f"its middle {side}x{side}" if photo.shape[0] != photo.shape[1] else "the whole photo"


def _middle(photo: UInt8[np.ndarray, "h w 3"], size: int, note: str) -> Portrait:
    square = framing.middle(*photo.shape[:2])
    scale = size / square.side
    shift = [scale * (0.5 - corner) - 0.5 for corner in (square.left, square.top)]
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return Portrait(resize(square.cut(photo), size), matrix, None, 0, note)


def _cut(
    photo: UInt8[np.ndarray, "h w 3"], matrix: Float64[np.ndarray, "2 3"], size: int
) -> tuple[UInt8[np.ndarray, "s s 3"], float]:
    """The photo moved by the matrix, and the share of the frame that lies beyond the photo's edges.

    It is warped to twice the size, then halved by the area mean: that is sharp and not jagged. Beyond the photo its
    edges are repeated, and the farther out, the more they are blurred: else they would be stripes.
    """
    doubled = np.column_stack([2 * matrix[:, :2], 2 * matrix[:, 2] + 0.5])
    wide = alignment.warp(photo, doubled, 2 * size, cv2.INTER_CUBIC)
    frame = cv2.resize(wide, (size, size), interpolation=cv2.INTER_AREA)
    to_photo = cv2.invertAffineTransform(matrix)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) @ to_photo[:, :2].T + to_photo[:, 2]
    beyond = ((pixels < -0.5) | (pixels > np.array(photo.shape[1::-1]) - 0.5)).any(axis=-1)
    if not beyond.any():
        return frame, 0.0
    share = np.clip(cv2.distanceTransform(beyond.astype(np.uint8), cv2.DIST_L2, 5) * (FADE / size), 0, 1)[..., None]
    blurred = cv2.GaussianBlur(frame, (0, 0), size / FADE)
    return np.rint(share * blurred + (1 - share) * frame).astype(np.uint8), float(beyond.mean())
