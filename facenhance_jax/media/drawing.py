"""A strip: labelled rows of small pictures on one canvas, to compare frames by eye."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from facenhance_jax.media.pictures import shrink

KEPT_FRAMES = 16  # frames kept for a strip while a clip of unknown length is read
GAP = 4  # pixels between pictures
LETTERS = 14  # pixels, the height of a label's letters
CELL, COLUMNS = 480, 3  # of a contact sheet: the longer side of a picture, pixels; and how many in a row
INK, PAPER = (32, 32, 32), (255, 255, 255)


def strip(rows: Sequence[tuple[str, Sequence[UInt8[np.ndarray, "_ _ 3"]]]]) -> UInt8[np.ndarray, "h w 3"]:
    """Draws each (label, pictures) as a row, with the label on its left.

    Every picture is enlarged to the size of the largest by nearest neighbour, so that a low-res frame looks low-res.
    Rows may differ in length; columns line up from the left.
    """
    side = max(max(picture.shape[:2]) for _, pictures in rows for picture in pictures)
    columns = max(len(pictures) for _, pictures in rows)
    font = ImageFont.load_default(LETTERS)
    margin = round(max(font.getlength(label) for label, _ in rows)) + 4 * GAP
    step = side + GAP
    canvas = Image.new("RGB", (margin + columns * step, len(rows) * step + GAP), PAPER)
    pen = ImageDraw.Draw(canvas)
    for row, (label, pictures) in enumerate(rows):
        top = GAP + row * step
        pen.text((margin - 2 * GAP, top + side // 2), label, fill=INK, font=font, anchor="rm")
        for column, picture in enumerate(pictures):
            shown = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
            canvas.paste(shown, (margin + column * step, top))
    return np.asarray(canvas)


def contact(
    pictures: Sequence[tuple[str, UInt8[np.ndarray, "h w 3"]]], columns: int = COLUMNS
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Draws (name, picture) side by side, row after row, each with its name below. They have one size; larger pictures
    than 480 pixels are shrunk to that.
    """
    height, width = pictures[0][1].shape[:2]
    scale = min(1.0, CELL / max(height, width))
    height, width = round(scale * height), round(scale * width)
    step = height + 2 * LETTERS + GAP
    rows = -(-len(pictures) // columns)
    canvas = Image.new("RGB", (columns * (width + GAP) + GAP, rows * step + GAP), PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(LETTERS)
    for index, (name, picture) in enumerate(pictures):
        left, top = GAP + index % columns * (width + GAP), GAP + index // columns * step
        canvas.paste(Image.fromarray(shrink(picture, height, width)), (left, top))
        pen.text((left + width // 2, top + height + LETTERS), name, fill=INK, font=font, anchor="mm")
    return np.asarray(canvas)


def spread(count: int, total: int) -> list[int]:
    """`count` of the indices 0 .. total - 1, evenly spread from the first to the last; all if there are fewer."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()


class KeptFrames:
    """Up to 16 of any number of items, evenly spread: when full, it drops every second one and doubles the stride."""

    def __init__(self):
        self._items = []
        self._stride = 1
        self.seen = 0  # items added

    def add(self, item: tuple) -> None:
        if self.seen % self._stride == 0:
            self._items.append(item)
        if len(self._items) > KEPT_FRAMES:
            self._items = self._items[::2]
            self._stride *= 2
        self.seen += 1

    def spread(self, count: int) -> list[tuple]:
        """At most `count` of them, from the first to the last."""
        return [self._items[index] for index in spread(count, len(self._items))]
