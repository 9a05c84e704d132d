"""Reads still pictures as uint8 RGB (from grey, alpha or 16 bits too), checked before their pixels are decoded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from facenhance_jax.messages import InputError, note

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
ANIMATED_FORMATS = ("GIF", "WEBP", "PNG")
SMALLEST_PHOTO = 64  # pixels, the shorter side
LARGEST_PHOTO = 100_000_000  # pixels, width times height


class NotAPicture(InputError):
    """The file is in no picture format that we read; it may be a video."""


def check_file(path: Path) -> None:
    """Raises InputError unless `path` is a readable file that is not empty."""
    try:
        with path.open("rb") as file:
            if file.read(1):
                return
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file that can") from None
    raise InputError(f"{path}: the file is empty; copy or download it again")


def check_pixels(path: Path, width: int, height: int, most: int) -> None:
    """Raises InputError if width times height is more than `most`."""
    if width * height > most:
        raise InputError(f"{path}: {width}x{height} pixels are too many (at most {most // 10**6} Mpx); scale it down")


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """A context for Pillow's calls on the file `path`: hides warnings, raises InputError for a bad file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except UnidentifiedImageError:
        raise NotAPicture(f"{path}: not a picture; give a png, jpeg, bmp, gif, webp or tiff file") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: far too many pixels; scale it down") from None
    except Exception as error:  # Pillow's decoders raise anything on damaged bytes: KeyError, struct.error, ...
        raise InputError(f"{path}: the picture is damaged or cut short; save it again") from error


def to_rgb(path: Path, image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """Repeats grey, puts transparency on black, and scales 16 bits to 8 (Pillow's own conversion would clip them)."""
    if image.mode.startswith("I;16"):
        grey = np.round(np.asarray(image, dtype=np.float32) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("I", "F"):
        raise InputError(f"{path}: 32 bits a channel cannot be read; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.array(image.convert("RGB"))


def read_picture(path: Path, most_pixels: int) -> UInt8[np.ndarray, "h w 3"]:
    """Reads a picture (the first frame of an animation), turned upright by its EXIF."""
    check_file(path)
    with decoding(path), Image.open(path, formats=FORMATS) as image:
        check_pixels(path, *image.size, most_pixels)
        image.load()
        return to_rgb(path, ImageOps.exif_transpose(image))


def frames_of(path: Path) -> int:
    """The number of frames of an animated picture; 1 for others."""
    with decoding(path), Image.open(path, formats=FORMATS) as image:
        return getattr(image, "n_frames", 1) if image.format in ANIMATED_FORMATS else 1


def read_photo(path: Path | str) -> UInt8[np.ndarray, "h w 3"]:
    """Reads a photo of any shape, turned upright.

    Raises InputError if the file is missing, empty, damaged or not a picture, if its shorter side is under 64 pixels,
    or if it has over 100 Mpx (checked in the header before anything is decoded).
    """
    path = Path(path)
    photo = read_picture(path, LARGEST_PHOTO)
    if frames_of(path) > 1:
        note(f"{path}: is animated; its first frame is the photo")
    height, width, _ = photo.shape
    if min(height, width) < SMALLEST_PHOTO:
        raise InputError(f"{path}: {width}x{height} pixels are too few; each side needs at least {SMALLEST_PHOTO}")
    return photo


def decode_image(data: bytes, name: object, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes the bytes of an image file, with any channels and bits, to 8-bit RGB; a `reduction` of 2 halves its size.

    Raises InputError, with `name` in the message, if it is not an image.
    """
    flags = {1: cv2.IMREAD_COLOR_RGB, 2: cv2.IMREAD_REDUCED_COLOR_2}[reduction]
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise InputError(f"{name}: not a readable image; replace or remove it")
    return image if reduction == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # reduced images are decoded as BGR


def resize(pixels: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "s s 3"]:
    """Resizes a square image to size x size on the host: by the area mean to shrink it, bicubic to enlarge it."""
    if pixels.shape[0] == size and pixels.shape[1] == size:
        return pixels
    shrinks = pixels.shape[0] > size
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def shrink(image: UInt8[np.ndarray, "h w 3"], height: int, width: int) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Shrinks an image by the area mean.

    To shrink by four or more it is halved first: that is the same mean, rounded once more (half a grey level), in a
    third of the time.
    """
    while image.shape[0] >= 4 * height and image.shape[1] >= 4 * width and not (image.shape[0] | image.shape[1]) % 2:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
