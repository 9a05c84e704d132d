"""The folder of an evaluation: what is written, read again, and refused."""

import numpy as np
import pytest

from facenhance_jax.evaluation import clip_sets, methods, results
from facenhance_jax.messages import InputError
from facenhance_jax.settings import flat


class Method(methods.PhotoCopied):
    def __init__(self, key, steps):
        self.key, self.steps = key, steps


METHODS = [Method("a", None), Method("b", 8)]


def score(clip: str, **numbers: float) -> dict:
    subject, expression = clip.split("/")
    return {"clip": clip, "subject": subject, "expression": expression, "numbers": numbers}


@pytest.fixture
def folder(tmp_path):
    folder = results.Folder(tmp_path / "e")
    folder.begin({"format": 3, "metrics": {"psnr": {}}, "n": 2}, METHODS)
    return folder


def test_scores_are_read_as_they_were_written(folder):
    written = [score("1/fear", psnr=30.25), score("2/fear")]
    for index, one in enumerate(written):
        folder.write_score("b", index, one)
    assert folder.scores("b", range(2)) == written
    assert folder.is_scored("b", range(2))
    assert not folder.is_scored("b", range(3)) and not folder.is_scored("a", range(1))


def test_the_csv_has_a_line_for_each_clip_and_method(folder):
    """Metrics in the order of `scores.METRICS`; those that no clip has are left out."""
    scores = {"a": [score("1/fear", acd=0.5)], "b": [score("1/fear", psnr=30.25), score("2/joy", psnr=31.0, acd=1.0)]}
    folder.write({"format": 3}, METHODS, scores)
    assert (folder.path / "clips.csv").read_text().splitlines() == [
        "clip,subject,expression,method,steps,psnr,acd",
        "1/fear,1,fear,a,,,0.5",
        "1/fear,1,fear,b,8,30.25,",
        "2/joy,2,joy,b,8,31.0,1.0",
    ]
    assert (folder.path / "results.json").read_text() == '{\n  "format": 3\n}\n'


def test_frames_are_kept_and_dropped(folder):
    real, low, face = np.full((2, 4, 4, 3), 7, np.uint8), np.zeros((2, 2, 2, 3), np.uint8), np.ones((2, 4, 4), bool)
    folder.keep(12, clip_sets.EvaluationClip("1", "fear", "", real, real[0] + 1, low, face), real + 2)
    assert folder.kept(12) == "kept/0012.npz"
    with np.load(folder.path / "kept/0012.npz", allow_pickle=False) as kept:
        assert {name: int(kept[name].max()) for name in kept} == dict(identity=8, low=0, enhanced=9, real=7, face=1)
    for _ in range(2):
        folder.drop(12)
    assert not any((folder.path / "kept").iterdir())


@pytest.mark.parametrize(
    "other, message",
    [
        ({"format": 2, "metrics": {"psnr": {}}, "n": 2}, "settings.json: begun with another format; give another"),
        ({"format": 3, "metrics": {"ssim": {}}, "n": 2}, "begun with another metrics.psnr, metrics.ssim;"),
        ({"format": 3, "metrics": {"psnr": {}}}, "begun with another n;"),
        ({"format": 3, "metrics": {"psnr": {}}, "n": 2, "new": None}, "begun with another new;"),
    ],
)
def test_a_folder_that_was_begun_otherwise_is_refused(folder, other, message):
    with pytest.raises(InputError, match=message):
        folder.begin(other, METHODS)
    folder.begin({"n": 2, "metrics": {"psnr": {}}, "format": 3}, METHODS)


def test_a_tuple_is_the_list_that_it_was_written_as(tmp_path):
    for _ in range(2):
        results.Folder(tmp_path).begin({"steps": (1, 2)}, [])  # the second time raises InputError if they differ


def test_dicts_within_dicts_become_dotted_names():
    nested = {"a": {"b": {"c": 1}, "d": {}}, "e": [2, {"f": 3}], "g": None}
    assert dict(flat(nested)) == {"a.b.c": 1, "a.d": {}, "e": [2, {"f": 3}], "g": None}


def test_a_damaged_score_and_a_folder_that_cannot_be_written_are_one_line(folder, tmp_path):
    (folder.path / "methods/a/0003.json").write_text("{")
    with pytest.raises(InputError, match="0003.json: not readable; remove it"):
        folder.scores("a", range(3, 4))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot be written to .*; choose another folder"):
        results.Folder(tmp_path / "file").begin({}, [])
