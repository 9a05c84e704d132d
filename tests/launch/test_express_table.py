"""launch/express_table.py, with a model that gives the photo back: what a clip without an expression scores."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facenhance_jax.data.synthetic import population

ROOT = Path(__file__).parents[2]
FAKE = """
import os, runpy, sys
from facenhance_jax.inference.enhancer import Enhancer

class Fake(Enhancer):
    size, low_size, name = 192, 64, "fake"
    def __init__(self):
        pass
    def compile(self, clips=1, **sampling):
        pass
    def stream(self, frames, identity, **options):
        return (identity for _ in frames)

Enhancer.load = classmethod(lambda cls, path=None: Fake())
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))  # as Python does for a script
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def express_table(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", FAKE, str(ROOT / "launch/express_table.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_a_copied_photo_scores_as_the_photo_itself(tmp_path):
    """At strength 0 the photo is what was asked for, so all errors are 0; the real smile moves."""
    person = population.draw_subject(3, 5)
    for name, frame in (("neutral", 0), ("happiness", 3)):
        frames, _ = population.draw_clip(person, name, 0, 7, 256)
        (tmp_path / "pairs/someone").mkdir(parents=True, exist_ok=True)
        Image.fromarray(frames[frame]).save(tmp_path / f"pairs/someone/{name}.png")
    flags = ("--people=all", "--frames=3", "--scored=2", "--strength=0")
    done = express_table(f"--pairs={tmp_path / 'pairs'}", f"--output={tmp_path / 'out'}", *flags)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clips.csv", "someone.png", "table.md"]
    with (tmp_path / "out/clips.csv").open() as file:
        smile, *clips = list(csv.DictReader(file))
    assert smile["clip"] == "real smile" and float(smile["identity"]) > 0.05 and float(smile["corners"]) > 3
    assert [row["clip"] for row in clips] == ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]
    for row in clips:
        assert float(row["found"]) == 1 and float(row["identity"]) == pytest.approx(0, abs=1e-6)
        assert float(row["asked"]) < 0.5 and float(row["mouth"]) < 0.5 and float(row["flicker"]) < 0.1
    assert abs(float(clips[3]["corners"])) < 0.5
    assert float(clips[3]["smile"]) == pytest.approx(float(smile["smile"]), abs=0.1)  # that of the neutral photo
    assert float(smile["smile"]) > 1
    table = (tmp_path / "out/table.md").read_text()
    assert "| all six | 1.000 | 0.000 |" in table and "peak memory" in table
    assert f"| real smile |  | {float(smile['identity']):.3f} |" in table
    assert np.asarray(Image.open(tmp_path / "out/someone.png")).shape[0] > 6 * 256


def test_people_without_smiles_are_refused(tmp_path):
    (tmp_path / "pairs/someone").mkdir(parents=True)
    for name in ("neutral", "anger"):
        Image.new("RGB", (64, 64)).save(tmp_path / f"pairs/someone/{name}.png")
    done = express_table(f"--pairs={tmp_path / 'pairs'}", f"--output={tmp_path / 'out'}", "--people=all")
    assert done.returncode == 2 and "nobody there has a happiness.jpg" in done.stderr
