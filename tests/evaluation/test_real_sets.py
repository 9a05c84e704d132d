"""Photo pairs and videos as clips. Drawn people stand for the photographed ones, and a fake finds their landmarks."""

import cv2
import numpy as np
import pytest

from facenhance_jax import media
from facenhance_jax.data import photo_pairs
from facenhance_jax.data.synthetic import population
from facenhance_jax.evaluation import real_sets
from facenhance_jax.evaluation.metrics import frames
from facenhance_jax.faces import alignment, framing, placement, tracking
from facenhance_jax.messages import InputError

SIZE, LOW = 64, 32  # pixels


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """Nine people with two photos each, of 128 px; `found` holds the landmarks by file."""
    found = {}
    for number in range(9):
        for expression in ("neutral", "fear"):
            person = population.draw_subject(0, number)
            pictures, points = population.draw_clip(person, expression, 0, 4, 128)
            file = tmp_path / "photos" / f"p{number}" / f"{expression}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            media.write_png(file, pictures[-1])
            found[file] = points[-1].astype(np.float32)
    monkeypatch.setattr(tracking, "track", lambda photos, file: tracking.Track(found[file][None], (), 1))
    return tmp_path / "photos", found


def names(folder, people):
    clips = real_sets.Pairs(folder, people, size=SIZE, low_size=LOW)
    return [neutral.parent.name for neutral, _ in clips.pairs]


def test_people_are_chosen_by_their_place_among_four(pairs):
    """Nine people, p0 to p8: p3 and p7 are held out, p2 and p6 are for development."""
    folder, _ = pairs
    (folder / "notes.txt").touch()
    (folder / ".hidden").mkdir()
    assert names(folder, "every_fourth") == ["p3", "p7"] and names(folder, "third") == ["p2", "p6"]
    assert names(folder, "train") == ["p0", "p1", "p2", "p4", "p5", "p6", "p8"]
    assert names(folder, "all") == sorted(names(folder, "train") + names(folder, "every_fourth"))


def test_a_pair_is_a_clip_of_the_other_photo(pairs):
    folder, found = pairs
    clips = real_sets.Pairs(folder, "every_fourth", size=SIZE, low_size=LOW)
    assert (len(clips), clips.frames, clips.size) == (2, 1, SIZE)
    clip = clips[1]
    files = [folder / "p7" / f"{name}.png" for name in ("neutral", "fear")]
    (neutral, other), (points, other_points) = map(media.read_photo, files), (found[file] for file in files)
    identity, truth, identity_points, truth_points = photo_pairs.aligned_pair(
        neutral, points, other, other_points, SIZE
    )
    np.testing.assert_array_equal(clip.identity, identity)
    np.testing.assert_array_equal(clip.real, truth[None])
    np.testing.assert_array_equal(clip.low, alignment.low_frame(other, other_points, LOW)[None])
    np.testing.assert_array_equal(clip.face[0], alignment.hull_mask(truth_points, SIZE) > 0)
    np.testing.assert_array_equal(clip.place, placement.of_landmarks(identity_points))
    assert real_sets.Pairs(folder, "every_fourth", size=SIZE, low_size=LOW, placed=False)[1].place is None
    assert (clip.name, clip.subject, clip.expression) == ("p7/fear", "p7", "fear")
    assert clips.describe()["data"] == "photo pairs of photos, people every_fourth" and not clips.describe()["drawn"]


def test_a_person_without_a_neutral_photo_or_without_another_is_refused(pairs):
    folder, _ = pairs
    (folder / "p3" / "fear.png").unlink()
    with pytest.raises(InputError, match="p3: needs neutral.jpg and a photo of an expression beside it"):
        names(folder, "every_fourth")
    (folder / "p2" / "neutral.png").unlink()
    with pytest.raises(InputError, match="p2: needs neutral.jpg"):
        names(folder, "third")


