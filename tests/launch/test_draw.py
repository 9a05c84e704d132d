"""launch/draw.py gives what launch/prepare.py gives, without its libraries."""

import subprocess
import sys
from pathlib import Path

import numpy as np

LAUNCH = Path(__file__).parents[2] / "launch"


def launch(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, LAUNCH / program, *arguments], capture_output=True, text=True)


def test_the_records_are_those_of_a_preparation(tmp_path):
    about = ("--frames=2", "--resolution=64", "--seed=4")
    drawn = launch("draw.py", "--people=3", f"--output={tmp_path}/drawn.npz", *about)
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout.startswith(f"{tmp_path}/drawn.npz: 84 frames drawn in ")
    folders = (f"--root={tmp_path}/tree", f"--output={tmp_path}/data", f"--arrays={tmp_path}/prepared.npz")
    done = launch("prepare.py", "--draw=3", *folders, *about)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "drawn.npz") as ours, np.load(tmp_path / "prepared.npz") as theirs:
        assert sorted(ours) == sorted(theirs) and len(ours["high"]) == 18
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert not list(tmp_path.glob("tmp*"))
    again = launch("draw.py", "--people=3", f"--output={tmp_path}/none/drawn.npz", *about)
    assert again.returncode == 2 and again.stderr.startswith("facenhance: ") and again.stderr.count("\n") == 1
