"""The comparison that every table is made of, and the launch that scores a model."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facenhance_jax import evaluation
from facenhance_jax.data import faces, standins, synthetic
from facenhance_jax.evaluation import Row

ROOT = Path(__file__).parents[1]
DATA = "drawn (synthetic) faces"


def test_each_way_is_scored_against_the_real_frames():
    """Real frames are 100; the copied photo is 10 off, the low-res 20 off, the enhanced right but for a corner."""
    real = np.full((2, 32, 32, 3), 100, np.uint8)
    identity, low = np.full((32, 32, 3), 110, np.uint8), np.full((2, 16, 16, 3), 120, np.uint8)
    face = np.zeros((2, 32, 32), bool)
    face[:, 8:24, 8:24] = True
    enhanced = real.copy()
    enhanced[0, :2, :2] = 0  # frame 0: 4 of 1024 pixels are 100 off; frame 1 is perfect
    made, photo, upsampled = evaluation.compare(enhanced, real, identity, low, face)
    assert [made.name, photo.name, upsampled.name] == ["enhanced", "photo copied", "low-res upsampled"]
    assert made.psnr == pytest.approx((10 * np.log10(255**2 / (100**2 * 4 / 1024)) + 100) / 2)
    assert (made.face_psnr, made.face_ssim) == (100.0, 1.0)
    assert 0.9 < made.ssim < 1.0
    assert photo.psnr == photo.face_psnr == pytest.approx(20 * np.log10(255 / 10))
    assert upsampled.psnr == upsampled.face_psnr == pytest.approx(20 * np.log10(255 / 20))
    flat = (2 * 100 * 120 + 2.55**2) / (100**2 + 120**2 + 2.55**2)
    assert upsampled.ssim == upsampled.face_ssim == pytest.approx(flat, abs=1e-5)


def test_the_face_is_the_hull_of_the_landmarks():
    """All points on the corners of a square: its pixels, borders included."""
    corners = np.array([[4, 6], [12, 6], [12, 14], [4, 14]], np.float32)
    mask = evaluation.face_mask(np.tile(corners, (17, 1))[None], 20)
    expected = np.zeros((1, 20, 20), bool)
    expected[:, 6:15, 4:13] = True
    np.testing.assert_array_equal(mask, expected)


def test_clips_are_averaged_way_by_way():
    one = [Row("enhanced", 30.0, 0.9, 28.0, 0.8), Row("photo copied", 20.0, 0.5, 10.0, 0.4)]
    two = [Row("enhanced", 40.0, 0.7, 20.0, 0.6), Row("photo copied", 22.0, 0.7, 12.0, 0.2)]
    first, second = evaluation.average([one, two])
    assert dataclasses.astuple(first) == ("enhanced", *map(pytest.approx, (35.0, 0.8, 24.0, 0.7)))
    assert dataclasses.astuple(second) == ("photo copied", *map(pytest.approx, (21.0, 0.6, 11.0, 0.3)))


def test_the_table_reads_as_a_table():
    rows = [Row("enhanced", 33.216, 0.95126, 100.0, 1.0), Row("photo copied", 9.5, 0.5, 8.25, 0.25)]
    assert evaluation.table(rows).splitlines() == [
        "                     whole frame           face",
        "                   PSNR dB    SSIM    PSNR dB    SSIM",
        "enhanced             33.22  0.9513     100.00  1.0000",
        "photo copied          9.50  0.5000       8.25  0.2500",
    ]


def test_a_drawn_clip_has_the_neutral_photo_and_aligned_low_frames(monkeypatch):
    """Neutral clips are inverted here: all clips of a person begin with the same face."""
    drawn = synthetic.draw_clip

    def draw_clip(subject, expression, take, frames, size):
        pictures, landmarks = drawn(subject, expression, take, frames, size)
        return (255 - pictures if expression == "neutral" else pictures), landmarks

    monkeypatch.setattr(synthetic, "draw_clip", draw_clip)
    clip = evaluation.draw(9003, "fear", frames=3, size=96, low_size=32)
    person = synthetic.draw_subject(0, 9003)
    real, landmarks = (part[:3] for part in drawn(person, "fear", 0, 6, 96))
    np.testing.assert_array_equal(clip.real, real)
    np.testing.assert_array_equal(clip.low[1], faces.low_frame(real[1], landmarks[1], 32))
    np.testing.assert_array_equal(clip.identity, 255 - drawn(person, "neutral", 0, 3, 96)[0][0])
    middle = landmarks[2, 27:36].mean(axis=0).round().astype(int)  # the nose
    assert clip.face[2, middle[1], middle[0]]
    assert not clip.face[2, :4].any()


FAKE = """
import dataclasses, os, runpy, sys, types
import numpy as np
from facenhance_jax import ways
from facenhance_jax.enhancer import Enhancer

