"""The report of an evaluation: what it shows of known numbers, also in a real browser; what it refuses."""

import html
import json
import re
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import small_evaluation
from PIL import Image
from small_evaluation import BRIGHT, SIZE, found, frames

from facenhance_jax import cli
from facenhance_jax.evaluation import report
from facenhance_jax.evaluation.report import charts
from facenhance_jax.evaluation.report.reading import Kept
from facenhance_jax.evaluation.results import FORMAT
from facenhance_jax.messages import InputError

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def folder(tmp_path) -> Path:
    return small_evaluation.write(tmp_path / "results")


class Page:
    """A report's source, its text without tags, and its tables {title: rows of cells}."""

    def __init__(self, folder: Path, results: dict):
        (folder / "results.json").write_text(json.dumps(results))
        self.source = report.write(folder)[0].read_text()
        self.text = " ".join(html.unescape(re.sub("<[^>]*>", " ", self.source)).split())
        self.tables = {
            title: [list(map(html.unescape, re.findall("<td>(.*?)</td>", row))) for row in table.split("<tr>")[1:]]
            for title, table in re.findall('aria-label="(.*?)">(.*?)</table>', self.source, re.DOTALL)
        }


def test_tables_hold_the_known_numbers(folder):
    tables = Page(folder, found()).tables
    assert tables["All numbers: means over all clips"] == [
        ["", "PSNR", "FVD/2", "landmarks", "s a frame"],
        ["enhanced, 2 steps", "26.50", "–", "–", "0.125"],
        ["enhanced, 8 steps", "30.50", "–", "4.12", "0.500"],
        ["photo copied", "22.50", "–", "–", "–"],
        ["real", "–", "151.4", "–", "–"],
    ]
    assert tables["The clips of the strips"] == [
        ["", "PSNR", "landmarks"],
        ["9001/anger, first of anger", "30.25", "3.50"],
        ["9001/<fear>, first of <fear>", "32.50", "4.75"],
        ["9002/anger, worst psnr", "28.75", "–"],
        ["mean of all clips", "30.50", "4.12"],
    ]
    published = tables["The paper’s Table 2, and these clips"]
    assert published[5] == ["FacEnhance", "32 x 192", "MUG, published", "95.38", "30.88", ".94", ".01", ".07"]
    assert published[7][:5] == ["enhanced, 8 steps", "10 x 16, n 3", "drawn (synthetic) faces, ours", "–", "30.50"]


def test_settings_reasons_and_what_is_drawn_are_said(folder):
    page = Page(folder, found())
    settings = dict(page.tables["Settings, and what was not computed"])
    assert settings["fvd.weights_sha256"] == "cd" * 32 and settings["n"] == "3"
    assert settings["not computed.fvd"] == "not asked for" and settings["not computed.acd"] == "needs dlib & <b>more"
    assert "<b>more" not in page.source and "<fear>" not in page.source  # but escaped
    heads, _, enhanced, *_ = page.tables["Settings of the methods"]
    assert heads == ["", "seed", "solver", "temperature", "shared_noise", "resize", "low_res", "model"]
    assert enhanced == ["enhanced, 8 steps", "7", "–", "–", "True", "–", "–", "ab" * 32]
    assert "enhanced, 8 steps: no landmarks in some or all: 9002/anger: no face." in page.text
    assert "3 clips of 10 frames, 16 x 16: drawn (synthetic) faces. The people on this page are drawn" in page.text
    assert "The strips are of enhanced, 8 steps:" in page.text
    filmed = found()
    filmed["settings"] |= {"data": "mug", "drawn": False, "generator": "fevgan"}
    page = Page(folder, filmed)
    assert "drawn" not in page.text.replace("drawn False", "") and "16 x 16: mug." in page.text
    assert "The paper’s Table 2, and these clips" not in page.tables


def test_the_page_needs_nothing_outside_and_is_the_same_again(folder):
    page = Page(folder, found())
    pictures = re.findall('<img [^>]*src="data:image/(.*?);base64,(.*?)"', page.source)
    assert [kind for kind, _ in pictures] == ["webp"] * 6 + ["svg+xml"] * 5 and page.source.count("<img") == 11
    drawings = [b64decode(data).decode() for _, data in pictures[6:]]
    assert all("<text" in drawing and not re.search('href="[^#]', drawing) for drawing in drawings)
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe|<object", page.source)
    assert "Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.source
    assert Page(folder, found()).source == page.source


