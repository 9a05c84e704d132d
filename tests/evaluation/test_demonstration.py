"""The demonstration with a fake model: what the model gets, and what is written and printed."""

import av
import numpy as np
import pytest
from PIL import Image

from facenhance_jax import media
from facenhance_jax.evaluation import clip_sets, demonstration
from facenhance_jax.evaluation.metrics.frames import psnr
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.messages import InputError
from facenhance_jax.settings import SamplingSettings


class Marking(Enhancer):
    """A fake of the released model: returns the real frames, each marked with its index, and keeps its inputs."""

    size, low_size, name = 64, 32, "a fake"
    sampling = SamplingSettings(steps=8, solver="ddim", temperature=1.0, shared_noise=True)

    def __init__(self):
        self.given = []

    def sampling_with(self, **changes):
        return self.sampling

    def compile(self, clips=1, **sampling):
        pass

    def stream(self, frames, identity, *, place, seed, **sampling):
        return (np.clip(identity.astype(int) + 4 * n, 0, 255).astype(np.uint8) for n, _ in enumerate(frames))

    def enhance_batch(self, lows, photos, *, places=None, seed=0, steps=None, **sampling):
        self.given.append((lows, photos, steps))
        frames = clip_sets.draw(9001, "happiness", frames=24, size=64, low_size=32).real.copy()
        frames[:, :16, :16] = (10 * np.arange(24, dtype=np.uint8))[:, None, None, None]
        return frames[None]


def test_a_held_out_person_is_enhanced_shown_and_scored(monkeypatch, tmp_path, capsys):
    model = Marking()
    monkeypatch.setattr(demonstration.Enhancer, "load", staticmethod(lambda: model))
    demonstration.run(tmp_path / "new" / "demo")
    clip = clip_sets.draw(9001, "happiness", frames=24, size=64, low_size=32)
    [(lows, photos, steps)] = model.given
    np.testing.assert_array_equal(lows[0], clip.low)
    np.testing.assert_array_equal(photos[0], clip.identity)
    assert steps == 8

    folder = tmp_path / "new" / "demo"
    files = ["expressions.mp4", "expressions.png", "out.mp4", "strip.png"]
    assert sorted(path.name for path in folder.iterdir()) == files
    shown = media.open_clip(folder / "expressions.mp4")
    assert shown.count == 24 and shown.width > 3 * 384
    frames = np.stack(list(shown)).astype(int)
    noses = frames[:, 4 + 200, [4 + 192, 4 + 384 + 4 + 192]].mean(-1)  # of anger and disgust
    np.testing.assert_allclose(noses[12] - noses[0], 44, atol=6)  # the fake's brightening, up to the apex and back
    np.testing.assert_allclose(noses[23], noses[0], atol=3)
    with av.open(str(folder / "out.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert video.metadata["comment"] == media.label("a fake", 0)
    marks = np.array(frames)[:, 4:12, 4:12].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(marks, 10 * np.arange(24), atol=4)  # all frames, in order; yuv420p is not exact
    with Image.open(folder / "strip.png") as strip:
        width, height = strip.size
        assert strip.text == {"Comment": media.label("a fake", 0)}
    assert height > 4 * 64
    assert width > 8 * 64

    lines = capsys.readouterr().out.splitlines()
    head, enhanced, copied, pasted, upsampled = lines[2:7]
    assert head.split("  ")[-2:] == [" face PSNR", " face SSIM"]
    assert enhanced.startswith("enhanced, 8 steps ") and enhanced.split()[-2:] == ["100.00", "1.0000"]
    assert float(enhanced.split()[3]) < 40  # the marks lie outside the face
    photo = np.broadcast_to(clip.identity, clip.real.shape)
    assert copied.split()[:3] == ["photo", "copied", f"{psnr(photo, clip.real).mean():.2f}"]
    assert pasted.startswith("low-res pasted ") and float(pasted.split()[4]) > float(upsampled.split()[4])
    assert upsampled.startswith("low-res upsampled ")
    assert any(line.startswith(str(folder / "out.mp4")) for line in lines)
    assert "synthetic" in lines[-1]


def test_the_person_is_held_out():
    assert demonstration.SUBJECT in clip_sets.HELD_OUT
    assert min(clip_sets.HELD_OUT) >= 9000


def test_a_file_in_the_way_is_said_before_anything_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setattr(demonstration.Enhancer, "load", staticmethod(lambda: pytest.fail("loaded")))
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(InputError, match="demo: cannot be made a folder .*; choose another --output"):
        demonstration.run(tmp_path / "demo")
    assert (tmp_path / "demo").read_text() == "mine"
