"""Photos as a data set: who is who, what a pair and a single photo become, and what is refused in which line."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facenhance_jax.data import layout, photo_pairs, photos_dataset_builder
from facenhance_jax.data.clip_dataset import prepare, source
from facenhance_jax.data.photos_dataset_builder import PhotoConfig, Photos
from facenhance_jax.data.records import JPEG_QUALITY, Job
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.faces import recognition
from facenhance_jax.faces.tracking import Track
from facenhance_jax.media.pictures import decode_image, read_photo
from facenhance_jax.messages import InputError

SIZE = 64
DRAWN: dict[int, tuple] = {}


def drawn(person: int) -> tuple[np.ndarray, np.ndarray]:
    """Two frames of a drawn person, neutral and smiling, and their landmarks."""
    if person not in DRAWN:
        frames, landmarks = draw_clip(draw_subject(0, person), "happiness", 0, 16, 192)
        DRAWN[person] = frames[[0, 8]], landmarks[[0, 8]]
    return DRAWN[person]


def save(file: Path, picture: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file)


def write_pair(root: Path, person: int) -> None:
    for name, frame in zip(("neutral", "happiness"), drawn(person)[0], strict=True):
        save(root / f"p{person}" / f"{name}.png", frame)


@pytest.fixture
def known(monkeypatch):
    """Landmarks are those of the drawn person that the subject's last digit names; nobody looks like anybody else."""

    def tracked(recording, frames, tracks):
        number = 1 if recording.frames[0].stem == "happiness" else 0
        return Track(drawn(int(recording.subject[-1]))[1][[number]], (), 1)

    class Same:
        def describe(self, photo, box):
            return np.zeros(128)

    monkeypatch.setattr(photos_dataset_builder, "tracked", tracked)
    monkeypatch.setattr(recognition, "models", Same)