def test_strips_are_the_frames_with_the_worst_one(folder):
    _, album, count = report.write(folder)
    assert count == 3 and {file.name for file in album.iterdir()} == {f"strip-000{clip}.png" for clip in range(3)}
    text = Page(folder, found()).text
    assert f"9002/anger, most different in frame {BRIGHT + 1} frames 1, 3, 4, 5 frames 7, 9, 10" in text
    strip = np.asarray(Image.open(album / "strip-0000.png"))
    step = SIZE + 4
    left = strip.shape[1] - 7 * step
    photo, low, enhanced, real, error = (strip[4 + row * step + 8, left + 8 :: step] for row in range(5))
    shown = np.array([0, 2, 3, 4, BRIGHT, 8, 9])
    assert photo[0].tolist() == [200] * 3
    np.testing.assert_array_equal(low[:, 0], shown)
    np.testing.assert_array_equal(real[:, 0], 100 + shown)
    np.testing.assert_array_equal(enhanced[:, 0], 110 + shown + 2 * (shown == BRIGHT))
    colours = mpl.colormaps["inferno"](np.array([10, 12]) * 8, bytes=True)[:, :3]  # of 256, for 10 and 12 of 32
    np.testing.assert_array_equal(error[[0, 4]], colours)


def test_errors_and_shown_frames():
    real = np.zeros((32, 2, 2, 3), np.uint8)
    enhanced = real.copy()
    enhanced[3] = np.array([[[0, 0, 0], [3, 4, 5]], [[8, 8, 8], [90, 90, 90]]])
    kept = Kept({}, "", "0000", real[0], real[:, :1, :1], enhanced, real)
    assert kept.worst_frame == 3 and kept.shown_frames == [0, 3, 5, 10, 16, 21, 26, 31]
    np.testing.assert_array_equal(kept.error[3], [[0, 4], [8, 90]])


def test_bars_are_means_and_lines_go_through_the_values():
    methods = [{"method": "enhanced", "key": "enhanced-8", "steps": 8}, {"method": "photo", "key": "p", "steps": None}]
    values = [("<anger>", "enhanced-8", 4.0), ("<anger>", "enhanced-8", 2.0), ("<anger>", "other", 9.0)]
    values += [("fear", "enhanced-8", 1.0), ("fear", "p", 0.0)]
    lines = [{"expression": of, "method": key, "psnr": value} for of, key, value in values]
    (axes,) = charts.by_expression([*lines, {"expression": "fear", "method": "p"}], methods, "psnr").axes
    np.testing.assert_array_equal(
        [[bar.get_width() for bar in bars] for bars in axes.containers], [[3, 1], [np.nan, 0]]
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["<anger>", "fear"]
    assert [label.get_text() for label in axes.texts] == ["3", "1", "", "0"]
    rows = [{"method": "m", "steps": steps, "fvd": value} for steps, value in ((8, 20.0), (1, 90.0), (2, 30.0))]
    (axes,) = charts.by_steps([*rows, {"method": "n", "steps": 4, "fvd": 5.0}], "fvd").axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1, 90], [2, 30], [8, 20]], [[4, 5]]]
    assert axes.get_xscale() == "log" and [label.get_text() for label in axes.get_xticklabels()] == [*"1248"]


def test_without_kept_frames_or_several_steps_there_are_numbers_alone(folder):
    assert "Denoising steps" in Page(folder, found()).text
    rows = [row | {"steps": row["steps"] and 8} for row in found()["rows"]]
    page = Page(folder, found() | {"kept": [], "rows": rows})
    assert not [*(folder / "report-pictures").iterdir()]
    assert "strips" not in page.text and "worst" not in page.text and "Denoising steps" not in page.text
    assert page.source.count("<img") == 1 and page.tables["All numbers: means over all clips"]


