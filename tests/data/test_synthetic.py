"""Drawn people: the same every time, moving as their expression demands, and found by dlib as faces."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from facenhance_jax.data.layout import EXPRESSIONS, read_tree
from facenhance_jax.data.synthetic import population
from facenhance_jax.data.synthetic.acting import ACTS
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject, write_tree
from facenhance_jax.messages import InputError


@pytest.fixture(scope="module")
def apexes():
    """(subject, expression) -> (frames, points) at rest, half way, at the apex, half way, at rest; eight people."""
    people = [draw_subject(7, number) for number in range(8)]
    return {(p.subject, e): draw_clip(p, e, 0, 5) for p in people for e in EXPRESSIONS}


def opening(points):
    return points[:, 66, 1] - points[:, 62, 1]


def width(points):
    return np.hypot(*(points[:, 54] - points[:, 48]).T)


def brow_height(points):
    """How high the inner brows are above the eyes' corners."""
    return points[:, [39, 42], 1].mean(1) - points[:, [20, 21, 22, 23], 1].mean(1)


def corner_drop(points):
    """How far the corners of the mouth are below the upper lip's middle."""
    return points[:, [48, 54], 1].mean(1) - points[:, 51, 1]


def test_the_acts_are_the_six_expressions_and_neutral():
    assert set(ACTS) == {*EXPRESSIONS, "neutral"}


def test_the_same_arguments_give_the_same_pixels_and_others_do_not():
    frames, points = draw_clip(draw_subject(1, 2), "fear", 3, 3)
    population._renderer.cache_clear()
    again, points_again = draw_clip(draw_subject(1, 2), "fear", 3, 3)
    assert np.array_equal(frames, again) and np.array_equal(points, points_again)
    for seed, subject, expression, take in (
        (2, 2, "fear", 3),
        (1, 3, "fear", 3),
        (1, 2, "anger", 3),
        (1, 2, "fear", 4),
    ):
        other, _ = draw_clip(draw_subject(seed, subject), expression, take, 3)
        assert not np.array_equal(frames[1], other[1])


def test_clips_begin_and_end_near_the_photo_and_leave_it_in_between(apexes):
    """The head is held a little differently in every clip: at most 4 pixels here; the lips stay closed."""
    for (number, _), (_, points) in apexes.items():
        photo = draw_clip(draw_subject(7, number), "neutral", 0, 1)[1][0]
        assert np.abs(points[0] - points[-1]).max() < 0.01
        assert np.abs(points[0] - photo).max() < 4.0
        assert np.abs(opening(points[:1]) - opening(photo[None])) < 0.2
        assert np.abs(points[2] - points[0]).max() > 3.0


def test_the_background_stays_the_same_up_to_the_cameras_noise(apexes):
    frames = np.stack([frames for frames, _ in apexes.values()]).astype(np.float64)[:, :, :, :20]
    change = frames[:, 1:] - frames[:, :-1]
    assert 0.5 < change.std() < 1.5  # two independent draws of 0.8, rounded to whole levels
    assert np.abs(change.mean((2, 3))).max() < 0.1


@pytest.mark.parametrize(
    "expression, measure, least",
    [
        ("surprise", opening, 10.0),
        ("surprise", brow_height, 3.0),
        ("fear", opening, 4.0),
        ("fear", width, 2.0),
        ("happiness", width, 5.0),
        ("happiness", lambda p: -corner_drop(p), 1.0),
        ("sadness", corner_drop, 2.0),
        ("sadness", brow_height, 1.5),
        ("anger", lambda p: -brow_height(p), 2.0),
        ("disgust", lambda p: -p[:, 51, 1], 2.0),
    ],
)
def test_the_apex_moves_as_the_expression_demands(apexes, expression, measure, least):
    """The change from rest to apex in pixels, for each of eight people."""
    gains = [measure(points)[2] - measure(points)[0] for (_, e), (_, points) in apexes.items() if e == expression]
    assert min(gains) > least


def test_a_neutral_clip_blinks_and_otherwise_keeps_still():
    frames, points = draw_clip(draw_subject(7, 1), "neutral", 0, 9)
    lids = points[:, [40, 41, 46, 47], 1].mean(1) - points[:, [37, 38, 43, 44], 1].mean(1)
    assert lids[0] > 3.0 and lids.min() < 1.0
    still = np.r_[0:36, 48:68]
    assert np.abs(points[:, still] - points[:1, still]).max() < 2.0


def test_another_size_is_the_same_drawing():
    import cv2

    person = draw_subject(7, 3)
    small, small_points = draw_clip(person, "happiness", 0, 3)
    large, large_points = draw_clip(person, "happiness", 0, 3, size=384)
    assert large.shape == (3, 384, 384, 3)
    np.testing.assert_allclose((large_points + 0.5) / 2 - 0.5, small_points, atol=0.1)
    head = (slice(60, 160), slice(60, 132))  # textures are random per size, so compare the face, not the cloth
    halved = cv2.resize(large[1], (192, 192), interpolation=cv2.INTER_AREA)
    assert np.abs(halved[head].astype(int) - small[1][head]).mean() < 8.0


