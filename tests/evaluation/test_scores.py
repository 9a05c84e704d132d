"""The scores of one clip: known values, and a reason for each missing one."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from facenhance_jax.evaluation import clip_sets, scores
from facenhance_jax.evaluation.metrics import identity
from facenhance_jax.evaluation.metrics.frames import ssim
from facenhance_jax.faces.alignment import mean_shape
from facenhance_jax.messages import InputError

PIXELS = ["psnr", "ssim", "temporal", "colour"]


@pytest.fixture
def clip():
    """Grey 100, the face in the middle."""
    face = np.zeros((9, 32, 32), bool)
    face[:, 8:24, 8:24] = True
    shape = (9, 32, 32, 3)
    grey = np.full(shape, 100, np.uint8)
    return clip_sets.EvaluationClip("1", "fear", "", grey, grey[0], np.zeros((9, 16, 16, 3), np.uint8), face)


def scored(clip, made, groups=PIXELS):
    scorer = scores.Scorer(*clip.real.shape[:2], groups)
    return scorer.score(made, clip, scorer.reference(clip))


def test_pixels_are_scored_in_the_whole_frame_and_in_the_face(clip):
    """An error of 20 only in the face, a quarter of the frame, in every second frame."""
    made = clip.real.copy()
    made[::2, 8:24, 8:24] = 120
    score = scored(clip, made)
    assert score.absent == {} and score.features is None
    assert score.numbers["psnr"] == pytest.approx((5 * 20 * np.log10(255 / 10) + 4 * 100) / 9)
    assert score.numbers["face_psnr"] == pytest.approx((5 * 20 * np.log10(255 / 20) + 4 * 100) / 9)
    assert score.numbers["temporal"] == pytest.approx(20 / 4)
    assert score.numbers["colour_shift"] == pytest.approx(20 * 5 / 9)
    assert score.numbers["background_drift"] == 0
    assert score.numbers["ssim"] == pytest.approx(ssim(made, clip.real).mean())
    assert score.numbers["face_ssim"] == pytest.approx(ssim(made, clip.real, clip.face).mean())
    assert score.numbers["face_ssim"] != score.numbers["ssim"]


def test_a_frame_without_its_face_has_no_scores_of_it(clip):
    clip.face[3] = False
    clip.face[3, :5] = True  # within the border that SSIM leaves out
    score = scored(clip, clip.real)
    assert "1/fear: the face lies outside frame 3" in score.absent["face_psnr"]
    assert score.absent.keys() == {"face_psnr", "face_ssim"} and score.numbers["psnr"] == 100
    clip.face[3] = True
    score = scored(clip, clip.real)
    assert score.absent.keys() == {"background_drift"} and score.numbers["colour_shift"] == 0


def test_every_group_is_timed(clip, monkeypatch):
    """With a clock that advances a second each time it is read: psnr and ssim are timed for the face too."""
    ticks = iter(range(1000))
    monkeypatch.setattr(scores.time, "perf_counter", lambda: next(ticks))
    assert scored(clip, clip.real).took == {"psnr": 2, "ssim": 2, "temporal": 1, "colour": 2}


def test_fvd_of_a_preset_looks_at_that_part_of_each_clip(clip, monkeypatch):
    seen = []
    monkeypatch.setattr(scores.i3d, "load", dict)
    monkeypatch.setattr(scores.fvd, "features", lambda units, clips: seen.append(clips) or np.ones((1, 400)))
    protocol = scores.fvd.Protocol(frames=9, size=16)  # of the clip's 9 frames of 32 x 32
    scorer = scores.Scorer(9, 32, ["fvd"], protocol)
    assert scorer.describe()["fvd"]["size"] == 16
    assert scorer.reference(clip).score.features == [1] * 400
    assert seen[0].shape == (1, 9, 16, 16, 3)
    with pytest.raises(InputError, match="fvd: clips of 8 frames; this preset takes 9 of each"):
        scores.Scorer(8, 32, ["fvd"], protocol)


def test_frames_of_another_length_are_refused(clip):
    with pytest.raises(InputError, match="1/fear: made frames are"):
        scored(clip, clip.real[:8])


def faces(monkeypatch, seen):
    """Features whose first number is the frame's brightness; a face is found if `seen` says so."""

    def vector(pixels):
        return np.eye(128)[0] * float(pixels.mean())

    def describe(frames, name):
        missing = tuple(n for n, frame in enumerate(frames) if not seen(frame))
        if len(missing) == len(frames):
            raise identity.NoFaceError(f"{name}: no face")
        return identity.Features(np.stack([vector(frame) for frame in frames]), missing)

    def describe_photo(photo, name):
        if not seen(photo):
            raise identity.NoFaceError(f"{name}: no face")
        return vector(photo)

    monkeypatch.setattr(identity, "describe", describe)
    monkeypatch.setattr(identity, "describe_photo", describe_photo)
    monkeypatch.setattr(identity, "extractor", lambda: identity.Extractor("brightness", "none", "0"))


