"""The sheet of a small drawn data set, what is counted, and that bad input leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LAUNCH = Path(__file__).parents[2] / "launch"
SIZE = 64


def run(script: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, LAUNCH / script, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two drawn people, one for each split, two frames a clip."""
    folder = tmp_path_factory.mktemp("drawn")
    drawing = ("--draw=2", "--frames=2", f"--resolution={SIZE}")
    done = run("prepare.py", f"--root={folder / 'tree'}", f"--output={folder / 'data'}", *drawing)
    assert done.returncode == 0, done.stderr
    return folder / "data"


def test_a_sheet_shows_clips_of_both_splits_and_counts_them_all(data, tmp_path):
    done = run("contact_sheet.py", f"--data={data}", f"--output={tmp_path / 'sheet.png'}", "--rows=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "train 1 subjects, 6 clips, 12 frames\ntest  1 subjects, 6 clips, 12 frames\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet.json", "sheet.png"]
    counts = json.loads((tmp_path / "sheet.json").read_text())
    expressions = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    assert counts["train"] == {
        "subjects": ["000"],
        "clips": 6,
        "frames": 12,
        "clips_per_expression": dict.fromkeys(expressions, 1),
        "sizes": {"high": SIZE, "low": 64, "identity": SIZE},
    }
    assert counts["test"] == counts["train"] | {"subjects": ["001"]}
    # Two splits of two clips of two rows; three columns, blank under the photo.
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    step = SIZE + 4
    assert sheet.shape[0] == 8 * step + 4
    cells = sheet[4:, -3 * step :].reshape(8, step, 3, step, 3)[:, :SIZE, :, :SIZE].swapaxes(1, 2)
    assert (cells[1::2, 0] == 255).all()
    assert cells[0::2].std(axis=(2, 3)).min() > 10  # pictures in every cell of the upper rows
    assert (cells[1::2, 1:, 0, 0] == 0).all()  # faces on black in the lower rows
    assert (cells[0, 2] != cells[2, 2]).any()  # another clip of the person


def test_the_same_set_as_arrays_has_the_same_sheet(data, tmp_path):
    done = run("prepare.py", f"--output={data}", f"--arrays={tmp_path / 'set.npz'}")
    assert (done.returncode, done.stdout) == (0, f"written   {tmp_path / 'set.npz'}, 12 records as arrays\n")
    for name, source in (("a", data), ("b", tmp_path / "set.npz")):
        assert run("contact_sheet.py", f"--data={source}", f"--output={tmp_path / name}.png").returncode == 0
    for suffix in (".png", ".json"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    again = run("prepare.py", f"--output={data}")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "--root: missing; name the folder of the clips, or give --arrays as well" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data={tmp}", "--output={tmp}/sheet.png"), "{tmp}: no such data set; make it with launch/prepare.py"),
        (("--data={data}", "--output={tmp}/sheet.jpg"), "{tmp}/sheet.jpg: cannot write .jpg here; choose .png"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(data, tmp_path, arguments, message):
    folders = {"tmp": tmp_path, "data": data}
    done = run("contact_sheet.py", *(argument.format(**folders) for argument in arguments))
    assert (done.returncode, done.stderr, done.stdout) == (2, f"facenhance: {message.format(**folders)}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_one_line_and_leaves_nothing(data, tmp_path):
    file = next(data.glob("**/*test.array_record*"))
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[: len(whole) // 2])
        done = run("contact_sheet.py", f"--data={data}", f"--output={tmp_path / 'sheet.png'}")
    finally:
        file.write_bytes(whole)
    assert done.returncode == 2
    assert done.stderr.startswith(f"facenhance: {data}: record 0 cannot be read (") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
