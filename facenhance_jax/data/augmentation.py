"""Changes to training images: `jitter` of their colours and geometry, and `degrade`, the faults of a generator's v_low.

Pure functions of (images, rng). A strength of 0 returns the same images bit for bit; a strength of 1 allows the ranges
below. Dropping a frame of v_low needs a second frame, so `pipeline` does it.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from facenhance_jax.faces import placement

# Ranges of `jitter` at strength 1; each value is drawn uniformly from minus to plus this.
BRIGHTNESS = 0.4  # y = x^(2^b) for x in 0..1: mid grey, 128, becomes 102 to 151
CONTRAST = 0.3  # the slope at mid grey is 1 + c / 2, and 1 - c at black and at white
SATURATION = 0.3  # a colour's distance from grey is multiplied by 1 + s
ROTATION = 8.0  # degrees, about the image's centre
SCALE = 0.08  # sizes are multiplied by 1 + s
SHIFT = 0.04  # share of the side, in x and in y: 8 px of 192

# Ranges of `degrade` at strength 1, for a frame of 64 px: each value is this times the root of a uniform number.
WARP = 1.5  # px that a point may move in x, and in y
BLUR = 1.5  # px, sigma of the Gaussian
NOISE = 8.0  # grey levels, standard deviation of the noise
MISPLACED = 0.02, 0.02, 0.03, 2.0  # of the face's place: share of its side in x, in y and in size, and degrees
LOWEST_QUALITY = 30  # of JPEG, between 100 and this; chroma 4:2:0

_CONTROLS = 5  # control points of a warp along each side
_LUMA = np.array([0.299, 0.587, 0.114])


def jitter(
    images: Mapping[str, Shaped[np.ndarray, "..."]], rng: np.random.Generator, strength: float
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Changes the colours of an example's images in one way, and in half of the cases their geometry, except `low`'s.

    `low` is an aligned crop: rotating, scaling or shifting the frame that it was cut from does not change it. Black
    stays black. Pixels from outside the frame are its mirror image. If there is a `place`, where `low` belongs in the
    frame (see `placement`), it moves with the frame.
    """
    if not strength:
        return dict(images)
    table, mixing = _colours(rng, strength)
    pictures = {name: image for name, image in images.items() if name != "place"}
    changed = {name: cv2.transform(cv2.LUT(image, table), mixing) for name, image in pictures.items()}
    still = {name: images[name] for name in ("place",) if name in images}
    # In the other half the images stay sharp: every resampling blurs a little.
    if rng.random() < 0.5:
        motion = rng.uniform(-strength, strength, 4) * (ROTATION, SCALE, SHIFT, SHIFT)
        changed |= {name: _moved(image, *motion) for name, image in changed.items() if name != "low"}
        for name, place in still.items():
            still[name] = placement.moved(place, _motion(*changed["high"].shape[:2], *motion))
    return changed | still


class Degraded(NamedTuple):
    """A low-res frame with all of its faults, and with its warp alone."""

    low: UInt8[np.ndarray, "h w 3"]
    warped: UInt8[np.ndarray, "h w 3"]


def degrade(low: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, strength: float) -> Degraded:
    """Makes half of v_low's frames worse, as a light generator could: warp, blur, noise, JPEG, in this order.

    The others stay as they are: faults cost so much that a network which sees them in every frame trusts no frame. Of
    the faults, each is applied in a third of the cases, more often strong than weak. Warp and blur move the face's edge
    by as many pixels as they are strong; JPEG spreads up to 15 px into the black around the face; noise does not change
    black pixels.
    """
    if not strength or rng.random() < 0.5:
        return Degraded(low, low)
    happens, sizes = rng.random(4) < 1 / 3, strength * np.sqrt(rng.random(4))
    if happens[0]:
        low = warp(low, rng, sizes[0] * WARP)
    warped = low
    if happens[1]:
        low = blur(low, sizes[1] * BLUR)
    if happens[2]:
        low = noise(low, rng, sizes[2] * NOISE)
    if happens[3]:
        low = compress(low, round(100 - sizes[3] * (100 - LOWEST_QUALITY)))
    return Degraded(low, warped)