def test_identity_is_scored_against_the_photo_and_faceless_frames_are_counted(clip, monkeypatch):
    faces(monkeypatch, lambda frame: frame.mean() < 150)
    made = clip.real.copy()
    made[3:], made[8] = 103, 200
    score = scored(clip, made, ["acd"])
    assert score.numbers == {
        "acd": pytest.approx((3 + 97) / 8),
        "acd_i": pytest.approx((5 * 3 + 100) / 9),
        "acd_real": pytest.approx((5 * 3 + 100) / 9),  # the real frames equal the photo
        "faceless": pytest.approx(1 / 9),
    }
    without = scored(clip, np.full_like(made, 200), ["acd"])
    assert without.numbers == {"faceless": 1.0} and without.absent == {"acd": "1/fear: no face"}


def test_a_photo_without_a_face_leaves_all_methods_without_acd(clip, monkeypatch):
    faces(monkeypatch, lambda frame: frame.mean() > 150)
    score = scored(clip, clip.real + np.uint8(100), ["acd"])
    assert score.numbers == {} and score.absent == {"acd": "1/fear, photo: no face"}


def test_landmarks_of_frames_without_a_face_do_not_count(clip, monkeypatch):
    """All points are off by 6 percent of the eye distance, except in a frame whose points are interpolated."""
    from facenhance_jax.faces import tracking

    points = np.repeat(mean_shape(100)[None], 9, axis=0).astype(np.float32)
    apart = points[0, 45, 0] - points[0, 36, 0]
    monkeypatch.setattr(scores.dlib_models, "library", lambda purpose: None)
    monkeypatch.setattr(scores.dlib_models, "model_file", lambda purpose, name: None)
    moved = points + np.float32(0.06 * apart) * np.array([1, 0], np.float32)
    moved[2] += 1000
    searched = []

    def track(frames, name):
        searched.append(len(frames))
        if name == "1/fear":
            return tracking.Track(moved[: len(frames)], (2,), 1)
        return tracking.Track(points[: len(frames)], (), 1)

    monkeypatch.setattr(tracking, "track", track)
    made = clip.real.copy()
    made[0] += 1
    score = scored(clip, made, ["expression"])
    assert score.numbers == {name: pytest.approx(6) for name in ("landmarks", "landmarks_mouth", "landmarks_brows")}
    assert searched == [1, 1, 9]  # the real clip stands still; the photo; the made clip once for all metrics
    assert score.absent.keys() == {"acting_mouth", "acting_brows"}
    assert "the real one moves by 0.0 % of the eye distance" in score.absent["acting_mouth"]


def test_acting_is_from_the_photo_and_a_photo_without_a_face_leaves_all_without_it(clip, monkeypatch):
    """The real mouth falls by a tenth of the frame, the made one by half of that; the brows stand still."""
    from facenhance_jax.faces import tracking

    neutral = mean_shape(100).astype(np.float32)[None]
    low_mouth, half = neutral.copy(), neutral.copy()
    low_mouth[:, 48:, 1] += 10
    half[:, 48:, 1] += 5
    found = {"1/fear, photo": neutral, "1/fear, real frames": low_mouth, "1/fear": half}
    monkeypatch.setattr(scores.dlib_models, "library", lambda purpose: None)
    monkeypatch.setattr(scores.dlib_models, "model_file", lambda purpose, name: None)
    monkeypatch.setattr(tracking, "track", lambda frames, name: tracking.Track(found[name], (), 1))
    score = scored(clip, clip.real, ["expression"])
    assert score.numbers["acting_mouth"] == pytest.approx(0.5)
    assert "acting: the real one moves by 0.0 %" in score.absent["acting_brows"]

    def track(frames, name):
        if "photo" in name:
            raise InputError(f"{name}: no face")
        return tracking.Track(found[name], (), 1)

    monkeypatch.setattr(tracking, "track", track)
    score = scored(clip, clip.real, ["expression"])
    assert "landmarks" in score.numbers and score.absent == dict.fromkeys(
        ["acting_mouth", "acting_brows"], "1/fear, photo: no face"
    )


