"""Writing clips, reading photos, strips: known pixels come back, and a failure leaves nothing behind."""

import os
import resource
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import corners, levels, means, refusal, write_clip
from PIL import Image

from facenhance_jax import media

# Clips written and read again


def test_mp4_comes_back_with_its_speed(tmp_path):
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    frames = np.stack([np.stack([np.roll(ramp, shift)[None].repeat(48, 0)] * 3, -1) for shift in range(0, 10)])
    frames = np.sort(frames, axis=2)  # smooth, so that only coding errors are left
    path = write_clip(tmp_path / "out.mp4", frames, Fraction(30000, 1001))
    clip = media.open_clip(path)
    assert (clip.fps, clip.count, clip.height, clip.width) == (Fraction(30000, 1001), 10, 48, 64)
    back = np.stack(list(clip))
    assert back.dtype == np.uint8
    assert np.mean((back.astype(float) - frames) ** 2) < 255**2 / 10**4.0  # 40 dB
    assert clip.notes == [] and os.listdir(tmp_path) == ["out.mp4"]
    with av.open(str(path)) as container:
        coding = container.streams.video[0].codec_context
        assert (coding.name, coding.pix_fmt) == ("h264", "yuv420p")


def test_mp4_keeps_texture(tmp_path):
    noise = np.random.default_rng(0).normal(size=(70, 70))
    texture = sum(noise[row : row + 64, column : column + 64] for row in range(7) for column in range(7)) / 7
    frame = np.clip(128 + 30 * texture, 0, 255).astype(np.uint8)[..., None].repeat(3, -1)
    back = next(iter(media.open_clip(write_clip(tmp_path / "out.mp4", frame[None]))))
    assert np.mean((back.astype(float) - frame) ** 2) < 255**2 / 10**3.6  # 36 dB


def test_mp4_keeps_colours(tmp_path):
    frame = next(iter(media.open_clip(write_clip(tmp_path / "out.mp4", corners()[None]))))
    assert np.abs(frame.astype(int) - corners())[[5, 5, -5, -5], [5, -5, 5, -5]].max() <= 3


def test_gif_takes_its_palette_from_the_whole_clip(tmp_path):
    clip = media.open_clip(write_clip(tmp_path / "out.gif", levels(60), 30))
    assert (clip.fps, clip.count) == (30, 60)
    assert np.abs(np.array(means(clip)) - levels(60)[:, 0, 0, 0]).max() <= 8


def test_gif_keeps_rare_colours(tmp_path):
    """Reds on 24 of 192 pixels, like lips before a large background: 9.3 off if colours are weighted by area."""
    ramp, small = np.linspace(0, 120, 192), np.linspace(-40, 40, 24)
    frame = np.stack([np.add.outer(a, b) / 2 for a, b in [(ramp, ramp), (ramp, ramp[::-1]), (ramp / 2, ramp)]], axis=-1)
    reds = [
        180 + np.add.outer(small, 0 * small),
        50 + np.add.outer(0 * small, small),
        60 + np.add.outer(small, small) / 2,
    ]
    frame[40:64, 40:64] = np.stack(reds, axis=-1)
    frame = frame.astype(np.uint8)
    back = next(iter(media.open_clip(write_clip(tmp_path / "out.gif", frame[None]))))
    assert np.abs(back.astype(int) - frame)[40:64, 40:64].mean() < 6


def test_gif_of_a_few_colours_is_exact(tmp_path):
    frames = np.stack([np.roll(corners(), 8 * shift, axis=1) for shift in range(5)])
    clip = media.open_clip(write_clip(tmp_path / "out.gif", frames))
    assert clip.fps == 25
    np.testing.assert_array_equal(np.stack(list(clip)), frames)


def test_gif_keeps_equal_frames_and_the_time_of_each(tmp_path):
    path = write_clip(tmp_path / "out.gif", levels(2).repeat(3, 0), 30)
    clip = media.open_clip(path)
    assert (clip.fps, means(clip)) == (30, [10, 10, 10, 14, 14, 14])
    durations = []
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert durations == [30, 40, 30, 30, 40, 30]  # ms


def test_fast_gif_is_slowed_to_what_viewers_show(tmp_path):
    assert media.open_clip(write_clip(tmp_path / "out.gif", levels(4), 100)).fps == 50


