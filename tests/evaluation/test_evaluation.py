"""An evaluation: its numbers, which frames it keeps, that it goes on, and what it refuses."""

import dataclasses
import json

import numpy as np
import pytest

from facenhance_jax.evaluation import clip_sets, evaluation, scores
from facenhance_jax.evaluation.scores import Reference, Score
from facenhance_jax.messages import InputError

EXPRESSIONS = ["anger", "fear", "fear", "anger", "joy"]


class Clips:
    """Clip n has the grey level 10 n."""

    frames, size = 2, 16

    def __init__(self, count=5, odd=None):
        self.count, self.odd, self.read = count, odd, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read.append(index)
        count = 3 if index == self.odd else 2
        real = np.full((count, 16, 16, 3), 10 * index, np.uint8)
        low, face = np.zeros((count, 8, 8, 3), np.uint8), np.ones((count, 16, 16), bool)
        return clip_sets.EvaluationClip(str(index), EXPRESSIONS[index], "", real, real[0], low, face)

    def describe(self):
        return {"data": "grey", "stride": 1}


class Method:
    """Frames that are brighter than the real ones."""

    def __init__(self, key, more, steps=None, note=0):
        self.name, self.key, self.steps, self.more, self.note = f"method {key}", key, steps, more, note
        self.batches = []

    def describe(self):
        return {"note": self.note}

    def __call__(self, clips):
        self.batches.append([int(clip.subject) for clip in clips])
        return np.stack([clip.real + np.uint8(self.more) for clip in clips]), 6.0


class Scorer(scores.Scorer):
    """A fake scorer: PSNR is the mean grey level; clip 3 has no ACD; each clip has four features."""

    def __init__(self, extractor="one", features=True):
        self.absent = {"expression": "because"}
        self.extractor, self.features = extractor, features

    def describe(self):
        return {"psnr": {}, "acd": {"extractor": self.extractor}}

    def reference(self, clip):
        return Reference(Score({"acd_i": 1.0}, {}, self._features(clip, 0)))

    def score(self, frames, clip, reference):
        value = float(frames.mean())
        numbers, absent = {"psnr": value}, {"acd": f"{clip.name}: no face"}
        if clip.subject != "3":
            numbers, absent = numbers | {"acd": value / 10}, {}
        took = {"psnr": 3.0 if int(clip.subject) else 99.0}  # the first one includes compiling
        return Score(numbers, absent, self._features(clip, float(frames.mean() - clip.real.mean())), took)

    def _features(self, clip, more):
        return [int(clip.subject) ** (n % 3) + more for n in range(4)] if self.features else None


def begin(folder, methods, clips=None, scorer=None, shown="b", batch=2):
    return evaluation.Evaluation(folder, clips or Clips(), scorer or Scorer(), methods, batch=batch, shown=shown)


@pytest.fixture
def two():
    return [Method("a", 1), Method("b", 2, steps=8)]


def test_means_are_over_the_clips_that_have_the_number(tmp_path, two):
    found = begin(tmp_path / "e", two).run()
    assert found == json.loads((tmp_path / "e/results.json").read_text())
    first, second, real = found["rows"]
    assert (first["method"], first["key"], first["steps"], first["n"]) == ("method a", "a", None, 5)
    assert first["psnr"] == pytest.approx(21) and second["psnr"] == pytest.approx(22)
    assert first["acd"] == pytest.approx((1 + 11 + 21 + 41) / 40)  # clip 3 has none
    assert first["clips"] == {"acd": 4} and first["absent"] == {"acd": "3/anger: no face"}
    assert second["seconds_per_frame"] == pytest.approx(3 * 6 / 5 / 2) and "seconds_per_frame" not in first
    assert second["note"] == 0 and second["scoring"] == {"psnr": pytest.approx(3 / 2)} and real["scoring"] == {}
    assert (real["method"], real["acd_i"], real["clips"]) == ("real", 1.0, {})
    assert first["fvd"] == pytest.approx(4) and second["fvd"] == pytest.approx(16)
    assert "fvd" not in real and real["fvd_half"] > 0
    assert found["settings"] == {
        "data": "grey",
        **{"stride": 1, "frames": 2, "size": 16, "n": 5, "batch": 2},
        "resize": "area mean down, bicubic up",
    }
    assert found["absent"] == {"expression": "because"} and found["extractors"] == {"acd": {"extractor": "one"}}
    assert found["metrics"].keys() == {"psnr", "acd", "acd_i", "fvd", "fvd_half"}


