"""The demonstration with an enhancer that answers at once: what it is given, what it writes, what it prints."""

from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from facenhance_jax import demonstration, evaluation
from facenhance_jax.errors import InputError


@pytest.fixture
def calls(monkeypatch) -> list:
    """Stands in for the released model: answers with the real frames, each marked by its number; keeps what it got."""
    given = []

    def enhance(low, identity, *, steps):
        given.append((low, identity, steps))
        frames = evaluation.draw(9001, "happiness", frames=24, size=64, low_size=32).real
        frames[:, :16, :16] = (10 * np.arange(24, dtype=np.uint8))[:, None, None, None]
        return frames

    enhancer = SimpleNamespace(size=64, low_size=32, enhance=enhance)
    monkeypatch.setattr(demonstration.Enhancer, "load", staticmethod(lambda: enhancer))
    return given


def test_a_held_out_person_is_enhanced_shown_and_scored(calls, tmp_path, capsys):
    demonstration.run(tmp_path / "new" / "demo")
    clip = evaluation.draw(9001, "happiness", frames=24, size=64, low_size=32)
    [(low, identity, steps)] = calls
    np.testing.assert_array_equal(low, clip.low)
    np.testing.assert_array_equal(identity, clip.identity)
    assert steps == 8

    folder = tmp_path / "new" / "demo"
    assert sorted(path.name for path in folder.iterdir()) == ["out.mp4", "strip.png"]
    with av.open(str(folder / "out.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    marks = np.array(frames)[:, 4:12, 4:12].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(marks, 10 * np.arange(24), atol=4)  # all frames, in order; yuv420p is not exact
    with Image.open(folder / "strip.png") as strip:
        width, height = strip.size
    assert height > 4 * 64
    assert width > 8 * 64

    lines = capsys.readouterr().out.splitlines()
    [scores] = [line.split() for line in lines if line.startswith("enhanced ")]
    assert scores[3:] == ["100.00", "1.0000"]  # the marks lie outside the face
    assert float(scores[1]) < 40
    assert any(line.startswith(str(folder / "out.mp4")) for line in lines)
    assert "synthetic" in lines[-1]


def test_the_person_is_held_out():
    assert demonstration.SUBJECT in evaluation.HELD_OUT
    assert min(evaluation.HELD_OUT) >= 9000


def test_a_file_in_the_way_is_said_before_anything_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setattr(demonstration.Enhancer, "load", staticmethod(lambda: pytest.fail("loaded")))
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(InputError, match="demo: cannot be made a folder .*; choose another --output"):
        demonstration.run(tmp_path / "demo")
    assert (tmp_path / "demo").read_text() == "mine"
