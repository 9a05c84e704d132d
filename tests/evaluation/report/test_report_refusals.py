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
from facenhance_jax.messages import InputError


@pytest.fixture
def folder(tmp_path) -> Path:
    return small_evaluation.write(tmp_path / "results")


def broken(change):
    def spoil(folder: Path) -> None:
        values = found()
        change(values)
        (folder / "results.json").write_text(json.dumps(values))

    return spoil


def cells(text: str):
    return lambda folder: (folder / "clips.csv").write_text(f"clip,subject,expression,way,steps,psnr\n{text}\n")


def other_shape(folder: Path) -> None:
    np.savez_compressed(folder / "kept/0001.npz", **(frames(1) | {"low": frames(1)["low"][:3]}))


def pickled(folder: Path) -> None:
    np.savez_compressed(folder / "kept/0001.npz", **(frames(1) | {"low": np.array([{}], object)}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: shutil.rmtree(folder), r"results\.json: is not there; give a folder"),
        (lambda folder: (folder / "results.json").write_text('{\n"format": 1,'), r"json: broken JSON at line 2"),
        (lambda folder: (folder / "results.json").write_bytes(b"\xff\xfe"), r"json: cannot be read"),
        (lambda folder: (folder / "results.json").write_text("[]"), r"its format is None, this version reads 2"),
        (broken(lambda found: found.update(format=1)), r"its format is 1, this version reads 2"),
        (broken(lambda found: found.pop("rows")), r"json: rows is missing"),
        (broken(lambda found: found["rows"][1].pop("n")), r"json: rows\[1\]\.n is missing"),
        (broken(lambda found: found["rows"].append(3)), r"json: rows\[5\] is not an object"),
        (broken(lambda found: found["rows"][0].update(psnr="x")), r"json: rows\[0\]\.psnr is not a number"),
        (broken(lambda found: found["rows"][0].update(psnr=float("nan"))), r"json: holds NaN, which is no number"),
        (broken(lambda found: found["settings"].pop("data")), r"json: settings\.data is missing"),
        (broken(lambda found: found["metrics"]["psnr"].pop("digits")), r"json: metrics\.psnr\.digits is missing"),
        (lambda folder: (folder / "kept/0001.npz").unlink(), r"0001\.npz: is missing, though"),
        (lambda folder: (folder / "kept/0001.npz").write_bytes(b"PK\3\4 cut"), r"0001\.npz: damaged"),
        (lambda folder: np.savez(folder / "kept/0001.npz", low=np.zeros(3)), r"0001\.npz: damaged, or not"),
        (pickled, r"0001\.npz: damaged, or not"),
        (other_shape, r"0001\.npz: identity, low, enhanced, real are .* do not fit"),
        (lambda folder: (folder / "clips.csv").unlink(), r"clips\.csv: is not there"),
        (lambda folder: (folder / "clips.csv").write_text("a,b\n1,2\n"), r"clips\.csv: does not begin with"),
        (lambda folder: (folder / "clips.csv").write_text(""), r"clips\.csv: does not begin with"),
        (cells("9001/anger,9001,anger,photo,"), r"clips\.csv, line 2: has 5 cells for 6 columns"),
        (cells("9001/anger,9001,anger,photo,,bad"), r"line 2: psnr is 'bad', which is no number"),
        (cells("9001/anger,9001,anger,photo,,inf"), r"line 2: psnr is 'inf', which is no number"),
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
    mine = tmp_path / "page-pictures" / "holiday.png"
    mine.parent.mkdir()
    mine.write_text("dear to me")
    with pytest.raises(InputError, match="page-pictures: is in the way of the pictures"):
        report.write(folder, tmp_path / "page.html")
    with pytest.raises(InputError, match=r"cannot write \.txt here; choose \.html"):
        report.write(folder, tmp_path / "page.txt")
    with pytest.raises(InputError, match="does not exist; make it first"):
        report.write(folder, tmp_path / "nowhere" / "page.html")
    assert mine.read_text() == "dear to me" and not (tmp_path / "page.html").exists()
