"""Two photographs of one person in one frame, and the morph from one to the other: a clip with real teeth and wrinkles.

The frames are `framing.portrait`'s: the face upright and centred. Landmarks are 68 (x, y) pixel coordinates in iBUG
order; whole numbers are pixel centres.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from facenhance_jax.data.animation import thin_plate
from facenhance_jax.faces import alignment, framing

FINE = 2  # frames are made this many times larger and then shrunk by the area mean, which keeps them sharp
GRID = 4  # fine pixels between the points in which the warp is computed
STIFF = 1e-4  # of the warp: how far it may leave the landmarks, which are not exact, to stay smooth
# Distances from the face's outline (the landmarks' hull, brows lifted), in sides of the frame:
KEPT = 0.02  # up to here the frames show the photos of the face
BLENDED = 0.08  # from here on they show the neutral photo only
STILL = 0.16  # from here on nothing moves
WARY = 16.0  # outside the face, where the photos differ by a share s of white, that distance counts 1 + WARY s times
NEARBY = 0.01  # size of the surroundings whose difference counts, in sides of the frame
LIP_EDGE = 0.006  # softness of the inner lips' line, in sides of the frame
_INNER_LIPS = list(range(60, 68))
_RIGID = list(alignment.RIGID)


Image = UInt8[np.ndarray, "s s 3"]
Pair = tuple[Image, Image, Float[np.ndarray, "68 2"], Float[np.ndarray, "68 2"]]
"""(first photo, second photo, their landmarks), in one frame."""
Shown = tuple[Image, UInt8[np.ndarray, "l l 3"]]
"""(frame, its low-res face)."""


def aligned_pair(
    neutral: UInt8[np.ndarray, "h w 3"],
    neutral_points: Shaped[np.ndarray, "68 2"],
    other: UInt8[np.ndarray, "h2 w2 3"],
    other_points: Shaped[np.ndarray, "68 2"],
    size: int,
) -> Pair:
    """(identity, truth, their landmarks): a person's two photos in one frame of size x size pixels.

    The neutral photo is framed by `framing.portrait`; the other is laid on it by the similarity of the points that
    expressions hardly move (`alignment.RIGID`). Nothing else is changed: hair, neck and shoulders are where each photo
    has them. Raises InputError for landmarks that cannot be aligned.
    """
    identity, truth, identity_points, truth_points = _aligned(neutral, neutral_points, other, other_points, FINE * size)
    return shrunk(identity), shrunk(truth), _scaled(identity_points), _scaled(truth_points)


def _aligned(
    first: UInt8[np.ndarray, "h w 3"],
    first_points: Shaped[np.ndarray, "68 2"],
    second: UInt8[np.ndarray, "h2 w2 3"],
    second_points: Shaped[np.ndarray, "68 2"],
    size: int,
) -> Pair:
    """`aligned_pair` without its finer frame."""
    matrix = framing.portrait(first_points, size)
    points = moved(first_points, matrix)
    onto = alignment.similarity(np.asarray(second_points)[_RIGID], points[_RIGID])
    first, second = alignment.warp(first, matrix, size), alignment.warp(second, onto, size)
    return first, second, points, moved(second_points, onto)


def clip(
    first: UInt8[np.ndarray, "h w 3"],
    first_points: Shaped[np.ndarray, "68 2"],
    second: UInt8[np.ndarray, "h2 w2 3"],
    second_points: Shaped[np.ndarray, "68 2"],
    size: int,
    frames: int,
) -> Iterator[Shown]:
    """(frame, low-res face) from one photo to the other, in even steps; see `aligned_pair` and `morph`.

    The low-res faces are cut out of the larger frames. Raises InputError as `aligned_pair` does.
    """
    pair = _aligned(first, first_points, second, second_points, FINE * size)
    for share in np.linspace(0, 1, frames):
        frame, shape = morph(*pair, float(share))
        yield shrunk(frame), alignment.low_frame(frame, shape)


def morph(
    identity: Image,
    truth: Image,
    points: Float[np.ndarray, "68 2"],
    truth_points: Float[np.ndarray, "68 2"],
    share: float,
) -> tuple[Image, Float[np.ndarray, "68 2"]]:
    """The frame, and its landmarks, at `share` (0 to 1) of the way from one aligned photo to the other.

    Both are warped to the shape between (a thin-plate spline through the landmarks and still points around) and
    cross-faded; the inside of the mouth is taken from the photo whose mouth is further open. Around the face the frame
    shows `identity` alone, warped so that the face's outline fits. At 0 the frame is `identity`; at 1 the face is that
    of `truth`, pixel by pixel.
    """
    size = len(identity)
    shape = (1 - share) * points + share * truth_points
    distance = _outside(shape, size)
    field = _field(shape, truth_points - points, size) * _falling(distance, BLENDED, STILL)[..., None]
    first = _moved_by(identity, -share * field)
    second = _moved_by(truth, (1 - share) * field)
    weight = np.full((size, size), share, np.float32)
    opener = float(_mouth_area(truth_points) > _mouth_area(points))
    sudden = min(1.0, 4 * share, 4 * (1 - share))  # the mouth's inside comes quickly, but not in the photos themselves
    weight += sudden * (opener - share) * _mouth(shape, size)
    change = second.astype(np.float32) - first
    weight *= _falling(distance * (1 + WARY * _strength(change)), KEPT, BLENDED)
    return np.rint(first + weight[..., None] * change).astype(np.uint8), shape


def only_face(frame: Image, changed: Image, points: Shaped[np.ndarray, "68 2"]) -> Image:
    """The frame with the face as in `changed`, with a soft edge."""
    weight = _falling(_outside(points.astype(np.float64), len(frame)), 0.0, BLENDED / 2)[..., None]
    return np.rint(frame + weight * (changed.astype(np.float32) - frame)).astype(np.uint8)


def _outside(points: Float[np.ndarray, "68 2"], size: int) -> Float[np.ndarray, "s s"]:
    """Each pixel's distance from the face, in sides of the frame; 0 inside."""
    return cv2.distanceTransform(1 - alignment.hull_mask(_outline(points), size), cv2.DIST_L2, 5) / size