def misplace(place: Float[np.ndarray, "4"], rng: np.random.Generator, strength: float) -> Float[np.ndarray, "4"]:
    """The place of the low-res face (see `placement`), not quite found in a tenth of the cases.

    It is moved, scaled and turned a little, as `registration.find_face` is off where the first frame is not neutral.
    """
    if not strength or rng.random() < 0.9:
        return place
    right, down, larger, degrees = strength * rng.uniform(-1, 1, 4) * MISPLACED
    left, top, side, angle = place
    wide = side * (1 + larger)
    centre = left + side * (0.5 + right), top + side * (0.5 + down)
    return np.array([centre[0] - wide / 2, centre[1] - wide / 2, wide, angle + degrees], np.float32)


def warp(image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, pixels: float) -> UInt8[np.ndarray, "h w 3"]:
    """Moves every point by at most `pixels` in x and in y, smoothly. Pixels from outside the image are black."""
    height, width = image.shape[:2]
    controls = rng.uniform(-pixels, pixels, (2, _CONTROLS, _CONTROLS))
    # Every point's move is a weighted mean of the control points' moves, so none is larger than `pixels`.
    moves = _averaging(height) @ controls @ _averaging(width).T
    rows, columns = np.indices((height, width))
    x, y = (columns + moves[0]).astype(np.float32), (rows + moves[1]).astype(np.float32)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def blur(image: UInt8[np.ndarray, "h w 3"], sigma: float) -> UInt8[np.ndarray, "h w 3"]:
    """A Gaussian blur; sigma in pixels, 0 for none."""
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) if sigma else image


def noise(image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, std: float) -> UInt8[np.ndarray, "h w 3"]:
    """Gaussian noise of `std` grey levels, independent by pixel and channel, on all but black pixels."""
    noisy = np.rint(image + np.float32(std) * rng.standard_normal(image.shape, np.float32))
    return np.clip(noisy, 0, 255).astype(np.uint8) * image.any(axis=-1, keepdims=True)


def compress(image: UInt8[np.ndarray, "h w 3"], quality: int) -> UInt8[np.ndarray, "h w 3"]:
    """Encodes to JPEG of this quality (1 to 100) and decodes again."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def _colours(rng: np.random.Generator, strength: float) -> tuple[UInt8[np.ndarray, "256"], Float[np.ndarray, "3 3"]]:
    """A table for brightness and contrast, which keeps 0 and 255, and a matrix for saturation, which keeps greys."""
    brightness, contrast, saturation = rng.uniform(-strength, strength, 3) * (BRIGHTNESS, CONTRAST, SATURATION)
    x = (np.arange(256) / 255) ** (2**brightness)
    x += contrast * x * (1 - x) * (2 * x - 1)
    return np.rint(255 * x).astype(np.uint8), np.eye(3) * (1 + saturation) - saturation * _LUMA


def _moved(
    image: UInt8[np.ndarray, "h w 3"], degrees: float, larger: float, right: float, down: float
) -> UInt8[np.ndarray, "h w 3"]:
    height, width = image.shape[:2]
    matrix = _motion(height, width, degrees, larger, right, down)
    # Cubic, because linear interpolation would teach the network soft frames.
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def _motion(
    height: int, width: int, degrees: float, larger: float, right: float, down: float
) -> Float[np.ndarray, "2 3"]:
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1 + larger)
    matrix[:, 2] += right * width, down * height
    return matrix


@functools.cache
def _averaging(size: int) -> Float[np.ndarray, "{size} _"]:
    """Gaussian weights of the control points for each of `size` pixels along a side; they sum to 1."""
    controls = np.linspace(0, size - 1, _CONTROLS)
    spacing = max((size - 1) / (_CONTROLS - 1), 1.0)
    weights = np.exp(-0.5 * ((np.arange(size)[:, None] - controls) / (0.6 * spacing)) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)
