"""The photo animator as light generator: where the low-res clip begins, what it moves, and what it refuses."""

import numpy as np
import pytest

from facenhance_jax.data.animation.animator import animate
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment, portrait
from facenhance_jax.generators import animated
from facenhance_jax.generators.animated import Animated
from facenhance_jax.messages import InputError


@pytest.fixture(scope="module")
def photo():
    (frame,), (points,) = population.draw_clip(population.draw_subject(3, 5), "neutral", 0, 1, 256)
    return portrait.around(frame, points.astype(np.float64), 192)


def test_it_is_the_animator_held_and_cut_out(photo, monkeypatch):
    monkeypatch.setattr(animated, "JAW", 1.0)
    low, landmarks = Animated().perform(photo, "surprise", 0.8, 5, seed=3)
    frames, points = animate(photo.frame, photo.landmarks, "surprise", 5, seed=3, strength=0.8, hold=True)
    np.testing.assert_array_equal(landmarks, points)
    for made, frame, shape in zip(low, frames, points, strict=True):
        np.testing.assert_array_equal(made, alignment.low_frame(frame, shape))
    np.testing.assert_array_equal(Animated().generate(photo, "surprise", 0.8, 5, seed=3), low)


def test_it_begins_with_the_photos_own_face_and_without_strength_stays_there(photo):
    own = alignment.low_frame(photo.frame, photo.landmarks)
    low = Animated().generate(photo, "fear", 1.0, 3, seed=0)
    np.testing.assert_array_equal(low[0], own)
    assert np.abs(low[2].astype(int) - own).mean() > 2
    for expression in EXPRESSIONS:
        still, landmarks = Animated().perform(photo, expression, 0.0, 3, seed=0)
        np.testing.assert_array_equal(still, np.stack([own] * 3))
        np.testing.assert_allclose(landmarks, np.stack([photo.landmarks] * 3), atol=1e-3)


def test_the_jaw_drops_less_than_the_animators(photo):
    """So the chin stays near the low-res face's lower edge."""
    _, landmarks = Animated().perform(photo, "surprise", 1.0, 5, seed=3)
    _, points = animate(photo.frame, photo.landmarks, "surprise", 5, seed=3, hold=True)
    drops = [(shape[-1] - photo.landmarks)[8, 1] for shape in (landmarks, points)]
    assert 3 < drops[0] < 0.85 * drops[1]


def test_more_strength_moves_the_mouths_corners_more(photo):
    """Of a smile: both go outwards, and up against the points that do not move."""
    moves = []
    for strength in (0.5, 1.0, 1.5):
        _, landmarks = Animated().perform(photo, "happiness", strength, 4, seed=0)
        moves.append(landmarks[-1] - photo.landmarks)
    wider = [move[54, 0] - move[48, 0] for move in moves]
    assert 0.5 < wider[0] < wider[1] < wider[2]
    assert all(move[point, 1] < -1 for move in moves[1:] for point in (48, 54))


def test_what_it_cannot_do_is_said(photo):
    for changed, message in [
        (dict(expression="joy"), "expression 'joy': not one of anger, disgust"),
        (dict(strength=1.6), "strength: 1.6 is not from 0 to 1.5"),
        (dict(strength=float("nan")), "strength: nan is not from 0"),
        (dict(frames=0), "frames: 0 is not a positive number"),
        (dict(photo=photo._replace(landmarks=None)), "no face was found in it, so it cannot be animated"),
    ]:
        with pytest.raises(InputError, match=message):
            Animated().generate(**dict(photo=photo, expression="anger", strength=1.0, frames=2, seed=0) | changed)
