"""What the page sees in uploads: boxes around faces, numbers, notes, and errors that name no folder of the server."""

import tempfile

import numpy as np
import pytest
from PIL import Image

from facenhance_jax.data.synthetic import population
from facenhance_jax.messages import InputError
from facenhance_jax.web import looking


@pytest.fixture(scope="module")
def frame():
    (frame,), (points,) = population.draw_clip(population.draw_subject(7, 5), "neutral", 0, 1, 224)
    return frame, points


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "uploads" / "0123abc"
    folder.mkdir(parents=True)
    return folder


def green(picture) -> np.ndarray:
    """Where the box of the chosen face is: (left, top, right, bottom)."""
    rows, columns = np.nonzero((picture == looking.CHOSEN).all(axis=-1))
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()])


def test_the_face_has_a_box_and_of_two_the_chosen_one(uploads, frame):
    photo, points = frame
    Image.fromarray(photo).save(uploads / "one.png")
    seen = looking.at_photo(str(uploads / "one.png"), 192, None, True)
    assert (seen.faces, seen.chosen, seen.notes, seen.picture.shape) == (1, 1, [], (224, 224, 3))
    box = np.concatenate([points.min(0), points.max(0)])
    assert np.abs(green(seen.picture) - box).max() < 12  # dlib's points are not the drawn ones
    Image.fromarray(np.hstack([photo, photo])).save(uploads / "two.png")
    for face, number in ((None, 1), (1, 1), (2, 2)):
        seen = looking.at_photo(str(uploads / "two.png"), 192, face, True)
        assert (seen.faces, seen.chosen) == (2, number)
        assert (green(seen.picture)[0] > 224) == (number == 2)


def test_without_a_face_the_middle_is_drawn_or_it_is_refused(uploads):
    Image.new("RGB", (300, 200), (90, 90, 90)).save(uploads / "wall.png")
    path = str(uploads / "wall.png")
    seen = looking.at_photo(path, 192, None, False)
    assert seen.faces == 0 and "no face was found, so its middle 200x200 is used" in seen.notes[0]
    with looking.refused() as said:
        looking.at_photo(path, 192, None, True)
    assert said[0].startswith("wall.png: no face was found; give a photo of one")


def test_errors_and_notes_call_a_file_as_its_owner_does(uploads, frame):
    (uploads / "my holiday.jpg").write_text("no picture")
    with looking.refused() as said:
        looking.at_photo(str(uploads / "my holiday.jpg"), 192, None, True)
    assert said == ["my holiday.jpg: not a picture; give a png, jpeg, bmp, gif, webp or tiff file"]
    frames = [Image.fromarray(frame[0]), Image.new("RGB", (224, 224))]
    frames[0].save(uploads / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    (note,) = looking.at_photo(str(uploads / "moving.gif"), 192, None, True).notes
    assert looking.in_words(note) == "moving.gif: is animated; its first frame is the photo"
    assert looking.in_words(f"{uploads}/a.npy: 3/4 and 1/2: bad") == "a.npy: 3/4 and 1/2: bad"


def test_large_photos_are_made_smaller_and_huge_ones_refused(uploads):
    Image.new("RGB", (3000, 2001), (90, 90, 90)).save(uploads / "large.png")
    assert looking.photo_of(str(uploads / "large.png")).shape == (1281, 1920, 3)
    Image.new("1", (20000, 5001)).save(uploads / "huge.png")
    with pytest.raises(InputError, match="20000x5001 pixels are too many"):
        looking.photo_of(str(uploads / "huge.png"))


def test_clips_are_shown_by_some_frames_and_too_long_ones_refused(uploads):
    path = uploads / "clip.npy"
    np.save(path, np.arange(24, dtype=np.uint8)[:, None, None] * np.full((64, 64), 10, np.uint8))
    seen = looking.at_clip(str(path))
    assert seen.notes[0] == "24 frames, 64x64, 25 frames/s" and seen.low_res
    assert seen.picture[64, 64::128, 0].tolist() == [0, 50, 90, 140, 180, 230]
    np.save(path, np.zeros((3, 300, 400), np.uint8))
    assert not looking.at_clip(str(path)).low_res
    np.save(path, np.broadcast_to(np.uint8(0), (3001, 8, 8)))
    with pytest.raises(InputError, match="3001 frames are too many for the page"):
        looking.at_clip(str(path))


def test_shrunk_leaves_small_pictures_as_they_are():
    picture = np.random.default_rng(0).integers(0, 256, (33, 20, 3), np.uint8)
    assert looking.shrunk(picture, 33) is picture
    assert looking.shrunk(np.full((300, 101, 3), 7, np.uint8), 100).shape == (100, 34, 3)
