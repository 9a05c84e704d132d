"""The command `express`, with an enhancer that only darkens: what it writes and says, also when it fails."""

import os
import re

import numpy as np
import pytest
from clips import one_line
from PIL import Image

from facenhance_jax import cli, media
from facenhance_jax.commands import express as command
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.synthetic import population
from facenhance_jax.generators import choosing
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.inference.expressing import SIZES


class Darkener(Enhancer):
    """Stands in for the enhancer: frame n is the photo, 4 n levels darker."""

    size, low_size, name = 192, 64, "darkener"

    def __init__(self):
        pass

    def stream(self, frames, identity, *, place, seed, steps):
        darker = (identity.astype(int) - 4 * n for n, _ in enumerate(frames))
        return (np.clip(frame, 0, 255).astype(np.uint8) for frame in darker)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a drawn person's photo, 255 x 301 pixels; every model is a Darkener."""
    monkeypatch.setattr(Enhancer, "load", lambda path=None: Darkener())
    monkeypatch.chdir(tmp_path)
    (frame,), _ = population.draw_clip(population.draw_subject(3, 5), "neutral", 0, 1, 301)
    Image.fromarray(frame[:, 20:275]).save("me.png")
    return tmp_path


def express(*arguments: str, expression: str = "happiness", output: str = "out") -> int:
    return cli.main(["express", "--photo", "me.png", "--expression", expression, "--output", output, *arguments])


def test_a_clip_of_the_photos_size_is_written(folder, capfd):
    assert express("--frames", "3") == 0
    out, err = capfd.readouterr()
    assert re.fullmatch(r"wrote out: 3 frames in \d+\.\d s, \d+\.\d frames/s\n", out)
    assert "3/3" in err
    frames = np.stack(list(media.open_clip("out")))
    np.testing.assert_array_equal(frames[0], media.read_photo("me.png"))
    change = frames.astype(int) - frames[0]
    assert (change[:, 0] == 0).all() and (change[:, -1] == 0).all()
    np.testing.assert_allclose(np.median(change[:, 150:160, 120:130], axis=(1, 2, 3)), [0, -4, -8], atol=1)


def test_all_six_and_one_that_shows_them(folder, capfd):
    assert express("--frames", "2", "--fps", "10", "--loop", expression="all", output="my.out.mp4") == 0
    assert sorted(os.listdir()) == ["me.png", "my.out.mp4", *(f"my.out_{name}.mp4" for name in EXPRESSIONS)]
    for name in ("my.out_anger.mp4", "my.out.mp4"):
        clip = media.open_clip(name)
        assert (clip.count, clip.fps) == (2, 10)
    assert clip.width > 3 * 255 and clip.height > 2 * 301
    assert (media.open_clip("my.out_fear.mp4").height, media.open_clip("my.out_fear.mp4").width) == (300, 254)
    out = capfd.readouterr().out
    assert "my.out_surprise.mp4" in out and out.endswith("frames/s\n")


def test_the_models_size_and_a_mark(folder):
    assert express("--frames", "1", "--size", "model", output="plain") == 0
    assert express("--frames", "1", "--size", "model", "--mark", output="marked") == 0
    plain, marked = (next(iter(media.open_clip(name))) for name in ("plain", "marked"))
    assert plain.shape == (192, 192, 3) and (plain != marked).any()


def test_a_trained_generators_folder_makes_the_low_res_clip(folder, monkeypatch, capfd):
    asked = []

    class Noted:
        def generate(self, photo, expression, strength, frames, seed):
            asked.append((photo.landmarks.shape, expression, strength, frames, seed))
            return np.zeros((frames, 64, 64, 3), np.uint8)

    monkeypatch.setattr(choosing, "named", lambda path: asked.append(path) or Noted())
    assert express("--frames", "2", "--generator", "mine", "--strength", "0.5", "--seed", "3") == 0
    assert asked == ["mine", ((68, 2), "happiness", 0.5, 2, 3)]


def test_its_choices_are_the_packages(folder):
    assert command.EXPRESSIONS == EXPRESSIONS and command.SIZES == SIZES


def test_an_animated_gif_is_a_photo_of_its_first_frame(folder, capfd):
    photo = Image.open("me.png")
    photo.save("me.gif", save_all=True, append_images=[Image.new("RGB", photo.size)])
    assert cli.main("express --photo me.gif --expression fear --frames 1 --output out".split()) == 0
    assert "me.gif: is animated; its first frame is the photo" in capfd.readouterr().err


def test_several_faces_are_said(folder, capfd):
    photo = np.asarray(Image.open("me.png"))
    Image.fromarray(np.hstack([photo, photo[:, ::-1]])).save("me.png")
    assert express("--frames", "1", "--face", "2") == 0
    assert "2 faces, from the left" in capfd.readouterr().err
    change = (next(iter(media.open_clip("out"))) != media.read_photo("me.png")).any(-1)
    assert not change.any()  # frame 0 is the photo, whichever face


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(photo="none.png"), "none.png: no such file"),
        (dict(photo="grey.png"), "grey.png: no face was found"),
        (dict(photo="huge.png"), "huge.png: 10100x10000 pixels are too many"),
        (dict(expression="joy"), "invalid choice: 'joy'"),
        (dict(strength="2"), "'2' is not a number from 0 to 1.5"),
        (dict(strength="nan"), "'nan' is not a number from 0 to 1.5"),
        (dict(fps="0"), "'0' is not a number from 1 to 120"),
        (dict(frames="2000"), "'2000' is not a whole number from 1 to 1000"),
        (dict(output="out.avi"), "out.avi: cannot write .avi here"),
        (dict(output="nowhere/out.mp4"), "does not exist; make it first"),
        (dict(face="2"), "face 2 was asked for, but it has 1"),
        (dict(generator="magic"), "magic: no such folder; give that of a trained generator"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(folder, capfd, arguments, message):
    Image.new("RGB", (300, 200), (128, 128, 128)).save("grey.png")
    if arguments.get("photo") == "huge.png":
        Image.new("1", (10100, 10000)).save("huge.png")
    before = sorted(os.listdir())
    asked = dict(photo="me.png", expression="anger", output="out.mp4", frames="2") | arguments
    status = cli.main(["express", *(part for name, value in asked.items() for part in (f"--{name}", value))])
    assert message in one_line(capfd, status)
    assert sorted(os.listdir()) == before
