"""Framing the face of any photo: drawn people, whose landmarks are known, pasted into larger pictures."""

import cv2
import numpy as np
import pytest
from PIL import Image

from facenhance_jax import media
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import dlib_models, framing, placement, portrait
from facenhance_jax.messages import InputError

SIZE = 192
LARGE = 384  # pixels, of the drawn people before they are pasted


def drawn(number: int) -> tuple[np.ndarray, np.ndarray]:
    (frame,), (points,) = population.draw_clip(population.draw_subject(7, number), "neutral", 0, 1, LARGE)
    return frame, points


@pytest.fixture(scope="module")
def person():
    return drawn(5)


def pasted(person, height: int, width: int, left: int, top: int, scale: float = 1.0, degrees: float = 0.0):
    """The person in a grey picture: its corner at (left, top), turned clockwise about its middle; and its landmarks."""
    frame, points = person
    motion = cv2.getRotationMatrix2D(((LARGE - 1) / 2,) * 2, -degrees, scale)
    motion[:, 2] += np.array([left, top]) + (scale - 1) * (LARGE - 1) / 2
    canvas = np.full((height, width, 3), 120, np.uint8)
    cv2.warpAffine(frame, motion, (width, height), canvas, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT)
    return canvas, points @ motion[:, :2].T + motion[:, 2]


def error(found: portrait.Portrait, points: np.ndarray) -> float:
    """The mean distance of the found landmarks from the true ones, in pixels of the frame."""
    true = points @ found.matrix[:, :2].T + found.matrix[:, 2]
    return float(np.linalg.norm(found.landmarks - true, axis=1).mean())


def place_error(found: portrait.Portrait, points: np.ndarray) -> float:
    """How far the face is from where training has it, pixels: the farthest corner of the aligned face's crop."""
    true = points @ found.matrix[:, :2].T + found.matrix[:, 2]
    corner = np.array(framing.CROP_CENTRE) * SIZE - framing.CROP * SIZE / 2
    usual = np.array([*corner, framing.CROP * SIZE, 0.0])
    return float(np.abs(placement.corners(placement.of_landmarks(true)) - placement.corners(usual)).max())


@pytest.mark.parametrize("degrees", [0, 15, -15])
def test_a_face_anywhere_in_a_photo_becomes_a_frame_like_trainings(person, degrees):
    photo, points = pasted(person, 700, 1100, 520, 200, 0.9, degrees)
    found = portrait.find(photo, SIZE, name="photo.png")
    assert found.frame.shape == (SIZE, SIZE, 3) and found.faces == 1 and found.note == ""
    assert error(found, points) < 2.5 and place_error(found, points) < 6


def test_the_frame_is_the_photo_at_the_matrix(person):
    """An area mean, known in closed form: without a turn, and shrunk by 3 exactly."""
    photo = cv2.GaussianBlur(pasted(person, 600, 600, 100, 100)[0], (0, 0), 2)
    matrix = np.array([[1 / 3, 0, -1 / 3 - 4], [0, 1 / 3, -1 / 3 - 5]])  # pixel x is the mean of 3 x + 12 ... 3 x + 14
    frame, beyond = portrait._cut(photo, matrix, SIZE)
    expected = photo[15 : 15 + 3 * SIZE, 12 : 12 + 3 * SIZE].reshape(SIZE, 3, SIZE, 3, 3).mean((1, 3))
    assert np.abs(frame - expected).max() < 3 and np.abs(frame - expected).mean() < 0.4 and beyond == 0
    matrix[0, 2] += 50  # 46 of its columns show what is left of the photo
    frame, beyond = portrait._cut(photo, matrix, SIZE)
    assert beyond == pytest.approx(46 / SIZE) and (frame[:, :40] == 120).all()


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_photo_turned_by_quarters_is_turned_back(person, turn):
    photo, points = pasted(person, 500, 600, 150, 80)
    upright = portrait.find(photo, SIZE)
    found = portrait.find(np.ascontiguousarray(np.rot90(photo, turn)), SIZE, name="p")
    assert found.note == f"p: the face was found after turning the photo by {(90, 180, 90)[turn - 1]} degrees"
    assert np.abs(found.frame.astype(int) - upright.frame).mean() < 1
    np.testing.assert_allclose(found.landmarks, upright.landmarks, atol=0.5)


def test_an_unsure_face_gives_way_to_a_surer_one_after_a_turn(person, monkeypatch):
    photo, points = pasted(person, 500, 600, 150, 80)
    seen = [(np.zeros((1, 68, 2)), 0.3), (np.zeros((0, 68, 2)), -np.inf), (points[None], 0.9), (points[None], 2.0)]
    monkeypatch.setattr(portrait.tracking, "faces", lambda photo: seen.pop(0))
    found, turn = portrait.search(photo)
    assert turn == 3 and len(seen) == 1  # the third search was sure enough
    np.testing.assert_allclose(found[0], np.stack([points[:, 1], 499 - points[:, 0]], -1))


