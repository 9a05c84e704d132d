"""Finding the face's square in a photo: known squares, drawn people, and low-res frames without a face."""

import cv2
import numpy as np
import pytest

from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.faces import alignment
from facenhance_jax.faces.registration import find_face


@pytest.mark.parametrize(("left", "top", "side"), [(40, 50, 90), (3, 100, 61), (60.5, 20.25, 120.5)])
def test_a_picture_put_into_noise_is_found_where_it_was_put(left, top, side):
    rng = np.random.default_rng(0)
    low = cv2.resize(rng.integers(40, 255, (9, 9, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
    low[np.hypot(*(np.mgrid[:64, :64] - 31.5)) > 30] = 0
    photo = cv2.resize(rng.integers(0, 255, (40, 40, 3), np.uint8), (192, 192), interpolation=cv2.INTER_CUBIC)
    scale = 64 / side  # pixel x of the photo is (x + 0.5 - left) scale - 0.5 in the low-res frame
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(low, matrix, (192, 192), flags=flags)
    covered = cv2.warpAffine((low.max(-1) > 0).astype(np.float32), matrix, (192, 192), flags=flags) > 0.5
    photo[covered] = laid[covered]
    found = find_face(low, photo)
    assert found.dtype == np.float32
    assert found[3] == 0
    centre = found[:2] + found[2] / 2
    assert np.abs(centre - (left + side / 2, top + side / 2)).max() < 0.3
    assert abs(found[2] - side) < 0.6  # sizes are tried two pixels apart


def test_drawn_people_are_found_where_their_landmarks_say():
    for number in (7001, 7002, 7003):
        person = draw_subject(0, number)
        (photo,), (points,) = draw_clip(person, "neutral", 0, 1)
        (frame, *_), (landmarks, *_) = draw_clip(person, "surprise", 0, 3)
        left, top, side, _ = find_face(alignment.low_frame(frame, landmarks), photo)
        matrix = alignment.similarity(points[list(alignment.RIGID)], alignment.mean_shape(64)[list(alignment.RIGID)])
        expected = np.linalg.inv(np.vstack([matrix, [0, 0, 1]])) @ (31.5, 31.5, 1)
        assert abs(left + side / 2 - 0.5 - expected[0]) < 0.5 and abs(top + side / 2 - 0.5 - expected[1]) < 0.5
        assert abs(side - 64 / np.hypot(*matrix[:, 0])) < 2


def test_without_a_face_it_is_the_whole_photo():
    photo = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    for low in (np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 7, np.uint8)):
        assert find_face(low, photo).tolist() == [0, 0, 100, 0]
