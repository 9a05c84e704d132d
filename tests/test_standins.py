"""Drawn stand-ins: they read back bit for bit, each has its faults, and nothing passes them off as a generator's."""

import csv

import numpy as np
import pytest

from facenhance_jax.data import faces, standins, synthetic
from facenhance_jax.data.generated import read_generated
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.standins import SYSTEMS, stand_in, write_stand_ins
from facenhance_jax.errors import InputError

SUBJECTS, FRAMES, SIZE, SEED = (7, 3), 2, 64, 5


def flat(*values: int) -> np.ndarray:
    return np.stack([np.full((64, 64, 3), value, np.uint8) for value in values])


def ramp(count: int) -> np.ndarray:
    """3 grey levels more with every pixel to the right and 1 with every pixel down."""
    rows, columns = np.indices((64, 64))
    return np.repeat((1 + 3 * columns + rows).astype(np.uint8)[None, :, :, None], 3, axis=-1).repeat(count, axis=0)


def texture(count: int, seed: int = 0) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(1, 256, (64, 64, 3), np.uint8)
    return np.repeat(picture[None], count, axis=0)


@pytest.fixture(scope="module")
def lows() -> dict[tuple[int, str], np.ndarray]:
    """v_low of the first half of take 0 of everyone, straight from the drawing."""
    made = {}
    for subject in SUBJECTS:
        for expression in EXPRESSIONS:
            clip = synthetic.draw_clip(synthetic.draw_subject(0, subject), expression, 0, 2 * FRAMES, SIZE)
            made[subject, expression] = np.stack([faces.low_frame(*pair) for pair in zip(*clip, strict=True)][:FRAMES])
    return made


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_written_is_read_back_bit_for_bit(tmp_path, lows, system):
    write_stand_ins(tmp_path / "out", system, SUBJECTS, FRAMES, SEED, SIZE)
    read = {clip.name: clip.frames() for clip in read_generated(tmp_path / "out", system)}
    assert list(read) == [f"{subject:03d}/{expression}" for subject in (3, 7) for expression in EXPRESSIONS]
    for subject, other in ((7, 3), (3, 7)):
        for code, expression in enumerate(EXPRESSIONS):
            low, alien = lows[subject, expression], lows[other, expression]
            expected = stand_in(system, low, alien, SEED, 6 * subject + code)
            np.testing.assert_array_equal(read[f"{subject:03d}/{expression}"], expected)
    assert standins.are_stand_ins(tmp_path / "out") and not standins.are_stand_ins(tmp_path)
    assert "did not make" in (tmp_path / "out" / standins.NOTE).read_text()


def test_the_files_are_named_as_each_system_names_its_own(tmp_path):
    names = {}
    for system in SYSTEMS:
        write_stand_ins(tmp_path / system, system, [3], 1, SEED, SIZE)
        names[system] = {path.name for path in (tmp_path / system).iterdir()} - {standins.NOTE}
    assert names["videogan"] == {"gen.mp4", "pairs.csv"}
    assert names["imaginator"] == {"val_neutral.csv", *(f"0_{code}.mp4" for code in range(6))}
    assert names["motiongan"] == {f"003_{expression}" for expression in EXPRESSIONS}
    assert names["fevgan"] == {f"003_{expression}.png" for expression in EXPRESSIONS}
    with (tmp_path / "imaginator" / "val_neutral.csv").open() as file:
        assert [(row["video"], row["id"]) for row in csv.DictReader(file)] == [("/003/neutral/take000", "3")]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_function_of_seed_and_index_and_of_earlier_frames_not(system):
    low, other = texture(3), texture(3, 1)
    made = stand_in(system, low, other, 1, 2)
    np.testing.assert_array_equal(stand_in(system, low, other, 1, 2), made)
    np.testing.assert_array_equal(stand_in(system, low[:2], other[:2], 1, 2), made[:2])
    for seed, index in ((1, 3), (2, 2)):
        assert (stand_in(system, low, other, seed, index) != made).any()


def test_videogan_loses_the_identity_in_softness_and_noise():
    made = stand_in("videogan", flat(60, 60), flat(160, 160), 0, 0).astype(float)
    assert 60 + 50 < made.mean() < 60 + 70  # half to seven tenths of the other person
    assert 6.8 < made.std() < 7.2 and 9.5 < (made[1] - made[0]).std() < 10.3  # fresh noise of 7 levels in each frame
    soft = stand_in("videogan", texture(1), texture(1), 0, 0)
    assert soft.std() < 0.4 * texture(1).std()


def test_imaginator_hardly_moves_and_shows_blocks_and_coloured_grains():
    made = stand_in("imaginator", flat(60, 160), flat(0, 0), 0, 0).astype(float)
    assert abs(made[1].mean() - made[0].mean() - 40) < 3  # of a step of 100
    assert np.abs(made[0] - made[0].mean(axis=-1, keepdims=True)).mean() > 1
    steps = np.abs(np.diff(made[0].mean(-1), axis=1))
    assert steps[:, 7::8].mean() > 2 * np.delete(steps, np.s_[7::8], axis=1).mean()  # at the edges of 8 px blocks


def test_motiongan_pulls_mouth_and_eyes_about_and_nothing_else():
    low = ramp(6)
    made = stand_in("motiongan", low, low, 0, 0).astype(int)
    moved = np.abs(made - low).max(axis=(0, -1))
    mouth, brow, chin = moved[44:52, 24:40], moved[:8], moved[62:]
    assert mouth.max() >= 4 and brow.max() <= 1 and chin.max() <= 1
    assert moved[16:24, 14:24].max() >= 2 and moved[16:24, 40:50].max() >= 2
    assert all(np.abs(after - before)[40:56].max() >= 2 for before, after in zip(made, made[1:], strict=False))


def test_fevgan_bends_slightly_and_for_good():
    low = ramp(3)
    made = stand_in("fevgan", low, low, 0, 0).astype(int)
    assert (made == made[:1]).all()
    inside = np.abs(made - low)[:, 4:-4, 4:-4]
    assert 1 <= inside.max() <= 1.2 * (3 + 1) + 1  # 1.2 px each way


def test_bad_requests_are_refused_and_leave_nothing(tmp_path, monkeypatch):
    def refused(match, directory, *args):
        with pytest.raises(InputError, match=match):
            write_stand_ins(directory, *args)

    refused("system 'lfdm'", tmp_path / "a", "lfdm", [1], 1)
    refused("subjects", tmp_path / "a", "fevgan", [], 1)
    refused("subjects.*twice", tmp_path / "a", "fevgan", [1, 1], 1)
    refused("frames: 0", tmp_path / "a", "fevgan", [1], 0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    refused("full: is there already", tmp_path / "full", "fevgan", [1], 1)
    with pytest.raises(InputError, match="system 'x'"):
        stand_in("x", flat(1), flat(1), 0, 0)

    def full(*args):
        raise OSError("disk full")

    monkeypatch.setattr(standins, "write_png", full)
    with pytest.raises(OSError, match="disk full"):
        write_stand_ins(tmp_path / "b", "fevgan", [1], 1, 0, SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