def test_folders_without_pairs_or_videos_are_refused(tmp_path):
    with pytest.raises(InputError, match="photos: no such folder; give the one that holds PERSON/neutral.jpg"):
        names(tmp_path / "photos", "all")
    (tmp_path / "p0").mkdir()
    with pytest.raises(InputError, match="1 people, none of them among every_fourth"):
        names(tmp_path, "every_fourth")
    with pytest.raises(InputError, match="holds no videos"):
        real_sets.Videos(tmp_path, frames=2, size=SIZE, low_size=LOW)
    with pytest.raises(InputError, match="none: no such folder; give one that holds videos"):
        real_sets.Videos(tmp_path / "none", frames=2, size=SIZE, low_size=LOW)


@pytest.fixture
def video(tmp_path, monkeypatch):
    """Ten frames of 96 px, grey 20 n + 30; the face moves right by 2 px a frame."""
    flat = np.broadcast_to((30 + 20 * np.arange(10, dtype=np.uint8))[:, None, None, None], (10, 96, 96, 3))
    with media.open_writer(tmp_path / "talk.mp4", 25) as writer:
        for frame in flat:
            writer.write(frame)
    points = (alignment.mean_shape() + 8 + 2 * np.arange(10)[:, None, None] * [1, 0]).astype(np.float32)
    (tmp_path / "README.md").touch()
    monkeypatch.setattr(tracking, "track", lambda frames, name: tracking.Track(points[: len(list(frames))], (), 1))
    return tmp_path, points


def test_a_video_is_a_clip_of_later_frames_on_the_first_ones_frame(video):
    folder, points = video
    clips = real_sets.Videos(folder, frames=3, size=SIZE, low_size=LOW)
    clip = clips[0]
    assert (len(clips), clips.frames, clip.name, clip.real.shape) == (1, 3, "talk/video", (3, SIZE, SIZE, 3))
    np.testing.assert_allclose(clip.identity.mean(), 30, atol=3)
    np.testing.assert_allclose(clip.real.mean(axis=(1, 2, 3)), [50, 130, 210], atol=3)  # frames 1, 5 and 9 of 0 to 9
    shown = clip.low.any(axis=-1)
    np.testing.assert_allclose(
        [low[seen].mean() for low, seen in zip(clip.low, shown, strict=True)], [50, 130, 210], atol=3
    )
    to_frame = framing.portrait(points[0], SIZE)
    first = points[0] @ to_frame[:, :2].T + to_frame[:, 2]
    np.testing.assert_allclose(clip.place, placement.of_landmarks(first), atol=1e-4)
    assert real_sets.Videos(folder, frames=3, size=SIZE, low_size=LOW, placed=False)[0].place is None
    assert (clip.face == (alignment.hull_mask(first, SIZE) > 0)).mean() > 0.999  # the head is held still


def test_frames_of_a_video_are_laid_on_the_first(tmp_path, monkeypatch):
    """A drawn person is shown first as drawn, then turned by 10 degrees, smaller and shifted, which is undone."""
    pictures, points = population.draw_clip(population.draw_subject(0, 3), "neutral", 0, 1, 256)
    matrix = cv2.getRotationMatrix2D((128, 128), 10, 0.9) + np.array([[0, 0, 9], [0, 0, -5]])
    turned = cv2.warpAffine(pictures[0], matrix, (256, 256), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    with media.open_writer(tmp_path / "talk.mp4", 25) as writer:
        for frame in (pictures[0], turned):
            writer.write(frame)
    tracked = np.stack([points[0], points[0] @ matrix[:, :2].T + matrix[:, 2]]).astype(np.float32)
    monkeypatch.setattr(tracking, "track", lambda frames, name: tracking.Track(tracked[: len(list(frames))], (), 1))
    clip = real_sets.Videos(tmp_path, frames=1, size=96, low_size=LOW)[0]
    assert frames.psnr(clip.real, clip.identity[None], clip.face)[0] > 30
    assert frames.psnr(clip.low, alignment.low_frame(pictures[0], points[0], LOW)[None])[0] > 28


def test_a_video_with_too_few_frames_is_refused(video):
    folder, _ = video
    with pytest.raises(InputError, match="talk.mp4: 10 frames; give more than --frames=10"):
        real_sets.Videos(folder, frames=10, size=SIZE, low_size=LOW)[0]