def test_kept_frames_are_the_first_of_each_expression_and_the_worst(tmp_path, two):
    """Clip 0 has the worst PSNR, as the darkest one, and is the first of its expression."""
    found = begin(tmp_path, two).run()
    assert found["kept"] == [
        {"clip": "0/anger", "file": "kept/0000.npz", "why": ["first of anger", "worst psnr"], "method": "b"},
        {"clip": "1/fear", "file": "kept/0001.npz", "why": ["first of fear"], "method": "b"},
        {"clip": "4/joy", "file": "kept/0004.npz", "why": ["first of joy"], "method": "b"},
    ]
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"0000.npz", "0001.npz", "0004.npz"}
    with np.load(tmp_path / "kept/0004.npz", allow_pickle=False) as kept:
        assert kept.keys() == {"identity", "low", "enhanced", "real", "face"}
        assert (kept["enhanced"] == 42).all() and (kept["real"] == 40).all()
    assert found["kept"] == begin(tmp_path, two).run()["kept"]


def test_frames_that_are_no_longer_the_worst_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setitem(
        evaluation.METRICS, "psnr", dataclasses.replace(evaluation.METRICS["psnr"], best="low")
    )  # so that the brightest is the worst
    monkeypatch.setattr(__import__(__name__), "EXPRESSIONS", ["anger"] * 5)
    found = begin(tmp_path, [Method("b", 2)]).run()
    assert [kept["file"] for kept in found["kept"]] == ["kept/0000.npz", "kept/0004.npz"]
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"0000.npz", "0004.npz"}


def test_it_goes_on_with_the_same_batches_and_ends_with_the_same_numbers(tmp_path, two):
    whole = begin(tmp_path / "whole", two).run()

    class Killed(Exception):
        pass

    class Stops(Method):
        def __call__(self, clips):
            if len(self.batches) == 1:
                raise Killed
            return super().__call__(clips)

    with pytest.raises(Killed):
        begin(tmp_path / "part", [Method("a", 1), Stops("b", 2, steps=8)]).run()
    assert not (tmp_path / "part/results.json").exists()
    again = [Method("a", 1), Method("b", 2, steps=8)]
    assert begin(tmp_path / "part", again).run() == whole
    assert [method.batches for method in again] == [[[4]], [[2, 3], [4]]]
    third, clips = Method("c", 3), Clips()
    rows = begin(tmp_path / "part", [*again, third], clips).run()["rows"]
    assert rows[:2] == whole["rows"][:2] and rows[2]["psnr"] == pytest.approx(23)
    assert third.batches == [[0, 1], [2, 3], [4]] and len(again[0].batches) == 1
    once_more = Clips()
    begin(tmp_path / "part", again, once_more).run()
    assert once_more.read == []
    (tmp_path / "part/methods/a/0003.json").unlink()
    assert begin(tmp_path / "part", again[:1]).run()["rows"][0] == whole["rows"][0]
    assert again[0].batches == [[4], [2, 3]]


@pytest.mark.parametrize(
    "other, message",
    [
        (dict(clips=Clips(4)), "settings.json: begun with another settings.n; give another folder"),
        (dict(scorer=Scorer("two")), "settings.json: begun with another metrics.acd.extractor"),
        (dict(batch=3), "begun with another settings.batch"),
        (dict(methods=[Method("a", 1, note=1)]), "methods/a/method.json: begun with another note"),
    ],
    ids=["clips", "extractor", "batch", "method"],
)
def test_other_settings_are_refused(tmp_path, two, other, message):
    begin(tmp_path, two).run()
    with pytest.raises(InputError, match=message):
        begin(**{"folder": tmp_path, "methods": two} | other)


def test_clips_of_different_lengths_are_refused(tmp_path, two):
    with pytest.raises(InputError, match="3/anger: 3 frames of 16 x 16, but 2/fear: 2 frames of 16 x 16; cut all"):
        begin(tmp_path, two, Clips(odd=3)).run()


def test_without_features_or_clips_enough_fvd_is_absent(tmp_path, two):
    rows = begin(tmp_path / "a", two, scorer=Scorer(features=False)).run()["rows"]
    assert all("fvd" not in row and "fvd_half" not in row for row in rows)
    single, _, real = begin(tmp_path / "b", two, Clips(1)).run()["rows"]
    assert "fvd" not in single and "a set has 1 clips" in single["absent"]["fvd"] and "fvd_half" in real["absent"]
