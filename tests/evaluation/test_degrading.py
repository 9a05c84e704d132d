"""Faults of the low-res frames: those of the augmentation, the same ones every time."""

import numpy as np
import pytest

from facenhance_jax.data import augmentation
from facenhance_jax.evaluation import clip_sets, degrading, methods
from facenhance_jax.messages import InputError

EVERY = [*degrading.FAULTS, degrading.ALL]


def low(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(30, 226, (count, 16, 16, 3), np.uint8)


@pytest.mark.parametrize("fault", EVERY)
def test_a_fault_is_a_function_of_seed_clip_and_frame(fault):
    same = low(1).repeat(40, axis=0)
    if fault in ("drop", "all"):
        same = low(40)
    made = degrading.degrade(same, fault, 3, "1/fear")
    np.testing.assert_array_equal(made, degrading.degrade(same, fault, 3, "1/fear"))
    np.testing.assert_array_equal(made[:20], degrading.degrade(same[:21], fault, 3, "1/fear")[:20])
    assert not np.array_equal(made, same)
    others = [degrading.degrade(same, fault, 4, "1/fear"), degrading.degrade(same, fault, 3, "1/joy")]
    for other in others:
        assert np.array_equal(other, made) == (fault in ("blur", "jpeg"))  # which need no chance
    if fault in ("noise", "warp"):
        assert not np.array_equal(made[0], made[1])


def test_the_faults_are_those_of_the_augmentation_at_full_strength():
    [frame] = low(1)
    made = {fault: degrading.degrade(low(1), fault, 0, "")[0] for fault in ("blur", "noise", "jpeg", "warp")}
    np.testing.assert_array_equal(made["blur"], augmentation.blur(frame, 1.5))
    np.testing.assert_array_equal(made["jpeg"], augmentation.compress(frame, 30))
    assert np.std(made["noise"].astype(int) - frame) == pytest.approx(8, rel=0.1)
    x = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None] * 10 + 50, (1, 16, 16, 3))
    moved = degrading.degrade(x, "warp", 0, "")[0][2:-2, 2:-2].astype(int) - x[0][2:-2, 2:-2]
    assert 2 < np.abs(moved).max() <= 16  # 1.5 px, ten grey levels each, and rounding


def test_a_dropped_frame_is_a_neighbour():
    numbered = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None, None], (200, 4, 4, 3))
    shown = degrading.degrade(numbered, "drop", 0, "1/fear")[:, 0, 0, 0].astype(int)
    away = shown - np.arange(200)
    assert set(away) == {-1, 0, 1}
    assert (away != 0).mean() == pytest.approx(degrading.DROPPED, abs=0.08)
    firsts = {degrading.degrade(numbered[:3], "drop", 0, str(n))[0, 0, 0, 0] for n in range(40)}
    assert firsts == {0, 1}


def test_all_of_them_come_one_after_the_other():
    [frame] = low(1)
    rng = np.random.default_rng((5, degrading.zlib.crc32(b"1"), 0))
    rng.random(2)  # whether it is dropped
    frame = augmentation.noise(augmentation.blur(augmentation.warp(frame, rng, 1.5), 1.5), rng, 8.0)
    np.testing.assert_array_equal(degrading.degrade(low(1), "all", 5, "1")[0], augmentation.compress(frame, 30))


def test_one_frame_has_no_neighbour():
    with pytest.raises(InputError, match="1/fear: one frame, so none can be dropped; leave drop out of --degrade"):
        degrading.degrade(low(1), "drop", 0, "1/fear")


def test_a_method_gets_the_degraded_frames_and_says_so():
    real = np.zeros((4, 16, 16, 3), np.uint8)
    clip = clip_sets.EvaluationClip("1", "fear", "", real, real[0], low(), real.any(-1))
    degraded = degrading.Degraded(methods.Upsampled(), "noise", 7)
    made, seconds = degraded([clip])
    np.testing.assert_array_equal(made[0], degrading.degrade(low(), "noise", 7, "1/fear"))
    assert (degraded.name, degraded.key, degraded.steps, seconds) == (
        "low-res upsampled, noisy",
        "upsampled-noise",
        None,
        0,
    )
    described = {"resize": "bicubic", "low_res": "Gaussian noise, 8 grey levels", "fault_seed": 7}
    assert degraded.describe() == described
    names = {fault: degrading.Degraded(methods.Pasted(), fault).describe()["low_res"] for fault in EVERY}
    assert names["all"] == "; ".join(names[fault] for fault in degrading.FAULTS)
    assert len({degrading.Degraded(methods.Pasted(), fault).name for fault in EVERY}) == 6
