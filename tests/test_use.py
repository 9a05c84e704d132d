"""The examples of docs/use.md run as they are, only shorter."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from facenhance_jax import media
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment

USE = Path(__file__).parents[1] / "docs" / "use.md"


def test_the_python_examples(tmp_path, monkeypatch):
    """On a drawn person's photo, with the released model: the whole way from a photo to a video and back to neutral."""
    monkeypatch.chdir(tmp_path)
    (frame,), (points,) = population.draw_clip(population.draw_subject(0, 9003), "neutral", 0, 1, 320)
    Image.fromarray(frame).save("me.jpg", quality=95)
    low = alignment.low_frame(frame, points)
    with media.open_writer("low.gif", 25) as writer:
        writer.write(low)
    source = "\n".join(re.findall(r"```python\n(.*?)```", USE.read_text(encoding="utf-8"), re.DOTALL))
    assert source.count("frames=32") == 1
    names = {}
    exec(source.replace("frames=32", "frames=5"), names)  # noqa: S102
    photo = media.read_photo("me.jpg").astype(int)
    clip = np.stack(list(media.open_clip("smile.mp4"))).astype(int)
    assert clip.shape == (5, 320, 320, 3)
    corners = slice(0, 24), slice(0, 24)
    assert np.abs(clip[2][corners] - photo[corners]).mean() < 3  # as the video's coding leaves it
    x, y = np.rint(points[48:68].mean(0)).astype(int)
    mouth = slice(y - 20, y + 20), slice(x - 30, x + 30)
    moved = [np.abs(frame[mouth] - photo[mouth]).mean() for frame in clip]
    assert moved[2] > 2 * max(moved[0], moved[4])
    near = np.abs(names["full"].astype(int) - photo)
    assert near.mean() < 2 and names["full"].shape == photo.shape
