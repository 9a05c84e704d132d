"""From a photo to frames: which are made, which are shown, and in what size; with an enhancer that only brightens."""

import numpy as np
import pytest

import facenhance_jax
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment, placement
from facenhance_jax.inference.compositing import Compositor
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.inference.expressing import express, frame_face, timeline
from facenhance_jax.messages import InputError


class Brightener(Enhancer):
    """Stands in for the enhancer: frame n is the photo, n levels brighter. Keeps what it was given."""

    size, low_size = 192, 64

    def __init__(self):
        pass

    def stream(self, frames, identity, *, place, seed, **sampling):
        self.given = dict(identity=identity, place=place, seed=seed, lows=[], **sampling)
        return self._frames(frames, identity)

    def _frames(self, frames, identity):
        for n, low in enumerate(frames):
            self.given["lows"].append(low)
            yield np.clip(identity.astype(int) + n, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def person():
    (frame,), (points,) = population.draw_clip(population.draw_subject(3, 5), "neutral", 0, 1, 256)
    return frame, frame_face(frame, 192, landmarks=points)


def levels(frames, photo, at):
    """How much brighter each frame is than the photo at a place."""
    return [int(frame[at].astype(int).mean() - photo[at].astype(int).mean()) for frame in frames]


def test_the_generators_frames_are_enhanced_and_shown(person):
    photo, framed = person
    model = Brightener()
    frames = list(express(photo, "anger", frames=4, seed=5, size="model", framed=framed, enhancer=model, steps=3))
    nose = tuple(np.rint(framed.landmarks[30]).astype(int)[::-1])
    assert levels(frames, framed.frame, nose) == [0, 1, 2, 3] and frames[0].shape == (192, 192, 3)
    given = model.given
    np.testing.assert_array_equal(given["identity"], framed.frame)
    np.testing.assert_array_equal(given["place"], placement.of_landmarks(framed.landmarks))
    np.testing.assert_array_equal(given["lows"][0], alignment.low_frame(framed.frame, framed.landmarks))
    assert (given["seed"], given["steps"], len(given["lows"])) == (5, 3, 4)


def test_the_photos_own_size_is_the_default(person):
    photo, framed = person
    frames = list(express(photo, "anger", frames=3, framed=framed, enhancer=Brightener()))
    paste = Compositor(photo, framed).paste
    for n, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, paste(np.clip(framed.frame.astype(int) + n, 0, 255).astype(np.uint8)))
    np.testing.assert_array_equal(frames[0], photo)


def test_a_loop_makes_each_frame_once_and_plays_it_backwards(person):
    photo, framed = person
    model = Brightener()
    options = dict(size="model", framed=framed, enhancer=model)
    frames = list(express(photo, "anger", frames=9, loop=True, hold=True, **options))
    nose = tuple(np.rint(framed.landmarks[30]).astype(int)[::-1])
    assert levels(frames, framed.frame, nose) == [0, 1, 2, 2, 2, 2, 2, 1, 0]
    assert len(model.given["lows"]) == 3


def test_timelines():
    assert timeline(5, hold=False, loop=False) == [0, 1, 2, 3, 4]
    assert timeline(6, hold=True, loop=False) == [0, 1, 2, 3, 3, 3]
    assert timeline(6, hold=False, loop=True) == [0, 1, 2, 2, 1, 0]
    assert timeline(5, hold=False, loop=True) == [0, 1, 2, 1, 0]
    for frames in range(1, 40):
        for hold in (False, True):
            order = timeline(frames, hold=hold, loop=True)
            assert order == order[::-1] and order[0] == 0 and len(order) == frames
            assert all(after <= before + 1 for before, after in zip(order, order[1:], strict=False))


def test_nothing_is_made_before_it_is_asked_for(person):
    photo, framed = person
    model = Brightener()
    frames = express(photo, "anger", frames=20, framed=framed, enhancer=model)
    assert not model.given["lows"]
    next(frames)
    assert len(model.given["lows"]) == 1


def test_another_generator_is_asked_for_the_frames_up_to_the_apex(person):
    photo, framed = person

    class Still:
        def generate(self, photo, expression, strength, frames, seed):
            self.asked = (photo is framed, expression, strength, frames, seed)
            return np.zeros((frames, 64, 64, 3), np.uint8)

    still = Still()
    options = dict(framed=framed, enhancer=Brightener(), generator=still)
    assert len(list(express(photo, "fear", frames=6, loop=True, strength=0.5, seed=2, **options))) == 6
    assert still.asked == (True, "fear", 0.5, 3, 2)


def test_the_face_is_found_also_in_a_photo_that_is_framed_already(person):
    photo, framed = person
    found = frame_face(photo, 192)
    assert np.abs(found.landmarks - framed.landmarks).mean() < 3 and found.frame.shape == (192, 192, 3)
    again = frame_face(framed.frame, 192)
    np.testing.assert_array_equal(again.frame, framed.frame)
    assert np.abs(again.landmarks - framed.landmarks).mean() < 3 and again.note == ""


def test_what_cannot_be_done_is_said_at_once(person):
    photo, framed = person
    grey = np.full((200, 300, 3), 128, np.uint8)
    for changed, message in [
        (dict(photo=grey, framed=None), "the photo: no face was found; give a photo of one"),
        (dict(photo=grey[:192, :192], framed=None), "the photo: no face was found"),
        (dict(framed=None, face=3), "face 3 was asked for, but it has 1"),
        (dict(size="huge"), "size: 'huge' is not one of photo, model"),
        (dict(frames=0), "frames: 0 is not from 1 to 1000"),
        (dict(frames=1001), "frames: 1001 is not from 1 to 1000"),
        (dict(expression="joy"), "expression 'joy': not one of"),
        (dict(strength=-0.1), "strength: -0.1 is not from 0 to 1.5"),
    ]:
        with pytest.raises(InputError, match=message):
            options = dict(photo=photo, expression="anger", framed=framed, enhancer=Brightener()) | changed
            express(options.pop("photo"), options.pop("expression"), **options)


def test_without_dlib_it_says_what_to_install(person, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(InputError, match=r"me.jpg: finding the face needs dlib.*pip install"):
        frame_face(person[0], 192, name="me.jpg")


def test_the_package_has_it():
    assert facenhance_jax.express is express