@pytest.fixture
def acting(monkeypatch):
    """Animations for which nothing is drawn: frame n of N is darker by 40 n / (N - 1)."""

    def animate(photo, points, expression, frames, **_):
        dark = [np.clip(photo.astype(int) - 40 * n // (frames - 1), 0, 255).astype(np.uint8) for n in range(frames)]
        return np.stack(dark), np.stack([points.astype(np.float32)] * frames)

    monkeypatch.setattr(photos_dataset_builder, "animate", animate)
    monkeypatch.setattr(photos_dataset_builder.checking, "check", lambda frames, landmarks: None)


def build(root: Path, output: Path, **options):
    config = PhotoConfig(**({"frames": 3, "resolution": SIZE} | options))
    return prepare(Photos(data_dir=output, config=config), root)


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def test_pairs_become_morphs_in_both_directions(known, tmp_path):
    for person in range(4):
        write_pair(tmp_path / "photos", person)
    report = build(tmp_path / "photos", tmp_path / "out", both_ways=True, split="every_fourth")
    assert report.subjects == {"train": ["p0", "p1", "p2"], "test": ["p3"]} and not report.skipped
    train = {record["subject"] + record["take"]: record for record in source(tmp_path / "out", "train")}
    assert sorted(train) == [f"p{person}take00{way}" for person in range(3) for way in (0, 1)]
    (neutral, smile), (points, smile_points) = drawn(1)
    for record, photos in (
        (train["p1take000"], (neutral, points, smile, smile_points)),
        (train["p1take001"], (smile, smile_points, neutral, points)),
    ):
        clip = list(photo_pairs.clip(*photos, SIZE, 3))
        assert list(record["high"]) == [jpeg(high) for high, _ in clip]
        assert record["identity"] == record["high"][0]
        np.testing.assert_array_equal([decode_image(low, "low") for low in record["low"]], [low for _, low in clip])
        assert (record["expression"], record["session"]) == ("happiness", "")
        side = 0.487 * SIZE  # as `framing.portrait` frames it
        expected = (SIZE - side) / 2, 0.544 * SIZE - side / 2, side, 0.0
        np.testing.assert_allclose([float(word) for word in record["place"].split()], expected, atol=2e-3)


def test_single_photos_perform_the_expressions_in_turn(known, tmp_path):
    for person in range(3):
        save(tmp_path / "photos" / f"s{person}.png", drawn(person)[0][0])
    report = build(tmp_path / "photos", tmp_path / "out", takes=4)
    assert report.expressions.total() + len(report.skipped) == 12
    assert {name.split("/")[1] for name in report.skipped} | set(report.expressions) == set(layout.EXPRESSIONS)
    tree = Photos(data_dir=tmp_path / "other", config=PhotoConfig(takes=4)).read(tmp_path / "photos")
    acted = [[clip.expression for clip in tree.recordings if clip.subject == f"s{person}"] for person in range(3)]
    assert acted[0] == ["anger", "disgust", "fear", "happiness"]
    assert acted[1] == ["anger", "disgust", "sadness", "surprise"]
    for record in source(tmp_path / "out", "train"):
        assert record["identity"] == record["high"][0] != record["high"][2]


def test_relit_frames_have_the_photos_surroundings(known, acting, tmp_path):
    save(tmp_path / "photos" / "s1.png", drawn(1)[0][0])
    (recording,) = layout.read_photos(tmp_path / "photos").recordings
    records = {}
    for relight in (0.0, 1.0):
        builder = Photos(data_dir=tmp_path / "out", config=PhotoConfig(frames=2, resolution=SIZE, relight=relight))
        job = Job(replace(recording, expression="happiness"), recording.frames[0])
        (records[relight],), _ = builder.make(job, builder.recipe(tmp_path / "photos"))
    assert records[0.0]["identity"] == records[1.0]["identity"]
    plain, relit = (decode_image(records[way]["high"][0], "high").astype(float) for way in (0.0, 1.0))
    difference = np.abs(plain - relit).mean(-1)
    assert difference[:6].max() < 6 and difference[30:50, 24:40].mean() > 6  # JPEG's; the light's
    assert records[0.0]["low"][0] != records[1.0]["low"][0]
    assert records[1.0]["low"][0] == builder.make(job, builder.recipe(tmp_path / "photos"))[0][0]["low"][0]


def test_who_is_who(tmp_path):
    for name in (
        "ann/neutral.jpg",
        "ann/fear.png",
        "ann/happiness.jpg",
        "group/ben/Neutral.JPG",
        "group/ben/fear.jpg",
        "crowd/1.jpg",
        "crowd/2.jpg",
        "cleo/neutral.jpg",
        "dan.jpg",
        "notes.txt",
        "._hidden.jpg",
    ):
        save(tmp_path / "x.jpg", np.zeros((4, 4, 3), np.uint8))
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "x.jpg").read_bytes())
    (tmp_path / "x.jpg").unlink()
    found = {
        (clip.subject, clip.expression, *(file.name for file in clip.frames))
        for clip in layout.read_photos(tmp_path).recordings
    }
    assert found == {
        ("ann", "fear", "neutral.jpg", "fear.png"),
        ("ann", "happiness", "neutral.jpg", "happiness.jpg"),
        ("group-ben", "fear", "Neutral.JPG", "fear.jpg"),
        ("crowd-1", "", "1.jpg"),
        ("crowd-2", "", "2.jpg"),
        ("cleo", "", "neutral.jpg"),
        ("dan", "", "dan.jpg"),
    }


