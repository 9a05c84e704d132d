"""The report of an evaluation: what it shows of a folder with known numbers, also in a real browser."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import small_evaluation
from PIL import Image
from small_evaluation import BRIGHT, HASH, SIZE, found

from facenhance_jax.evaluation import report, results
from facenhance_jax.evaluation.report import charts, pictures, reading, style

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INFERNO = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)[0, :, ::-1]


@pytest.fixture
def folder(tmp_path) -> Path:
    return small_evaluation.write(tmp_path / "results")


class Page(HTMLParser):
    """The page's tables {caption: rows of cells}, tags with their attributes, and text."""

    def __init__(self, text: str):
        super().__init__()
        self.tables, self.tags, self.said, self._caption, self._cell = {}, [], [], None, None
        self.feed(text)
        self.text = " ".join(" ".join(self.said).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self.tables[self._title].append([])
        elif tag in ("td", "th"):
            self._cell = ""

    def handle_data(self, data):
        self.said.append(data)
        if self._caption is not None:
            self._caption += data
        elif self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag == "caption":
            self._title, self._caption = self._caption, None
            self.tables[self._title] = []
        elif tag in ("td", "th"):
            self.tables[self._title][-1].append(self._cell)
            self._cell = None


def read_page(folder: Path) -> Page:
    return Page(report.write(folder)[0].read_text())


def test_tables_hold_the_known_numbers(folder):
    page = read_page(folder)
    heads, *rows = page.tables["Against the real frames, over all clips"]
    assert heads == ["Way", "n", "PSNR ↑ (higher is better)", "FVD/2 ↓ (lower is better)"]
    assert rows == [
        ["enhanced, 2 steps", "3", "26.50", "–none"],
        ["enhanced, 8 steps", "3", "30.50", "–none"],
        ["photo copied", "3", "22.50", "–none"],
        ["low-res upsampled", "3", "18.50", "–none"],
        ["real", "3", "–none", "151.4"],
    ]
    rows = page.tables["Expression and time, over all clips"]
    assert rows[2] == ["enhanced, 8 steps", "3", "4.122 of 3 clips", "0.500"]
    rows = page.tables["Mean over the clips of each expression"]
    assert rows[1:3] == [["anger, enhanced, 8 steps", "29.50", "3.50"], ["anger, photo copied", "21.50", "–none"]]
    assert rows[4] == ["<fear>, enhanced, 8 steps", "32.50", "4.50"]


def test_settings_reasons_and_what_is_drawn_are_said(folder):
    page = read_page(folder)
    settings = dict(page.tables["What the numbers depend on"])
    assert settings["all, model (SHA-256)"] == HASH and settings["all, seed"] == "7"
    assert settings["all, one noise for all frames"] == "yes"
    assert settings["fvd, weights sha256"] == "cd" * 32 and settings["n"] == "3" and settings["frames"] == "10"
    assert "acd: needs dlib & more" in page.text
    assert "enhanced, 8 steps, landmarks: 9002/anger: no face" in page.text
    assert "FVD: n 3, 10 frames, 16 x 16, stride 1." in page.text
    assert (
        "3 clips of 10 frames, 16 × 16: drawn (synthetic) faces. The pictures are of: enhanced, 8 steps." in page.text
    )
    assert "drawn by a program" in page.text
    filmed = found()
    filmed["settings"] |= {"data": "/somewhere/mug", "drawn": False}
    (folder / "results.json").write_text(json.dumps(filmed))
    text = read_page(folder).text
    assert "drawn by" not in text and "drawn (" not in text and "16 × 16: mug." in text


def test_published_numbers_are_marked_and_ours_stand_below(folder):
    caption = "The paper’s Table 2, and these clips"
    heads, *rows = read_page(folder).tables[caption]
    assert heads == ["System", "frames x size", "data", "FVD", "PSNR", "SSIM", "ACD", "ACD-I"]
    assert rows[4] == ["FacEnhance", "32 x 192", "MUG, published", "95.38", "30.88", ".94", ".01", ".07"]
    assert rows[6][:5] == ["enhanced, 8 steps", "10 x 16, n 3", "drawn (synthetic) faces, ours", "-", "30.50"]
    made = found()
    made["settings"]["generator"] = "fevgan"
    (folder / "results.json").write_text(json.dumps(made))
    assert caption not in read_page(folder).tables


def test_the_worst_clip_is_shown_at_its_worst_frame_with_its_number(folder):
    page = read_page(folder)
    assert f"9002/ anger , frame {BRIGHT + 1} PSNR 28.75 (mean of all 30.50)" in page.text
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert f"9002/anger, frame {BRIGHT + 1}: low-res, enhanced, real and error" in alts
    assert "9001/anger: low-res, enhanced, real and error of frames 1, 2, 4, 5" in alts
    assert "9001/anger: low-res, enhanced, real and error of frames 6, 7, 9, 10" in alts
    ids = {attributes.get("id") for _, attributes in page.tags}
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert "#clip-0002" in links and {link.removeprefix("#") for link in links} <= ids


def test_the_page_needs_nothing_outside_and_is_the_same_again(folder):
    place, *_ = report.write(folder)
    text = place.read_text()
    page = Page(text)
    sources = [attributes["src"] for tag, attributes in page.tags if "src" in attributes]
    assert len(sources) == 1 + 3 * 3 + 1 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    policies = [attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes]
    assert [policy.split("; ")[:2] for policy in policies] == [["default-src 'none'", "img-src data:"]]
    assert not re.search(r"https?:|url\(|@import", text)
    assert report.write(folder)[0].read_text() == text
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1 and max(np.diff(levels)) <= 1


def test_pictures_beside_the_page_are_the_frames(folder):
    page, beside, count = report.write(folder)
    assert sorted(file.name for file in beside.iterdir()) == [
        *(f"strip-000{i}.png" for i in range(3)),
        "worst-0002.png",
    ]
    assert (page.name, count) == ("report.html", 4)
    worst = np.asarray(Image.open(beside / "worst-0002.png"))
    assert worst.shape == (SIZE, 4 * SIZE, 3)
    middles = worst[SIZE // 2, SIZE // 2 :: SIZE]
    assert middles[:3].tolist() == [[BRIGHT] * 3, [120] * 3, [106] * 3]
    np.testing.assert_array_equal(middles[3], INFERNO[round(14 / 16 * 255)])  # of a scale to 16, for errors up to 14
    strip = np.asarray(Image.open(beside / "strip-0000.png"))
    step = SIZE + 4
    left = strip.shape[1] - 8 * step
    photo, low, enhanced, real, error = (strip[4 + row * step + 8, left + 8 :: step] for row in range(5))
    shown = np.array([0, 1, 3, 4, 5, 6, 8, 9])
    assert photo[0].tolist() == [200] * 3
    np.testing.assert_array_equal(low[:, 0], shown)
    np.testing.assert_array_equal(real[:, 0], 100 + shown)
    np.testing.assert_array_equal(enhanced[:, 0], 110 + shown + 2 * (shown == BRIGHT))
    np.testing.assert_array_equal(error[0], INFERNO[round(10 / 16 * 255)])


def test_error_colours_and_shown_frames():
    levels = pictures.heat(np.array([[[0, 4, 8, 90]]], np.float32), 8)
    np.testing.assert_array_equal(levels[0, 0], INFERNO[[0, 128, 255, 255]])
    assert pictures.columns(32).tolist() == [0, 4, 9, 13, 18, 22, 27, 31]
    assert pictures.columns(3).tolist() == [0, 1, 2] and pictures.columns(1).tolist() == [0]


def test_bars_are_as_long_as_their_values():
    drawing = charts.bars("a & b", {"anger": [4.0, None, 1.0], "fear": [2.0, 0.0, 3.0]}, 1)
    widths = [float(width) for width in re.findall(r'<rect class="way-\d" [^>]*width="([\d.]+)"', drawing)]
    np.testing.assert_allclose(np.array(widths) / widths[0], [1, 0, 0.25, 0.5, 0, 0.75], atol=1e-3)
    assert re.findall(r">([^<>]+)</text>", drawing) == ["anger", "4.0", "none", "1.0", "fear", "2.0", "0.0", "3.0"]
    assert 'aria-label="a &amp; b"' in drawing


@pytest.mark.parametrize(
    ("least", "most", "ticks", "is_log"),
    [
        (31.0, 35.2, [30, 32, 34, 36], False),
        (0.92, 0.9599, [0.92, 0.94, 0.96], False),
        (0.05, 20.0, [0.01, 0.1, 1, 10, 100], True),
        (0.0, 0.0, [0, 0.5], False),
    ],
)
def test_ticks_are_round_and_cover_the_values(least, most, ticks, is_log):
    values, logarithmic = charts.value_ticks(least, most)
    np.testing.assert_allclose(values, ticks, atol=1e-12)
    assert logarithmic == is_log


def test_steps_are_spaced_by_their_logarithm():
    drawing = charts.lines("t", {0: [(1, 10.0), (2, 20.0), (4, 30.0)]}, 1)
    points = np.array(re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawing), float)
    np.testing.assert_allclose(np.diff(points, 2, axis=0), 0, atol=0.11)
    assert points[2, 0] > points[0, 0] and points[2, 1] < points[0, 1]
    assert "2 steps: 20.0" in drawing and "1 step: 10.0" in drawing


def test_steps_are_drawn_only_where_there_are_several(folder):
    assert "Steps against quality" in read_page(folder).text
    one = found()
    one["rows"] = one["rows"][1:]
    (folder / "results.json").write_text(json.dumps(one))
    assert "Steps against quality" not in read_page(folder).text


def test_an_evaluation_without_kept_frames_has_numbers_alone(folder):
    bare = found() | {"kept": []}
    (folder / "results.json").write_text(json.dumps(bare))
    _, beside, count = report.write(folder)
    page = read_page(folder)
    assert (count, [*beside.iterdir()]) == (0, []) and "Strips" not in page.text
    assert page.tables["Mean over the clips of each expression"][1][0] == "anger, enhanced, 2 steps"


def test_the_format_is_the_one_that_evaluations_write():
    assert reading.FORMAT == results.FORMAT


def test_of_many_ways_the_shown_one_and_the_baselines_are_charted(folder):
    many = found()
    many["rows"] = [
        *({**many["rows"][1], "way": f"model {i}", "key": f"m{i}", "steps": 4 + i} for i in range(7)),
        *many["rows"],
    ]
    (folder / "results.json").write_text(json.dumps(many))
    lines = (folder / "clips.csv").read_text().splitlines()
    lines += [line.replace("enhanced-8,8", f"m{i},{4 + i}") for i in range(7) for line in lines if "enhanced-8" in line]
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    page = read_page(folder)
    legend = page.text[page.text.index("Means over the clips") : page.text.index("PSNR ↑ (higher is better) dB anger")]
    assert legend.split(". ", 2)[1] == "The charts show 6 of 10 ways, the table all"
    models = [f"model {i}, {4 + i} steps" for i in range(3)]
    said = ["enhanced, 8 steps", *models, "photo copied", "low-res upsampled"]
    assert legend.split(". ", 2)[2].strip() == " ".join(said)
    rows = [row[0] for row in page.tables["Mean over the clips of each expression"][1:]]
    assert len(rows) == 2 * 10 and "anger, model 6, 10 steps" in rows and "anger, enhanced, 2 steps" not in rows


LOOK = """
const looks = [...document.querySelectorAll("iframe")].map(frame => {
  const page = frame.contentDocument, inner = frame.contentWindow;
  for (const hidden of page.querySelectorAll("details")) hidden.open = true;
  const shown = [...page.images].map(image => image.complete && image.naturalWidth > 0);
  return {width: inner.innerWidth, across: page.scrollingElement.scrollWidth, images: shown.length,
          loaded: shown.filter(Boolean).length, half: [...page.querySelectorAll(".half img")].map(i => i.clientWidth),
          outside: inner.performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:"))};
});
document.title = JSON.stringify(looks);
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in (apt-get install chromium)")
@pytest.mark.parametrize("is_long", [False, True])
def test_in_a_browser_all_pictures_load_and_nothing_is_too_wide(folder, tmp_path, is_long):
    if is_long:  # names without a place to break
        values = found()
        values["settings"]["data"] = "drawn-" + "faces" * 30
        values["rows"][0]["way"] = values["rows"][1]["way"] = "way" * 30
        values["absent"] = {"acd": "x" * 200}
        (folder / "results.json").write_text(json.dumps(values))
    page = html.escape(report.write(folder)[0].read_text())
    widths = (1280, 390, 320)  # as frames, because a window cannot be as narrow as a phone
    views = "".join(f'<iframe style="border:0" width={width} height=900 srcdoc="{page}"></iframe>' for width in widths)
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(f"<!DOCTYPE html><body>{views}<script>onload = () => {{{LOOK}}}</script>")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--virtual-time-budget=3000"]
    command = [CHROMIUM, *options, "--dump-dom", wrapper.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    looks = json.loads(html.unescape(re.search("<title>(.*?)</title>", dumped)[1]))
    for width, look in zip(widths, looks, strict=True):
        assert look["width"] == width and look["across"] <= width, look
        assert look["images"] == look["loaded"] == 11, look
        assert look["outside"] == [] and min(look["half"]) > (300 if width > 400 else 0.7 * width), look


def test_colours_can_be_told_from_the_paper():
    """WCAG asks a contrast of 4.5 of letters and of 3 of what a chart draws, in the light and in the dark."""

    def luminance(colour: str) -> float:
        full = colour if len(colour) == 6 else "".join(2 * letter for letter in colour)
        levels = np.array([int(full[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = re.findall(r":root \{(.*?)\}", style.CSS, re.DOTALL)
    for theme in (light, dark):
        colours = {name: luminance(value) for name, value in re.findall(r"--([\w-]+): #(\w+)", theme)}
        for name, least in {"ink": 4.5, "soft": 4.5, "link": 4.5, **{f"way-{i}": 3 for i in range(6)}}.items():
            for ground in ("paper", "card"):
                low, high = sorted((colours[name], colours[ground]))
                assert (high + 0.05) / (low + 0.05) >= least, (name, ground)
