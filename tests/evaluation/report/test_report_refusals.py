"""What the command `facenhance report` writes and where, and the folders and places that it refuses."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import small_evaluation
from small_evaluation import found, frames

from facenhance_jax import cli
from facenhance_jax.evaluation import report
from facenhance_jax.evaluation.results import FORMAT
from facenhance_jax.messages import InputError


@pytest.fixture
def folder(tmp_path) -> Path:
    return small_evaluation.write(tmp_path / "results")


def broken(**changes):
    """results.json with other fields; without those that are None."""
    values = {name: value for name, value in (found() | changes).items() if value is not None}
    return lambda folder: (folder / "results.json").write_text(json.dumps(values))


def clips(old: str, new: str):
    """clips.csv with another text."""

    def spoil(folder: Path) -> None:
        text = (folder / "clips.csv").read_text()
        assert old in text
        (folder / "clips.csv").write_text(text.replace(old, new, 1))

    return spoil


def kept(**changes):
    return lambda folder: np.savez(folder / "kept/0001.npz", **(frames(1) | changes))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, r"results\.json: is not there; give a folder"),
        (lambda folder: (folder / "results.json").write_text('{\n"format": 1,'), r"json: cannot be used .*line 2"),
        (lambda folder: (folder / "results.json").write_bytes(b"\xff\xfe"), r"json: cannot be used"),
        (broken(format=1), rf"its format is 1, this version reads {FORMAT}"),
        (broken(rows=None), r"json: cannot be used \(without rows\); run the evaluation again"),
        (lambda folder: (folder / "kept/0001.npz").unlink(), r"0001\.npz: is not there"),
        (lambda folder: (folder / "kept/0001.npz").write_bytes(b"PK\3\4 cut"), r"0001\.npz: cannot be used"),
        (lambda folder: np.savez(folder / "kept/0001.npz", low=np.zeros(3)), r"0001\.npz: cannot be used \(.identity"),
        (kept(low=np.array([{}], object)), r"0001\.npz: cannot be used .*pickle"),
        (kept(low=frames(1)["low"][:3]), r"0001\.npz: cannot be used \(the frames do not fit together"),
        (clips("<fear>,enhanced-8", "<fear>,other"), r"0001\.npz"),
        (lambda folder: (folder / "clips.csv").unlink(), r"clips\.csv: is not there"),
        (clips("28.75", "bad"), r"clips\.csv: cannot be used .*'bad'"),
        (clips(",28.75,", ""), r"clips\.csv: cannot be used"),
        (clips("28.75,", "28.75,1,2"), r"clips\.csv: cannot be used"),
        (clips("9002/anger,9002,anger,real,,,\n", ""), r"clips\.csv: cannot be used \(14 lines, .* counts 15\)"),
    ],
)
def test_bad_folders_are_refused_in_a_line_and_nothing_is_written(folder, tmp_path, capfd, spoil, said):
    spoil(folder)
    assert cli.main(["report", str(folder), "--output", str(tmp_path / "page.html")]) == 2
    out, err = capfd.readouterr()
    assert out == "" and re.fullmatch(r"facenhance: [^\n]+\n", err) and re.search(said, err), err
    assert [file.name for file in tmp_path.iterdir()] == ["results"] * folder.exists()


def test_the_command_writes_where_it_is_told(folder, tmp_path, capfd):
    assert cli.main(["report", str(folder)]) == 0
    assert capfd.readouterr().out == (
        f"wrote {folder / 'report.html'}, and its pictures: 4 in {folder / 'report-pictures'}\n"
    )
    assert cli.main(["report", str(folder), "--output", str(tmp_path / "page.html")]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["page-pictures", "page.html", "results"]
    assert (tmp_path / "page.html").read_text() == (folder / "report.html").read_text()


def test_nobodys_files_are_replaced(folder, tmp_path):
    mine = tmp_path / "page-pictures" / "strip-holiday.jpg"
    mine.parent.mkdir()
    mine.write_text("dear to me")
    with pytest.raises(InputError, match="page-pictures: is in the way of the pictures"):
        report.write(folder, tmp_path / "page.html")
    with pytest.raises(InputError, match=r"cannot write \.txt here; choose \.html"):
        report.write(folder, tmp_path / "page.txt")
    with pytest.raises(InputError, match="does not exist; make it first"):
        report.write(folder, tmp_path / "nowhere" / "page.html")
    assert mine.read_text() == "dear to me" and not (tmp_path / "page.html").exists()
