"""The trained generator inside the package: it is complete and small, and drawn people whom it has not seen act."""

import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.synthetic import population
from facenhance_jax.evaluation import clip_sets
from facenhance_jax.faces import alignment, portrait
from facenhance_jax.generators import choosing
from facenhance_jax.generators.animated import Animated
from facenhance_jax.generators.renderer import mouth_of
from facenhance_jax.runs import cards

MOUTH = slice(38, 60), slice(18, 46)  # rows and columns of a low-res face, the lower half


@pytest.fixture(scope="module")
def photo():
    """A drawn person who is in no training set."""
    subject = population.draw_subject(0, clip_sets.HELD_OUT[0])
    (frame,), (points,) = population.draw_clip(subject, "neutral", 0, 1)
    return portrait.around(frame, points.astype(np.float64), 192)


@pytest.fixture(scope="module")
def generator():
    return choosing.named("learned")


def test_it_is_small_and_says_what_it_is():
    files = [path for path in choosing.INSTALLED.rglob("*") if path.is_file()]
    assert 1e6 < sum(path.stat().st_size for path in files) <= 12e6
    for part in ("motion", "renderer"):
        card = (choosing.INSTALLED / part / "card.md").read_text()
        assert "held-out people" in card and "CC BY 4.0" in card
        assert cards.HEADING in card and "synthetic" in cards.read(choosing.INSTALLED / part).must_not


def test_it_knows_the_six_expressions_and_begins_with_the_photos_own_face(generator, photo):
    assert generator.labels == EXPRESSIONS
    low, landmarks = generator.perform(photo, "fear", 1.0, 3, 0)
    np.testing.assert_array_equal(low[0], alignment.low_frame(photo.frame, photo.landmarks))
    np.testing.assert_allclose(landmarks[0], photo.landmarks, atol=0.01)


def test_surprise_opens_a_dark_mouth(generator, photo):
    """Between the lips it is darker than the mouth's region of the neutral face: 0.6 of it was measured."""
    low, landmarks = generator.perform(photo, "surprise", 1.0, 2, 0)
    to_crop = alignment.crop_matrix(landmarks[1])
    points = landmarks[1] @ to_crop[:, :2].T + to_crop[:, 2]
    inside = np.asarray(mouth_of(jnp.asarray(points[None], jnp.float32))[0]) > 0.5
    assert inside.sum() > 20
    assert low[1][inside].mean() < 0.75 * low[0][MOUTH].mean()


def test_a_smile_lifts_and_widens_the_mouths_corners(generator, photo):
    apex = generator.perform(photo, "happiness", 1.0, 2, 0).landmarks[1]
    move = apex - photo.landmarks
    assert move[54, 0] - move[48, 0] > 2  # pixels of the framed photo
    assert move[48, 1] < 0 and move[54, 1] < 0
    animated = Animated().perform(photo, "happiness", 1.0, 2, 0).landmarks[1] - photo.landmarks
    for corner in (48, 54):
        assert move[corner] @ animated[corner] > 0
