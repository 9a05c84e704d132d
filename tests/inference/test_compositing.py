"""A frame back in its photo, on a drawn person: what stays bit for bit, what moves, and the mask's edge."""

import cv2
import numpy as np
import pytest

from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import portrait
from facenhance_jax.inference.compositing import Compositor, face_mask

SIZE = 96


@pytest.fixture(scope="module")
def person():
    """A drawn photo, off-centre and turned in a larger picture of grain, and its framed face."""
    (frame,), (points,) = population.draw_clip(population.draw_subject(3, 5), "neutral", 0, 1, 384)
    motion = cv2.getRotationMatrix2D((192, 192), 8, 0.9)
    motion[:, 2] += 60, 30
    photo = cv2.warpAffine(frame, motion, (521, 487), borderMode=cv2.BORDER_REFLECT)
    photo = np.clip(photo + np.random.default_rng(0).normal(0, 4, photo.shape), 0, 255).astype(np.uint8)
    return photo, portrait.around(photo, points @ motion[:, :2].T + motion[:, 2], SIZE)


@pytest.fixture(scope="module")
def mask(person):
    """The mask in the photo's pixels."""
    photo, framed = person
    return cv2.warpAffine(face_mask(framed), cv2.invertAffineTransform(framed.matrix), photo.shape[1::-1])


def test_the_framed_photo_gives_the_photo(person):
    photo, framed = person
    np.testing.assert_array_equal(Compositor(photo, framed).paste(framed.frame), photo)


def test_without_landmarks_too(person):
    photo, framed = person
    np.testing.assert_array_equal(Compositor(photo, framed._replace(landmarks=None)).paste(framed.frame), photo)


def test_outside_of_the_mask_the_photo_is_unchanged(person, mask):
    photo, framed = person
    made = Compositor(photo, framed).paste(255 - framed.frame)
    np.testing.assert_array_equal(made[mask == 0], photo[mask == 0])
    assert 0.1 < (mask > 0).mean() < 0.6 and mask.max() > 0.99
    inside = cv2.erode((mask > 0.99).astype(np.uint8), np.ones((9, 9))) > 0
    assert np.abs(made[inside].astype(int) - (255 - photo[inside].astype(int))).mean() < 12


def test_a_brighter_face_keeps_the_photos_grain(person, mask):
    """Ten levels more: the mean follows, the grain, which the frame lacks, stays pixel by pixel."""
    photo, framed = person
    dimmed = photo // 2 + 60  # far from black and white
    still = portrait.Portrait(framed.frame // 2 + 60, *framed[1:])
    made = Compositor(dimmed, still).paste(still.frame + 10)
    inside = mask > 0.999
    np.testing.assert_allclose(made[inside].astype(int) - dimmed[inside], 10, atol=1)


def test_the_photos_detail_moves_with_the_face(person, mask):
    """A frame whose every pixel lies 2 pixels further right: the photo, shifted by as much at its own size."""
    photo, framed = person
    smooth = cv2.GaussianBlur(photo, (0, 0), 1.0)  # so that sampling between pixels loses little
    frame = framed.frame
    moved = np.roll(frame, 2, axis=1)
    made = Compositor(smooth, portrait.Portrait(frame, *framed[1:])).paste(moved)
    step = np.linalg.inv(framed.matrix[:, :2]) @ [2.0, 0.0]
    shifted = cv2.warpAffine(smooth, np.column_stack([np.eye(2), step]), smooth.shape[1::-1])
    inside = cv2.erode((mask > 0.99).astype(np.uint8), np.ones((25, 25))) > 0
    error = np.abs(made[inside].astype(int) - shifted[inside]).mean()
    unmoved = np.abs(smooth[inside].astype(int) - shifted[inside]).mean()
    assert error < 0.35 * unmoved and error < 2.0


def test_the_masks_edge_adds_no_gradient(person, mask):
    """A face 12 levels darker: along the mask's soft edge that adds well under 1 level a pixel."""
    photo, framed = person
    photo = cv2.GaussianBlur(photo, (0, 0), 1.5)
    frame = np.clip(framed.frame.astype(int) - 12, 0, 255).astype(np.uint8)
    made = Compositor(photo, framed).paste(frame)
    edge = (mask > 0.02) & (mask < 0.98)
    change = made.astype(np.float32).mean(-1) - photo.astype(np.float32).mean(-1)
    added = np.hypot(cv2.Sobel(change, -1, 1, 0, scale=1 / 8), cv2.Sobel(change, -1, 0, 1, scale=1 / 8))
    assert added[edge].mean() < 0.7 and np.quantile(added[edge], 0.99) < 2.0


def test_where_the_frame_shows_something_else_the_photos_detail_is_left_out(person):
    """A grey patch in the middle of the face stays flat."""
    photo, framed = person
    frame = framed.frame.copy()
    x, y = np.rint(framed.landmarks[30]).astype(int)
    frame[y - 8 : y + 9, x - 8 : x + 9] = (20, 200, 90)
    made = Compositor(photo, framed).paste(frame)
    inverse = cv2.invertAffineTransform(framed.matrix)
    column, row = np.rint(inverse[:, :2] @ [x, y] + inverse[:, 2]).astype(int)
    patch = made[row - 8 : row + 9, column - 8 : column + 9]
    np.testing.assert_allclose(patch, np.broadcast_to((20, 200, 90), patch.shape), atol=3)


def test_a_face_at_the_photos_edge(person):
    """Its frame reaches beyond the photo: what is beyond is left out."""
    photo, framed = person
    inverse = cv2.invertAffineTransform(framed.matrix)
    points = framed.landmarks @ inverse[:, :2].T + inverse[:, 2]
    left, bottom = int(points[:, 0].min()) + 4, int(points[:, 1].max()) - 5
    cut = np.ascontiguousarray(photo[:bottom, left:])
    tight = portrait.around(cut, points - (left, 0), SIZE)
    made = Compositor(cut, tight)
    np.testing.assert_array_equal(made.paste(tight.frame), cut)
    assert made.paste(255 - tight.frame).shape == cut.shape


def test_the_mask_fades_towards_the_frames_edges(person):
    _, framed = person
    for landmarks in (None, framed.landmarks + (0, 30)):
        mask = face_mask(framed._replace(landmarks=landmarks))
        rim = np.concatenate([mask[:3].ravel(), mask[-3:].ravel(), mask[:, :3].ravel(), mask[:, -3:].ravel()])
        assert not rim.any() and mask.max() == 1
        assert max(np.abs(np.diff(mask, axis=axis)).max() for axis in (0, 1)) < 0.27
