"""What a generated file says of itself, in its metadata and, if asked, on its frames."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from facenhance_jax import __version__

MARK = "synthetic"
PART = 16  # of a frame's shorter side: the height of the mark's letters
SMALLEST_LETTERS = 10  # pixels
SHADE = 0.5  # of the light that is left behind the letters


def label(model: str, seed: int) -> str:
    """One line for a file's metadata: that it is synthetic, the version, `Enhancer.name` as the model, and the seed."""
    return f"{MARK}, made by facenhance_jax {__version__}; model: {model}; seed: {seed}"


def mark(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of an RGB frame with the word "synthetic", white on a shade, in its lower left corner."""
    height, width, _ = frame.shape
    letters = max(SMALLEST_LETTERS, min(height, width) // PART)
    font = ImageFont.load_default(letters)
    wide, high = round(font.getlength(MARK)) + letters, round(1.5 * letters)
    marked = frame.copy()
    corner = marked[-high:, :wide]
    corner[:] = np.round(SHADE * corner)
    drawn = Image.fromarray(marked)
    place = (letters // 2, height - high / 2)
    ImageDraw.Draw(drawn).text(place, MARK, fill=(255, 255, 255), font=font, anchor="lm")
    return np.array(drawn)
