"""The report of an evaluation: what it shows of a folder with known numbers, also in a real browser."""

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
from small_evaluation import BRIGHT, HASH, SIZE, found

from facenhance_jax.evaluation import report
from facenhance_jax.evaluation.report import charts
from facenhance_jax.evaluation.report.pictures import Kept, error_scale

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INFERNO = np.array([mpl.colormaps["inferno"](level, bytes=True)[:3] for level in range(256)])


@pytest.fixture
def folder(tmp_path) -> Path:
    return small_evaluation.write(tmp_path / "results")


class Page:
    """A report's source, its text without tags, and its tables {caption: rows of cells}."""

    def __init__(self, folder: Path, results: dict | None = None):
        if results:
            (folder / "results.json").write_text(json.dumps(results))
        self.source = report.write(folder)[0].read_text()
        body = self.source[self.source.index("<h1>") :]
        self.text = " ".join(html.unescape(re.sub("<[^>]*>", " ", body)).split())
        self.tables = {
            caption: [self.all(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in self.all("<tr>(.*?)</tr>", table)]
            for caption, table in re.findall("<caption>(.*?)</caption>(.*?)</table>", body, re.DOTALL)
        }

    def all(self, pattern: str, text: str | None = None) -> list[str]:
        """What the pattern's group matches."""
        return [html.unescape(found) for found in re.findall(pattern, text or self.source, re.DOTALL)]


def test_tables_hold_the_known_numbers(folder):
    tables = Page(folder).tables
    heads, *rows = tables["Against the real frames, over all clips"]
    assert heads == ["Method", "PSNR ↑", "FVD/2 ↓"]
    assert rows == [
        ["enhanced, 2 steps", "26.50", "–"],
        ["enhanced, 8 steps", "30.50", "–"],
        ["photo copied", "22.50", "–"],
        ["low-res upsampled", "18.50", "–"],
        ["real", "–", "151.4"],
    ]
    assert tables["Expression and time, over all clips"][2] == ["enhanced, 8 steps", "4.12\n2 of 3 clips", "0.500"]
    rows = tables["Mean over the clips of each expression"]
    assert rows[1:3] == [["anger, enhanced, 8 steps", "29.50", "3.50"], ["anger, photo copied", "21.50", "–"]]
    assert rows[4] == ["<fear>, enhanced, 8 steps", "32.50", "4.50"]


def test_names_are_escaped(folder):
    kept = [about | {"why": ["worst psnr"]} for about in found()["kept"]]
    source = Page(folder, found() | {"absent": {"acd": "<b>bold</b>"}, "kept": kept}).source
    assert "&lt;fear&gt;" in source and "<fear>" not in source
    assert "&lt;b&gt;bold" in source and "<b>bold" not in source


def test_settings_reasons_and_what_is_drawn_are_said(folder):
    page = Page(folder)
    settings = dict(page.tables["Clips and extractors"][1:])
    assert settings["fvd, weights sha256"] == "cd" * 32 and settings["n"] == "3" and settings["drawn"] == "yes"
    heads, _, enhanced, *_ = page.tables["Methods"]
    assert heads == ["Method", "seed", "one noise for all frames", "model (SHA-256)"]
    assert enhanced == ["enhanced, 8 steps", "7", "yes", HASH]
    assert "acd not computed: needs dlib & more." in page.text and "fvd: not asked for." in page.text
    assert "enhanced, 8 steps: no landmarks in some or all: 9002/anger: no face." in page.text
    assert (
        "3 clips of 10 frames, 16 x 16: drawn (synthetic) faces. The pictures are of: enhanced, 8 steps." in page.text
    )
    assert "drawn by a program" in page.text
    filmed = found()
    filmed["settings"] |= {"data": "mug", "drawn": False}
    text = Page(folder, filmed).text
    assert "drawn by" not in text and "drawn (" not in text and "16 x 16: mug." in text


def test_published_numbers_are_marked_and_ours_stand_below(folder):
    caption = "The paper’s Table 2, and these clips"
    heads, *rows = Page(folder).tables[caption]
    assert heads == ["System", "frames x size", "data", "FVD", "PSNR", "SSIM", "ACD", "ACD-I"]
    assert rows[1] == ["VDM", "16 x 64", "MUG, published", "108.02", *"––––"]
    assert rows[4] == ["FacEnhance", "32 x 192", "MUG, published", "95.38", "30.88", ".94", ".01", ".07"]
    assert rows[6][:5] == ["enhanced, 8 steps", "10 x 16, n 3", "drawn (synthetic) faces, ours", "-", "30.50"]
    made = found()
    made["settings"]["generator"] = "fevgan"
    assert caption not in Page(folder, made).tables


def test_the_worst_clip_is_shown_at_its_worst_frame_with_its_number(folder):
    page = Page(folder)
    assert f"9002/ anger , frame {BRIGHT + 1} PSNR 28.75, mean of all 30.50" in page.text
    names = page.all('<svg role="img" aria-label="(.*?)"')
    shown = [f"9001/anger, frame {frame}: low-res, enhanced, real, error" for frame in (1, 2, 4, 5, 6, 7, 9, 10)]
    assert names[:9] == ["the photo", *shown]
    assert names[27:] == [f"9002/anger, frame {BRIGHT + 1}: low-res, enhanced, real, error"]
    links = page.all('<a href="#(.*?)"')
    assert "clip-0002" in links and set(links) <= set(page.all(' id="(.*?)"'))


def test_the_page_needs_nothing_outside_and_is_the_same_again(folder):
    page = Page(folder)
    drawings = [b64decode(data).decode() for data in page.all('<img [^>]*src="data:image/svg[+]xml;base64,(.*?)"')]
    assert len(drawings) == page.source.count("<img") == 4
    assert all("<text" in drawing and not re.search('href="[^#]', drawing) for drawing in drawings)
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe|<object", page.source)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert page.all('"Content-Security-Policy" content="(.*?)"') == [policy]
    assert Page(folder).source == page.source


def test_a_picture_that_is_shown_again_is_embedded_once(folder):
    page = Page(folder)  # three clips of one photo, which differ in one frame
    embedded = dict(re.findall('<image id="(.*?)" href="data:image/webp;base64,(.*?)"', page.source))
    assert len(embedded) == len(set(embedded.values())) == page.source.count("<image") == 1 + 7 + 3
    again = page.all('<use href="#(.*?)"')
    assert len(again) == 3 * 9 + 1 - 11 and set(again) <= embedded.keys()


def test_pictures_with_the_page_are_the_frames(folder):
    page, album, count = report.write(folder)
    names = [f"strip-000{clip}.png" for clip in range(3)] + ["worst-0002.png"]
    assert (page.name, count, sorted(file.name for file in album.iterdir())) == ("report.html", 4, names)
    worst = np.asarray(Image.open(album / "worst-0002.png"))
    assert worst.shape == (SIZE, 4 * SIZE, 3)
    middles = worst[SIZE // 2, SIZE // 2 :: SIZE]
    assert middles[:3].tolist() == [[BRIGHT] * 3, [120] * 3, [106] * 3]
    np.testing.assert_array_equal(middles[3], INFERNO[14 * 16])  # of a scale to 16, for errors up to 14
    strip = np.asarray(Image.open(album / "strip-0000.png"))
    step = SIZE + 4
    left = strip.shape[1] - 8 * step
    photo, low, enhanced, real, error = (strip[4 + row * step + 8, left + 8 :: step] for row in range(5))
    shown = np.array([0, 1, 3, 4, 5, 6, 8, 9])
    assert photo[0].tolist() == [200] * 3
    np.testing.assert_array_equal(low[:, 0], shown)
    np.testing.assert_array_equal(real[:, 0], 100 + shown)
    np.testing.assert_array_equal(enhanced[:, 0], 110 + shown + 2 * (shown == BRIGHT))
    np.testing.assert_array_equal(error[0], INFERNO[10 * 16])


def test_errors_and_shown_frames():
    real = np.zeros((32, 2, 2, 3), np.uint8)
    enhanced = real.copy()
    enhanced[3] = np.array([[[0, 0, 0], [3, 4, 5]], [[8, 8, 8], [90, 90, 90]]])
    kept = Kept({}, "0000", [], real[0], real[:, :1, :1], enhanced, real)
    assert kept.worst_frame == 3 and kept.shown_frames == [0, 4, 9, 13, 18, 22, 27, 31]
    np.testing.assert_array_equal(kept.error[3], [[0, 4], [8, 90]])
    np.testing.assert_array_equal(kept.views(3, 8)[3].reshape(4, 3), INFERNO[[0, 128, 255, 255]])
    assert error_scale([]) == 8 and error_scale([kept]) == 64  # 0.365 of the way from the error of 8 to that of 90


def test_bars_are_as_long_as_their_values():
    drawing = charts.bars({"<anger>": [4.0, None, 1.0], "fear": [2.0, 0.0, 3.0]}, 1).decode()
    ends = {colour: [] for colour in charts.COLOURS[:3]}
    for start, end, colour in re.findall(r'd="M ([\d.]+) [\d. ]+\nL ([\d.]+) [^"]*"[^>]*fill: (#\w+)', drawing):
        ends.get(colour, []).append(float(end) - float(start))
    lengths = np.array([*ends.values()])
    np.testing.assert_allclose(lengths / lengths[0, 0], [[1, 0.5], [0, 0], [0.25, 0.75]], atol=1e-3)
    letters = [html.unescape(text) for text in re.findall(r">([^<>]+)</text>", drawing)]
    assert letters == ["<anger>", "fear", "4.0", "2.0", "none", "0.0", "1.0", "3.0"]


def test_steps_and_wide_values_are_spaced_by_their_logarithm():
    def points(values: dict[int, float]) -> tuple[np.ndarray, list[str]]:
        drawing = charts.lines({0: values}).decode()
        marks = re.findall(rf'x="([\d.]+)" y="([\d.]+)" style="fill: {charts.COLOURS[0]}', drawing)
        return np.array(marks, float), re.findall(r">([^<>]+)</text>", drawing)

    for values in ({1: 10.0, 2: 20.0, 4: 30.0}, {1: 0.1, 8: 1.0, 64: 10.0}):
        marks, letters = points(values)
        np.testing.assert_allclose(np.diff(marks, 2, axis=0), 0, atol=1e-3)
        assert marks[2, 0] > marks[0, 0] and marks[2, 1] < marks[0, 1]
        assert letters[:3] == [str(count) for count in values] and "10" in letters[3:]


def test_an_evaluation_without_kept_frames_has_numbers_alone(folder):
    page = Page(folder, found() | {"kept": []})
    assert not [*(folder / "report-pictures").iterdir()]
    assert "Strips" not in page.text and "worst" not in page.text
    assert page.tables["Mean over the clips of each expression"][1][0] == "anger, enhanced, 8 steps"


def test_each_method_is_compared_once_with_the_shown_steps_and_the_baselines_last(folder):
    def compared(results: dict) -> list[str]:
        page = Page(folder, results)
        rows = page.tables["Mean over the clips of each expression"][1:]
        assert ("Steps and quality" in page.text) == (len({row["method"] for row in results["rows"]}) == 4)
        return [row[0].removeprefix("anger, ") for row in rows if row[0].startswith("anger")]

    baselines = ["photo copied", "low-res upsampled"]
    assert compared(found()) == ["enhanced, 8 steps", *baselines]
    kept = [about | {"method": "enhanced-2"} for about in found()["kept"]]
    assert compared(found() | {"kept": kept}) == ["enhanced, 2 steps", *baselines]
    rows = [row | {"method": "another"} if row["key"] == "enhanced-2" else row for row in found()["rows"][::-1]]
    assert compared(found() | {"rows": rows}) == ["another, 2 steps", "enhanced, 8 steps", *baselines[::-1]]


LOOK = """
const look = async frame => {
  const page = frame.contentDocument, inner = frame.contentWindow;
  for (const hidden of page.querySelectorAll("details")) hidden.open = true;
  const pictures = [...page.querySelectorAll("img, image")];
  await Promise.all(pictures.map(picture => picture.decode()));
  const entries = inner.performance.getEntriesByType("resource").map(entry => entry.name);
  return {width: inner.innerWidth, across: page.scrollingElement.scrollWidth, pictures: pictures.length,
          strip: Math.min(...[...page.querySelectorAll(".strip svg")].map(one => one.clientWidth)),
          outside: entries.filter(name => !name.startsWith("data:"))};
};
Promise.all([...document.querySelectorAll("iframe")].map(look))
  .then(looks => { document.title = JSON.stringify(looks); }, error => { document.title = error; });
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in (apt-get install chromium)")
@pytest.mark.parametrize("is_long", [False, True])
def test_in_a_browser_all_pictures_load_and_nothing_is_too_wide(folder, tmp_path, is_long):
    values = found()
    if is_long:  # names without a place to break
        values["settings"]["data"] = "drawn-" + "faces" * 30
        values["rows"][0]["method"] = values["rows"][1]["method"] = "method" * 30
        values["absent"] = {"acd": "x" * 200}
    page = html.escape(Page(folder, values).source)
    widths = (1280, 390, 320)  # as frames, because a window cannot be as narrow as a phone
    views = "".join(f'<iframe style="border:0" width={width} height=900 srcdoc="{page}"></iframe>' for width in widths)
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(f"<!DOCTYPE html><body>{views}<script>onload = () => {{{LOOK}}}</script>")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--virtual-time-budget=5000"]
    options += ["--enable-logging=stderr", "--dump-dom"]
    ran = subprocess.run(
        [CHROMIUM, *options, wrapper.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert ":CONSOLE" not in ran.stderr
    looks = json.loads(html.unescape(re.search("<title>(.*?)</title>", ran.stdout)[1]))
    for width, look in zip(widths, looks, strict=True):
        assert look["width"] == width and look["across"] <= width, look
        assert look["pictures"] == 11 + 4 and look["outside"] == [], look
        assert look["strip"] > (100 if width > 400 else 0.17 * width), look
