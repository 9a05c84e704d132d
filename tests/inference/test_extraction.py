"""`facenhance extract`: its files and how they fit together, its messages, and no files after an error."""

import os
import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from PIL import Image

from facenhance_jax import cli, media
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment, tracking
from facenhance_jax.inference import extraction

SIZE = 208  # pixels


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    frames, points = population.draw_clip(population.draw_subject(7, 5), "surprise", 0, 10, SIZE)
    return frames, points


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blanked(frames: np.ndarray, *which: int) -> np.ndarray:
    frames = frames.copy()
    frames[list(which)] = 0
    return frames


def extract(*arguments: str, video: str = "clip.mp4", output: str = "low.mp4") -> int:
    return cli.main(["extract", "--video", video, "--output", output, *arguments])


def test_the_clip_is_cut_by_the_landmarks_that_are_written(folder, drawn, capfd):
    frames, points = drawn
    write_clip(Path("clip"), blanked(frames, 3, 4))
    assert extract("--landmarks", "points.npy", video="clip", output="low") == 0
    out, err = capfd.readouterr()
    assert re.fullmatch(
        r"wrote points\.npy: 68 points of 10 frames\n"
        r"wrote low\.preview\.png: originals with landmarks and low-res, 8 frames\n"
        r"wrote low: 10 frames in \d+\.\d s, \d+\.\d frames/s, 2 interpolated\n",
        out,
    )
    assert "note" not in err
    assert "finding the face: 100%" in err and "10/10" in err
    found = np.load("points.npy", allow_pickle=False)
    assert (found.dtype, found.shape) == (np.float32, (10, 68, 2))
    lows = list(media.open_clip("low"))
    for low, frame, by_found in zip(lows, blanked(frames, 3, 4), found, strict=True):
        np.testing.assert_array_equal(low, alignment.low_frame(frame, by_found))
    exact = alignment.low_frame(frames[0], points[0])
    assert np.abs(lows[0].astype(int) - exact).mean() < 10  # grey levels; the frame's mean is 85
    np.testing.assert_allclose(found[3], (2 * found[2] + found[5]) / 3, atol=1e-3)


def test_a_video_keeps_its_speed_and_the_preview_shows_what_was_written(folder, drawn, capfd):
    write_clip(Path("clip.mp4"), drawn[0], Fraction(30000, 1001))
    assert extract("--preview", "look.png") == 0
    assert sorted(os.listdir()) == ["clip.mp4", "look.png", "low.mp4"]
    low = media.open_clip("low.mp4")
    assert (low.fps, low.height, low.width, low.count) == (Fraction(30000, 1001), 64, 64, 10)
    look = np.asarray(Image.open("look.png")).astype(int)
    step = 256 + 4
    left = look.shape[1] - 8 * step
    lows = np.stack(list(low)).astype(int)
    for column, frame in enumerate((0, 1, 3, 4, 5, 6, 8, 9)):
        shown = look[4 + step :, left + column * step :][:256:4, :256:4]
        assert np.abs(shown - lows[frame]).mean() < 3
        original = look[4:260, left + column * step :][:, :256]
        assert 60 < (original == extraction.DOT).all(-1).sum() < 68 * 16


