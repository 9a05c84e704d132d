"""Photos that perform expressions, on a drawn person's portrait: what moves, what stays, and what is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from facenhance_jax.data.animation.anatomy import LOWER_ONLY, UPPER_ONLY, Pose
from facenhance_jax.data.animation.animator import LEAST_AREA, Animator, animate
from facenhance_jax.data.animation.folds import LEAST, MOST
from facenhance_jax.data.animation.light import relight
from facenhance_jax.data.animation.performing import plan
from facenhance_jax.data.animation.thin_plate import determinant
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.synthetic.face_shape import MUSCLES
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.messages import InputError

REST = Pose(np.zeros((2, len(MUSCLES))), 0.0, 0.0, np.zeros(2), np.zeros(2), 0.0, np.zeros(2))
BLINK = replace(REST, blink=1.0)


@pytest.fixture(scope="module")
def portrait():
    """A photo at rest, with closed lips, and its landmarks."""
    frames, points = draw_clip(draw_subject(3, 5), "neutral", 0, 1)
    return frames[0], points[0]


@pytest.fixture(scope="module")
def animator(portrait):
    return Animator(*portrait)


def apex(expression, strength=1.0, take=0):
    return plan(expression, 5, seed=[0], take=take, strength=strength, hold=True)[-1]


def opening(points, first):
    return points[first + np.array([5, 4]), 1] - points[first + np.array([1, 2]), 1]


def test_a_clip_begins_and_ends_with_the_photo_and_acts_in_between(portrait):
    photo, landmarks = portrait
    frames, points = animate(photo, landmarks, "surprise", 7, seed=1)
    assert frames.dtype == np.uint8 and points.dtype == np.float32 and points.shape == (7, 68, 2)
    assert np.array_equal(frames[0], photo) and np.allclose(points[0], landmarks, atol=1e-3)
    mouth = points[:, 66, 1] - points[:, 62, 1]
    assert mouth[3] > mouth[0] + 6 and abs(mouth[-1] - mouth[0]) < 1
    brows = points[:, 17:27, 1].mean(1)
    assert brows[3] < brows[0] - 3


def test_a_held_clip_ends_at_the_apex(portrait):
    _, points = animate(*portrait, "happiness", 4, seed=1, hold=True)
    wide = np.hypot(*(points[:, 54] - points[:, 48]).T)
    assert wide.argmax() >= 2 and wide[-1] > wide[0] + 4


def test_the_same_arguments_give_the_same_clip_and_another_take_or_seed_another(portrait):
    first, points = animate(*portrait, "fear", 3, seed=4, take=1)
    again, points_again = animate(*portrait, "fear", 3, seed=4, take=1)
    assert np.array_equal(first, again) and np.array_equal(points, points_again)
    for other in (dict(seed=4, take=2), dict(seed=5, take=1)):
        assert not np.array_equal(animate(*portrait, "fear", 3, **other)[1], points)


@pytest.mark.parametrize("expression", [*EXPRESSIONS, "neutral"])
def test_strength_0_is_the_photo(portrait, expression):
    frames, points = animate(*portrait, expression, 5, seed=2, strength=0.0)
    assert (frames == portrait[0]).all() and np.allclose(points, portrait[1], atol=1e-4)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_twice_the_strength_moves_the_skin_twice_as_far(animator, expression):
    half, whole = (animator.anatomy.displacement(apex(expression, s)) for s in (0.4, 0.8))
    still = animator.anatomy.displacement(replace(apex(expression, 0.8), muscles=REST.muscles)) / 2
    brows = slice(17, 27)
    assert np.allclose(whole[brows] - 2 * still[brows], 2 * (half[brows] - still[brows]), atol=0.02)
    assert np.abs(whole[brows]).max() > 0.2


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_border_stays(portrait, expression):
    frames, _ = animate(*portrait, expression, 3, seed=1, strength=1.5)
    for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        assert (frames[edge] == frames[edge][:1]).all()
    assert (frames[1] != frames[0]).any()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_maps_take_the_landmarks_where_they_were_asked_for(animator, expression):
    pose = apex(expression)
    asked = animator.anatomy.displacement(pose)
    for motion, hidden in zip(animator.motions(asked), (LOWER_ONLY, UPPER_ONLY), strict=True):
        shown = np.setdiff1d(np.arange(68), (*hidden, 60, 64))  # at 60 and 64 the grid is coarse for an open jaw
        at = animator.anatomy.landmarks[shown].astype(np.float32)[None]
        assert np.abs(animator.grid.sample(motion, at)[0] - asked[shown]).max() < 0.5
    _, points = animator.draw(pose, 1.0)
    assert np.allclose(points - animator.anatomy.landmarks, asked[:68], atol=1e-3)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_nothing_folds_however_strong_the_act(animator, expression):
    pose = apex(expression, 3.0)
    share = animator.largest_share(pose)
    for motion in animator.motions(share * animator.anatomy.displacement(pose)):
        assert determinant(animator.grid.jacobian(motion)).min() > LEAST_AREA


def test_a_move_that_folds_is_made_smaller(animator):
    muscles = REST.muscles.copy()
    muscles[:, MUSCLES.index("brow_lower")] = 12.0
    folding = replace(REST, muscles=muscles)
    areas = [
        determinant(animator.grid.jacobian(m)).min() for m in animator.motions(animator.anatomy.displacement(folding))
    ]
    assert min(areas) < 0 and 0 < animator.largest_share(folding) < 1
    assert animator.largest_share(REST) == 1.0


def test_the_inverse_leads_back(animator):
    motion = animator.motions(animator.anatomy.displacement(apex("surprise")))[1]
    back = animator.grid.inverse(motion)
    source = animator.grid.nodes + back
    assert np.abs(source + animator.grid.sample(motion, source) - animator.grid.nodes).max() < 0.15


def test_lids_close_over_an_eyeball_that_stays(animator, portrait):
    photo, landmarks = portrait
    closing = animator.draw(replace(REST, blink=0.5), 1.0)
    closed = animator.draw(BLINK, 1.0)
    for first in (36, 42):
        rest = opening(landmarks, first)
        assert (opening(closing[1], first) < 0.6 * rest).all() and (opening(closed[1], first) < 0.05 * rest).all()
        corners = landmarks[[first, first + 3]]
        assert np.allclose(closed[1][[first, first + 3]], corners, atol=1e-3)
        x, y = landmarks[first : first + 6].mean(0)
        eye = np.s_[round(y) - 2 : round(y) + 3, round(corners[0, 0]) + 2 : round(corners[1, 0]) - 1]
        skin = photo[round(y) - 12, round(x)].astype(int).mean()
        assert photo[eye].mean(-1).max() > skin + 60 and closed[0][eye].mean(-1).max() < skin + 30  # no white is left
        low = np.s_[round(landmarks[first + 4, 1]) - 2, round(x)]
        assert np.abs(closing[0][low].astype(int) - photo[low]).max() < 30  # not yet reached by the lid


def test_skin_that_is_far_from_the_eyes_does_not_blink(animator, portrait):
    frame, points = animator.draw(BLINK, 1.0)
    assert np.allclose(points[48:], portrait[1][48:], atol=1e-3)
    assert np.array_equal(frame[130:], portrait[0][130:])


def test_an_opened_mouth_shows_teeth_and_darkness_and_not_skin(animator, portrait):
    photo, _ = portrait
    frame, points = animator.draw(apex("surprise"))
    x, top, bottom = round(points[62, 0]), points[62, 1], points[66, 1]
    column = frame[round(top) + 1 : round(bottom) - 1, x].astype(int)
    cheek = photo[round(points[33, 1]), round(points[35, 0]) + 10].astype(int)
    assert column.sum(1).min() < 0.45 * cheek.sum()
    assert (column[:4, 2] / column[:4, 0]).max() > 1.1 * cheek[2] / cheek[0]  # teeth are paler than skin


def test_the_inside_of_the_mouth_shows_only_if_the_lips_part(animator, monkeypatch):
    rows, columns = animator.inside.box
    green = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 3), np.float32) + (0, 255, 0)
    monkeypatch.setattr(animator.inside, "seen", lambda *_: green.astype(np.float32))
    muscles = REST.muscles.copy()
    muscles[:, MUSCLES.index("dimple")] = 1.0  # moves the corners outwards
    greens = [
        (frame[rows, columns, 1].astype(int) - frame[rows, columns, 0] > 30).sum()
        for frame, _ in (animator.draw(replace(REST, muscles=muscles)), animator.draw(apex("surprise")))
    ]
    assert greens[0] == 0 and greens[1] > 100


def test_folds_are_bounded_and_follow_their_side(animator):
    muscles = REST.muscles.copy()
    assert (animator.folds.gain(muscles) == 1.0).all()
    muscles[1, :] = 30.0
    gain = animator.folds.gain(muscles)
    assert gain.min() == pytest.approx(LEAST) and 1.1 < gain.max() <= MOST
    middle = round(animator.anatomy.landmarks[27:31, 0].mean()) - animator.folds.box[1].start
    assert np.abs(gain[:, : middle - 4] - 1).max() < 1e-3


def test_who_smiles_already_smiles_less_more_and_stops_for_other_expressions(portrait):
    frames, points = draw_clip(draw_subject(3, 5), "happiness", 0, 3)
    happy, neutral = Animator(frames[1], points[1]).anatomy, Animator(*portrait).anatomy
    assert neutral.smile == 0.0 and happy.smile > 0.5
    more = [face.displacement(apex("happiness"))[54, 0] / face.unit for face in (neutral, happy)]
    assert more[1] < 0.7 * more[0]
    sad = happy.displacement(apex("sadness")) / happy.unit
    assert sad[54, 0] < -0.03  # the corner moves in
    gap = happy.points[66, 1] - happy.points[62, 1]
    assert gap + sad[66, 1] - sad[62, 1] < 0.02 < gap


def test_another_light_is_the_same_for_the_whole_clip_and_0_changes_nothing(portrait):
    frames = np.stack([portrait[0]] * 2)
    lit = relight(frames, np.random.default_rng(3), 1.0)
    assert np.array_equal(lit[0], lit[1]) and np.abs(lit.astype(int) - frames).mean() > 3
    assert np.array_equal(relight(frames, np.random.default_rng(3), 0.0), frames)
    grey = relight(np.full((1, 64, 64, 3), 90, np.uint8), np.random.default_rng(3), 1.0)[0].astype(int)
    assert max(np.abs(np.diff(grey, axis=axis)).max() for axis in (0, 1)) <= 3 and np.ptp(grey) > 5  # smooth


def test_bad_input_is_one_line(portrait):
    photo, landmarks = portrait
    with pytest.raises(InputError, match="'joy': not one of anger"):
        animate(photo, landmarks, "joy", 3, seed=0)
    with pytest.raises(InputError, match="frames: 0"):
        animate(photo, landmarks, "fear", 0, seed=0)
    with pytest.raises(InputError, match="not finite"):
        animate(photo, landmarks * np.nan, "fear", 3, seed=0)
    with pytest.raises(InputError, match="outside of the photo"):
        animate(photo, landmarks + 90, "fear", 3, seed=0)
    with pytest.raises(InputError, match="no two points apart"):
        animate(photo, landmarks * 0, "fear", 3, seed=0)


def test_the_line_between_lips_that_were_apart_is_drawn_at_the_lips_only(portrait):
    """Also if the mouth's window reaches up to the eyes, below which the two layers are as even as at the lips."""
    animator = Animator(*portrait)
    animator.lips_open = True
    rows, columns = animator.inside.box
    eyes = int(portrait[1][36:48, 1].max())
    animator.inside.box = slice(eyes, rows.stop), columns
    layers = animator._layers(np.zeros_like(animator.anatomy.controls))
    muscles = np.zeros((2, len(MUSCLES)))
    line = animator._skin(layers, muscles, 0.0) - animator._skin(layers, muscles, 1.0)
    changed = np.flatnonzero(np.abs(line).max(axis=(1, 2)) > 1)
    lips = portrait[1][48:68, 1]
    assert len(changed) and changed.min() > lips.min() - 6 and changed.max() < lips.max() + 6