def test_sharpness_is_of_the_face(clip):
    """Stripes of 5 and of 10 grey levels in the face; more outside."""
    made = clip.real.copy()
    clip.real[:, 7:25, 7:25:2] += np.uint8(10)
    made[:, 7:25, 7:25:2] += np.uint8(5)
    made[:, :4, ::2] = 0
    score = scored(clip, made, ["sharpness"])
    assert score.numbers == {"sharpness": pytest.approx(0.5)} and score.absent == {}


def test_clips_of_one_frame_have_distances_to_the_photo_and_to_the_real_frame(clip, monkeypatch):
    faces(monkeypatch, lambda frame: True)
    single = dataclasses.replace(clip, real=clip.real[:1], low=clip.low[:1], face=clip.face[:1])
    single = dataclasses.replace(single, identity=clip.identity - np.uint8(4))
    scorer = scores.Scorer(1, 32, ["acd"])
    assert "ACD compares consecutive frames" in scorer.absent["acd"]
    reference = scorer.reference(single)
    assert reference.score.numbers == {"acd_i": 4.0, "faceless": 0.0}
    score = scorer.score(single.real + np.uint8(3), single, reference)
    assert score.numbers == {"acd_i": 7.0, "acd_real": 3.0, "faceless": 0.0} and score.absent == {}


def test_features_are_those_of_the_whole_clip(clip, monkeypatch):
    monkeypatch.setattr(scores.i3d, "load", dict)
    sums = SimpleNamespace(features=lambda units, clips: clips.reshape(len(clips), -1)[:, :400].astype(np.float32))
    monkeypatch.setattr(scores.fvd, "features", sums.features)
    score = scored(clip, clip.real + np.uint8(1), ["fvd"])
    assert score.features == [101.0] * 400 and score.numbers == {}


def test_the_floor_of_fvd_is_between_halves_and_few_clips_have_a_reason():
    rows = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    shifted = rows + np.float32(1)
    numbers, absent = scores.distances(shifted, rows)
    assert numbers["fvd"] == pytest.approx(4, rel=1e-4) and absent == {}
    floor, _ = scores.distances(None, rows)
    assert floor == {"fvd_half": pytest.approx(scores.fvd.frechet_distance(rows[0::2], rows[1::2]))}
    numbers, absent = scores.distances(shifted[:3], rows[:3])
    assert numbers.keys() == {"fvd"} and "a set has 1 clips" in absent["fvd_half"]
    assert scores.distances(shifted[:1], rows[:1])[1].keys() == {"fvd", "fvd_half"}


def absent_extra(*_):
    raise InputError('needs what is not here; pip install "facenhance-jax[faces]"')


def test_what_cannot_be_computed_is_absent_or_if_asked_for_refused(monkeypatch):
    monkeypatch.setattr(scores.dlib_models, "library", absent_extra)
    monkeypatch.setattr(identity, "extractor", absent_extra)
    scorer = scores.Scorer(8, 32)
    assert scorer.absent.keys() == {"acd", "expression", "fvd"}
    assert "facenhance-jax[faces]" in scorer.absent["acd"] and "at least 9" in scorer.absent["fvd"]
    assert scorer.describe().keys() == {*PIXELS, "sharpness"}
    for group, message in (("acd", r"facenhance-jax\[faces\]"), ("fvd", "at least 9"), ("lpips", "lpips is none of")):
        with pytest.raises(InputError, match=message):
            scores.Scorer(8, 32, [group])
    assert scores.Scorer(1, 32, ["psnr"]).absent["fvd"] == "not asked for"
    with pytest.raises(InputError, match="temporal: clips of one frame"):
        scores.Scorer(1, 32, ["temporal"])


def test_every_number_can_be_told_how_to_read():
    assert {metric.best for metric in scores.METRICS.values()} == {"high", "low", "1"}
    best_one = {name for name, metric in scores.METRICS.items() if metric.best == "1"}
    assert best_one == {"acting_mouth", "acting_brows", "sharpness"}
    best_high = {name for name, metric in scores.METRICS.items() if metric.best == "high"}
    assert best_high == {"psnr", "ssim", "face_psnr", "face_ssim"}
    fields = {field.name for field in dataclasses.fields(scores.Metric)}
    assert fields == {"label", "unit", "best", "digits"}
