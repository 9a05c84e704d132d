"""Two photos in one frame and the morph between them: known motions, exact ends, untouched surroundings."""

import cv2
import numpy as np
import pytest

from facenhance_jax.data import photo_pairs
from facenhance_jax.data.photo_pairs import BLENDED, FINE, STILL, aligned_pair, morph
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.faces import alignment, framing
from facenhance_jax.messages import InputError

SIZE = 96
SHARES = (0.0, 0.2, 0.5, 0.8, 1.0)


@pytest.fixture(scope="module")
def smile():
    """(neutral frame, its landmarks, smiling frame, its landmarks) of a drawn person."""
    frames, landmarks = draw_clip(draw_subject(0, 3), "happiness", 0, 16, 256)
    return frames[0], landmarks[0], frames[8], landmarks[8]


@pytest.fixture(scope="module")
def shapes(smile):
    """The landmarks of the two, in a frame of SIZE pixels."""
    return aligned_pair(*smile, SIZE)[2:]


def flat(*colour: int) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), colour, np.uint8)


def outside(points: np.ndarray, by: float) -> np.ndarray:
    """Pixels at least `by` sides of the frame away from the face."""
    return photo_pairs._outside(points, SIZE) >= by


def test_the_same_photo_turned_shrunk_and_shifted_is_laid_on_itself(smile):
    photo, points = smile[:2]
    turn = cv2.getRotationMatrix2D((128, 128), 20, 0.8) + [[0, 0, 12], [0, 0, -5]]
    turned = cv2.warpAffine(photo, turn, (280, 260), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    identity, truth, identity_points, truth_points = aligned_pair(
        photo, points, turned, photo_pairs.moved(points, turn), SIZE
    )
    np.testing.assert_allclose(truth_points, identity_points, atol=1e-3)
    middle = slice(SIZE // 4, -SIZE // 4)
    assert np.abs(identity[middle, middle].astype(float) - truth[middle, middle]).mean() < 2


def test_the_neutral_photo_is_framed_as_portraits_are(smile, shapes):
    matrix = framing.portrait(smile[1], SIZE)
    np.testing.assert_allclose(shapes[0], smile[1] @ matrix[:, :2].T + matrix[:, 2], atol=1e-9)
    identity = aligned_pair(*smile, SIZE)[0].astype(float)
    assert np.abs(identity - alignment.warp(smile[0], matrix, SIZE)).mean() < 2


def test_rigid_points_of_the_two_photos_coincide_as_well_as_they_can(shapes):
    rigid = list(alignment.RIGID)
    again = alignment.similarity(shapes[1][rigid], shapes[0][rigid])
    np.testing.assert_allclose(again, [[1, 0, 0], [0, 1, 0]], atol=1e-6)


def test_a_morph_begins_with_one_photo_and_ends_with_the_other_face(smile):
    identity, truth, *points = aligned_pair(*smile, SIZE)
    np.testing.assert_array_equal(morph(identity, truth, *points, 0.0)[0], identity)
    end, shape = morph(identity, truth, *points, 1.0)
    np.testing.assert_array_equal(shape, points[1])
    face = ~outside(points[1], 1e-9)
    np.testing.assert_array_equal(end[face], truth[face])
    assert (truth[face] != identity[face]).any()
    assert (end[~face] != truth[~face]).any()


def dot(point: np.ndarray) -> np.ndarray:
    """A white dot with this centre."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.repeat(np.rint(255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / 4))[..., None], 3, 2).astype(
        np.uint8
    )


@pytest.mark.parametrize("point", [8, 19, 33, 48, 54])  # chin, brow, nose, corners of the mouth
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_what_both_photos_show_at_a_landmark_is_between_at_a_share_of_the_way(shapes, point, share):
    ends = [points[point] for points in shapes]
    frame, shape = morph(dot(ends[0]), dot(ends[1]), *shapes, share)
    expected = (1 - share) * ends[0] + share * ends[1]
    np.testing.assert_allclose(shape[point], expected)
    weight = frame[..., 0].astype(float)
    y, x = np.mgrid[:SIZE, :SIZE]
    centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(centre, expected, atol=0.25)  # pixels
    assert weight.max() > 200  # one dot, not two
    assert point not in (48, 54) or np.linalg.norm(ends[1] - ends[0]) > 2


@pytest.mark.parametrize("share", SHARES)
def test_around_the_face_nothing_changes(shapes, share):
    noise = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    frame, shape = morph(*noise, *shapes, share)
    still = outside(shape, STILL)
    assert still.mean() > 0.3
    np.testing.assert_array_equal(frame[still], noise[0][still])


@pytest.mark.parametrize("share", SHARES[1:])
def test_beyond_the_edge_of_the_face_only_the_first_photo_is_seen(shapes, share):
    frame, shape = morph(flat(0, 0, 0), flat(40, 40, 40), *shapes, share)
    assert (frame[outside(shape, BLENDED)] == 0).all()
    cheek = shape[[2, 14]].mean(0).round().astype(int)
    assert abs(int(frame[cheek[1] - 8, cheek[0], 0]) - 40 * share) <= 1


def test_where_the_photos_differ_much_the_edge_is_narrow(shapes):
    """Hair in one photo and the wall in the other, a little outside the face, make no ghost."""
    ring = outside(shapes[1], 0.04) & ~outside(shapes[1], 0.05)
    shown = [morph(flat(0, 0, 0), flat(*[grey] * 3), *shapes, 1.0)[0][ring].mean() / grey for grey in (5, 220)]
    assert shown[0] > 0.3 and shown[1] < 0.1


def test_the_mouths_inside_is_from_the_open_mouth(smile):
    frames, landmarks = draw_clip(draw_subject(0, 3), "surprise", 0, 16, 256)
    *_, closed, opened = aligned_pair(smile[0], smile[1], frames[8], landmarks[8], SIZE)
    inside = [*(0.5 * (closed + opened))[60:68].mean(0).round().astype(int)]
    for first, second, expected in ((closed, opened, 240), (opened, closed, 0)):
        frame, shape = morph(flat(0, 0, 0), flat(240, 240, 240), first, second, 0.5)
        assert abs(int(frame[inside[1], inside[0], 0]) - expected) <= 12
        cheek = shape[[2, 31]].mean(0).round().astype(int)
        assert abs(int(frame[cheek[1], cheek[0], 0]) - 120) <= 1  # elsewhere both in equal parts


def test_a_clip_goes_from_photo_to_photo_with_low_res_faces_of_its_frames(smile):
    clip = list(photo_pairs.clip(*smile, SIZE, 4))
    identity, truth, points, truth_points = aligned_pair(*smile, SIZE)
    np.testing.assert_array_equal(clip[0][0], identity)
    face = cv2.erode((~outside(truth_points, 1e-9)).astype(np.uint8), np.ones((5, 5))).astype(bool)
    np.testing.assert_array_equal(clip[3][0][face], truth[face])
    fine = photo_pairs._aligned(*smile, FINE * SIZE)
    for share, (high, low) in zip((0, 1 / 3, 2 / 3, 1), clip, strict=True):
        frame, shape = morph(*fine, share)
        np.testing.assert_array_equal(low, alignment.low_frame(frame, shape))
        np.testing.assert_array_equal(high, photo_pairs.shrunk(frame))


def test_only_the_face_is_changed(shapes):
    frame = photo_pairs.only_face(flat(10, 20, 30), flat(90, 20, 0), shapes[0])
    assert (frame[outside(shapes[0], BLENDED / 2)] == (10, 20, 30)).all()
    assert (frame[~outside(shapes[0], 1e-9)] == (90, 20, 0)).all()


def test_landmarks_that_cannot_be_aligned_are_refused(smile):
    with pytest.raises(InputError, match="landmarks: no two points apart"):
        aligned_pair(smile[0], np.ones((68, 2)), *smile[2:], SIZE)
