"""From a clip to records: which frames, which low-res faces from which source, and what is kept as it is."""

from pathlib import Path

import cv2
import mug_tree
import numpy as np
import pytest
from clips import write_video
from smooth_clips import LENGTH, SIZE, write_clip

from facenhance_jax.data import layout, records
from facenhance_jax.data.records import Job, Recipe, attempt, clip_records
from facenhance_jax.data.stored import WORDS
from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.faces import alignment, tracking
from facenhance_jax.media.pictures import decode_image
from facenhance_jax.messages import InputError


def made(root: Path, name: str, **recipe) -> dict:
    """The one record of a clip of a tree, and its counts under "counts"."""
    clips = layout.read_tree(root).recordings
    clip = {clip.name: clip for clip in clips}[name]
    settings = {"frames": 3, "resolution": SIZE} | recipe
    (record,), counts = clip_records(clip, layout.identity_frame(clip, clips), Recipe(str(root), **settings))
    return record | {"counts": dict(counts)}


def decoded(data: list[bytes]) -> np.ndarray:
    return np.stack([decode_image(image, "image") for image in data])


def test_frames_that_have_the_right_size_keep_their_bytes(tmp_path):
    folder = write_clip(tmp_path, "001/anger/take000")
    write_clip(tmp_path, "001/neutral/take000")
    record = made(tmp_path, "001/session0/anger/take000")
    files = [folder / f"img_{n:04d}.jpg" for n in (0, 2, 3)]
    assert record["high"] == [file.read_bytes() for file in files]
    assert record["identity"] == (tmp_path / "001/neutral/take000/img_0000.jpg").read_bytes()
    landmarks = np.load(folder / "landmarks.npy")
    for low, file, n in zip(record["low"], files, (0, 2, 3), strict=True):
        np.testing.assert_array_equal(
            decode_image(low, "low"), alignment.low_frame(decode_image(file.read_bytes(), file), landmarks[n])
        )
    assert [record[word] for word in WORDS] == ["001", "session0", "anger", "take000"]
    assert record["counts"] == {"clips": 1, "frames": 3, "repeated": 0, "filled": 0}
    assert made(tmp_path, "001/session0/anger/take000", frames=6)["counts"]["repeated"] == 2  # of 4 frames in the half