LOOK = """
onload = async () => {
  const pages = [...document.querySelectorAll("iframe")].map(frame => frame.contentDocument);
  const pictures = pages.flatMap(page => [...page.querySelectorAll("img")]);
  await Promise.all(pictures.map(picture => picture.decode()));
  document.title = [pictures.length, ...pages.map(page => page.scrollingElement.scrollWidth)];
};
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in (apt-get install chromium)")
def test_in_a_browser_all_pictures_load_and_nothing_is_too_wide(folder, tmp_path):
    values = found() | {"absent": {"acd": "x" * 200}}  # and other names without a place to break
    values["settings"]["data"] = "drawn-" + "faces" * 30
    values["rows"][0]["method"] = values["rows"][1]["method"] = "method" * 30
    page = html.escape(Page(folder, values).source)
    widths = (1280, 390, 320)  # as frames, because a window cannot be as narrow as a phone
    views = "".join(f'<iframe style="border:0" width={width} height=900 srcdoc="{page}"></iframe>' for width in widths)
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(f"<!DOCTYPE html><body>{views}<script>{LOOK}</script>")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--enable-logging=stderr"]
    command = [CHROMIUM, *options, "--dump-dom", wrapper.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert ":CONSOLE" not in ran.stderr  # what the page's policy refuses would be said there
    pictures, *across = map(int, re.search("<title>(.*?)</title>", ran.stdout)[1].split(","))
    assert pictures == 3 * 11 and np.all(np.array(across) <= widths), across


def text(old: str, new: str, name: str = "clips.csv"):
    """The file with another text at the first place of `old`."""

    def spoil(folder):
        before = (folder / name).read_text()
        assert old in before
        (folder / name).write_text(before.replace(old, new, 1))

    return spoil


def kept(**changes):
    return lambda folder: np.savez(folder / "kept/0001.npz", **(frames(1) | changes))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, r"results\.json: is not there; give a folder"),
        (text("[", "[,", "results.json"), r"json: cannot be used .*line 1"),
        (text(f'"format": {FORMAT}', '"format": 1', "results.json"), rf"json: .*it is not of format {FORMAT}\); run"),
        (text('"rows"', '"other"', "results.json"), rf"json: cannot be used \(it is not of format {FORMAT}"),
        (lambda folder: (folder / "kept/0001.npz").unlink(), r"0001\.npz: is not there"),
        (lambda folder: (folder / "kept/0001.npz").write_bytes(b"PK\3\4 cut"), r"0001\.npz: cannot be used"),
        (lambda folder: np.savez(folder / "kept/0001.npz", low=np.zeros(3)), r"0001\.npz: cannot be used \(.identity"),
        (kept(low=np.array([{}], object)), r"0001\.npz: cannot be used .*pickle"),
        (kept(low=frames(1)["low"][:3]), r"0001\.npz: cannot be used \(the frames do not fit together"),
        (text("<fear>,enhanced-8", "<fear>,other"), r"0001\.npz"),
        (text("28.75", "bad"), r"clips\.csv: cannot be used .*'bad'"),
        (text(",28.75,", ""), r"clips\.csv: cannot be used"),
        (text("28.75,", "28.75,1,2"), r"clips\.csv: cannot be used"),
        (text("9002/anger,9002,anger,real,,,\n", ""), r"clips\.csv: cannot be used \(11 lines, .* counts 12\)"),
    ],
)
def test_bad_folders_are_refused_in_a_line_and_nothing_is_written(folder, tmp_path, capfd, spoil, said):
    spoil(folder)
    assert cli.main(["report", str(folder), "--output", str(tmp_path / "page.html")]) == 2
    out, err = capfd.readouterr()
    assert out == "" and re.fullmatch(r"facenhance: [^\n]+\n", err) and re.search(said, err), err
    assert [file.name for file in tmp_path.iterdir()] == ["results"] * folder.exists()


def test_the_command_writes_where_it_is_told_and_replaces_nobodys_files(folder, tmp_path, capfd):
    assert cli.main(["report", str(folder)]) == 0
    said = f"wrote {folder / 'report.html'}, and its pictures: 3 in {folder / 'report-pictures'}\n"
    assert capfd.readouterr().out == said
    for _ in range(2):  # its own files it does replace
        assert cli.main(["report", str(folder), "--output", str(tmp_path / "page.html")]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["page-pictures", "page.html", "results"]
    assert (tmp_path / "page.html").read_text() == (folder / "report.html").read_text()
    (tmp_path / "page-pictures" / "strip-holiday.jpg").write_text("dear to me")
    for name, wrong in (
        ("page.html", "page-pictures: is in the way of the pictures"),
        ("page.txt", r"cannot write \.txt here; choose \.html"),
        ("nowhere/page.html", "does not exist; make it first"),
    ):
        with pytest.raises(InputError, match=wrong):
            report.write(folder, tmp_path / name)
    assert (tmp_path / "page-pictures" / "strip-holiday.jpg").exists()