@pytest.mark.parametrize("name", ["frames", "frames/", "run.1/"])
def test_frame_folder_is_lossless_and_replaced_by_the_next_run(tmp_path, name):
    path = str(tmp_path) + "/" + name
    write_clip(path, levels(12))
    noise = np.random.default_rng(0).integers(0, 256, (3, 33, 35, 3), np.uint8)
    write_clip(path, noise)
    assert sorted(os.listdir(path)) == ["frame_000000.png", "frame_000001.png", "frame_000002.png"]
    assert os.listdir(tmp_path) == [name.rstrip("/")]
    clip = media.open_clip(path)
    assert (clip.fps, clip.count) == (25, 3)
    np.testing.assert_array_equal(np.stack(list(clip)), noise)


# Photos


def write_header(path: Path, width: int, height: int) -> Path:
    """A png with a size in its header, and no pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return path


def test_photo_bit_depths_and_alpha(tmp_path):
    path = tmp_path / "photo.png"

    def corner(picture: Image.Image) -> list[int]:
        picture.save(path)
        photo = media.read_photo(path)
        assert photo.shape == (70, 80, 3) and photo.dtype == np.uint8
        return photo[0, 0].tolist()

    assert corner(Image.new("L", (80, 70), 77)) == [77, 77, 77]
    assert corner(Image.new("1", (80, 70), 1)) == [255, 255, 255]
    assert corner(Image.new("RGBA", (80, 70), (200, 100, 50, 51))) == [40, 20, 10]
    assert corner(Image.new("LA", (80, 70), (200, 0))) == [0, 0, 0]
    for deep, shallow in [(0, 0), (257, 1), (40000, 156), (65535, 255)]:
        assert corner(Image.fromarray(np.full((70, 80), deep, np.uint16))) == [shallow] * 3


def test_photo_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its left side: turn clockwise
    Image.fromarray(corners()).resize((192, 128)).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    photo = media.read_photo(tmp_path / "photo.jpg")
    assert photo.shape == (192, 128, 3)
    assert np.abs(photo[5, -5].astype(int) - [255, 0, 0]).max() <= 6  # red was at the top left


def test_photo_sizes(tmp_path):
    Image.new("RGB", (64, 300), (1, 2, 3)).save(tmp_path / "narrow.png")
    assert media.read_photo(tmp_path / "narrow.png").shape == (300, 64, 3)
    Image.new("RGB", (63, 300)).save(tmp_path / "narrower.png")
    assert "63x300 pixels are too few" in refusal(media.read_photo, tmp_path / "narrower.png")
    assert "at most 100 Mpx" in refusal(media.read_photo, write_header(tmp_path / "large.png", 10001, 10000))
    assert "too many" in refusal(media.read_photo, write_header(tmp_path / "bomb.png", 60000, 60000))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"", "empty"), (b"no picture" * 9, "not a picture"), ("cut", "damaged or cut short")],
)
def test_bad_photos(tmp_path, capfd, content, reason):
    path = tmp_path / "photo.png"
    if content == "cut":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 70, 3), np.uint8)).save(path)
        content = path.read_bytes()[:5000]
    if content is not None:
        path.write_bytes(content)
    assert reason in refusal(media.read_photo, path)
    assert capfd.readouterr() == ("", "")


def test_a_folder_is_no_photo(tmp_path):
    assert "Is a directory" in refusal(media.read_photo, tmp_path)


# Outputs


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out"])
@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_what_was_there(tmp_path, name, exception):
    path = write_clip(tmp_path / name, levels(2))
    with pytest.raises(exception), media.open_writer(path, 25) as writer:
        writer.write(levels(1)[0])
        raise exception
    assert os.listdir(tmp_path) == [name]
    assert len(list(media.open_clip(path))) == 2


def test_a_failed_move_brings_the_old_frames_back(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "out", levels(2))
    monkeypatch.setattr(Path, "replace", lambda self, target: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_clip(path, levels(3))
    assert os.listdir(tmp_path) == ["out"] and len(os.listdir(path)) == 2


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out"])
def test_no_frames_leave_nothing(tmp_path, name):
    assert "no frames to write" in refusal(write_clip, tmp_path / name, [])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out", "out.png", "out.npy"])
def test_a_full_disk_leaves_nothing(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        if name == "out.png":
            message = refusal(media.write_png, tmp_path / name, noise[0])
        elif name == "out.npy":
            message = refusal(media.write_array, tmp_path / name, noise)
        else:
            message = refusal(write_clip, tmp_path / name, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    reason = "1105920 requested and 3968 written" if name == "out.npy" else "File too large"
    assert f"could not be written ({reason})" in message
    assert os.listdir(tmp_path) == []


def test_an_mp4_loses_the_last_pixels_of_an_odd_side(tmp_path):
    frame = np.tile(np.arange(95, dtype=np.uint8)[None, :, None], (65, 1, 3))
    clip = media.open_clip(write_clip(tmp_path / "out.mp4", [frame]))
    assert (clip.height, clip.width) == (64, 94)
    np.testing.assert_allclose(next(iter(clip)), frame[:64, :94], atol=4)
    assert media.open_clip(write_clip(tmp_path / "out", [frame])).width == 95


def test_frames_must_fit(tmp_path):
    assert "frame 2 is 64x64" in refusal(write_clip, tmp_path / "out.gif", [levels(1)[0], levels(1, 64, 64)[0]])
    assert os.listdir(tmp_path) == []


def test_paths_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    assert "does not exist" in refusal(media.check_output, tmp_path / "missing/out.mp4")
    assert "does not exist" in refusal(media.check_output, tmp_path / "file/out.mp4")
    assert "in the way" in refusal(media.check_output, tmp_path / "file")
    assert "other things than frames" in refusal(media.check_output, tmp_path / "full")
    assert "cannot write .mov here; choose .mp4, .gif, a folder" in refusal(media.check_output, tmp_path / "out.mov")
    assert "cannot write a folder here; choose .png" in refusal(media.write_png, tmp_path, levels(1)[0])
    assert "cannot be written" in refusal(media.check_output, Path("/proc/out.mp4"))
    assert "cannot be written" in refusal(media.check_output, tmp_path / ("x" * 300 + "/out.mp4"))
    assert sorted(os.listdir(tmp_path)) == ["file", "full"]
    assert [media.check_output(tmp_path / name) for name in ("a.mp4", "a.GIF", "a")] == [".mp4", ".gif", ""]


WITHOUT_AV = """
import sys