def test_other_sizes_are_cut_square_and_shrunk_but_low_sees_the_whole_frame(tmp_path):
    folder = write_clip(tmp_path, "001/anger/take000", size=(96, 130), suffix="PNG")
    record = made(tmp_path, "001/session0/anger/take000", frames=2)
    source = decode_image((folder / "img_0003.PNG").read_bytes(), "source")
    expected = cv2.resize(source[:, 17:113], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    high = decode_image(record["high"][1], "high")
    assert record["high"][1].startswith(b"\xff\xd8")  # JPEG
    assert high.shape == (SIZE, SIZE, 3)
    assert np.abs(high.astype(int) - expected).mean() < 3
    landmarks = np.load(folder / "landmarks.npy")[3]
    np.testing.assert_array_equal(decode_image(record["low"][1], "low"), alignment.low_frame(source, landmarks))


@pytest.mark.parametrize(
    ("side", "face", "halved"), [(260, 260, True), (260, 252, False), (188, 260, False), (262, 260, False)]
)
def test_large_photographs_are_decoded_in_half_their_size(tmp_path, monkeypatch, side, face, halved):
    """For 48 and 64 px, from 4 times that size on; the result equals that of whole photographs up to rounding."""
    folder = write_clip(tmp_path, "001/anger/take000", size=(side, side // 4 * 4 + 12))
    np.save(
        folder / "landmarks.npy", np.stack([alignment.mean_shape(face) + n for n in range(LENGTH)]).astype(np.float32)
    )
    reductions = []
    monkeypatch.setattr(records, "decode_image", lambda *args: (reductions.append(args[2:]), decode_image(*args))[1])
    record = made(tmp_path, "001/session0/anger/take000")
    assert (reductions.count((2,)), reductions.count((1,))) == ((3, 0) if halved else (0, 3))
    monkeypatch.setattr(records, "_reduction", lambda *_: 1)
    whole = made(tmp_path, "001/session0/anger/take000")
    for field in ("high", "low"):
        difference = np.abs(decoded(record[field]).astype(int) - decoded(whole[field]))
        assert difference.mean() < 1 and difference.max() <= 8  # `high` went through JPEG once more


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A tree with landmarks, and the same tree without."""
    base = tmp_path_factory.mktemp("trees")
    return mug_tree.draw(base / "known"), mug_tree.without_landmarks(mug_tree.draw(base / "bare"))


def test_openface_gives_what_its_landmarks_would(drawn, tmp_path):
    known, bare = drawn
    name = "001/session0/anger/take000"
    sidecar = decoded(made(known, name, frames=5)["low"])
    aligned = mug_tree.openface(known, tmp_path / "aligned")
    np.testing.assert_array_equal(decoded(made(bare, name, frames=5, openface=str(aligned))["low"]), sidecar)
    points = mug_tree.openface(known, tmp_path / "points", aligned=False, old=True)
    difference = decoded(made(bare, name, frames=5, openface=str(points))["low"]).astype(int) - sidecar
    assert np.abs(difference).max() <= 2 and np.abs(difference).mean() < 0.01  # 4 digits of a pixel in the CSV


def test_a_frame_without_a_face_is_replaced_by_its_neighbour_or_interpolated(drawn, tmp_path):
    known, bare = drawn
    name = "001/session0/anger/take000"
    whole = made(known, name, frames=5)
    aligned = made(bare, name, frames=5, openface=str(mug_tree.openface(known, tmp_path / "a", failed=(1, 2))))
    assert aligned["high"] == [whole["high"][n] for n in (0, 0, 3, 3, 4)] and aligned["counts"]["filled"] == 2
    output = mug_tree.openface(known, tmp_path / "b", failed=(2,), aligned=False)
    filled = made(bare, name, frames=5, openface=str(output))
    assert filled["high"] == whole["high"] and filled["counts"]["filled"] == 1
    landmarks = np.load(known / "001/anger/take000/landmarks.npy")
    frame = decode_image((known / "001/anger/take000/img_0002.jpg").read_bytes(), "frame")
    expected = alignment.low_frame(frame, (landmarks[1] + landmarks[3]) / 2)
    assert np.abs(decode_image(filled["low"][2], "low").astype(int) - expected).mean() < 0.05
    long = mug_tree.openface(known, tmp_path / "c", failed=(1, 2, 3, 4, 5, 6))
    with pytest.raises(InputError, match=r"take000.csv: no face in frames 1 to 6 \(the first is 0\)"):
        made(bare, name, openface=str(long))
    neither = mug_tree.openface(known, tmp_path / "d", aligned=False, points=False)
    with pytest.raises(InputError, match="take000.csv: has neither the points x_0 ... y_67 nor a folder"):
        made(bare, name, openface=str(neither))


def test_our_tracker_runs_once_and_its_result_is_kept(tmp_path, monkeypatch):
    bare = mug_tree.without_landmarks(mug_tree.draw(tmp_path / "mug"))
    calls = []
    points = np.stack([alignment.mean_shape(60) + n for n in range(mug_tree.LENGTH)]).astype(np.float32)

    def track(frames, name):
        calls.append((name, len(list(frames))))
        return tracking.Track(points, (3,), 1)

    monkeypatch.setattr(records.tracking, "track", track)
    name = "001/session0/anger/take000"
    first = made(bare, name, frames=5, tracks=str(tmp_path / "tracks"))
    again = made(bare, name, frames=5, tracks=str(tmp_path / "tracks"))
    assert first == again and calls == [(name, mug_tree.LENGTH)] and first["counts"]["filled"] == 1
    frame = decode_image((bare / "001/anger/take000/img_0004.jpg").read_bytes(), "frame")
    np.testing.assert_array_equal(decode_image(first["low"][4], "low"), alignment.low_frame(frame, points[4]))
    image = bare / "001/anger/take000/img_0000.jpg"
    image.write_bytes(image.read_bytes() + b" ")  # another file: tracked again
    made(bare, name, frames=5, tracks=str(tmp_path / "tracks"))
    assert len(calls) == 2


def test_a_photo_from_the_clip_itself_is_counted(drawn):
    known, _ = drawn
    with_neutral, without = (made(known, f"002/{session}/anger/take000") for session in ("session0", "session1"))
    assert "own_photo" not in with_neutral["counts"]
    assert without["counts"]["own_photo"] == 1
    first_frame = decoded([without["high"][0], without["identity"]])
    np.testing.assert_array_equal(*first_frame)


def test_a_video_in_windows(tmp_path):
    frames, landmarks = draw_clip(draw_subject(0, 5), "fear", 0, 7, 96)
    (tmp_path / "ann").mkdir()
    video = write_video(tmp_path / "ann/talk.mp4", frames)
    np.save(tmp_path / "ann/talk.landmarks.npy", landmarks)
    clip = layout.read_own_tree(tmp_path).recordings[0]
    recipe = Recipe(str(tmp_path), frames=3, resolution=96, part="windows")
    two, counts = clip_records(clip, layout.own_identity(clip, tmp_path), recipe)
    assert [record["take"] for record in two] == ["talk-000", "talk-001"] and counts["repeated"] == 0
    high = decoded([image for record in two for image in record["high"]]).astype(int)
    assert np.abs(high - frames[:6]).mean() < 4  # H.264, then JPEG
    assert np.abs(decoded([two[0]["identity"]])[0].astype(int) - frames[0]).mean() < 4
    low = np.stack(
        [alignment.low_frame(frame, points) for frame, points in zip(frames[:6], landmarks[:6], strict=True)]
    )
    assert np.abs(decoded([image for record in two for image in record["low"]]).astype(int) - low).mean() < 4
    assert video.is_file()


def pickled(path: Path) -> None:
    np.save(path, np.array([{}], object), allow_pickle=True)


def lost_face(path: Path) -> None:
    landmarks = np.load(path)
    landmarks[1] = np.nan
    np.save(path, landmarks)


def one_point(path: Path) -> None:
    landmarks = np.load(path)
    landmarks[1] = 3
    np.save(path, landmarks)


def broken_image(path: Path) -> None:
    image = path.with_name("img_0001.jpg")
    image.write_bytes(image.read_bytes()[:20])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda path: np.save(path, np.zeros((LENGTH - 1, 68, 2), np.float32)),
            "take000/landmarks.npy: is float32 [7, 68, 2]; write float32 [8, 68, 2]",
        ),
        (pickled, "take000/landmarks.npy: not a NumPy array file"),
        (lambda path: path.write_text("x"), "take000/landmarks.npy: not a NumPy array file"),
        (lambda path: path.write_bytes(b""), "take000/landmarks.npy: not a NumPy array file"),
        (lost_face, "take000/img_0001.jpg: landmarks: not finite"),
        (one_point, "take000/img_0001.jpg: landmarks: no two points apart"),
        (broken_image, "take000/img_0001.jpg: not a readable image"),
        (lambda path: path.with_name("img_0001.jpg").unlink(), "take000/img_0001.jpg: cannot be read (No such file"),
    ],
)
def test_what_is_broken_is_named_in_one_line(tmp_path, spoil, message):
    folder = write_clip(tmp_path, "003/anger/take000")
    clip = layout.read_tree(tmp_path).recordings[0]
    spoil(folder / "landmarks.npy")
    why = attempt(
        lambda job, recipe: clip_records(*job, recipe),
        Job(clip, clip.frames[0]),
        Recipe(str(tmp_path), frames=4, resolution=SIZE),
    )
    assert isinstance(why, str) and message in why and "\n" not in why


def test_a_recipe_checks_itself():
    for settings, message in (
        ({"frames": 0}, "frames: 0 is below 1"),
        ({"resolution": 0}, "resolution: 0 is below 1"),
        ({"part": "half"}, "part: 'half' is none of onset, full, windows"),
    ):
        with pytest.raises(InputError, match=message):
            Recipe("", **settings)
