"""The square of a clip that is kept: known squares, and a drawn person at one side of a wide frame."""

import cv2
import numpy as np
import pytest
from clips import write_video

from facenhance_jax.data import layout, records
from facenhance_jax.data.records import Recipe, clip_records
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.faces import alignment, framing
from facenhance_jax.faces.framing import Square, around
from facenhance_jax.media.pictures import decode_image, resize, shrink

FACE = np.ptp(alignment.mean_shape(64), axis=0).max()  # the extent of the mean shape
MIDDLE = (alignment.mean_shape(64).min(0) + alignment.mean_shape(64).max(0)) / 2


def at(x: float, y: float, extent: float) -> np.ndarray:
    """Landmarks whose bounding box has this middle and extent, pixels."""
    return (alignment.mean_shape(64) - MIDDLE) * extent / FACE + [x, y]


@pytest.mark.parametrize(
    ("landmarks", "square"),
    [
        ([at(200, 60, 40)], Square(140, 0, 120)),  # framed by the middle
        ([at(200, 60, 39)], Square(162, 22, 78)),  # less than a third of it: twice the face
        ([at(140, 60, 60)], Square(80, 0, 120)),  # over its left edge
        ([at(21, 100, 40)], Square(0, 40, 80)),  # no farther than the frame's edges
        ([at(380, 20, 40)], Square(320, 0, 80)),
        ([at(100, 60, 20), at(150, 60, 20)], Square(87, 22, 77)),  # moves: 1.1 times 70
        ([at(100, 60, 20), np.full((68, 2), np.nan)], Square(80, 40, 40)),
        ([at(30, 60, 20), at(370, 60, 20)], Square(140, 0, 120)),  # farther apart than any square
        ([np.full((68, 2), np.nan)], Square(140, 0, 120)),
    ],
)
def test_squares_of_a_frame_of_400_by_120(landmarks, square):
    assert around(np.stack(landmarks), 120, 400) == square


def test_the_middle_square_is_centred():
    image = np.zeros((2, 6, 3), np.uint8)
    image[:, 2:4] = 9
    for turned in (image, image.transpose(1, 0, 2)):
        assert (framing.middle(*turned.shape[:2]).cut(turned) == np.full((2, 2, 3), 9)).all()


@pytest.fixture
def wide(tmp_path):
    """The folder of a wide video with a person at its right, its frames and its landmarks."""
    frames, landmarks = draw_clip(draw_subject(0, 5), "fear", 0, 4, 128)
    video = np.full((4, 160, 480, 3), 90, np.uint8)
    video[:, 16:144, 320:448] = frames
    (tmp_path / "ann").mkdir()
    write_video(tmp_path / "ann/talk.mp4", video)
    np.save(tmp_path / "ann/talk.landmarks.npy", (landmarks + [320, 16]).astype(np.float32))
    return tmp_path, video, landmarks + [320, 16]


def test_a_person_at_one_side_is_framed_and_so_is_the_photo(wide):
    root, video, landmarks = wide
    (clip,) = layout.read_own_tree(root).recordings
    square = around(landmarks, 160, 480)
    assert square.left > 280 and 100 <= square.side <= 160
    settings = {"frames": 4, "resolution": 96, "part": "windows"}
    (record,), _ = clip_records(clip, layout.own_identity(clip, root), Recipe(str(root), **settings, around_face=True))
    for image, frame in zip([record["identity"], *record["high"]], [video[0], *video], strict=True):
        found = decode_image(image, "image").astype(int)
        assert np.abs(found - resize(square.cut(frame), 96)).mean() < 4  # H.264, then JPEG
    left, top, side, _ = map(float, record["place"].split())
    centre = (landmarks[0, list(alignment.RIGID)].mean(0) - [square.left, square.top]) * 96 / square.side
    low_centre = alignment.mean_shape(64)[list(alignment.RIGID)].mean(0) / 64
    assert np.abs(np.array([left, top]) + side * low_centre - centre).max() < 3
    (plain,), _ = clip_records(clip, layout.own_identity(clip, root), Recipe(str(root), **settings))
    assert decode_image(plain["high"][0], "image").std() < 3  # the middle shows the wall


def test_a_separate_photo_is_framed_by_its_own_face(wide, monkeypatch):
    root, video, landmarks = wide
    cv2.imwrite(str(root / "ann/neutral.png"), video[1, :, ::-1, ::-1])  # mirrored: the face is at the left
    (clip,) = layout.read_own_tree(root).recordings
    mirrored = (landmarks[1:2, alignment.MIRROR] * [-1, 1] + [479, 0]).astype(np.float32)
    monkeypatch.setattr(records.tracking, "track", lambda frames, name: records.tracking.Track(mirrored, (), 1))
    recipe = Recipe(str(root), frames=4, resolution=96, part="windows", around_face=True)
    (record,), counts = clip_records(clip, layout.own_identity(clip, root), recipe)
    assert not counts["unframed"]
    square = around(mirrored, 160, 480)
    expected = resize(square.cut(video[1, :, ::-1]), 96)
    assert square.left < 40
    assert np.abs(decode_image(record["identity"], "photo").astype(int) - expected).mean() < 2

    def without_dlib(frames, name):
        raise records.InputError("no dlib")

    monkeypatch.setattr(records.tracking, "track", without_dlib)
    (record,), counts = clip_records(clip, layout.own_identity(clip, root), recipe)
    assert decode_image(record["identity"], "photo").std() < 3  # the middle of it
    assert counts["unframed"] == 1


@pytest.mark.parametrize("size", [(64, 96), (63, 96), (33, 48)])
def test_shrinking_by_halves_is_the_area_mean(size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    direct = cv2.resize(image, (12, 8), interpolation=cv2.INTER_AREA).astype(int)
    found = shrink(image, 8, 12)
    assert np.abs(found - direct).max() <= 1
    smooth = cv2.resize(image[:4, :4], (98, 66), interpolation=cv2.INTER_CUBIC)  # to sizes that are no multiples
    direct = cv2.resize(smooth, (13, 9), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(shrink(smooth, 9, 13) - direct).max() <= 2