sys.modules["av"] = None  # as if it were not installed
from facenhance_jax import media
from facenhance_jax.messages import InputError

with media.open_writer("out.gif", 25) as writer:
    for frame in media.open_clip("frames"):
        writer.write(frame)
for use, path in ((media.open_clip, "clip.mp4"), (media.check_output, "out.mp4")):
    try:
        use(path)
    except InputError as error:
        print(error)
"""


def test_without_pyav_only_videos_are_refused(tmp_path):
    write_clip(tmp_path / "frames", levels(3))
    write_clip(tmp_path / "clip.mp4", levels(3))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_AV], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    needs = "videos need PyAV, which is not installed; pip install av, or use a gif or pictures"
    assert (done.stdout, done.stderr) == (f"clip.mp4: {needs}\nout.mp4: {needs}\n", "")
    assert sorted(os.listdir(tmp_path)) == ["clip.mp4", "frames", "out.gif"]
    assert means(media.open_clip(tmp_path / "out.gif")) == [10, 14, 18]


def test_write_png(tmp_path):
    media.write_png(tmp_path / "a.png", corners())
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), corners())
    assert os.listdir(tmp_path) == ["a.png"]


def test_strip_lines_up_rows_and_keeps_blocks():
    small = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    large = np.repeat(np.repeat(small, 8, 0), 8, 1)  # enlarged in blocks to 32 pixels
    canvas = media.strip([("low", [small, large]), ("enhanced", [large])])
    step = 32 + 4
    assert canvas.shape[0] == 2 * step + 4
    left = canvas.shape[1] - 2 * step
    np.testing.assert_array_equal(canvas[4:36, left : left + 32], large)
    np.testing.assert_array_equal(canvas[4:36, left + step : left + step + 32], large)
    np.testing.assert_array_equal(canvas[4 + step : 36 + step, left : left + 32], large)
    assert (canvas[4 + step : 36 + step, left + step :] == 255).all()  # a row that is shorter
    assert (canvas[4:36, :left] < 128).any() and (canvas[4 + step :, :left] < 128).any()  # labels


def test_an_animated_photo_is_its_first_frame_and_cmyk_is_read(tmp_path, capfd):
    frames = [Image.new("RGB", (80, 70), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert media.read_photo(tmp_path / "two.gif")[0, 0].tolist() == [200, 0, 0]
    assert capfd.readouterr().err.endswith("two.gif: is animated; its first frame is the photo\n")
    Image.new("CMYK", (80, 70), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    red, green, blue = media.read_photo(tmp_path / "print.jpg")[0, 0]
    assert red > 240 and max(green, blue) < 15 and capfd.readouterr().err == ""
