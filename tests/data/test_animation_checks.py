"""Around animated photos: a face is found where it was asked for, whose teeth may be used, who wears glasses."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from facenhance_jax.data.animation import checking
from facenhance_jax.data.animation.anatomy import Anatomy
from facenhance_jax.data.animation.animator import Animator
from facenhance_jax.data.animation.donors import Donor
from facenhance_jax.data.animation.mouth_inside import enamel
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.messages import InputError

FRAMES = np.zeros((9, 8, 8, 3), np.uint8)


@pytest.fixture
def asked(monkeypatch):
    """The landmarks that were asked for; `found` sets the tracker's answer for frames 0, 2, 4, 6 and 8."""
    _, points = draw_clip(draw_subject(3, 5), "neutral", 0, 9)

    def found(landmarks=points[::2], missing=(), error=None):
        def track(frames, name):
            assert len(list(frames)) == 5
            if error:
                raise error
            return SimpleNamespace(landmarks=landmarks, missing=missing)

        monkeypatch.setattr(checking.dlib_models, "library", lambda purpose: None)
        monkeypatch.setattr(checking.tracking, "track", track)

    return points, found


def test_a_clip_whose_face_is_where_it_was_asked_for_passes(asked):
    points, found = asked
    found()
    assert checking.check(FRAMES, points) is None


def test_a_clip_is_refused_with_the_worst_frame_and_its_error(asked):
    points, found = asked
    off = points[::2].copy()
    distance = checking.eye_distance(points)
    assert distance[0] == pytest.approx(np.hypot(*(points[0, 42:48].mean(0) - points[0, 36:42].mean(0))))
    off[1, :, 0] += (checking.FARTHEST - 0.01) * distance[2]
    found(off)
    assert checking.check(FRAMES, points) is None
    off[3, :, 1] += 0.25 * distance[6]
    assert checking.check(FRAMES, points) == "the face in frame 6 is 25 % of the eyes' distance off"


def test_a_clip_without_a_face_is_refused(asked):
    points, found = asked
    found(missing=(2,))
    assert checking.check(FRAMES, points) == "no face was found in frame 4"
    found(error=InputError("x: no face was found in any of its 5 frames"))
    assert checking.check(FRAMES, points) == "no face was found in it"


def test_without_dlib_it_is_not_the_clip_that_is_refused(asked, monkeypatch):
    points, found = asked
    found()

    def absent(purpose):
        raise InputError(f"{purpose} needs dlib")

    monkeypatch.setattr(checking.dlib_models, "library", absent)
    with pytest.raises(InputError, match="needs dlib"):
        checking.check(FRAMES, points)


def test_a_donor_gives_its_teeth_in_the_light_of_the_other_photo():
    laughing, points = draw_clip(draw_subject(3, 9), "happiness", 0, 3, 384)
    ivory = cv2.fillPoly(laughing[1].copy(), [np.rint(points[1, 60:68]).astype(np.int32)], (235, 220, 190))
    donor = Donor(ivory, points[1])
    colour = enamel(np.array([0.4, 0.2, 0.15]))
    x, y = np.meshgrid(np.linspace(-0.1, 0.1, 9), np.linspace(-0.1, -0.02, 9))
    row = donor.row(x, y, colour)
    shown = row[row[..., 3] > 0.9]
    assert len(shown) > 20 and np.allclose(np.median(shown[:, :3] / shown[:, 3:], 0), colour, rtol=0.02)
    with pytest.raises(InputError, match="more than teeth"):
        Donor(laughing[1], points[1])  # there is a dark gap between the drawn rows
    calm, rest = draw_clip(draw_subject(3, 5), "neutral", 0, 1, 384)
    own, given = Animator(calm[0], rest[0]), Animator(calm[0], rest[0], donor)
    assert np.abs(own.inside.upper - given.inside.upper).max() > 0.1
    assert np.array_equal(own.inside.lower, given.inside.lower)


def test_a_closed_mouth_gives_no_teeth():
    calm, rest = draw_clip(draw_subject(3, 5), "neutral", 0, 1)
    with pytest.raises(InputError, match="donor: shows no teeth"):
        Donor(calm[0], rest[0])


def test_teeth_are_paler_than_skin_and_brighter_by_the_measured_law():
    skin = np.array([0.5, 0.25, 0.2])
    teeth = enamel(skin)
    assert teeth.mean() == pytest.approx(np.exp(-0.232) * skin.mean() ** 0.457)
    assert np.log(teeth[0] / teeth[1]) == pytest.approx(0.414 * np.log(2.0) - 0.072)


def test_glasses_are_seen_and_hold_the_brows():
    worn = [number for number in range(16) if draw_subject(0, number).appearance.glasses > 0]
    assert worn == [0, 4, 13, 15]
    for number in (*worn, 2, 6, 8):
        frames, points = draw_clip(draw_subject(0, number), "neutral", 0, 1)
        assert Anatomy(points[0].astype(np.float64), frames[0]).glasses == (number in worn)
