"""v_low: alignment against closed forms, and which pixels are black."""

import cv2
import numpy as np
import pytest

from facenhance_jax.faces import alignment
from facenhance_jax.messages import InputError

RIGID = list(alignment.RIGID)


def motion(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    """A similarity as an affine matrix [2, 3]."""
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([scale * rotation, shift])


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def picture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth coloured picture over the crop's plane, known at every point."""
    waves = [np.sin(x / 7) * np.cos(y / 9), np.cos(x / 11 + y / 8), np.sin(y / 6 - x / 13)]
    return 128 + 100 * np.stack(waves, -1)


def photograph(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture seen through a camera: crop coordinates moved by `matrix` are frame coordinates."""
    y, x = np.mgrid[:height, :width]
    back = np.linalg.inv(matrix[:, :2])
    crop = (np.stack([x, y], -1) - matrix[:, 2]) @ back.T
    return np.clip(np.rint(picture(crop[..., 0], crop[..., 1])), 0, 255).astype(np.uint8)


def crop_picture() -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    return picture(x, y)


def test_the_mean_face_is_symmetric_and_fills_the_crop():
    mean = alignment.mean_shape(64)
    mirrored = mean[alignment.MIRROR] * [-1, 1] + [63, 0]
    np.testing.assert_allclose(mirrored, mean, atol=1e-12)
    assert sorted(alignment.MIRROR) == list(range(68)) and len(set(RIGID)) == 24
    assert mean.min() > 0 and mean.max() < 63
    assert np.ptp(mean[:, 0]) > 55 and np.ptp(mean[:, 1]) > 45
    np.testing.assert_allclose(alignment.mean_shape(128), 2 * mean + 0.5, atol=1e-12)  # pixel centres


def test_the_rigid_points_leave_out_mouth_brows_and_upper_lids():
    assert not {*range(17, 27), *range(48, 68), 37, 38, 43, 44, 8} & set(RIGID)
    assert {36, 39, 42, 45, 27, 33} <= set(RIGID)


@pytest.mark.parametrize(("scale", "degrees", "shift"), [(1, 0, (0, 0)), (5.3, 37, (210, -18)), (0.2, -170, (3, 900))])
def test_similarity_recovers_a_known_motion(scale, degrees, shift):
    points = alignment.mean_shape()
    known = motion(scale, degrees, shift)
    np.testing.assert_allclose(alignment.similarity(points, move(points, known)), known, atol=1e-9, rtol=0)


def test_similarity_is_umeyamas_on_points_that_do_not_fit():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(24, 2)), rng.normal(size=(24, 2)) + [4, 5]
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, v = np.linalg.svd(b.T @ a / 24)
    sign = np.diag([1, np.sign(np.linalg.det(u @ v))])
    linear = np.trace(np.diag(d) @ sign) / a.var(0).sum() * (u @ sign @ v)
    expected = np.column_stack([linear, target.mean(0) - linear @ source.mean(0)])
    np.testing.assert_allclose(alignment.similarity(source, target), expected, atol=1e-12)


def test_a_face_already_in_place_is_kept_inside_the_hull_and_black_outside():
    frame = np.random.default_rng(1).integers(1, 256, (64, 64, 3), np.uint8)
    low = alignment.low_frame(frame, alignment.mean_shape(64).astype(np.float32))
    inside = low.any(-1)
    np.testing.assert_array_equal(low[inside], frame[inside])
    # Chosen by eye on the mean face: chin, cheeks, mouth, forehead; below the chin, beside the jaw, the top corners.
    assert inside[[60, 30, 50, 0], [32, 4, 32, 32]].all()
    assert not inside[[63, 60, 60, 40, 0, 0], [32, 10, 53, 1, 0, 63]].any()
    assert 0.7 < inside.mean() < 0.85


def test_the_brow_line_is_lifted_by_17_pixels():
    lowered = alignment.mean_shape(64) + [0, 12]
    mask = alignment.face_mask(lowered)
    top = lowered[19, 1] - 17  # the highest brow point: 5.7
    column = mask[:, 20]
    assert not mask[: int(top)].any() and column[int(top) + 1 :][:40].all()


@pytest.mark.parametrize("shift", [0, 4])
def test_the_hull_of_a_square_is_its_pixels_borders_included(shift):
    corners = np.array([[4, 6], [12, 6], [12, 14], [4, 14], [8, 10]], np.float32)
    expected = np.zeros((20, 20), np.uint8)
    expected[6:15, 4:13] = 1
    np.testing.assert_array_equal(alignment.hull_mask(corners, 20, shift), expected)


def test_at_another_size_the_mask_is_the_same_shape():
    small, large = (
        alignment.face_mask(alignment.mean_shape(64), 64),
        alignment.face_mask(alignment.mean_shape(256), 256),
    )
    assert abs(small.mean() - large.mean()) < 0.02


@pytest.mark.parametrize(
    ("scale", "degrees", "shift"),
    [(1.5, 12, (40, 30)), (1.9, -25, (30, 90)), (5.5, 8, (110, 60)), (3.1, 0, (90.3, 50.7))],
)
def test_a_moved_camera_gives_the_same_low_frame(scale, degrees, shift):
    known = motion(scale, degrees, shift)
    frame = photograph(known, 480, 560)
    low = alignment.low_frame(frame, move(alignment.mean_shape(), known))
    inside = alignment.face_mask(alignment.mean_shape()).astype(bool)
    np.testing.assert_array_equal(low[~inside], 0)
    np.testing.assert_allclose(low[inside], crop_picture()[inside], atol=4)
    assert np.abs(low[inside] - crop_picture()[inside]).mean() < 1


def test_shrinking_averages_instead_of_skipping():
    board = np.indices((512, 512)).sum(0) % 2 * 255
    frame = np.repeat(board[..., None], 3, -1).astype(np.uint8)
    low = alignment.low_frame(frame, move(alignment.mean_shape(), motion(6.01, 0, (60, 60))))
    inside = low.any(-1)
    np.testing.assert_allclose(low[inside], 127.5, atol=12)


@pytest.mark.parametrize("corner", [(-60, -50), (300, 40), (0, 330), (150, 150)])
def test_a_large_face_at_the_edge_is_as_in_a_frame_that_repeats_its_edge(corner):
    """Only the part of the frame that the crop shows is shrunk; the face is 5 times as large as the crop."""
    rng = np.random.default_rng(0)
    frame = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (500, 460), interpolation=cv2.INTER_CUBIC)
    points = move(alignment.mean_shape(), motion(5, 20, corner))
    wide = np.pad(frame, ((400, 400), (400, 400), (0, 0)), mode="edge")
    difference = np.abs(alignment.low_frame(frame, points).astype(int) - alignment.low_frame(wide, points + 400))
    assert difference.max() <= 3 and difference.mean() < 0.5


def test_landmarks_that_cannot_be_used():
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="landmarks: not finite"):
        alignment.low_frame(frame, np.where(np.arange(68)[:, None] == 50, np.nan, alignment.mean_shape()))
    with pytest.raises(InputError, match="landmarks: no two points apart"):
        alignment.low_frame(frame, np.full((68, 2), 3.0))


def test_dark_specks_and_what_lies_apart_are_no_face():
    """As JPEG leaves them in the black. A black eye within the face belongs to it."""
    clean = np.zeros((32, 32, 3), np.uint8)
    clean[8:28, 6:26] = 150
    specked = clean.copy()
    specked[:, 26:] = 20
    specked[10, 26:30] = 60
    specked[1:4, 1:4] = 200
    specked[14:18, 10:14] = 0
    np.testing.assert_array_equal(alignment.seen_face(specked), clean.any(axis=-1))
    np.testing.assert_array_equal(alignment.seen_face(clean), clean.any(axis=-1))
