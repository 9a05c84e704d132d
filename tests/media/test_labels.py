"""What files say of themselves, and the visible mark."""

import av
import numpy as np
import pytest
from clips import levels
from PIL import Image

from facenhance_jax import __version__, media

LABEL = media.label("a model, “the first” (sha256 0123)", 7)


def test_a_label_is_one_line_with_version_model_and_seed():
    said = f"synthetic, made by facenhance_jax {__version__}; model: a model, “the first” (sha256 0123); seed: 7"
    assert said == LABEL


@pytest.mark.parametrize("label", ["", LABEL])
def test_every_kind_of_file_keeps_it(tmp_path, label):
    for name in ("out.mp4", "out.gif", "out"):
        with media.open_writer(tmp_path / name, 25, label=label) as writer:
            for frame in levels(3):
                writer.write(frame)
    media.write_png(tmp_path / "out.png", levels(1)[0], label=label)
    with av.open(str(tmp_path / "out.mp4")) as container:
        found = [container.metadata.get("comment", "")]
    with Image.open(tmp_path / "out.gif") as picture:
        found.append(picture.info.get("comment", b"").decode())
    for path in ("out/frame_000000.png", "out/frame_000002.png", "out.png"):
        with Image.open(tmp_path / path) as picture:
            found.append(picture.text.get("Comment", ""))
    assert found == [label] * 5
    assert len(list(media.open_clip(tmp_path / "out.gif"))) == 3


@pytest.mark.parametrize(("height", "width", "high"), [(192, 192, 18), (1350, 900, 84), (24, 24, 15)])
def test_the_mark_is_white_on_a_shade_in_the_lower_left_corner(height, width, high):
    frame = np.full((height, width, 3), 200, np.uint8)
    marked = media.mark(frame)
    assert (frame == 200).all() and marked.shape == frame.shape
    changed = np.argwhere((marked != frame).any(-1))
    assert changed.min(0).tolist() == [height - high, 0] and changed[:, 0].max() == height - 1
    corner = marked[height - high :, : changed[:, 1].max() + 1]
    assert (corner == 100).all(-1).mean() > 0.4 and (corner > 200).all(-1).mean() > 0.03
    assert len(changed) < 0.1 * height * width or height == 24