def test_a_folder_without_photos_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no photos; looked for <person>/neutral.jpg with <person>/<expression>.jpg"):
        layout.read_photos(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        layout.read_photos(tmp_path / "nowhere")


@pytest.mark.parametrize("wrong", [{"takes": 0}, {"takes": 7}, {"relight": -0.1}, {"relight": 2.1}])
def test_a_config_checks_itself(wrong):
    with pytest.raises(InputError, match=f"^{next(iter(wrong))}: "):
        PhotoConfig(**wrong)


def test_data_sets_made_in_other_ways_have_other_names():
    ways = ({}, {"both_ways": True}, {"force": True}, {"takes": 2}, {"relight": 0.5}, {"seed": 1})
    assert len({PhotoConfig(**way).name for way in ways}) == len(ways)


# With dlib


def attempted(root: Path, **options):
    """The record of the one pair or photo at `root`."""
    (recording,) = layout.read_photos(root).recordings
    config = PhotoConfig(frames=2, resolution=SIZE, **options)
    builder = Photos(data_dir=root.parent / "out", config=config)
    recording = recording if recording.expression else replace(recording, expression="happiness")
    return builder.make(Job(recording, recording.frames[0]), builder.recipe(root))


def large(person: int, number: int = 0) -> np.ndarray:
    return cv2.resize(drawn(person)[0][number], (384, 384), interpolation=cv2.INTER_CUBIC)


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.hstack([left, np.pad(right, ((0, len(left) - len(right)), (0, 0), (0, 0)), mode="edge")])


BAD = [
    (np.full((200, 200, 3), 128, np.uint8), "no face was found; give one that shows a face from the front"),
    (np.zeros((20, 30, 3), np.uint8), "30x20 pixels are too few"),
    (cv2.resize(drawn(3)[0][1], (68, 68), interpolation=cv2.INTER_AREA), "the face is .* pixels wide; give a photo in"),
    (large(3)[:, 140:], "the face is cut off by the picture's edge; give a photo that shows it whole"),
]


@pytest.mark.parametrize(("picture", "line"), BAD, ids=["nobody", "tiny", "small", "half"])
def test_a_photo_that_cannot_be_used_is_named_in_one_line(tmp_path, picture, line):
    pytest.importorskip("dlib")
    save(tmp_path / "photos" / "s3.png", picture)
    resolution = 192 if "wide" in line else SIZE
    (recording,) = layout.read_photos(tmp_path / "photos").recordings
    builder = Photos(data_dir=tmp_path / "out", config=PhotoConfig(frames=2, resolution=resolution))
    job = Job(replace(recording, expression="fear"), recording.frames[0])
    with pytest.raises(InputError, match=f"s3.*: {line}") as caught:
        builder.make(job, builder.recipe(tmp_path / "photos"))
    assert "\n" not in str(caught.value)


def test_of_several_faces_the_largest_is_taken_and_noted(acting, tmp_path, capsys):
    pytest.importorskip("dlib")
    small = cv2.resize(large(4), (300, 300), interpolation=cv2.INTER_AREA)
    save(tmp_path / "one" / "s3.png", large(3))
    save(tmp_path / "two" / "s3.png", beside(large(3), small))
    one, two = (attempted(tmp_path / name)[0][0] for name in ("one", "two"))
    assert "two/s3.png: 2 faces; the largest is taken" in capsys.readouterr().err
    pictures = [decode_image(record["identity"], "identity")[10:, 12:52].astype(float) for record in (one, two)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 8
    attempted(tmp_path / "two")  # landmarks that are kept know it too
    assert "2 faces" in capsys.readouterr().err


def test_two_people_are_no_pair(tmp_path, monkeypatch):
    pytest.importorskip("dlib")
    save(tmp_path / "photos" / "p3" / "neutral.png", large(3))
    save(tmp_path / "photos" / "p3" / "happiness.png", large(4, 1))
    monkeypatch.setattr(recognition, "SAME_PERSON", 0.4)  # drawn people are more alike than real ones
    with pytest.raises(InputError, match=r"happiness.png: does not look like the person of neutral.png \(distance 0"):
        attempted(tmp_path / "photos")
    attempted(tmp_path / "photos", force=True)
    save(tmp_path / "photos" / "p3" / "happiness.png", large(3, 1))
    attempted(tmp_path / "photos")


@pytest.mark.parametrize("kind", ["grey", "alpha", "16 bits", "cmyk", "turned"])
def test_photos_of_every_kind_are_read(acting, tmp_path, kind):
    pytest.importorskip("dlib")
    picture = Image.fromarray(large(3))
    file = tmp_path / "photos" / f"s3.{'jpg' if kind in ('cmyk', 'turned') else 'png'}"
    file.parent.mkdir()
    if kind == "16 bits":
        cv2.imwrite(str(file), np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif kind == "turned":
        exif = Image.Exif()
        exif[274] = 6  # to be turned a quarter to the right
        picture.transpose(Image.Transpose.ROTATE_90).save(file, exif=exif, quality=95)
    else:
        picture.convert({"grey": "L", "alpha": "RGBA", "cmyk": "CMYK"}[kind]).save(file)
    (record,), _ = attempted(tmp_path / "photos")
    save(tmp_path / "plain" / "s3.png", read_photo(file))
    expected = decode_image(attempted(tmp_path / "plain")[0][0]["identity"], "identity")
    np.testing.assert_array_equal(decode_image(record["identity"], "identity"), expected)
    assert expected[20:50, 20:44].std() > 10  # a face, not a black picture


def test_a_second_preparation_finds_no_face_again(acting, tmp_path, monkeypatch):
    pytest.importorskip("dlib")
    save(tmp_path / "photos" / "s3.png", large(3))
    first = attempted(tmp_path / "photos")
    monkeypatch.setattr("facenhance_jax.faces.tracking.track", None)
    assert attempted(tmp_path / "photos") == first
