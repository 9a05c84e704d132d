"""Finding the face's place in a photo: known places, drawn people turned, and low-res frames without a face."""

import cv2
import numpy as np
import pytest

from facenhance_jax.data.augmentation import compress
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.faces import alignment, placement
from facenhance_jax.faces.registration import find_face


def middle(place: np.ndarray) -> np.ndarray:
    return place[:2] + place[2] / 2


def turned(photo: np.ndarray, degrees: float, larger: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The photo turned clockwise as seen, and how that moves its pixels."""
    motion = cv2.getRotationMatrix2D((95.5, 95.5), -degrees, larger)
    how = dict(flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return cv2.warpAffine(photo, motion, photo.shape[:2], **how), motion


@pytest.mark.parametrize("where", [(40.0, 50, 90, 0), (3.0, 100, 61, 0), (60.5, 20.25, 120.5, 0), (30.0, 40, 101, -13)])
def test_a_picture_put_into_noise_is_found_where_it_was_put(where):
    rng = np.random.default_rng(0)
    low = cv2.resize(rng.integers(40, 255, (9, 9, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
    low[np.hypot(*(np.mgrid[:64, :64] - 31.5)) > 30] = 0
    photo = cv2.resize(rng.integers(0, 255, (40, 40, 3), np.uint8), (192, 192), interpolation=cv2.INTER_CUBIC)
    matrix = placement.matrix(np.array(where))
    laid = cv2.warpAffine(low, matrix, (192, 192), flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine((low.max(-1) > 0).astype(np.float32), matrix, (192, 192), flags=cv2.INTER_LINEAR) > 0.5
    photo[covered] = laid[covered]
    found = find_face(low, photo)
    assert found.dtype == np.float32
    assert np.abs(placement.corners(found) - placement.corners(np.array(where))).max() < 0.3


@pytest.mark.parametrize("degrees", [0, -20, -11, -2, 5, 13, 20])
def test_drawn_people_are_found_where_their_landmarks_say(degrees):
    for number in (7001, 7002, 7003):
        person = draw_subject(0, number)
        (photo,), (points,) = draw_clip(person, "neutral", 0, 1)
        (frame, *_), (landmarks, *_) = draw_clip(person, "surprise", 0, 3)
        photo, motion = turned(photo, degrees, 1.08)
        found = find_face(alignment.low_frame(frame, landmarks), photo)
        expected = placement.moved(placement.of_landmarks(points), motion)
        assert np.abs(middle(found) - middle(expected)).max() < 0.25
        assert abs(found[2] - expected[2]) < 0.5
        assert abs(found[3] - expected[3]) < 0.5


@pytest.mark.parametrize("quality", [30, 60])
def test_a_low_res_face_in_jpegs_blocks_is_found_too(quality):
    """JPEG leaves specks in the black, which belong to no face."""
    person = draw_subject(0, 7001)
    (photo,), (points,) = draw_clip(person, "neutral", 0, 1)
    low = compress(alignment.low_frame(photo, points), quality)
    assert (low.max(axis=-1) > 0).mean() > 0.95
    found = find_face(low, photo)
    assert np.abs(placement.corners(found) - placement.corners(placement.of_landmarks(points))).max() < 1


def test_of_a_clip_that_begins_with_an_expression_a_better_frame_is_taken():
    person = draw_subject(0, 7109)
    (photo,), (points,) = draw_clip(person, "neutral", 0, 1)
    frames, landmarks = draw_clip(person, "surprise", 0, 16)
    lows = np.stack([alignment.low_frame(*frame) for frame in zip(frames, landmarks, strict=True)])
    expected = placement.of_landmarks(points)
    at_worst = max(
        lows, key=lambda low: np.abs(placement.corners(find_face(low, photo)) - placement.corners(expected)).max()
    )
    first = np.abs(placement.corners(find_face(at_worst, photo)) - placement.corners(expected)).max()
    clip = np.stack([at_worst, *lows[:7]])
    found = np.abs(placement.corners(find_face(clip, photo)) - placement.corners(expected)).max()
    assert first > 3 * found and found < 0.5
    np.testing.assert_array_equal(find_face(lows[:8], photo), find_face(lows[0], photo))  # good enough at once


def test_without_a_face_it_is_the_whole_photo():
    photo = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    for low in (np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 7, np.uint8)):
        assert find_face(low, photo).tolist() == [0, 0, 100, 0]
        assert find_face(np.stack([low, low]), photo).tolist() == [0, 0, 100, 0]
