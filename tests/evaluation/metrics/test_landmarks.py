"""Expression fidelity: shifted landmarks, whose errors are known, and frames without any."""

import numpy as np
import pytest

from facenhance_jax.evaluation.metrics.landmarks import BROWS, MOUTH, ExpressionError, acting, expression_error
from facenhance_jax.faces.alignment import mean_shape
from facenhance_jax.messages import InputError

SIZE = 192  # pixels
APART = 36.8 * SIZE / 64  # pixels between the mean face's outer eye corners, by its definition


def clip(frames: int = 3) -> np.ndarray:
    """A face that moves to the right and grows: its outer eye corners are APART, 2 APART, ... from each other."""
    scale = 1 + np.arange(frames)[:, None, None]
    return mean_shape(SIZE) * scale + 5.0 * scale


def test_equal_landmarks_have_no_error():
    assert expression_error(clip(), clip()) == ExpressionError(face=0.0, mouth=0.0, brows=0.0, frames=3, missing=0)


def test_a_shift_is_measured_in_the_real_frames_eye_distance():
    """A shift of (3, 4), length 5, at 1, 2 and 3 times the size: 5 / APART in percent, a half and a third of it."""
    found = expression_error(clip() + [3.0, -4.0], clip())
    expected = 100 * 5 / APART * (1 + 1 / 2 + 1 / 3) / 3
    np.testing.assert_allclose([found.face, found.mouth, found.brows], expected, rtol=1e-6)


def test_points_count_where_they_belong():
    """20 of 68 points are the mouth's, 10 the brows'; jaw, nose and eyes count only in the whole face."""
    real, one = clip(1), APART / 100  # pixels: one percent
    for points, face, mouth, brows in [
        (range(48, 68), 20 / 68, 1, 0),
        (range(17, 27), 10 / 68, 0, 1),
        ([*range(17), *range(27, 48)], 38 / 68, 0, 0),
        ([47, 48, 67], 3 / 68, 2 / 20, 0),
        ([16, 17, 26, 27], 4 / 68, 0, 2 / 10),
    ]:
        made = real.copy()
        made[:, points, 0] += one
        found = expression_error(made, real)
        np.testing.assert_allclose([found.face, found.mouth, found.brows], [face, mouth, brows], atol=1e-5)


def test_the_enhanced_eyes_do_not_set_the_scale():
    """Only the real outer corners 36 and 45 do: the inner ones may move, and so may those of the enhanced face."""
    real, made = clip(1), clip(1)
    made[:, [36, 45]] *= 2
    moved = np.linalg.norm(made - real, axis=-1).sum() / 68
    np.testing.assert_allclose(expression_error(made, real).face, 100 * moved / APART, rtol=1e-6)
    real[:, [39, 42]] += 50
    made[:, [39, 42]] += 50
    np.testing.assert_allclose(expression_error(made, real).face, 100 * moved / APART, rtol=1e-6)


def test_frames_without_landmarks_on_either_side_are_counted():
    real = np.repeat(clip(1), 5, axis=0)
    made = real + np.array([0.0, 1, 2, 3, 4])[:, None, None] * [APART / 100, 0]
    made[1] = np.nan
    made[3, 60, 1] = np.nan  # one point is enough
    real[0, 5, 0] = np.nan
    found = expression_error(made.astype(np.float32), real.astype(np.float32))
    np.testing.assert_allclose([found.face, found.mouth, found.brows], (2 + 4) / 2, rtol=1e-4)
    assert (found.frames, found.missing) == (5, 3)


def test_what_cannot_be_measured_is_said():
    nowhere = np.full((3, 68, 2), np.nan)
    with pytest.raises(InputError, match="^landmarks: none of 3 frames has them in both clips; give clips that show a"):
        expression_error(clip(), nowhere)
    with pytest.raises(InputError, match="^landmarks: none of 0 frames has them"):
        expression_error(clip()[:0], clip()[:0])
    with pytest.raises(InputError, match="^landmarks: 3 enhanced frames and 1 real ones; give as many of each$"):
        expression_error(clip(), clip(1))
    crossed = clip()
    crossed[0], crossed[2, 45] = np.nan, crossed[2, 36]
    with pytest.raises(InputError, match="^landmarks: the eyes of real frame 2 coincide; find the face again$"):
        expression_error(clip(), crossed)


PHOTO = mean_shape(SIZE)


def smiling(share: float, frames: int = 2) -> np.ndarray:
    """The mean face with the mouth's corners moved by `share` of 12 px outwards, in frame n by 1 / (n + 1) of that."""
    made = np.repeat(PHOTO[None], frames, axis=0)
    for frame in range(frames):
        made[frame, [48, 54], 0] += share * np.array([-12, 12]) / (frame + 1)
    return made


@pytest.mark.parametrize("share", [0, 0.5, 1, 1.5])
def test_acting_is_the_share_of_the_real_movement(share):
    assert acting(smiling(share), smiling(1), PHOTO, MOUTH) == pytest.approx(share, abs=1e-9)


def test_a_turned_shifted_and_larger_face_acts_as_much():
    turn = 1.1 * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    assert acting(smiling(0.5) @ turn.T + [20, -8], smiling(1) @ turn, PHOTO, MOUTH) == pytest.approx(0.5)


def test_a_movement_across_the_real_one_adds_nothing():
    made = smiling(0.5)
    made[:, [48, 54], 1] += 30
    assert acting(made, smiling(1), PHOTO, MOUTH) == pytest.approx(0.5)


def test_acting_leaves_out_frames_without_landmarks():
    made, real = smiling(0.5, 3), smiling(1, 3)
    made[1], real[2] = np.nan, np.nan
    made[2] += 50
    assert acting(made, real, PHOTO, MOUTH) == pytest.approx(0.5)
    with pytest.raises(InputError, match="acting: no frame has landmarks in both clips"):
        acting(made[1:], real[1:], PHOTO, MOUTH)


def test_a_part_that_hardly_moves_has_no_acting():
    """In one frame, two of the brows' ten points move by d: an RMS of d sqrt(0.2), which is to reach 2 percent."""
    limit = 0.02 * APART / np.sqrt(0.2)
    real = smiling(1, 1)
    real[:, [19, 24], 1] -= 1.01 * limit
    assert acting(real, real, PHOTO, BROWS) == pytest.approx(1)
    real[:, [19, 24], 1] += 0.02 * limit
    with pytest.raises(InputError, match="acting: the real one moves by 2.0 % of the eye distance, less than 2"):
        acting(real, real, PHOTO, BROWS)