def test_a_photo_turned_by_its_exif_is_upright(person, tmp_path):
    photo, _ = pasted(person, 500, 600, 150, 80)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(photo))).save(tmp_path / "turned.png", exif=exif)
    read = media.read_photo(tmp_path / "turned.png")
    np.testing.assert_array_equal(read, photo)
    assert portrait.find(read, SIZE).note == ""


def test_of_several_faces_the_largest_is_taken_or_the_one_asked_for(person):
    small, small_points = pasted(person, 500, 900, 40, 60, 0.6)
    photo, points = pasted(drawn(6), 500, 900, 450, 60)
    photo[:, :430] = small[:, :430]
    found = portrait.find(photo, SIZE, name="two.png")
    assert found.faces == 2 and error(found, points) < 3
    assert found.note.startswith("two.png: 2 faces, from the left 1 (") and "number 2 is used, --face" in found.note
    assert error(portrait.find(photo, SIZE, face=1), small_points) < 3
    with pytest.raises(InputError, match="two.png: face 3 was asked for, but it has 2"):
        portrait.find(photo, SIZE, face=3, name="two.png")


def test_a_photo_of_the_models_size_is_left_alone(person):
    photo = cv2.resize(person[0], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    found = portrait.find(photo, SIZE)
    np.testing.assert_array_equal(found.frame, photo)
    np.testing.assert_array_equal(found.matrix, np.eye(2, 3))
    assert found.landmarks is None and found.note == ""
    assert portrait.find(photo, SIZE, face=1).landmarks is not None


def test_a_tight_photo_is_framed_closer_and_its_edges_go_on(person):
    photo, points = pasted(person, LARGE, LARGE, 0, 0)
    low, high = points.min(0).astype(int), points.max(0).astype(int)
    tight = np.ascontiguousarray(photo[low[1] - 70 : high[1] + 30, low[0] - 20 : high[0] + 20])
    found = portrait.find(tight, SIZE, name="t")
    side = placement.of_landmarks(found.landmarks)[2] / SIZE
    assert side == pytest.approx(framing.TIGHTEST, abs=1e-3)
    assert "the photo ends near the face" in found.note
    corners = placement.corners(np.array([0.0, 0, SIZE, 0])) @ np.linalg.inv(found.matrix[:, :2]).T
    assert np.ptp(corners[:, 0]) > tight.shape[1]  # it had to reach beyond


def test_a_frame_that_fits_when_shifted_or_closer_lies_in_the_photo():
    """Closed form: a face whose usual frame is 200 px wide, in photos of 200 and of 170 px."""
    matrix = np.array([[SIZE / 200, 0, 0], [0, SIZE / 200, 0]])
    for width, shift, side in ((230, 10, 200), (200, 10, 200), (170, 0, 170)):
        moved = matrix.copy()
        moved[:, 2] = (SIZE - 1) / 2 - matrix[:, :2] @ np.full(2, (width - 1) / 2 + shift)
        found = framing.inside(moved, SIZE, width, width)
        back = cv2.invertAffineTransform(found)
        corners = np.array([[-0.5, -0.5], [SIZE - 0.5, SIZE - 0.5]]) @ back[:, :2].T + back[:, 2]
        assert corners.min() > -1.1 and corners.max() < width + 0.1
        assert side * 0.97 < np.ptp(corners[:, 0]) <= side + 0.5


def test_bad_photos_are_refused_or_noted(person, monkeypatch):
    grey = np.full((300, 400, 3), 120, np.uint8)
    found = portrait.find(grey, SIZE, name="wall.png")
    assert found.note == "wall.png: no face was found, so its middle 300x300 is used"
    assert found.landmarks is None and (found.frame == 120).all()
    with pytest.raises(InputError, match="wall.png: face 1 was asked for, but no face was found"):
        portrait.find(grey, SIZE, face=1, name="wall.png")
    half, points = pasted(person, 500, 700, 100, 60)
    on_the_edge = points + [700 - points[:, 0].mean(), 0]
    for faked, message in ((on_the_edge, "cut off by the photo's edge"), (points / 10, "at least 40 are needed")):
        monkeypatch.setattr(portrait.tracking, "faces", lambda photo, faked=faked: (faked[None], 1.0))
        with pytest.raises(InputError, match=f"half.png: the face is .*{message}"):
            portrait.find(half, SIZE, name="half.png")

    def absent(photo):
        raise dlib_models._absent("finding a face", "dlib")

    monkeypatch.setattr(portrait.tracking, "faces", absent)
    note = portrait.find(half, SIZE, name="p.png").note
    assert note.startswith(
        "p.png: its middle 500x500 is used; finding a face needs dlib, which is not here; pip install"
    )


def test_the_middle_squares_matrix_is_its_map(person):
    x, y = np.meshgrid(np.arange(400.0), np.arange(300.0))
    ramp = np.rint(np.stack([x / 2, y / 2, 0 * x], -1)).astype(np.uint8)
    found = portrait._middle(ramp, 100, "")
    back = cv2.invertAffineTransform(found.matrix)
    for pixel in ((0, 0), (99, 99), (40, 70)):
        expected = back @ (*pixel, 1) / 2
        assert np.abs(found.frame[pixel[1], pixel[0], :2] - expected).max() <= 1
