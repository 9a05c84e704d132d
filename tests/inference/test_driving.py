"""Whose face of a video is taken, and how another person's movement comes to the photo's."""

import numpy as np
import pytest

from facenhance_jax import media, messages
from facenhance_jax.data import face_clips
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment
from facenhance_jax.faces.portrait import Portrait
from facenhance_jax.faces.tracking import Track
from facenhance_jax.generators import choosing
from facenhance_jax.inference import driving, extraction

LOWER_LIP = [57, 58, 56, 66, 67, 65]
COUNT = 12


class Faces:
    """Stands in for dlib's features: a frame's are told by its first pixel, whose grey levels are the distance."""

    def describe(self, frame, box):
        assert box[2] - box[0] > 20
        return np.full(128, frame[0, 0, 0] / 128**0.5)


@pytest.fixture
def video(tmp_path, monkeypatch):
    """A clip of 12 drawn frames, the first and the last without a face, and its track."""
    monkeypatch.setattr(driving.recognition, "models", Faces)
    frames, points = population.draw_clip(population.draw_subject(7, 5), "surprise", 0, COUNT, 96)
    frames[:, 0, 0], frames[[0, -1]] = 100, 255
    np.save(tmp_path / "video.npy", frames)
    return media.open_clip(tmp_path / "video.npy"), Track(points.astype(np.float32), (0, COUNT - 1), 1)


@pytest.fixture
def photo():
    """A drawn person who is told to be that of the video."""
    frames, points = population.draw_clip(population.draw_subject(8, 5), "surprise", 0, 1, 96)
    return Portrait(marked(frames[0], 100), np.eye(2, 3), points[0].astype(np.float64), 1, "")


def marked(frame, level):
    frame = frame.copy()
    frame[0, 0] = level
    return frame


def lows(video, photo, **options) -> np.ndarray:
    return np.stack(list(driving.low_frames(video[0], 64, video[1], photo, **options)))


def test_movement_is_that_of_the_lips_whatever_the_head_does():
    """The lower lip drops by 0 to 11 pixels of the low-res face; head and camera move as they like."""
    shape, drops, rows = alignment.mean_shape(), np.random.default_rng(0).permutation(COUNT).astype(float), []
    for index, drop in enumerate(drops):
        points = shape.copy()
        points[LOWER_LIP, 1] += drop
        angle, scale = 0.1 * index - 0.5, 1.0 + 0.2 * index
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        rows.append(points @ turn.T + (100 * index, 50))
    expected = np.zeros((COUNT, 68, 2))
    expected[:, LOWER_LIP, 1] = drops[:, None]  # at rest is the one frame with the closed mouth, a tenth of them
    np.testing.assert_allclose(driving.movement(np.stack(rows)), expected, atol=1e-3)


def test_the_photos_own_face_moves_if_the_video_shows_another(video, photo, capsys):
    moved = lows(video, photo, person="another")
    expected = choosing.named("learned").moved(photo, driving.movement(video[1].landmarks), "happiness")
    np.testing.assert_array_equal(moved, np.stack(list(expected)))
    assert "no face in 2 of the frames; interpolated there" in capsys.readouterr().err
    cut = np.stack(list(extraction.low_frames(video[0], 64, video[1])))
    np.testing.assert_array_equal(lows(video, photo, person="same"), cut)
    assert np.abs(moved.astype(int) - cut).mean() > 5


def test_unless_it_is_said_the_faces_tell_who_it_is(video, photo, capsys):
    clip, track = video
    cut = np.stack(list(extraction.low_frames(clip, 64, track)))
    assert not driving.shows_another(clip, track, photo)  # the frames without a face do not count
    np.testing.assert_array_equal(lows(video, photo), cut)
    assert "another person" not in capsys.readouterr().err
    other = photo._replace(frame=marked(photo.frame, 110))
    assert driving.shows_another(clip, track, other)
    np.testing.assert_array_equal(lows(video, other), lows(video, other, person="another"))
    assert "shows another person than the photo; the photo's own face moves" in capsys.readouterr().err
    faceless = other._replace(landmarks=None)
    np.testing.assert_array_equal(lows(video, faceless), cut)


def test_what_cannot_be_driven_is_one_line(video, photo):
    with pytest.raises(messages.InputError, match="have 32 pixels; another person's movement is brought only to 64"):
        driving.low_frames(video[0], 32, video[1], photo, "another")
    with pytest.raises(messages.InputError, match="no face was found in it"):
        driving.low_frames(video[0], 64, video[1], photo._replace(landmarks=None), "another")


def test_landmarks_that_stay_leave_the_own_face_and_a_raised_chin_raises_the_faces_edge(photo):
    """Chunk by chunk or frame by frame, and only as many frames as are asked for."""
    model, moves = choosing.named("learned"), np.zeros((10, 68, 2))
    moves[9, 5:12, 1] = -4.0
    face, points = face_clips.photo_face(photo.frame, photo.landmarks)
    made = np.stack(list(model.moved(photo, moves, "happiness")))
    assert made.shape == (10, 64, 64, 3)
    np.testing.assert_array_equal(made[:9], np.broadcast_to(made[0], (9, 64, 64, 3)))
    np.testing.assert_array_equal(made[9], next(model.moved(photo, moves[9:], "happiness")))
    assert np.abs(made[0].astype(int) - face_clips.masked(face, points)).mean() < 3
    edge = alignment.face_mask(points + moves[9]) > 0
    assert (made[9].any(axis=-1) != edge).mean() < 0.01 < (made[0].any(axis=-1) != edge).mean()
