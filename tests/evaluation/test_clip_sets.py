"""The sets of clips that a model is evaluated on."""

import cv2
import numpy as np
import pytest

from facenhance_jax.data import clip_dataset
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.synthetic import population
from facenhance_jax.evaluation import clip_sets
from facenhance_jax.faces import alignment
from facenhance_jax.media.pictures import resize
from facenhance_jax.messages import InputError


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def record(subject: str, expression: str, take: str = "take000", session: str = "", value: int = 0, frames: int = 2):
    """Frame n of `high` has the grey level value + n; the low-res face belongs in the middle 64 of 96 pixels."""
    images = {"high": 96, "low": 64}
    pictures = {
        field: [png(np.full((side, side, 3), value + n, np.uint8)) for n in range(frames)]
        for field, side in images.items()
    }
    words = {"subject": subject, "expression": expression, "take": take, "session": session, "place": "16 16 64"}
    photo = {"identity": png(np.full((96, 96, 3), 200, np.uint8))}
    return pictures | photo | words


class Records(list):
    """The records of a prepared data set."""

    drawn = False


@pytest.fixture
def prepared(monkeypatch):
    def make(*records):
        monkeypatch.setattr(clip_dataset, "source", lambda directory, split: Records(records))
        return clip_sets.Prepared("data", "test")

    return make


def test_a_drawn_clip_has_the_neutral_photo_and_aligned_low_frames(monkeypatch):
    """Neutral clips are inverted here, to tell them apart: all clips of a person begin with the same face."""
    drawn = population.draw_clip

    def draw_clip(subject, expression, take, frames, size):
        pictures, landmarks = drawn(subject, expression, take, frames, size)
        return (255 - pictures if expression == "neutral" else pictures), landmarks

    monkeypatch.setattr(population, "draw_clip", draw_clip)
    clip = clip_sets.draw(9003, "fear", frames=3, low_size=32)
    person = population.draw_subject(0, 9003)
    real, landmarks = (part[:3] for part in drawn(person, "fear", 0, 6, 192))
    assert clip.name == "9003/fear"
    np.testing.assert_array_equal(clip.real, real)
    np.testing.assert_array_equal(clip.low[1], alignment.low_frame(real[1], landmarks[1], 32))
    np.testing.assert_array_equal(clip.identity, 255 - drawn(person, "neutral", 0, 3, 192)[0][0])
    np.testing.assert_array_equal(clip.face[2], alignment.hull_mask(landmarks[2], 192))
    middle = landmarks[2, 27:36].mean(axis=0).round().astype(int)  # the nose
    assert clip.face[2, middle[1], middle[0]] and not clip.face[2, :8].any()


def test_smaller_drawn_clips_are_the_large_ones_made_smaller():
    clips = clip_sets.Drawn([9001, 9002], frames=2, size=64, low_size=32)
    assert len(clips) == 12
    got = clips[6 + EXPRESSIONS.index("fear")]
    assert (got.name, got.subject, got.expression) == ("9002/fear", "9002", "fear")
    drawn = clip_sets.draw(9002, "fear", frames=2, low_size=32)
    np.testing.assert_array_equal(got.real[1], resize(drawn.real[1], 64))
    np.testing.assert_array_equal(got.identity, resize(drawn.identity, 64))
    np.testing.assert_array_equal(got.low, drawn.low)
    thirds = drawn.face.reshape(2, 64, 3, 64, 3).sum(axis=(2, 4))
    np.testing.assert_array_equal(got.face, thirds > 4.5)  # of the 9 pixels that became one


def test_prepared_clips_are_the_records_and_their_face_lies_on_the_place(prepared):
    clips = prepared(record("001", "anger"), record("002", "fear", "take001", "session0", value=50))
    assert (len(clips), clips.frames, clips.size) == (2, 2, 96)
    clip = clips[1]
    assert clip.name == "002/fear/session0/take001"
    assert (clip.real[1] == 51).all() and (clip.low[1] == 51).all() and (clip.identity == 200).all()
    np.testing.assert_array_equal(clip.face[0], alignment.hull_mask(alignment.mean_shape() + 16, 96))
    np.testing.assert_array_equal(clip.face[1], clip.face[0])
    assert clips.describe()["data"] == "data, split test"