def _outline(points: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "68 2"]:
    """The landmarks with the brow line moved up as for the low-res face's mask."""
    to_crop = alignment.similarity(points[_RIGID], alignment.mean_shape(1)[_RIGID])
    up = np.linalg.inv(to_crop[:, :2]) @ [0, -alignment.BROW_LIFT]
    outline = points.copy()
    outline[list(alignment.BROW_LINE)] += up
    return outline


def _strength(change: Float[np.ndarray, "s s 3"]) -> Float[np.ndarray, "s s"]:
    """How much the two photos differ around a pixel, 0 to 1: most where one shows hair and the other the wall."""
    return cv2.GaussianBlur(np.abs(change).max(-1), (0, 0), NEARBY * len(change)) / 255


def _falling(distance: Float[np.ndarray, "s s"], near: float, far: float) -> Float[np.ndarray, "s s"]:
    """1 up to `near`, 0 from `far` on, smooth between."""
    ramp = np.clip((far - distance) / (far - near), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def _field(
    points: Float[np.ndarray, "68 2"], motion: Float[np.ndarray, "68 2"], size: int
) -> Float[np.ndarray, "s s 2"]:
    """The motion of each pixel: a thin-plate spline (Bookstein 1989) that moves the points so, and nothing far away."""
    outline = cv2.convexHull(_outline(points).astype(np.float32))[:, 0].astype(np.float64)
    centre = outline.mean(0)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rays = np.column_stack([np.cos(angles), np.sin(angles)])
    reach = ((outline - centre) @ rays.T).max(0) + STILL * size
    at = np.concatenate([points, centre + rays * reach[:, None]]) / size
    moves = np.concatenate([motion, np.zeros((len(rays), 2))])
    ticks = (np.arange(0, size, GRID) + (GRID - 1) / 2) / size
    grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    coarse = thin_plate.basis(grid, at, STIFF) @ moves
    coarse = coarse.reshape(len(ticks), len(ticks), 2).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)


def _moved_by(image: Image, field: Float[np.ndarray, "s s 2"]) -> Image:
    """The image whose pixel x shows what was at x + field(x)."""
    x, y = np.meshgrid(*map(np.arange, image.shape[1::-1]))
    at = np.stack([x, y], -1) + field
    return cv2.remap(image, at.astype(np.float32), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _mouth_area(points: Float[np.ndarray, "68 2"]) -> float:
    return abs(cv2.contourArea(points[_INNER_LIPS].astype(np.float32)))


def _mouth(points: Float[np.ndarray, "68 2"], size: int) -> Float[np.ndarray, "s s"]:
    """1 between the lips, 0 outside, with a soft line between."""
    inside = np.zeros((size, size), np.float32)
    corners = np.rint(points[_INNER_LIPS] * 16).astype(np.int32)
    cv2.fillPoly(inside, [corners], 1.0, lineType=cv2.LINE_8, shift=4)
    return cv2.GaussianBlur(inside, (0, 0), LIP_EDGE * size)


def moved(points: Shaped[np.ndarray, "n 2"], matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "n 2"]:
    """The points where the matrix brings them."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def shrunk(image: UInt8[np.ndarray, "h w 3"]) -> Image:
    """A fine frame at its final size."""
    side = len(image) // FINE
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _scaled(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    return (points + 0.5) / FINE - 0.5
