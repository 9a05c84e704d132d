"""The command `enhance`, with an enhancer that only enlarges: what it writes and says, also when it fails."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from clips import one_line
from PIL import Image

import facenhance_jax.inference.enhancer
from facenhance_jax import cli, media
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment, placement, portrait, tracking
from facenhance_jax.messages import InputError


class Enlarger:
    """Stands in for the enhancer: reads two frames ahead, enlarges frames three times, mixes in the photo."""

    size, low_size, name = 24, 8, "an enlarger"

    def sampling_with(self, steps):
        if (steps or 8) > 1000:
            raise InputError(f"steps: {steps} are too many; choose 1000 or fewer")

    def stream(self, frames, identity, *, place, steps, seed, shared_noise):
        assert identity.shape == (24, 24, 3)
        return self._frames(frames, identity, (steps or 8, seed, shared_noise is None))

    def _frames(self, frames, identity, options):
        waiting = []
        for frame in frames:
            assert frame.shape == (8, 8, 3)
            waiting.append(np.repeat(np.repeat(frame, 3, 0), 3, 1) // 2 + identity // 2)
            waiting[-1][0, 0] = options
            if len(waiting) == 2:
                yield from waiting
                waiting = []
        yield from waiting


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a photo and a clip of 20 frames, where frame n has the value 8 n; every model is an Enlarger."""
    monkeypatch.setattr(facenhance_jax.inference.enhancer.Enhancer, "load", lambda path=None: Enlarger())
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64), (100, 100, 100)).save("photo.png")
    np.save("clip.npy", np.arange(20, dtype=np.uint8)[:, None, None] * np.full((8, 8), 8, np.uint8))
    return tmp_path


def enhance(*arguments: str, low: str = "clip.npy", photo: str = "photo.png", output: str = "out") -> int:
    return cli.main(["enhance", "--low", low, "--photo", photo, "--output", output, *arguments])


def test_enhance_writes_every_frame_and_says_so(folder, capfd):
    assert enhance("--steps", "4", "--seed", "7") == 0
    out, err = capfd.readouterr()
    assert re.fullmatch(r"wrote out: 20 frames in \d+\.\d s, \d+\.\d frames/s\n", out)
    assert "20/20" in err and err.count("note") == 1 and "photo.png: no face was found" in err
    frames = np.stack(list(media.open_clip("out")))
    np.testing.assert_array_equal(frames[:, 5, 5, 0], np.arange(20) * 4 + 50)
    assert frames[3, 0, 0].tolist() == [4, 7, True]
    assert sorted(os.listdir()) == ["clip.npy", "out", "photo.png"]


def test_fresh_noise_turns_off_shared_noise(folder):
    assert enhance("--fresh-noise", "--seed", "3") == 0
    assert next(iter(media.open_clip("out")))[0, 0].tolist() == [8, 3, False]


def test_defaults_and_any_size_in(folder, capfd):
    with media.open_writer("clip.gif", 20) as writer:
        for value in (40, 80):
            frame = np.full((40, 60, 3), value, np.uint8)
            frame[:, :10] = frame[:, -10:] = 255  # outside the middle square
            writer.write(frame)
    Image.new("RGB", (90, 70), (60, 60, 60)).save("wide.png")
    assert enhance(low="clip.gif", photo="wide.png", output="out.mp4") == 0
    err = capfd.readouterr().err
    assert "note: clip.gif: 60x40 is not square, its middle 40x40 is used" in err
    assert "note: wide.png: no face was found, so its middle 70x70 is used" in err
    clip = media.open_clip("out.mp4")
    frames = np.stack(list(clip)).astype(int)
    assert (clip.fps, len(frames)) == (20, 2)
    assert np.abs(frames[:, 12, 12, 0] - [50, 70]).max() <= 2
    assert np.abs(frames[:, 12, 1, 0] - [50, 70]).max() <= 2


def test_the_face_of_the_photo_is_framed_and_its_place_handed_on(folder, capfd, monkeypatch):
    (frame,), (points,) = population.draw_clip(population.draw_subject(7, 5), "neutral", 0, 1, 224)
    photo = np.full((300, 600, 3), 120, np.uint8)
    photo[40:264, 330:554] = frame
    Image.fromarray(photo).save("wide.png")
    given = {}

    def stream(self, frames, identity, *, place, **_):
        given.update(identity=identity, place=place)
        return self._frames(frames, identity, (0, 0, 0))

    monkeypatch.setattr(Enlarger, "stream", stream)
    assert enhance("--face", "1", photo="wide.png") == 0
    found = portrait.find(photo, 24)
    np.testing.assert_array_equal(given["identity"], found.frame)
    np.testing.assert_array_equal(given["place"], placement.of_landmarks(found.landmarks))
    capfd.readouterr()
    message = "wide.png: face 2 was asked for, but it has 1"
    assert message in one_line(capfd, enhance("--face", "2", photo="wide.png", output="other"))
    assert "is not a whole number from 1 up" in one_line(capfd, enhance("--face", "0"))


