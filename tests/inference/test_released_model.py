"""The model inside the package: it is complete, enhances a drawn person it has not seen, and damage is refused."""

import json
import shutil

import numpy as np
import pytest

from facenhance_jax import cli, media
from facenhance_jax.evaluation import clip_sets
from facenhance_jax.evaluation.metrics.frames import psnr
from facenhance_jax.inference.enhancer import PACKAGED_MODEL, Enhancer
from facenhance_jax.messages import InputError
from facenhance_jax.runs import cards


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_it_is_small_and_says_what_it_is():
    assert sum(path.stat().st_size for path in files(PACKAGED_MODEL)) <= 24e6
    config = json.loads((PACKAGED_MODEL / "config.json").read_text())
    assert (config["model"]["prediction"], config["model"]["target"]) == ("velocity", "residual")
    card = (PACKAGED_MODEL / "card.md").read_text()
    assert "held-out people" in card and "must not be used" in card and "CC BY 4.0" in card
    assert cards.HEADING in card and "synthetic" in cards.read(PACKAGED_MODEL).must_not


@pytest.fixture(scope="module")
def surprise():
    """A held-out person's surprise, from neutral to the apex, in few steps for speed."""
    clip = clip_sets.draw(9000, "surprise", frames=8)
    return clip, Enhancer.load().enhance(clip.low, clip.identity, steps=2)


def test_it_comes_closer_to_a_new_face_than_the_photo_does(surprise):
    """The bounds are those for the mean over 13 people and six expressions; this clip moves more than most."""
    clip, enhanced = surprise
    copied = np.broadcast_to(clip.identity, clip.real.shape)
    assert np.mean(psnr(enhanced, clip.real) - psnr(copied, clip.real)) > 2.0
    assert np.mean(psnr(enhanced, clip.real, clip.face) - psnr(copied, clip.real, clip.face)) > 3.0


def test_what_moves_in_the_clip_moves_in_the_enhanced_frames(surprise):
    """At the apex, in the hundredth of the pixels that differ most from the photo."""
    clip, enhanced = surprise[0], surprise[1][-3:]
    real = clip.real[-3:].astype(int)
    change = np.abs(real - clip.identity).sum(axis=-1)
    moved = change > np.quantile(change, 0.99)
    error = np.abs(real - enhanced)[moved].mean()
    assert error < 0.5 * np.abs(real - clip.identity)[moved].mean()


@pytest.fixture
def enhance(tmp_path):
    """Runs `facenhance enhance` on a small clip with a model; returns the exit status and the files left behind."""
    np.save(tmp_path / "low.npy", np.zeros((1, 64, 64, 3), np.uint8))
    media.write_png(tmp_path / "photo.png", np.full((192, 192, 3), 128, np.uint8))

    def run(model):
        arguments = ["--low", str(tmp_path / "low.npy"), "--identity", str(tmp_path / "photo.png")]
        output = tmp_path / "out.mp4"
        status = cli.main(["enhance", *arguments, "--output", str(output), "--model", str(model), "--steps", "1"])
        return status, {path.name for path in tmp_path.iterdir()} - {"low.npy", "photo.png", "model"}

    return run


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(PACKAGED_MODEL, tmp_path / "model")


def test_a_copy_of_it_works(enhance, model):
    assert enhance(model) == (0, {"out.mp4"})


def cut_short(model):
    largest = max(files(model), key=lambda path: path.stat().st_size)
    # Half of it: the file ends with an index that nothing reads, so a shorter cut would lose nothing.
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])


def another_width(model):
    config = json.loads((model / "config.json").read_text())
    config["model"]["unet"]["base"] = 96
    (model / "config.json").write_text(json.dumps(config))


def broken_config(model):
    (model / "config.json").write_text("{")


def unknown_field(model):
    config = json.loads((model / "config.json").read_text())
    config["model"]["colour"] = "blue"
    (model / "config.json").write_text(json.dumps(config))


def gone(model):
    shutil.rmtree(model)


@pytest.mark.parametrize(
    "damage, message",
    [
        (cut_short, "incomplete or damaged; copy the model again"),
        (another_width, "does not fit the config"),
        (broken_config, "not readable as JSON"),
        (unknown_field, "config.model: has no field 'colour'"),
        (gone, "no such folder"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_model_is_refused_in_one_line_and_nothing_is_written(enhance, model, damage, message, capfd):
    damage(model)
    assert enhance(model) == (2, set())
    printed = capfd.readouterr().err.strip().splitlines()
    assert len(printed) == 1 and printed[0].startswith("facenhance: ") and message in printed[0]


def test_more_steps_than_the_schedule_has_is_refused():
    with pytest.raises(InputError, match="steps must be from 1 to 1000"):
        Enhancer.load().enhance(np.zeros((1, 64, 64, 3), np.uint8), np.zeros((192, 192, 3), np.uint8), steps=1001)
