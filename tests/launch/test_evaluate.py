"""launch/evaluate.py, with a model that only upsamples: what it writes, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from facenhance_jax.evaluation import clip_sets, tables

ROOT = Path(__file__).parents[2]
DATA = "drawn (synthetic) faces"


FAKE = """
import dataclasses, os, runpy, sys, types
import numpy as np
from facenhance_jax.evaluation import methods
from facenhance_jax.inference.enhancer import Enhancer

class Fake(methods.Upsampled):
    def __init__(self, enhancer, *, steps, batch, seed, shared_noise):
        self.name, self.key, self.steps, self.seed = "enhanced", f"enhanced-{steps}", steps, seed
    def describe(self):
        return {"model": "fake", "seed": self.seed}

methods.Enhanced = Fake
sampling = types.SimpleNamespace(steps=8)
Enhancer.load = staticmethod(lambda path: types.SimpleNamespace(size=64, low_size=64, sampling=sampling))
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))  # as Python does for a script
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def evaluate(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", FAKE, str(ROOT / "launch/evaluate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_a_launch_writes_results_tables_and_frames(tmp_path):
    """A model that only upsamples gets the same scores as the low-res baseline."""
    output = tmp_path / "results"
    flags = ("--subjects=9000", "--frames=2", "--steps=4,8", "--metrics=psnr,temporal", f"--output={output}")
    done = evaluate(*flags)
    assert done.returncode == 0, done.stderr
    result = json.loads((output / "results.json").read_text())
    settings = result["settings"]
    assert (settings["n"], settings["frames"], settings["size"], settings["subjects"]) == (6, 2, 64, "9000-9000")
    four, eight, copied, pasted, upsampled, real = result["rows"]
    assert [row["steps"] for row in result["rows"]] == [4, 8, None, None, None, None]
    assert pasted["method"] == "low-res pasted" and pasted["psnr"] > upsampled["psnr"] + 10
    assert four["psnr"] == eight["psnr"] == upsampled["psnr"] != copied["psnr"]
    assert (four["seed"], four["model"]) == (0, "fake")
    assert "psnr" not in real and result["absent"]["fvd"] == "not asked for"
    assert {kept["method"] for kept in result["kept"]} == {"enhanced-8"} and len(list((output / "kept").iterdir())) == 6
    tables = (output / "tables.md").read_text()
    assert "| FacEnhance | 32 x 192 | MUG, published |" in tables and "| enhanced, 4 steps |" in tables
    assert "6 clips of 2 frames, 64 x 64: drawn (synthetic) faces." in done.stdout
    before = (output / "results.json").read_bytes()
    refused = evaluate(*flags, "--seed=1")
    assert refused.returncode == 2 and "method.json: begun with another seed" in refused.stderr.splitlines()[-1]
    assert (output / "results.json").read_bytes() == before


def test_faults_of_the_low_res_frames_have_rows_of_their_own(tmp_path):
    output = tmp_path / "results"
    flags = ("--subjects=9000", "--frames=2", "--clips=1", "--metrics=psnr", "--degrade=noise,all", "--seed=3")
    done = evaluate(*flags, f"--output={output}")
    assert done.returncode == 0, done.stderr
    rows = {tables.label(row): row for row in json.loads((output / "results.json").read_text())["rows"]}
    assert [*rows][-5:-1] == [
        "enhanced, noisy, 8 steps",
        "low-res pasted, noisy",
        "enhanced, all faults, 8 steps",
        "low-res pasted, all faults",
    ]
    clean, noisy, worst = (rows[f"low-res pasted{fault}"]["psnr"] for fault in ("", ", noisy", ", all faults"))
    assert clean > noisy > worst and rows["low-res pasted, noisy"]["fault_seed"] == 3


def test_a_launch_scores_generated_clips_before_and_after(tmp_path):
    for expression in ("anger", "fear"):
        drawn = clip_sets.draw(9000, expression, frames=2)
        np.save(tmp_path / f"9000_{expression}.npy", drawn.low // 4 * 4)  # nearly the right ones
    generated = (f"--generated={tmp_path}", "--layout=fevgan", "--metrics=psnr", "--clips=2", "--nobaselines")
    done = evaluate(*generated, f"--output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    after, before = (json.loads((tmp_path / "out" / at / "results.json").read_text()) for at in (".", "before"))
    assert after["settings"]["n"] == 2 and after["settings"]["generator"] == "fevgan"
    assert [row["key"] for row in after["rows"]] == ["enhanced-8", "real"]
    low = before["rows"][0]
    assert low["key"] == "upsampled" and low["psnr"] > 20 > after["rows"][0]["psnr"]  # faces on black, not full frames
    table = (tmp_path / "out/tables.md").read_text()
    assert f"| fevgan, before | 2 x 64, n 2, enlarged from 64 | {DATA}, ours | - | {low['psnr']:.2f}" in table
    assert "| FEV-GAN, after | 32 x 192 | MUG, published |" in table


BAD = {
    "--subjects=9005-9001": "--subjects 9005-9001: not a range of ids; write it like 9000-9012",
    "--steps=4,many": "--steps 4,many: not whole numbers; write them like 1,2,4,8",
    "--metrics=lpips": "metrics: lpips is none of psnr, ssim, temporal, colour, sharpness, acd, expression, fvd",
    "--pairs=nowhere": "nowhere: no such folder; give the one that holds PERSON/neutral.jpg",
    "--videos=nowhere": "nowhere: no such folder; give one that holds videos",
    "--degrade=fog": "--degrade fog: fog is none of blur, noise, jpeg, warp, drop, all",
    "--pairs=a --videos=b": "--pairs and --videos: clips of one kind at a time; leave one of them out",
    "--generated=a --degrade=blur": "--degrade: generated clips have faults of their own; leave it out, or leave out "
    "--generated",
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
            flags.FLAGS(["evaluate", f"--output={output}", *flag.split()])
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
