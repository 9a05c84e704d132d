"""ACD and ACD-I: closed forms on known features, the rule for missed faces, and dlib itself on drawn people."""

import importlib.util
import sys

import numpy as np
import pytest

from facenhance_jax.data.synthetic import population
from facenhance_jax.evaluation.metrics import identity
from facenhance_jax.evaluation.metrics.identity import ClipIdentity, Features, NoFaceError
from facenhance_jax.faces import recognition
from facenhance_jax.media.pictures import resize
from facenhance_jax.messages import InputError

BLACK = np.zeros((16, 16, 3), np.uint8)


class Stub:
    """A fake: the first pixel is the face's width; the features are that pixel and the left edge of the box."""

    def __init__(self):
        self.searched, self.described = 0, 0

    def find(self, frame):
        self.searched += 1
        width = int(frame[0, 0, 0])
        return (width, 0, 2 * width, width) if width else None

    def describe(self, frame, box):
        self.described += 1
        return row(frame[0, 0, 0], box[0], frame[0, 0, 1])


def row(*start: float) -> np.ndarray:
    """Features that begin with these numbers, followed by zeros."""
    vector = np.zeros(128)
    vector[: len(start)] = start
    return vector


def clip(*widths: int) -> np.ndarray:
    frames = np.stack([BLACK] * len(widths))
    frames[:, 0, 0, 0] = widths
    return frames


@pytest.fixture
def stub(monkeypatch) -> Stub:
    stub = Stub()
    monkeypatch.setattr(recognition, "models", lambda: stub)
    return stub


def test_distances_of_known_features():
    """Steps (3, 4) and (5, 12) have the lengths 5 and 13; the frames are 0, 5 and |(8, 16)| from the photo."""
    vectors = np.stack([row(0, 0), row(3, 4), row(8, 16)])
    scores = identity.compare(Features(vectors, (1,)), row(0, 0))
    np.testing.assert_allclose(scores.acd, (5 + 13) / 2, rtol=1e-12)
    np.testing.assert_allclose(scores.acd_i, (0 + 5 + np.sqrt(8**2 + 16**2)) / 3, rtol=1e-12)
    assert scores.missing_share == 1 / 3


def test_one_frame_has_no_acd():
    assert identity.compare(Features(row(3)[None], ()), row(0)) == ClipIdentity(acd=None, acd_i=3.0, missing_share=0.0)


def test_the_distance_to_the_real_frames_is_frame_by_frame():
    made, real = Features(np.stack([row(3, 4), row(0, 1)]), ()), Features(np.stack([row(0, 0), row(0, 8)]), (1,))
    assert identity.distance(made, real) == pytest.approx((5 + 7) / 2)


def test_frames_without_a_face_are_described_where_the_nearest_one_is(stub):
    """Widths 5, 6 and 7, with gaps before, after and in between, where the earlier of two equally near counts."""
    frames = clip(0, 5, 0, 0, 0, 6, 0, 7, 0)
    frames[:, 0, 0, 1] = range(1, 10)  # no two are equal
    features = identity.describe(frames, "clip")
    assert features.missing == (0, 2, 3, 4, 6, 8)
    np.testing.assert_array_equal(features.vectors[:, 0], [0, 5, 0, 0, 0, 6, 0, 7, 0])  # from their own pixels
    np.testing.assert_array_equal(features.vectors[:, 1], [5, 5, 5, 5, 6, 6, 6, 7, 7])  # in the box of the nearest
    np.testing.assert_array_equal(features.vectors[:, 2], range(1, 10))
    assert identity.compare(features, row(0)).missing_share == 6 / 9


def test_a_frame_equal_to_the_one_before_is_not_computed_again(stub):
    features = identity.describe(clip(5, 5, 5, 6, 6, 5), "clip")
    np.testing.assert_array_equal(features.vectors[:, 0], [5, 5, 5, 6, 6, 5])
    assert (stub.searched, stub.described) == (3, 3)
    empty = identity.describe(clip(5, 0, 0, 0, 0, 6), "clip")  # equal frames, but in two boxes
    np.testing.assert_array_equal(empty.vectors[:, 1], [5, 5, 5, 6, 6, 6])
    assert (stub.searched, stub.described) == (3 + 3, 3 + 4)


def test_clips_and_photos_without_a_face(stub):
    with pytest.raises(NoFaceError, match="^take/3: no face was found in any of its 2 frames; give a clip that shows"):
        identity.describe(clip(0, 0), "take/3")
    with pytest.raises(NoFaceError, match="^photo.png: no face was found; give a photo that shows one from the front$"):
        identity.describe_photo(BLACK, "photo.png")
    with pytest.raises(InputError, match="^take/3: no frames; give a clip with at least one$"):
        identity.describe(clip(5)[:0], "take/3")


