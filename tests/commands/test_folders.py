"""Folders of clips and photos: what is paired, what is written, what happens when one of them fails."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from clips import one_line, write_clip
from commands.test_enhance import Enlarger, enhance, folder  # noqa: F401  (a fixture)
from PIL import Image

import facenhance_jax.inference.enhancer
from facenhance_jax import media
from facenhance_jax.faces import tracking


def flat(value: int, count: int = 2) -> np.ndarray:
    return np.full((count, 8, 8, 3), value, np.uint8)


@pytest.fixture
def clips(folder):  # noqa: F811
    """Clips a.gif (two frames of 80), b (a folder of three of 120) and c.npy (one of 160); beside them a preview."""
    Path("clips").mkdir()
    write_clip(Path("clips/a.gif"), flat(80))
    write_clip(Path("clips/b"), flat(120, 3))
    np.save("clips/c.npy", flat(160, 1))
    Image.new("RGB", (8, 8)).save("clips/a.preview.png")
    return folder


@pytest.fixture
def photos(clips):
    """Photos a.png of 40, c.jpg of 80 and d.png."""
    Path("photos").mkdir()
    for name, value in (("a.png", 40), ("c.jpg", 80), ("d.png", 120)):
        Image.new("RGB", (64, 64), (value, value, value)).save(f"photos/{name}")
    Path("photos/notes.txt").write_text("no photo")
    return clips


def values(name: str) -> list[int]:
    """The value of each frame's middle."""
    return [int(frame[12, 12, 0]) for frame in media.open_clip(name)]


def near(found: list[int], expected: list[int]) -> bool:
    return len(found) == len(expected) and np.abs(np.subtract(found, expected)).max() <= 2


def test_a_folder_of_clips_with_one_photo(clips, capfd, monkeypatch):
    loads = []
    load = facenhance_jax.inference.enhancer.Enhancer.load
    monkeypatch.setattr(facenhance_jax.inference.enhancer.Enhancer, "load", lambda path: loads.append(path) or load())
    assert enhance(low="clips") == 0
    out, err = capfd.readouterr()
    assert re.fullmatch(r"wrote 3 of 3 clips into out: 6 frames in .* frames/s\n", out)
    assert "6/6" in err and err.count("no face was found") == 1 and len(loads) == 1  # the photo is searched once
    assert sorted(os.listdir("out")) == ["a.mp4", "b.mp4", "c.mp4"]
    for name, expected in (("a", [90] * 2), ("b", [110] * 3), ("c", [130])):
        assert near(values(f"out/{name}.mp4"), expected)


def test_a_folder_of_photos_with_one_clip(photos):
    assert enhance(photo="photos", low="clips/b") == 0
    assert sorted(os.listdir("out")) == ["a.mp4", "c.mp4", "d.mp4"]
    for name, expected in (("a", 80), ("c", 100), ("d", 120)):
        assert near(values(f"out/{name}.mp4"), [expected] * 3)


def test_two_folders_are_paired_by_name_and_what_is_alone_is_said(photos, capfd):
    assert enhance(photo="photos", low="clips") == 0
    assert sorted(os.listdir("out")) == ["a.mp4", "c.mp4"]
    assert near(values("out/a.mp4"), [60, 60]) and near(values("out/c.mp4"), [120])
    assert "note: without a partner, so left out: clips/b, photos/d.png\n" in capfd.readouterr().err


def test_a_failure_is_listed_at_the_end_and_the_rest_goes_on(clips, capfd):
    Path("clips/b.mp4").write_text("no video")
    os.rename("clips/b", "clips/d")
    np.save("clips/nan.npy", np.full((4, 8, 8), np.nan))
    write_clip(Path("clips/e"), flat(1, 3))
    Image.new("RGB", (9, 9)).save("clips/e/frame_000001.png")
    assert enhance(low="clips") == 3
    out, err = capfd.readouterr()
    assert out.startswith("wrote 3 of 6 clips into out: 6 frames") and "6/6" in err
    first, other, second = err.splitlines()[-3:]
    assert other.startswith("facenhance: e.mp4 was not made: clips/e: frame 2 has 9x9 pixels")
    assert first.startswith("facenhance: b.mp4 was not made: clips/b.mp4: not a clip")
    assert second.startswith("facenhance: nan.mp4 was not made: clips/nan.npy: frame 1 holds NaN")
    assert sorted(os.listdir("out")) == ["a.mp4", "c.mp4", "d.mp4"]


def test_clips_that_are_there_are_left_unless_forced(clips, capfd):
    Path("out").mkdir()
    Path("out/a.mp4").write_text("from a run before")
    assert enhance(low="clips") == 0
    out, err = capfd.readouterr()
    assert "note: out: 1 of 3 clips are there already and are left; --force makes them anew" in err
    assert out.startswith("wrote 2 of 2 clips") and Path("out/a.mp4").read_text() == "from a run before"
    assert enhance(low="clips") == 0
    out, err = capfd.readouterr()
    assert out == "" and "3 of 3 clips are there already" in err
    assert enhance("--force", low="clips") == 0
    assert near(values("out/a.mp4"), [90, 90])


def test_a_video_is_searched_once_for_many_photos(photos, monkeypatch):
    points = np.random.default_rng(0).uniform(2, 6, (3, 68, 2)).astype(np.float32)
    searched = []

    def track(frames, name):
        searched.append(len(list(frames)))
        return tracking.Track(points, (), 1)

    monkeypatch.setattr(tracking, "track", track)
    assert enhance("--extract", photo="photos", low="clips/b") == 0
    assert searched == [3] and len(os.listdir("out")) == 3


def test_a_folder_of_frames_is_one_clip(clips, capfd):
    os.rename("clips/b", "frames")
    Path("frames/old").mkdir()  # a folder in it does not change that
    assert enhance(low="frames") == 0
    assert "wrote out: 3 frames" in capfd.readouterr().out and "frame_000000.png" in os.listdir("out")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--low", "clips", "--output", "clips"], "clips: is also an input"),
        (["--low", "clips", "--output", "out.mp4"], "out.mp4: many clips are written into a folder"),
        (["--low", "clips", "--output", "no/out"], "no/out: the folder"),
        (["--low", "clips", "--output", "clip.npy/"], "clip.npy: "),
        (["--low", "clips", "--strip", "strip.png"], "--strip: shows one clip"),
        (["--low", "clips", "--steps", "1001"], "steps: 1001 are too many"),
        (["--low", "clips", "--photo", "none.png"], "none.png: no such file"),
        (["--low", "none.mp4", "--photo", "photos"], "none.mp4: no such file"),
        (["--photo", "empty"], "empty: the folder holds no photos"),
        (["--low", "twice"], "twice/a.npy: has the same name as a.gif; both would be a.mp4"),
        (["--low", "twice/only", "--photo", "photos"], "twice/only: no clip has the name of a photo"),
    ],
)
def test_bad_folders_are_refused_at_once(photos, capfd, arguments, reason):
    Path("empty").mkdir()
    for place in ("twice", "twice/only"):
        Path(place).mkdir()
        np.save(f"{place}/{'a' if place == 'twice' else 'z'}.npy", flat(1))
    write_clip(Path("twice/a.gif"), flat(1))
    before = sorted(map(str, Path().rglob("*")))
    assert one_line(capfd, enhance(*arguments)).startswith(reason)
    assert sorted(map(str, Path().rglob("*"))) == before
