"""What an mp4 takes over from a video: its sound, packet by packet, and the times of its frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import levels

from facenhance_jax import media
from facenhance_jax.media import video

MS = Fraction(1, 1000)


def write_talk(path: Path, times: list[int], codec: str = "aac", late: int = 0) -> Path:
    """A video with frames at these times (ms), and two seconds of a tone that begins `late` ms after the first."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25) if path.suffix == ".avi" else MS
        sound = container.add_stream(codec, rate=48000, layout="mono")
        for time, pixels in zip(times, levels(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (
                round(time * MS / stream.codec_context.time_base),
                stream.codec_context.time_base,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        kind = sound.codec_context.format.name
        for start in range(0, 2 * 48000, 960):
            tone = np.sin(np.arange(start, start + 960) * (2 * np.pi * 440 / 48000))[None]
            tone = (tone * 9999).astype(np.int16) if "s16" in kind else tone.astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone, format=kind, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start + 48 * (times[0] + late), Fraction(1, 48000)
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return path


def rewritten(source: Path, output: Path) -> Path:
    clip = media.open_clip(source)
    with media.open_writer(output, clip.fps, source=clip.video) as writer:
        for frame in clip:
            writer.write(frame)
    return output


def sound(path: Path) -> list[tuple[bytes, float]]:
    """The packets of the sound and when each is heard after the first frame, s."""
    start = video.times(path)[0]
    with av.open(str(path)) as container:
        packets = container.demux(audio=0) if container.streams.audio else ()
        return [(bytes(packet), float(packet.pts * packet.time_base - start)) for packet in packets if packet.size]


EVEN = list(range(0, 2000, 40))


@pytest.mark.parametrize(
    ("name", "codec", "times", "late"),
    [
        ("a.mp4", "aac", EVEN, 300),
        ("a.mkv", "libopus", EVEN, 0),
        ("a.mov", "aac", [1000 + time for time in EVEN], -200),
    ],
)
def test_sound_is_copied_at_its_place(tmp_path, name, codec, times, late):
    source = write_talk(tmp_path / name, times, codec, late)
    output = rewritten(source, tmp_path / "out.mp4")
    before = [(data, at) for data, at in sound(source) if at > -0.02]  # a packet lasts as long as that
    kept = sound(output)
    assert [data for data, _ in kept[-len(before) :]] == [data for data, _ in before] and len(before) > 70
    assert len(kept) <= len(before) + 1  # what comes before a codec's first sound
    kept = kept[-len(before) :]
    np.testing.assert_allclose([at for _, at in kept], [at for _, at in before], atol=0.001)
    assert kept[0][1] == pytest.approx(max(late, -50) / 1000, abs=0.05)
    assert media.open_clip(output).fps == 25
    with av.open(str(output)) as container:
        heard = sum(frame.samples for frame in container.decode(audio=0)) / 48000
        assert heard == pytest.approx(2 + min(late, 0) / 1000, abs=0.1)


def test_uneven_frames_keep_their_times(tmp_path):
    """25 frames/s with a pause of 600 ms, as of a phone or a screen: at even times, lips would be 300 ms off."""
    times = [time + 600 * (time >= 1000) for time in EVEN]
    source = write_talk(tmp_path / "a.mkv", times)
    output = rewritten(source, tmp_path / "out.mp4")
    np.testing.assert_allclose([float(time) * 1000 for time in video.times(output)], times, atol=1)
    assert float(media.open_clip(output).fps) == pytest.approx(50 / 2.6, rel=0.01)


def test_jitter_of_a_file_that_counts_ms_stays_an_even_rate(tmp_path):
    source = write_talk(tmp_path / "a.mkv", [round(1000 * index / 30) for index in range(60)])
    clip = media.open_clip(source)
    with media.open_writer(tmp_path / "out.mp4", 30, source=clip.video) as writer:
        for frame in clip:
            writer.write(frame)
    assert video.times(tmp_path / "out.mp4") == [Fraction(index, 30) for index in range(60)]


def test_sound_that_mp4_cannot_hold_is_noted_and_left_out(tmp_path, capfd):
    source = write_talk(tmp_path / "a.avi", EVEN, "adpcm_ms")
    assert sound(rewritten(source, tmp_path / "out.mp4")) == []
    note = f"facenhance: note: {source}: its sound (adpcm_ms) cannot be kept in an mp4; the clip is silent\n"
    assert capfd.readouterr().err == note
    rewritten(source, tmp_path / "out.gif")
    rewritten(source, tmp_path / "out")
    assert capfd.readouterr().err == ""


def test_a_video_without_sound_and_other_clips_have_none(tmp_path):
    silent = rewritten(write_talk(tmp_path / "a.mp4", EVEN), tmp_path / "out.gif")
    assert media.open_clip(silent).video is None
    output = rewritten(rewritten(silent, tmp_path / "b.mp4"), tmp_path / "c.mp4")
    assert media.open_clip(output).video == output and sound(output) == [] and len(video.times(output)) == 50