@pytest.mark.parametrize("arguments", [("joy", 0, 3), ("fear", 0, 0), ("fear", 0, 3, 16)])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(InputError, match="joy|frames|size"):
        draw_clip(draw_subject(0, 0), *arguments)


@pytest.fixture(scope="module")
def dlib():
    return pytest.importorskip("dlib")


def test_dlib_finds_exactly_one_face(dlib, apexes):
    detector = dlib.get_frontal_face_detector()
    counts = [len(detector(frames[n], 0)) for frames, _ in apexes.values() for n in (0, 2, 3)]
    assert len(counts) == 8 * 6 * 3 and np.mean(np.array(counts) == 1) >= 0.95


def test_dlib_landmarks_follow_mouth_and_brows(dlib, apexes):
    """Over people and time, brows and mouth in dlib's landmarks correlate with those that were drawn."""
    package = importlib.util.find_spec("face_recognition_models")
    if package is None:
        pytest.skip("face_recognition_models is not installed")
    data = Path(package.submodule_search_locations[0]) / "models" / "shape_predictor_68_face_landmarks.dat"
    predictor, box = dlib.shape_predictor(str(data)), dlib.get_frontal_face_detector()
    seen, drawn = [], []
    for frames, points in apexes.values():
        clip = [predictor(frame, box(frame, 0)[0]) for frame in frames[:4]]
        read = np.array([[(p.x, p.y) for p in face.parts()] for face in clip], np.float64)
        for into, landmarks in ((seen, read), (drawn, points[:4].astype(np.float64))):
            values = np.stack([opening(landmarks), width(landmarks), brow_height(landmarks)])
            into.append(values - values[:, :1])
    correlation = [
        np.corrcoef(np.concatenate(a), np.concatenate(b))[0, 1]
        for a, b in zip(zip(*seen, strict=True), zip(*drawn, strict=True), strict=True)
    ]
    # The mouth's opening measures 0.66; it was above 0.7 when heads still nodded with it.
    assert correlation[0] > 0.6 and correlation[1] > 0.7 and correlation[2] > 0.85, correlation


def files(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_write_tree_is_laid_out_like_mug_and_resumes(tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert write_tree(whole, [5, 1200], frames=3, size=64, processes=2) == 2 * 7 * 3
    clips = read_tree(whole).recordings
    assert {clip.subject for clip in clips} == {"005", "1200"}
    assert sorted({clip.expression for clip in clips}) == sorted(ACTS) and len(clips) == 14
    assert all(len(clip.frames) == 3 and np.load(clip.landmarks).shape == (3, 68, 2) for clip in clips)
    assert np.load(clips[0].landmarks).dtype == np.float32

    save = np.save

    def killed(path, *arguments, **named):
        if "happiness" in str(path):
            raise KeyboardInterrupt
        save(path, *arguments, **named)

    monkeypatch.setattr(population.np, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        write_tree(broken, [5, 1200], frames=3, size=64, processes=1)
    assert [clip.expression for clip in read_tree(broken).recordings] == ["anger", "disgust", "fear"]
    kept = (broken / "005/anger/take000/landmarks.npy").stat().st_mtime_ns
    monkeypatch.setattr(population.np, "save", save)
    with pytest.raises(InputError, match="holds something else"):
        write_tree(broken, [5, 1200], frames=3, size=64, seed=1)
    assert write_tree(broken, [5, 1200], frames=3, size=64, processes=1) == (2 * 7 - 3) * 3
    assert files(broken) == files(whole)  # so another number of processes draws the same bytes
    assert (broken / "005/anger/take000/landmarks.npy").stat().st_mtime_ns == kept


def test_the_error_of_a_process_arrives_and_the_tree_goes_on(tmp_path):
    write_tree(tmp_path, [3], frames=1, size=64)
    (tmp_path / "004").write_text("in the way")
    with pytest.raises(OSError, match="004"):
        write_tree(tmp_path, range(6), frames=1, size=64, processes=2)
    (tmp_path / "004").unlink()
    assert write_tree(tmp_path, range(6), frames=1, size=64, processes=2) % 7 == 0
    assert len(read_tree(tmp_path).recordings) == 6 * 7


def children(process: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_the_processes_end_with_the_first_one(tmp_path):
    draws = f"from facenhance_jax.data.synthetic.population import write_tree; write_tree({str(tmp_path)!r}, range(99))"
    first = subprocess.Popen([sys.executable, "-c", draws], stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("*/*/take000")):
        assert first.poll() is None
        time.sleep(0.05)
    drawing = children(first.pid)
    assert len(drawing) >= 2 or len(os.sched_getaffinity(0)) == 1
    first.kill()
    first.wait()
    end = time.monotonic() + 60
    while any(Path(f"/proc/{number}").exists() for number in drawing):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_write_tree_refuses_a_negative_subject(tmp_path):
    with pytest.raises(InputError, match="subjects"):
        write_tree(tmp_path, [-1])
    assert not list(tmp_path.iterdir())