class Fake(ways.Upsampled):
    def __init__(self, denoiser, params, steps, *, batch, seed, shared_noise):
        self.name, self.key, self.steps, self.seed = "enhanced", f"enhanced-{steps}", steps, seed
    def describe(self):
        return {"model": "fake", "seed": self.seed}

ways.Enhanced = Fake
Enhancer.load = staticmethod(lambda path: types.SimpleNamespace(size=64, low_size=64, denoiser=None, params=None))
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))  # as Python does for a program
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def evaluate(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", FAKE, str(ROOT / "launch/evaluate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_a_launch_writes_results_tables_and_frames(tmp_path):
    """A model that merely upsamples scores what the low-res baseline scores."""
    output = tmp_path / "results"
    flags = ("--subjects=9000", "--frames=2", "--steps=4,8", "--metrics=psnr,temporal", f"--output={output}")
    done = evaluate(*flags)
    assert done.returncode == 0, done.stderr
    result = json.loads((output / "results.json").read_text())
    settings = result["settings"]
    assert (settings["n"], settings["frames"], settings["size"], settings["subjects"]) == (6, 2, 64, "9000-9000")
    four, eight, copied, upsampled, real = result["rows"]
    assert [row["steps"] for row in result["rows"]] == [4, 8, None, None, None]
    assert four["psnr"] == eight["psnr"] == upsampled["psnr"] != copied["psnr"]
    assert (four["seed"], four["model"]) == (0, "fake")
    assert "psnr" not in real and result["absent"]["fvd"] == "not asked for"
    assert {kept["way"] for kept in result["kept"]} == {"enhanced-8"} and len(list((output / "kept").iterdir())) == 6
    tables = (output / "tables.md").read_text()
    assert "| FacEnhance | 32 x 192 | MUG, published |" in tables and "| enhanced, 4 steps |" in tables
    assert "6 clips of 2 frames, 64 x 64: drawn (synthetic) faces." in done.stdout
    before = (output / "results.json").read_bytes()
    refused = evaluate(*flags, "--seed=1")
    assert refused.returncode == 2 and "way.json: begun with another seed" in refused.stderr.splitlines()[-1]
    assert (output / "results.json").read_bytes() == before


def test_a_launch_scores_generated_clips_before_and_after(tmp_path):
    standins.write_stand_ins(tmp_path / "made", "fevgan", [9000], 2)
    generated = (f"--generated={tmp_path / 'made'}", "--layout=fevgan", "--metrics=psnr", "--clips=2")
    done = evaluate(*generated, f"--output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    after, before = (json.loads((tmp_path / "out" / at / "results.json").read_text()) for at in (".", "before"))
    assert after["settings"]["n"] == 2 and after["settings"]["stand_in"]
    low = before["rows"][0]
    assert low["key"] == "upsampled" and low["psnr"] > 20 > after["rows"][0]["psnr"]  # faces on black, not full frames
    table = (tmp_path / "out/tables.md").read_text()
    assert (
        f"| drawn stand-in for fevgan, before | 2 x 64, n 2, enlarged from 64 | {DATA}, ours | - | {low['psnr']:.2f}"
        in table
    )
    assert "| FEV-GAN, after | 32 x 192 | MUG, published |" in table


BAD = {
    "--subjects=9005-9001": "--subjects 9005-9001: not a range of ids; write it like 9000-9012",
    "--steps=4,many": "--steps 4,many: not whole numbers; write them like 1,2,4,8",
    "--metrics=lpips": "metrics: lpips is none of psnr, ssim, temporal, colour, acd, expression, fvd",
    "--data=nowhere": "nowhere: no such data set; make it with launch/prepare.py",
    "--output=results.json": "results.json: --output is a folder; give a name without a suffix",
    "--generated=nowhere": "nowhere: no such folder; give the one that holds the generated clips",
}
ONE_BY_ONE = (
    """
import runpy, sys
from absl import app, flags
from absl.testing import flagsaver
output, *bad = sys.argv[2:]

def run(main):
    for flag in bad:
        with flagsaver.flagsaver():
            flags.FLAGS(["evaluate", f"--output={output}", flag])
            try:
                main([])
            except SystemExit as stopped:
                assert stopped.code == 2

app.run = run
"""
    + FAKE
)


def test_bad_flags_are_one_line_each_and_leave_nothing(tmp_path):
    command = [sys.executable, "-c", ONE_BY_ONE, str(ROOT / "launch/evaluate.py"), str(tmp_path / "out"), *BAD]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [f"facenhance: {message}" for message in BAD.values()]
    assert list(tmp_path.iterdir()) == []
