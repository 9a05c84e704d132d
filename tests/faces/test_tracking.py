"""Tracking of drawn people, whose landmarks are known: points, gaps, several faces, and how much is searched."""

import importlib.util
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from clips import write_video

from facenhance_jax import media
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment, tracking
from facenhance_jax.messages import InputError

SIZE = 224  # pixels, of a drawn frame; its face is about 105 wide
EYES = 44  # pixels between the eyes' centres there
BLACK = np.zeros((SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Five frames of a person who begins to smile, and their exact landmarks."""
    frames, points = population.draw_clip(population.draw_subject(7, 5), "happiness", 0, 9, SIZE)
    return frames[:5], points[:5]


@pytest.fixture(scope="module")
def other() -> tuple[np.ndarray, np.ndarray]:
    """One frame of somebody else, and the landmarks."""
    frames, points = population.draw_clip(population.draw_subject(7, 6), "neutral", 0, 1, SIZE)
    return frames[0], points[0]


@pytest.fixture
def searched(monkeypatch) -> list[tuple[int, int]]:
    """The sizes, height and width, of all the pictures that the detector is given."""
    detect, predict = tracking._dlib_models()
    sizes = []
    counting = SimpleNamespace(run=lambda picture, *how: sizes.append(picture.shape) or detect.run(picture, *how))
    monkeypatch.setattr(tracking, "_dlib_models", lambda: (counting, predict))
    return sizes


def off(found: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The mean error of a face's points, in percent of the distance between the eyes."""
    apart = np.linalg.norm(known[..., 36:42, :].mean(-2) - known[..., 42:48, :].mean(-2), axis=-1)
    return 100 * np.linalg.norm(found - known, axis=-1).mean(-1) / apart


def put(picture: np.ndarray, scale: float, left: int, top: int, canvas: np.ndarray) -> np.ndarray:
    """The canvas with the picture, scaled, on it."""
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = canvas.copy()
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def moved(points: np.ndarray, scale: float, left: int, top: int) -> np.ndarray:
    return (points + 0.5) * scale - 0.5 + [left, top]


def test_threads_do_not_share_a_detector_and_find_what_one_alone_finds(drawn):
    """Two threads in one detector crash the process."""
    assert tracking._Follower()._detect is not tracking._Follower()._detect
    clips = [[cv2.resize(frame, (size, size))] for frame in drawn[0] for size in (SIZE, SIZE + 40, SIZE + 80)]
    alone = [tracking.track(clip, "clip").landmarks for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda clip: tracking.track(clip, "clip").landmarks, clips)
    np.testing.assert_array_equal(list(together), alone)


def test_points_and_low_frames_are_near_the_drawn_ones(drawn):
    frames, points = drawn
    track = tracking.track(iter(frames), "clip")
    assert (track.missing, track.faces, len(track.landmarks)) == ((), 1, 5)
    assert off(track.landmarks, points).max() < 8  # percent; measured: 4 to 5
    for frame, found, known in zip(frames, track.landmarks, points, strict=True):
        low, exact = (alignment.low_frame(frame, p).astype(int) for p in (found, known))
        assert np.abs(low - exact).mean() < 8  # grey levels; the frame's mean is 84; measured: 4 to 7
        assert ((low > 0).any(-1) == (exact > 0).any(-1)).mean() > 0.93


@pytest.mark.parametrize(("size", "bound"), [(64, 9), (110, 4), (700, 3), (1500, 3)])
def test_any_size_of_frame_gives_the_same_points(drawn, size, bound):
    frame = drawn[0][0]
    known = tracking.track([frame], "clip").landmarks[0]
    sized = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA if size < SIZE else cv2.INTER_CUBIC)
    track = tracking.track([sized], "clip")
    assert off(moved(track.landmarks[0], SIZE / size, 0, 0), known) < bound  # percent


def test_points_move_with_the_picture_and_do_not_tremble(drawn):
    canvas = np.full((280, 300, 3), 90, np.uint8)
    frames = [put(drawn[0][0], 1.0, 20 + step, 10 + step, canvas) for step in range(0, 33, 4)]
    track = tracking.track(frames, "clip")
    known = track.landmarks - np.arange(0, 33, 4, dtype=np.float32)[:, None, None]
    spread = np.sqrt(((known - known.mean(0)) ** 2).sum(-1).mean())
    assert 100 * spread / EYES < 1  # percent; measured: 0.5, and 1.5 with one prediction in the detector's box


def test_frames_are_not_kept(drawn):
    alive = []

    def frames():
        for frame in drawn[0]:
            copy = frame.copy()
            alive.append(weakref.ref(copy))
            yield copy
            del copy
            assert sum(ref() is not None for ref in alive) <= 1

    assert len(tracking.track(frames(), "clip").landmarks) == 5


def test_five_missing_frames_are_interpolated_in_time(drawn):
    first, last = drawn[0][0], drawn[0][4]
    track = tracking.track([first, *[BLACK] * 5, last], "clip")
    assert track.missing == (1, 2, 3, 4, 5)
    before, after = tracking.track([first], "clip").landmarks[0], track.landmarks[6]
    assert off(before, after) > 1  # she has begun to smile
    for row in range(7):
        np.testing.assert_allclose(track.landmarks[row], before + (after - before) * row / 6, atol=1e-3)


def test_at_the_ends_the_nearest_known_frame_is_repeated(drawn):
    frame = drawn[0][2]
    track = tracking.track([*[BLACK] * 5, frame, *[BLACK] * 5], "clip")
    assert track.missing == (0, 1, 2, 3, 4, 6, 7, 8, 9, 10)
    np.testing.assert_array_equal(track.landmarks, np.repeat(tracking.track([frame], "clip").landmarks, 11, 0))


@pytest.mark.parametrize(
    ("seen", "named"),
    [
        ("F......F", "1 to 6"),
        ("......F", "0 to 5"),
        ("F......", "1 to 6"),
        ("F.......F.....F......", "1 to 7, 15 to 20"),
        ("F......" * 5, "1 to 6, 8 to 13, 15 to 20 and 2 more gaps"),
    ],
)
def test_longer_gaps_are_refused_with_their_frames(monkeypatch, seen, named):
    """F stands for a frame with a face."""
    rows = iter([np.zeros((68, 2)) if letter == "F" else None for letter in seen])
    monkeypatch.setattr(tracking._Follower, "find", lambda self, frame: next(rows))
    with pytest.raises(InputError) as caught:
        tracking.track([BLACK] * len(seen), "clip.mp4")
    expected = f"clip.mp4: no face in frames {named} (the first is 0); cut them out of the clip"
    assert str(caught.value) == expected


def test_clips_without_a_face_or_without_frames():
    with pytest.raises(InputError, match=r"^clip.mp4: no face was found in any of its 3 frames; give a clip that"):
        tracking.track([BLACK, BLACK + 200, BLACK], "clip.mp4")
    with pytest.raises(InputError, match="^clip.mp4: no frames"):
        tracking.track([], "clip.mp4")


def test_of_two_faces_the_larger_is_taken_and_followed_when_it_shrinks(drawn, other):
    (frames, points), (neighbour, _) = drawn, other
    canvas = np.full((280, 520, 3), 90, np.uint8)
    poses = [(1.1, 250, 5, 0.9), (1.0, 262, 20, 1.0), (0.9, 270, 30, 1.1)]  # hers, the neighbour's
    clip = [
        put(frames[0], scale, left, top, put(neighbour, theirs, 2, 2, canvas)) for scale, left, top, theirs in poses
    ]
    track = tracking.track([*clip, canvas], "clip")
    assert (track.faces, track.missing) == (2, (3,))
    known = np.stack([moved(points[0], scale, left, top) for scale, left, top, _ in poses])
    assert off(track.landmarks[:3], known).max() < 8  # percent


def test_a_face_that_jumps_is_found_again_by_a_search_of_the_whole_frame(drawn, other, searched):
    (frames, points), (neighbour, _) = drawn, other
    canvas = np.full((460, 800, 3), 90, np.uint8)
    poses = [(1.05, 50, 0), (0.9, 158, 20), (0.9, 162, 23)]  # a jump by 0.9 of her face's width
    theirs = [(0.8, 0, 270), (1.2, 0, 190), (1.2, 0, 190)]  # from the second on the neighbour is larger, but farther
    clip = [put(frames[0], *hers, put(neighbour, *his, canvas)) for hers, his in zip(poses, theirs, strict=True)]
    track = tracking.track(clip, "clip")
    assert track.missing == () and track.faces == 2
    assert off(track.landmarks, np.stack([moved(points[0], *pose) for pose in poses])).max() < 8  # percent
    wide = [width for _, width in searched]  # whole, near (nothing found), whole, near; 800 is searched at 640
    assert [width > 221 for width in wide] == [True, False, True, False] and wide[0] == wide[2] == 640


def test_when_her_face_is_gone_the_neighbours_is_not_taken(drawn, other):
    (frames, points), (neighbour, _) = drawn, other
    canvas = put(neighbour, 1.2, 260, 0, np.full((280, 560, 3), 90, np.uint8))
    hers = put(frames[0], 1.0, 2, 2, put(neighbour, 0.8, 260, 0, np.full((280, 560, 3), 90, np.uint8)))
    track = tracking.track([hers, canvas, canvas, hers], "clip")
    assert (track.faces, track.missing) == (2, (1, 2))
    assert off(track.landmarks, moved(points[0], 1.0, 2, 2)).max() < 8  # percent
    with pytest.raises(InputError, match="no face in frames 1 to 6 "):
        tracking.track([hers, *[canvas] * 6, hers], "clip")


def test_after_the_first_frame_only_a_small_part_is_searched(drawn, searched):
    large = [cv2.resize(frame, (600, 600)) for frame in drawn[0]]
    tracking.track(large, "clip")
    assert searched[0] == (600, 600) and len(searched) == 5
    assert max(max(size) for size in searched[1:]) <= 221 and min(min(size) for size in searched[1:]) >= 200


def test_a_whole_frame_is_searched_at_two_sizes_at_most(searched):
    tried = [(64, 64), (100, 200), (300, 400), (480, 640), (1080, 1920), (2160, 3840)]
    for height, width in tried:
        with pytest.raises(InputError, match="no face was found"):
            tracking.track([np.zeros((height, width, 3), np.uint8)], "clip")
    assert [width for _, width in searched] == [256, 640, 800, 400, 800, 640, 1280, 640, 1280, 640, 1280]


def test_a_portrait_video_is_tracked_upright(drawn, tmp_path):
    frame, points = drawn[0][0], drawn[1][0]
    upright = put(frame, 1.0, 6, 60, np.full((320, 240, 3), 90, np.uint8))
    path = write_video(tmp_path / "clip.mp4", np.stack([np.rot90(upright, -1)] * 2), rotation=90)
    clip = media.open_clip(path)
    assert (clip.height, clip.width) == (320, 240)
    track = tracking.track(clip, clip.path)
    assert off(track.landmarks, moved(points, 1.0, 6, 60)).max() < 8  # percent


@pytest.mark.parametrize("absent", ["dlib", "face_recognition_models"])
def test_without_the_extra_one_line_says_what_to_install(monkeypatch, absent):
    find = importlib.util.find_spec
    monkeypatch.setattr(tracking, "_dlib_models", tracking._dlib_models.__wrapped__)
    if absent == "dlib":
        monkeypatch.setitem(sys.modules, "dlib", None)
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find(name))
    with pytest.raises(InputError) as caught:
        tracking.track([BLACK], "clip.mp4")
    expected = f'finding a face needs {absent}, which is not here; pip install "facenhance-jax[faces]"'
    assert str(caught.value) == expected