@pytest.mark.parametrize("absent", ["dlib", "face_recognition_models"])
def test_without_the_extra_one_line_says_what_to_install(monkeypatch, absent):
    find = importlib.util.find_spec
    monkeypatch.setattr(recognition, "models", recognition.models.__wrapped__)
    if absent == "dlib":
        monkeypatch.setitem(sys.modules, "dlib", None)
    else:
        pytest.importorskip("dlib")
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find(name))
    for use in (
        identity.extractor,
        lambda: identity.describe(clip(5), "a"),
        lambda: identity.describe_photo(BLACK, "a"),
    ):
        with pytest.raises(InputError) as caught:
            use()
        expected = f'measuring identity needs {absent}, which is not here; pip install "facenhance-jax[faces]"'
        assert str(caught.value) == expected


@pytest.fixture(scope="module")
def people() -> list[np.ndarray]:
    """Four frames of each of two drawn people who begin to smile, 128 pixels wide."""
    pytest.importorskip("dlib")
    return [population.draw_clip(population.draw_subject(0, who), "happiness", 0, 16, 128)[0][:8:2] for who in (3, 4)]


def test_dlib_tells_two_drawn_people_apart(people):
    clips = [identity.describe(frames, "drawn") for frames in people]
    assert [features.missing for features in clips] == [(), ()]
    photos = [identity.describe_photo(frames[0], "drawn") for frames in people]
    for features, photo in zip(clips, photos, strict=True):
        np.testing.assert_array_equal(features.vectors[0], photo)  # a clip's frame is described like a photo
    own = [identity.compare(features, photo) for features, photo in zip(clips, photos, strict=True)]
    crossed = [identity.compare(features, photo) for features, photo in zip(clips, photos[::-1], strict=True)]
    # Measured: 0.14 and 0.20 from their own photos, 0.55 and 0.60 from each other's.
    assert max(scores.acd_i for scores in own) < 0.6 * min(scores.acd_i for scores in crossed)
    assert 0 < max(scores.acd for scores in own) < 0.3


def test_features_are_those_of_dlibs_aligned_face(people):
    """By dlib's longer way: the face is cut out upright, 150 pixels wide, then described. A mirrored view too."""
    models = recognition.models()
    for photo in (people[0][0], people[0][0][:, ::-1]):
        whole = photo.copy()
        left, top, right, bottom = models.find(whole)
        points = models._predict(whole, models._dlib.rectangle(left, top, right, bottom))
        chip = models._dlib.get_face_chip(whole, points, 150, 0.25)
        expected = np.array(models._network.compute_face_descriptor(chip))
        np.testing.assert_allclose(identity.describe_photo(photo, "drawn"), expected, atol=1e-6)


def test_the_photo_copied_has_distance_zero(people):
    photo = identity.describe_photo(people[0][0], "photo")
    copied = np.broadcast_to(people[0][0], people[0].shape)
    scores = identity.compare(identity.describe(copied, "copied"), photo)
    assert scores == ClipIdentity(acd=0.0, acd_i=0.0, missing_share=0.0)


@pytest.fixture
def searched(people, monkeypatch) -> list[int]:
    """How often the size was doubled in each of dlib's searches."""
    models, doubled = recognition.models(), []
    detect = models._detect

    def spy(frame: np.ndarray, times: int):
        assert frame.flags.c_contiguous  # dlib's detector sometimes misreads strided views
        doubled.append(times)
        return detect(frame, times)

    monkeypatch.setattr(models, "_detect", spy)
    return doubled


@pytest.mark.parametrize(("who", "size", "doubled"), [(0, 192, [0]), (1, 64, [0, 1]), (0, 64, [0, 1, 2])])
def test_small_faces_are_found_in_larger_pictures(people, searched, who, size, doubled):
    left, top, right, bottom = recognition.models().find(resize(people[who][0], size))
    assert searched == doubled
    assert 0.4 * size < right - left == bottom - top < 0.8 * size


@pytest.mark.parametrize(("height", "width", "searches"), [(200, 159, 3), (160, 160, 2)])
def test_only_small_frames_are_searched_three_times(searched, height, width, searches):
    assert recognition.models().find(np.zeros((height, width, 3), np.uint8)[:, ::-1]) is None
    assert searched == list(range(searches))


def test_of_two_faces_the_larger_is_taken(people, searched):
    for lefts in [(0, 160), (160, 0)]:
        both = np.zeros((192, 352, 3), np.uint8)
        both[:160, lefts[0] :][:, :160] = resize(people[0][0], 160)
        both[:192, lefts[1] :][:, :192] = resize(people[1][0], 192)
        assert len(recognition.models()._detect(both, 0)) == 2
        left, _, right, _ = recognition.models().find(both)
        assert lefts[1] < (left + right) / 2 < lefts[1] + 192 and right - left > 80


def test_the_extractor_is_named_with_its_weights():
    pytest.importorskip("dlib")
    made = identity.extractor()
    assert made.name.startswith("dlib ") and made.weights == "dlib_face_recognition_resnet_model_v1.dat"
    assert made.sha256 == "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
