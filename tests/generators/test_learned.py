"""Trained generators behind their door, with fresh networks: what does not depend on what they learned."""

import dataclasses

import face_sets
import jax
import numpy as np
import pytest

from facenhance_jax.data import face_clips
from facenhance_jax.faces import alignment
from facenhance_jax.faces.portrait import Portrait
from facenhance_jax.generators import learned, motiongan, renderer
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints

MOTION = motiongan.networks(motiongan.MotionConfig("motiongan", 32, 4, 8, face_sets.LABELS))[0]
PICTURES = renderer.network(renderer.RendererConfig("renderer", 8, (1,), face_sets.LABELS))
CLIP = face_sets.face_clip(0)
ASKED = ("fear", 1.0, 5, 0)  # expression, strength, frames, seed


def model() -> learned.Learned:
    rng = np.random.default_rng(0)
    arrays = MOTION.init(0)
    arrays["exit"]["kernel"] = np.float32(rng.normal(0, 0.02, arrays["exit"]["kernel"].shape))
    return learned.Learned((MOTION, arrays), (PICTURES, PICTURES.init(1)))


def portrait(landmarks=CLIP.photo_landmarks) -> Portrait:
    return Portrait(CLIP.photo, np.eye(2, 3), landmarks, 1, "")


def test_a_clip_begins_with_the_photos_own_face_and_is_a_function_of_the_seed():
    made = model().generate(portrait(), *ASKED)
    face, points = face_clips.photo_face(CLIP.photo, CLIP.photo_landmarks)
    np.testing.assert_array_equal(made[0], face_clips.masked(face, points))
    assert made.shape == (5, 64, 64, 3) and made.dtype == np.uint8
    assert np.any(made[-1] != made[1])
    np.testing.assert_array_equal(made, model().generate(portrait(), *ASKED))
    assert np.any(made != model().generate(portrait(), *ASKED[:3], 1))


def test_without_strength_every_frame_is_the_same():
    made = model().generate(portrait(), "fear", 0.0, 11, 0)
    assert len(made) == 11  # more than a chunk, and no multiple of it
    np.testing.assert_array_equal(made[1:], np.broadcast_to(made[1], made[1:].shape))


def test_the_black_around_a_face_is_that_of_its_landmarks():
    chosen = model()
    moved = np.asarray(learned._moved(*chosen.motion, CLIP.photo_landmarks[None], 1, learned.USUAL, jax.random.key(0)))
    made = chosen.of_face(CLIP.photo, CLIP.photo_landmarks, "fear", 1.0, 32, 0)
    for low, points in zip(made[1:], moved[1:], strict=True):
        np.testing.assert_array_equal(low.any(axis=-1) <= alignment.face_mask(points.astype(np.float64)), True)


def test_the_landmarks_asked_for_are_in_the_framed_photos_pixels():
    """A photo that is framed twice as large has them twice as far apart, and the same clip's own in the crop."""
    chosen, larger = model(), np.kron(CLIP.photo, np.ones((2, 2, 1), np.uint8))
    photo = Portrait(larger, np.eye(2, 3), CLIP.photo_landmarks * 2.0 + 0.5, 1, "")
    low, landmarks = chosen.perform(photo, "fear", 1.0, 32, 0)
    face = face_clips.photo_face(larger, photo.landmarks)
    np.testing.assert_array_equal(low, chosen.of_face(*face, "fear", 1.0, 32, 0))
    track = learned._moved(*chosen.motion, face[1][None], 1, learned.USUAL, jax.random.key(0))
    crop = np.stack([face_clips.aligned(points) for points in landmarks])
    np.testing.assert_allclose(crop, track, atol=1e-3)
    np.testing.assert_allclose(landmarks[0], photo.landmarks, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: "joy"}, "expression 'joy': not one of anger, fear"),
        ({1: 2.0}, "strength: 2 is not from 0 to 1.5"),
        ({1: float("nan")}, "strength: nan is not from 0"),
        ({2: 0}, "frames: 0 is not a positive number"),
    ],
)
def test_what_the_model_cannot_do_is_one_line(change, message):
    asked = [change.get(at, value) for at, value in enumerate(ASKED)]
    with pytest.raises(InputError, match=message):
        model().generate(portrait(), *asked)


def test_a_photo_without_a_face_is_refused():
    with pytest.raises(InputError, match="no face was found in it"):
        model().generate(portrait(None), *ASKED)


def save(folder, network, seed):
    values = {"model": dataclasses.asdict(network.config)}
    checkpoints.save_model(folder, network.init(seed), values, "# A card")


def test_a_released_pair_is_loaded_and_other_folders_are_refused(tmp_path):
    save(tmp_path / "pair/motion", MOTION, 0)
    with pytest.raises(InputError, match="a motiongan alone is half a generator"):
        learned.load(tmp_path / "pair/motion")
    save(tmp_path / "pair/renderer", PICTURES, 1)
    plain = learned.Learned((MOTION, MOTION.init(0)), (PICTURES, PICTURES.init(1)))
    found, expected = (one.generate(portrait(), *ASKED) for one in (learned.load(tmp_path / "pair"), plain))
    np.testing.assert_array_equal(found, expected)
    save(tmp_path / "wrong/motion", PICTURES, 0)
    save(tmp_path / "wrong/renderer", PICTURES, 0)
    with pytest.raises(InputError, match="is a renderer, not a motiongan"):
        learned.load(tmp_path / "wrong")
    with pytest.raises(InputError, match="no such folder"):
        learned.load(tmp_path / "absent")