def test_a_data_set_without_clips_or_places_is_refused(prepared):
    with pytest.raises(InputError, match="data: no clips in split test"):
        prepared()
    placeless = record("001", "anger")
    del placeless["place"]
    with pytest.raises(InputError, match="does not say where the faces are"):
        prepared(placeless)


def generated(folder, *names, frames=2, value=9):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", np.full((frames, 64, 64, 3), value, np.uint8))
    return folder


def test_generated_clips_are_paired_by_subject_expression_and_take(tmp_path, prepared):
    data = prepared(
        record("001", "anger", value=10),
        record("001", "anger", "take001", value=20),
        record("002", "anger", value=30),
    )
    folder = generated(tmp_path, "001/anger/take001", "001/anger/other", "002/anger/take000")
    clips = clip_sets.Generated(folder, "folder", 96, data)
    found = {clip.name: clip for clip in (clips[index] for index in range(len(clips)))}
    assert {name: int(clip.real[0, 0, 0, 0]) for name, clip in found.items()} == {
        "001/anger/take001": 20,
        "001/anger/other": 10,  # no take has that name, so the first is the pair
        "002/anger/take000": 30,
    }
    clip = found["002/anger/take000"]
    assert (clip.low == 9).all() and (clip.real_low[1] == 31).all() and (clip.identity == 200).all()


def test_before_is_the_generated_against_the_real_low_frames_both_enlarged(tmp_path, prepared):
    data = prepared(record("001", "anger", value=10))
    clip = clip_sets.Before(clip_sets.Generated(generated(tmp_path, "001/anger/a"), "folder", 96, data))[0]
    assert clip.real.shape == (2, 96, 96, 3) and (clip.real[1] == 11).all() and clip.face.all()
    assert (clip.low == 9).all()


def test_clips_of_drawn_people_find_whom_they_were_generated_from(tmp_path):
    drawn = clip_sets.draw(9003, "anger", frames=3)
    np.save(tmp_path / "9003_anger.npy", drawn.low // 2)
    clips = clip_sets.Generated(tmp_path, "motiongan", 64)
    np.testing.assert_array_equal(clips[0].real_low, drawn.low)
    np.testing.assert_array_equal(clips[0].real, np.stack([resize(frame, 64) for frame in drawn.real]))
    np.testing.assert_array_equal(clips[0].low, drawn.low // 2)
    about = clips.describe()
    assert about["generator"] == "motiongan" and "drawn" in about["data"]


@pytest.mark.parametrize(
    "name, frames, message",
    [
        ("003/anger/a", 2, "data has no 003/anger in its split test"),
        ("001/fear/a", 2, "data has no 001/fear"),
        ("001/anger/a", 3, "3 frames, but its real clip has 2; cut both"),
    ],
)
def test_a_generated_clip_without_a_pair_is_refused(tmp_path, prepared, name, frames, message):
    data = prepared(record("001", "anger"))
    with pytest.raises(InputError, match=message):
        clip_sets.Generated(generated(tmp_path, name, frames=frames), "folder", 96, data)[0]


@pytest.mark.parametrize("name", ["anna/anger/a", "001/smirk/a"])
def test_without_a_data_set_only_drawn_people_are_known(tmp_path, name):
    with pytest.raises(InputError, match="is no drawn person; give the data set"):
        clip_sets.Generated(generated(tmp_path, name), "folder", 96)


def test_some_clips_are_spread_over_all(prepared):
    data = prepared(*(record(f"{n:03d}", "anger", value=n) for n in range(9)))
    few = clip_sets.Spread(data, 3)
    assert [int(few[index].real[0, 0, 0, 0]) for index in range(len(few))] == [0, 4, 8]
    assert few.describe()["of"] == 9
    assert len(clip_sets.Spread(data, 100)) == 9
