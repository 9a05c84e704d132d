"""Reading clips: every kind of file gives its known frames, and every bad file one line that names it."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import corners, levels, means, refusal, write_clip, write_video
from PIL import Image

from facenhance_jax import media
from facenhance_jax.media import reading, video
from facenhance_jax.messages import InputError


@pytest.mark.parametrize(
    ("suffix", "codec", "count"),
    [("mov", "libx264", 7), ("avi", "mpeg4", 7), ("mkv", "libx264", None), ("webm", "libvpx", None)],
)
def test_containers(tmp_path, suffix, codec, count):
    clip = media.open_clip(write_video(tmp_path / f"clip.{suffix}", levels(7), codec))
    assert (clip.fps, clip.count) == (25, count)
    assert np.abs(np.array(means(clip)) - levels(7)[:, 0, 0, 0]).max() <= 3
    assert clip.notes == []


def test_a_clip_can_be_read_again(tmp_path):
    clip = media.open_clip(write_video(tmp_path / "clip.mp4", levels(5)))
    assert next(iter(clip)).shape == (64, 96, 3)
    assert means(clip) == means(clip) and len(means(clip)) == 5


def test_rotation_is_honoured(tmp_path):
    clip = media.open_clip(write_video(tmp_path / "clip.mp4", corners()[None].repeat(2, 0), rotation=90))
    frame = next(iter(clip))
    assert (clip.height, clip.width) == frame.shape[:2] == (96, 64)
    # 90 degrees counterclockwise: the green corner at the right moves to the left.
    expected = np.array([[0, 255, 0], [0, 0, 0], [255, 0, 0], [0, 0, 255]])
    assert np.abs(frame[[5, 5, -5, -5], [5, -5, 5, -5]] - expected).max() <= 3


def test_one_frame_video_and_still_picture(tmp_path):
    assert means(media.open_clip(write_video(tmp_path / "one.mp4", levels(1)))) == [10]
    Image.fromarray(levels(1)[0]).save(tmp_path / "still.png")
    clip = media.open_clip(tmp_path / "still.png")
    assert (clip.fps, clip.count, means(clip)) == (25, 1, [10])


@pytest.mark.parametrize("name", ["moving.webp", "moving.gif", "moving.png", "gif_by_its_bytes.mp4"])
def test_animations_are_repeated_by_their_durations(tmp_path, name):
    first, *others = [Image.fromarray(frame) for frame in levels(3)]
    lossless = {"lossless": True} if name.endswith("webp") else {}
    kind = "gif" if name.endswith("mp4") else None
    first.save(tmp_path / name, kind, save_all=True, append_images=others, duration=[40, 80, 40], **lossless)
    clip = media.open_clip(tmp_path / name)
    assert (clip.fps, clip.count) == (25, 4)
    assert means(clip) == [10, 14, 14, 18]


@pytest.mark.parametrize(
    ("durations", "repeats", "fps"),
    [
        ([40, 40], [1, 1], Fraction(25)),
        ([30, 30, 40], [1, 1, 1], Fraction(30)),  # 30 frames/s as gif rounds it
        ([20, 30], [1, 1], Fraction(40)),
        ([40, 120, 80], [1, 3, 2], Fraction(25)),
        ([0, 10], [1, 1], Fraction(10)),
    ],
)
def test_even_speed(durations, repeats, fps):
    assert reading.even_speed(durations) == (repeats, fps)


def test_a_transparent_gif_is_put_on_black(tmp_path):
    picture = Image.new("P", (64, 64), 0)
    picture.putpalette([255, 255, 255, 9, 8, 7])
    picture.paste(1, (0, 0, 32, 64))
    picture.save(tmp_path / "see.gif", transparency=0)
    frame = next(iter(media.open_clip(tmp_path / "see.gif")))
    assert frame[0, 0].tolist() == [9, 8, 7] and frame[0, 63].tolist() == [0, 0, 0]


def test_folder_in_natural_order(tmp_path):
    for value, name in enumerate(["f2.png", "f9.BMP", "f10.png", "g1.png"]):
        Image.fromarray(levels(4)[value]).save(tmp_path / name)
    (tmp_path / "landmarks.npy").write_bytes(b"not a frame")
    (tmp_path / "._f1.png").write_bytes(b"a file system's own")
    assert means(media.open_clip(tmp_path)) == [10, 14, 18, 22]


def test_folder_is_read_as_it_is_needed(tmp_path):
    write_clip(tmp_path / "frames", levels(3))
    damaged = tmp_path / "frames/frame_000002.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    frames = iter(media.open_clip(tmp_path / "frames"))
    assert [next(frames)[0, 0, 0] for _ in range(2)] == [10, 14]
    with pytest.raises(InputError, match="frame_000002.png: the picture is damaged"):
        next(frames)


def test_folder_of_two_sizes(tmp_path):
    Image.fromarray(levels(1)[0]).save(tmp_path / "1.png")
    Image.fromarray(levels(1, 32, 32)[0]).save(tmp_path / "2.png")
    with pytest.raises(InputError, match="frame 2 has 32x32 pixels, the first has 96x64"):
        list(media.open_clip(tmp_path))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 7, 255], np.uint8), [0, 7, 255]),
        (np.array([0, 0.25, 1], np.float16), [0, 64, 255]),
        (np.array([-1, 0, 1], np.float64), [0, 128, 255]),
    ],
)
def test_arrays(tmp_path, values, expected):
    np.save(tmp_path / "colour.npy", np.broadcast_to(values[:, None, None, None], (3, 8, 9, 3)))
    np.save(tmp_path / "grey.npy", np.broadcast_to(values[:, None, None], (3, 8, 9)))
    for name in ("colour.npy", "grey.npy"):
        clip = media.open_clip(tmp_path / name)
        frames = np.stack(list(clip))
        assert (clip.fps, clip.count, frames.shape, frames.dtype) == (25, 3, (3, 8, 9, 3), np.uint8)
        np.testing.assert_array_equal(frames, np.broadcast_to(np.array(expected)[:, None, None, None], frames.shape))


def test_cut_video_is_read_as_far_as_it_goes(tmp_path, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8)
    path = write_clip(tmp_path / "clip.mp4", noise)  # its index comes first, so a cut file still opens
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    clip = media.open_clip(path)
    read = len(list(clip))
    assert 0 < read < 30
    assert clip.notes == [f"{path}: {read} of 30 frames could be read, the file is damaged or cut short"]
    assert capfd.readouterr() == ("", "")


def test_caps_on_frames(tmp_path, monkeypatch):
    video = write_video(tmp_path / "clip.mp4", levels(5))
    endless = write_video(tmp_path / "clip.mkv", levels(5))  # does not say how many frames it has
    monkeypatch.setattr(reading, "MOST_FRAMES", 4)
    assert "more than 4 frames" in refusal(media.open_clip, video)
    with pytest.raises(InputError, match="more than 4 frames"):
        list(media.open_clip(endless))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif", "frames"])
def test_caps_on_pixels(tmp_path, monkeypatch, name):
    path = write_clip(tmp_path / name, levels(2))
    monkeypatch.setattr(reading, "MOST_PIXELS", 64 * 96)
    assert len(list(media.open_clip(path))) == 2
    monkeypatch.setattr(reading, "MOST_PIXELS", 64 * 96 - 1)
    monkeypatch.setattr(video, "frames", None)  # a video is not even decoded
    with pytest.raises(InputError, match="96x64 pixels are too many"):
        media.open_clip(path)


def test_a_video_whose_frames_grow(tmp_path):
    path = write_video(tmp_path / "clip.mp4", levels(2))
    assert len(list(video.frames(path, 64 * 96))) == 2
    with pytest.raises(InputError, match="96x64 pixels are too many"):
        next(video.frames(path, 64 * 96 - 1))


def test_a_title_in_any_encoding(tmp_path):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "caXe"
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(levels(1)[0], format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"caXe", b"ca\xffe"))
    assert means(media.open_clip(path)) == [10]


# Bad clips


def bad_clip(folder: Path, kind: str) -> Path:
    """Makes a bad clip, and a good one (`other.mp4`) in the same folder."""
    path = folder / "clip.mp4"
    whole = write_video(folder / "other.mp4", levels(3)).read_bytes()
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a video\n" * 100)
    elif kind == "ffconcat":
        path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    elif kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])  # its index comes last
    elif kind == "no frames":
        indexed = write_clip(folder / "indexed.mp4", levels(3)).read_bytes()
        path.write_bytes(indexed[: indexed.index(b"mdat") + 4])
    elif kind == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=16000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.rate = 16000
            container.mux(stream.encode(sound))
            container.mux(stream.encode())
    elif kind == "cut gif":
        noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
        path.write_bytes(write_clip(folder / "other.gif", noise).read_bytes()[:2000])
    elif kind == "empty folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        ("text", "not a clip, or cut short"),
        ("ffconcat", "not a clip, or cut short"),
        ("cut", "no video was found"),
        ("no frames", "no frame could be read"),
        ("sound", "no video was found"),
        ("cut gif", "damaged or cut short"),
        ("empty folder", "holds no jpg, png or bmp frames"),
    ],
)
def test_bad_clips(tmp_path, capfd, kind, reason):
    assert reason in refusal(media.open_clip, bad_clip(tmp_path, kind))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([[[0.5, np.nan]]]), "NaN"),
        (np.array([[[0.5, np.inf]]]), "outside"),
        (np.array([[[0.5, 255.0]]]), "outside"),
        (np.zeros((2, 8, 8, 4), np.uint8), "shape [2, 8, 8, 4]"),
        (np.zeros((8, 8, 3), np.uint8), "shape [8, 8, 3]"),
        (np.zeros((8, 8), np.uint8), "shape [8, 8]"),
        (np.zeros((2, 8, 8), np.int64), "type int64"),
        (np.array([[[{}]]]), "Python objects"),
    ],
)
def test_bad_arrays(tmp_path, array, reason):
    np.save(tmp_path / "clip.npy", array)
    assert reason in refusal(media.open_clip, tmp_path / "clip.npy")


def test_cut_and_frameless_arrays(tmp_path):
    path = tmp_path / "clip.npy"
    np.save(path, levels(3))
    path.write_bytes(path.read_bytes()[:-1])
    assert "not a whole array" in refusal(media.open_clip, path)
    path.write_text("not an array")
    assert "not a whole array" in refusal(media.open_clip, path)
    for frameless in (levels(1)[:0], levels(1)[:, :0]):
        np.save(path, frameless)
        assert "holds no frames" in refusal(media.open_clip, path)