def test_strip_shows_eight_frames_spread_over_the_clip(folder, capfd):
    assert enhance("--strip", "strip.png") == 0
    *_, before_last, last = capfd.readouterr().out.splitlines()
    assert before_last == "wrote strip.png: photo, low-res and enhanced, 8 frames" and last.startswith("wrote out: 20")
    strip = np.asarray(Image.open("strip.png")).astype(int)
    step = 24 + 4
    left = strip.shape[1] - 8 * step
    photo, low, enhanced = (strip[4 + row * step + 12, left + 12 :: step, 0] for row in range(3))
    assert photo.tolist() == [100] * 8
    assert low[0] == 0 and low[-1] >= 8 * 18 and (np.diff(low) >= 8).all()
    np.testing.assert_array_equal(enhanced, low // 2 + 50)  # each low frame above its own enhanced frame


def test_a_damaged_clip_is_noted(folder, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8)
    with media.open_writer("clip.mp4", 25) as writer:
        for frame in noise:
            writer.write(frame)
    whole = Path("clip.mp4").read_bytes()
    Path("clip.mp4").write_bytes(whole[: len(whole) // 2])
    assert enhance(low="clip.mp4") == 0
    assert re.search(r"note: clip\.mp4: \d+ of 30 frames could be read", capfd.readouterr().err)


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--steps", "0", "'0' is not a whole number from 1 up"),
        ("--steps", "-3", "'-3' is not a whole number from 1 up"),
        ("--steps", "2.5", "'2.5' is not a whole number from 1 up"),
        ("--steps", "1001", "1001 are too many"),
        ("--seed", "x", "'x' is not a whole number from 0 to 4294967295"),
        ("--seed", "-1", "'-1' is not a whole number from 0 to 4294967295"),
        ("--seed", "4294967296", "'4294967296' is not a whole number from 0 to 4294967295"),
        ("--low", "missing.mp4", "missing.mp4: no such file"),
        ("--photo", "missing.png", "missing.png: no such file"),
        ("--identity", "small.png", "small.png: 63x63 pixels are too few"),
        ("--low", "nan.npy", "nan.npy: frame 1 holds NaN"),
        ("--low", "text.mp4", "text.mp4: not a clip"),
        ("--output", "out.avi", "out.avi: cannot write .avi"),
        ("--output", "missing/out.mp4", "missing/out.mp4: the folder"),
        ("--strip", "strip.jpg", "strip.jpg: cannot write .jpg"),
        ("--strip", "photo.png", "photo.png: is also an input"),
        ("--strip", "frames/strip.png", "frames/strip.png: would become one of the frames"),
        ("--speed", "9", "unrecognized arguments: --speed 9"),
    ],
)
def test_bad_input(folder, capfd, monkeypatch, option, value, reason):
    loads = []
    monkeypatch.setattr(
        facenhance_jax.inference.enhancer.Enhancer, "load", lambda path=None: loads.append(path) or Enlarger()
    )
    Image.new("RGB", (63, 63)).save("small.png")
    np.save("nan.npy", np.full((1, 8, 8), np.nan))
    Path("text.mp4").write_text("ffconcat version 1.0\nfile clip.npy\n")
    Path("frames").mkdir()
    Image.new("RGB", (8, 8)).save("frames/1.png")
    before = sorted(os.listdir())
    low = "frames" if "frames" in value else "clip.npy"
    assert reason in one_line(capfd, enhance(option, value, low=low))
    assert sorted(os.listdir()) == before
    assert len(loads) == (value == "1001")  # everything else is checked before the model is loaded


def test_extract_cuts_the_face_out_of_the_clip_first(folder, capfd):
    frames, _ = population.draw_clip(population.draw_subject(7, 5), "happiness", 0, 3, 208)
    frames[1] = 0
    np.save("video.npy", frames)
    assert enhance("--extract", low="video.npy") == 0
    out, err = capfd.readouterr()
    assert "wrote out: 3 frames" in out
    assert "note: video.npy: no face in 1 of the frames; interpolated there" in err
    points = tracking.track(frames, "video").landmarks
    for frame, landmarks, enhanced in zip(frames, points, media.open_clip("out"), strict=True):
        np.testing.assert_array_equal(enhanced[1::3, 1::3], alignment.low_frame(frame, landmarks, 8) // 2 + 50)


def test_whom_the_video_shows_is_asked_only_of_a_video_and_heeded(folder, capfd):
    assert "--person: is said of an ordinary video" in one_line(capfd, enhance("--person", "same"))
    frames, _ = population.draw_clip(population.draw_subject(7, 5), "happiness", 0, 3, 208)
    np.save("video.npy", frames)
    assert enhance("--extract", "--person", "another", low="video.npy") == 2
    assert "another person's movement is brought only to 64" in capfd.readouterr().err
    assert not Path("out").exists()


def test_bad_steps_are_refused_before_a_face_is_searched_for(folder, capfd, monkeypatch):
    monkeypatch.setattr(tracking, "track", lambda frames, name: pytest.fail("the clip was searched in vain"))
    assert "1001 are too many" in one_line(capfd, enhance("--extract", "--steps", "1001"))


def test_a_face_that_is_lost_for_long_is_one_line_and_leaves_nothing(folder, capfd):
    frames, _ = population.draw_clip(population.draw_subject(7, 5), "happiness", 0, 8, 208)
    frames[1:7] = 0
    np.save("video.npy", frames)
    assert enhance("--extract", low="video.npy", output="out.mp4") == 2
    out, err = capfd.readouterr()
    line = "facenhance: video.npy: no face in frames 1 to 6 (the first is 0); cut them out of the clip"
    assert (
        out == "" and err.splitlines()[-1] == line and err.count("facenhance:") == 2
    )  # the other: no face in photo.png
    assert sorted(os.listdir()) == ["clip.npy", "photo.png", "video.npy"]


@pytest.mark.parametrize("output", ["out.mp4", "out.gif", "out"])
def test_a_full_disk_is_one_line_and_leaves_nothing(folder, capfd, monkeypatch, output):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for kind in (media.video.Mp4, media.writing._Gif, media.writing._Folder):
        monkeypatch.setattr(kind, "add", full)
    assert enhance(output=output) == 2
    out, err = capfd.readouterr()
    line = f"facenhance: {output}: could not be written (No space left on device)"
    assert out == "" and err.splitlines()[-1] == line and "Traceback" not in err
    assert sorted(os.listdir()) == ["clip.npy", "photo.png"]


def test_what_comes_out_says_what_it_is(folder):
    assert enhance("--seed", "7", "--strip", "strip.png", "--mark") == 0
    said = f"synthetic, made by facenhance_jax {facenhance_jax.__version__}; model: an enlarger; seed: 7"
    for path in ("strip.png", "out/frame_000003.png"):
        with Image.open(path) as picture:
            assert picture.text == {"Comment": said}
    plain = np.full((24, 24, 3), 3 * 4 + 50, np.uint8)
    plain[0, 0] = [8, 7, 1]
    np.testing.assert_array_equal(list(media.open_clip("out"))[3], media.mark(plain))


def test_extract_without_a_face(folder, capfd):
    assert enhance("--extract") == 2
    out, err = capfd.readouterr()
    assert out == "" and "facenhance: clip.npy: no face was found in any of its 20 frames" in err.splitlines()[-1]
    assert sorted(os.listdir()) == ["clip.npy", "photo.png"]


def test_the_output_may_not_replace_the_clip(folder, capfd):
    with media.open_writer("clip.gif", 25) as writer:
        writer.write(np.zeros((8, 8, 3), np.uint8))
    assert "clip.gif: is also an input" in one_line(capfd, enhance(low="clip.gif", output="./clip.gif"))


def test_a_bad_model_comes_before_any_output(folder, capfd, monkeypatch):
    def load(path=None):
        raise InputError(f"{path}: no such model")

    monkeypatch.setattr(facenhance_jax.inference.enhancer.Enhancer, "load", load)
    assert one_line(capfd, enhance("--model", "nowhere")) == "nowhere: no such model"
    assert not Path("out").exists()


@pytest.mark.parametrize(("raised", "status"), [(InputError("clip: bad"), 2), (KeyboardInterrupt(), 130)])
def test_a_failure_halfway_leaves_nothing(folder, capfd, monkeypatch, raised, status):
    def stream(self, frames, identity, **_):
        next(iter(frames))
        yield np.zeros((24, 24, 3), np.uint8)
        raise raised

    monkeypatch.setattr(Enlarger, "stream", stream)
    assert enhance("--strip", "strip.png") == status
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("facenhance: ") and "Traceback" not in err
    assert sorted(os.listdir()) == ["clip.npy", "photo.png"]


def test_a_bug_keeps_its_traceback(folder, monkeypatch):
    monkeypatch.setattr(facenhance_jax.inference.enhancer.Enhancer, "load", lambda path=None: None)
    with pytest.raises(AttributeError):
        enhance()


def test_a_larger_photos_size_is_the_default_if_its_face_is_found(folder, capfd):
    (photo,), _ = population.draw_clip(population.draw_subject(3, 5), "neutral", 0, 1, 256)
    Image.fromarray(photo).save("person.png")
    for arguments, shape in [((), (256, 256)), (("--size", "photo"), (256, 256)), (("--size", "model"), (24, 24))]:
        assert enhance(*arguments, "--strip", "strip.png", photo="person.png") == 0
        frames = list(media.open_clip("out"))
        assert len(frames) == 20 and frames[0].shape == (*shape, 3)
        assert np.asarray(Image.open("strip.png")).shape[1] < 20 * 24  # the strip shows the model's frames
        if shape == (256, 256):
            assert (frames[3][:8] == photo[:8]).all() and (frames[3][120:200, 100:150] != photo[120:200, 100:150]).any()
    assert enhance("--size", "photo") == 0  # also without a face
    assert next(iter(media.open_clip("out"))).shape == (64, 64, 3)