def test_two_people_are_noted(folder, drawn, capfd):
    pair = np.concatenate([drawn[0][0], drawn[0][0]], 1)
    Image.fromarray(pair).save("clip.png")
    assert extract(video="clip.png") == 0
    out, err = capfd.readouterr()
    assert "note: clip.png: 2 faces were seen; one is followed, the largest of the first frame" in err
    assert "wrote low.mp4: 1 frames" in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--video", "missing.mp4"], "missing.mp4: no such file"),
        (["--output", "low.avi"], "low.avi: cannot write .avi"),
        (["--output", "missing/low.mp4"], "missing/low.mp4: the folder"),
        (["--preview", "look.jpg"], "look.jpg: cannot write .jpg here; choose .png"),
        (["--landmarks", "points.txt"], "points.txt: cannot write .txt here; choose .npy"),
        (["--output", "frames"], "frames: is also an input"),
        (["--video", "clip.npy", "--landmarks", "./clip.npy"], "./clip.npy: is also an input"),
        (["--preview", "frames/look.png"], "frames/look.png: would become one of the frames"),
        (["--output", "frames/low.mp4"], "frames/low.preview.png: would become one of the frames"),
        (["--video", "clip.npy"], "clip.npy: no face was found in any of its 7 frames"),
        (["--output", "/"], "/: the folder holds other things"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(folder, capfd, arguments, reason):
    np.save("clip.npy", np.zeros((7, 64, 64, 3), np.uint8))
    write_clip(Path("frames"), np.zeros((7, 64, 64, 3), np.uint8))
    before = sorted(map(str, folder.rglob("*")))
    assert extract("--landmarks", "points.npy", *arguments, video="frames") == 2
    out, err = capfd.readouterr()
    *progress, line = err.strip().splitlines()
    assert line.startswith(f"facenhance: {reason}") and "Traceback" not in err and out == ""
    assert all("finding the face" in text for text in progress)
    assert sorted(map(str, folder.rglob("*"))) == before


def test_a_long_gap_is_refused_before_anything_is_written(folder, drawn, capfd):
    np.save("clip.npy", blanked(drawn[0], 2, 3, 4, 5, 6, 7))
    assert extract("--landmarks", "points.npy", video="clip.npy") == 2
    out, err = capfd.readouterr()
    assert err.endswith("facenhance: clip.npy: no face in frames 2 to 7 (the first is 0); cut them out of the clip\n")
    assert out == "" and os.listdir() == ["clip.npy"]


def test_without_dlib_one_line_says_what_to_install(folder, capfd, monkeypatch):
    monkeypatch.setattr(tracking, "_dlib_models", tracking._dlib_models.__wrapped__)
    monkeypatch.setitem(sys.modules, "dlib", None)
    np.save("clip.npy", np.zeros((1, 64, 64, 3), np.uint8))
    assert extract(video="clip.npy") == 2
    assert 'pip install "facenhance-jax[faces]"' in capfd.readouterr().err.splitlines()[-1]
    assert os.listdir() == ["clip.npy"]


@pytest.mark.parametrize(
    ("output", "preview"),
    [("low.mp4", "low.preview.png"), ("a/b.c.gif", "a/b.c.preview.png"), ("a/low/", "a/low.preview.png")],
)
def test_a_preview_is_written_next_to_the_output(output, preview):
    assert extraction.preview_path(output) == Path(preview)


def test_a_folder_without_a_name_has_a_preview_too(folder):
    assert extraction.preview_path(".") == folder.parent / f"{folder.name}.preview.png"


@pytest.mark.parametrize(
    ("count", "numbers"), [(1, [0]), (3, [0, 1, 2]), (8, list(range(8))), (701, [0, 100, 200, 300, 400, 500, 600, 700])]
)
def test_preview_frames_are_spread_over_the_clip(count, numbers):
    assert sorted(extraction.preview_frames(count)) == numbers


@pytest.mark.parametrize(
    ("height", "width", "size", "middle"),
    [(250, 200, 60, (100, 120)), (120, 250, 40, (24, 30)), (120, 250, 40, (224, 80)), (250, 250, 200, (140, 110))],
)
def test_a_close_up_marks_the_landmarks_where_they_are(height, width, size, middle):
    """Red is a pixel's column in the frame and green its row, so pixels near the outer dots tell where those are."""
    points = (alignment.mean_shape(size) - (size - 1) / 2 + middle).astype(np.float32)
    y, x = np.mgrid[:height, :width]
    shown = extraction.close_up(np.stack([x, y, 0 * x], -1).astype(np.uint8), points)
    dots = np.argwhere((shown == extraction.DOT).all(-1))
    for axis, (first, last) in enumerate(
        [(points[:, 0].min(), points[:, 0].max()), (points[:, 1].min(), points[:, 1].max())]
    ):
        for dot, known, way in [(dots[:, 1 - axis].argmin(), first, -1), (dots[:, 1 - axis].argmax(), last, 1)]:
            near = dots[dot] + way * 4 * np.array([axis, 1 - axis])
            scale = min(height, width, extraction.ROOM * 60 / 64 * size) / 256  # frame pixels a shown one
            assert abs(int(shown[tuple(near)][axis]) - way * 6 * scale - known) <= 1 + 2 * scale


def test_a_close_up_of_a_face_that_leaves_the_frame():
    points = (alignment.mean_shape(100) + [40, 30]).astype(np.float32)
    shown = extraction.close_up(np.full((64, 90, 3), 9, np.uint8), points)
    assert shown.shape == (256, 256, 3) and (shown == extraction.DOT).any()
