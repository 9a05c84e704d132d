"""Reading a tree: what is a clip, which photo belongs to it, which of its frames are kept."""

from pathlib import Path

import mug_tree
import pytest

from facenhance_jax.data import layout
from facenhance_jax.messages import InputError


def tree(root: Path, *files: str) -> Path:
    """Empty files at these paths."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def found(root: Path) -> dict[str, list[str]]:
    return {clip.name: [frame.name for frame in clip.frames] for clip in layout.read_tree(root).recordings}


def test_the_plain_tree_and_session_folders(tmp_path):
    tree(
        tmp_path,
        "001/anger/take000/img_0000.jpg",
        "001/neutral/take000/img_0000.jpg",
        "002/session0/fear/take000/img_0000.jpg",
        "002/session1/fear/take000/img_0000.jpg",
    )
    one = ["img_0000.jpg"]
    assert found(tmp_path) == {
        "001/session0/anger/take000": one,
        "001/session0/neutral/take000": one,
        "002/session0/fear/take000": one,
        "002/session1/fear/take000": one,
    }
    clip = layout.read_tree(tmp_path).recordings[3]
    assert (clip.subject, clip.session, clip.expression, clip.take) == ("002", "session1", "fear", "take000")
    assert clip.frames == (tmp_path / "002/session1/fear/take000/img_0000.jpg",)


def test_frames_are_the_images_in_name_order_from_any_number_with_gaps(tmp_path):
    tree(tmp_path, *(f"008/disgust/take000nsg/img_{n:04d}.jpg" for n in (232, 161, 164)))
    tree(tmp_path, "009/sadness/take000end/b.JPG", "009/sadness/take000end/a.Png", "009/sadness/take000end/c.jpeg")
    assert found(tmp_path) == {
        "008/session0/disgust/take000nsg": ["img_0161.jpg", "img_0164.jpg", "img_0232.jpg"],
        "009/session0/sadness/take000end": ["a.Png", "b.JPG", "c.jpeg"],
    }


def test_other_files_are_ignored(tmp_path):
    tree(
        tmp_path,
        "001/anger/take000/img_0000.jpg",
        "001/anger/take000/._img_0000.jpg",
        "001/anger/take000/clip.avi",
        "001/anger/take000/landmarks.npy",
        "001/anger/take000/folder.jpg/x",
        "001/anger/take001/only.avi",
        "001/anger/img_0000.jpg",
        "001/contempt/take000/img_0000.jpg",
        "001/anger/backup/img_0000.jpg",
        "notes/anger/take000/img_0000.jpg",
        "readme.txt",
    )
    assert found(tmp_path) == {"001/session0/anger/take000": ["img_0000.jpg"]}


@pytest.mark.parametrize("stray", [None, "anger/take000/img_0000.jpg", "001/anger/img_0000.jpg"])
def test_a_wrong_root_says_what_was_looked_for(tmp_path, stray):
    if stray:
        tree(tmp_path, stray)
    with pytest.raises(InputError) as error:
        layout.read_tree(tmp_path)
    message = str(error.value)
    assert str(tmp_path) in message and layout.LAYOUT in message and "surprise" in message and "\n" not in message


def test_a_root_that_is_missing_or_a_file(tmp_path):
    (tmp_path / "file").touch()
    for root in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(InputError, match=f"{root}: no such folder"):
            layout.read_tree(root)


def test_a_second_clip_of_the_same_name_is_skipped_and_listed(tmp_path):
    tree(tmp_path, "003/anger/take000/img_0000.jpg", "003/session0/anger/take000/img_0000.jpg")
    read = layout.read_tree(tmp_path)
    assert [clip.frames[0] for clip in read.recordings] == [tmp_path / "003/session0/anger/take000/img_0000.jpg"]
    second = str(tmp_path / "003/anger/take000/img_0000.jpg")
    assert read.skipped == {second: "a second 003/session0/anger/take000; give it a name of its own"}


def test_every_quirk_of_mug(tmp_path):
    root = mug_tree.draw(tmp_path / "mug")
    read = layout.read_tree(root)
    assert [clip.name for clip in read.recordings] == mug_tree.CLIPS
    by_name = {clip.name: clip for clip in read.recordings}
    nsg = by_name["001/session0/happiness/take000nsg"]
    assert [frame.name for frame in nsg.frames] == [f"img_{n:04d}.jpg" for n in range(161, 170)]
    gap = by_name["001/session0/happiness/take001"]
    assert [int(frame.stem[4:]) for frame in gap.frames] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert by_name["001/session0/surprise/take000end"].frames[0].name == "img_0000.JPG"
    assert read.skipped == {
        str(root / "002/anger/take000/img_0000.jpg"): "a second 002/session0/anger/take000; give it a name of its own",
        "003/session0/anger/take000": "broke off: 3 frames, where 9 are usual",
        str(root / "003/sadness/take000"): "no jpg or png in it",
    }


def test_a_clip_broke_off_at_a_third_of_the_usual_length(tmp_path):
    for take, length in enumerate((9, 9, 9, 4, 3)):
        tree(tmp_path, *(f"001/anger/take{take:03d}/img_{n}.jpg" for n in range(length)))
    tree(tmp_path, "001/neutral/take000/img_0.jpg")
    read = layout.read_tree(tmp_path)
    assert [len(clip.frames) for clip in read.recordings] == [9, 9, 9, 4, 1]
    assert read.skipped == {"001/session0/anger/take004": "broke off: 3 frames, where 9 are usual"}


def test_a_folder_that_cannot_be_read_is_listed(tmp_path, monkeypatch):
    tree(tmp_path, "001/anger/take000/img_0.jpg", "002/anger/take000/img_0.jpg")
    whole = layout.Path.iterdir

    def locked(path):
        if path == tmp_path / "002":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(layout.Path, "iterdir", locked)
    read = layout.read_tree(tmp_path)
    assert [clip.subject for clip in read.recordings] == ["001"]
    assert read.skipped == {str(tmp_path / "002"): "cannot be read (Permission denied)"}


def test_a_likely_root_is_suggested(tmp_path):
    tree(tmp_path, "mug/subjects3/001/anger/take000/img_0.jpg")
    for wrong, right in (
        (tmp_path / "mug", tmp_path / "mug/subjects3"),
        (tmp_path, tmp_path / "mug/subjects3"),
        (tmp_path / "mug/subjects3/001", tmp_path / "mug/subjects3"),
    ):
        with pytest.raises(InputError, match=f"; did you mean {right}\\?$"):
            layout.read_tree(wrong)


def test_own_clips_lie_anywhere_below_their_person(tmp_path):
    tree(
        tmp_path,
        "ann/hello.mp4",
        "ann/neutral.PNG",
        "ann/day1/happy/a.GIF",
        "ann/day1/frames/f_2.png",
        "ann/day1/frames/f_1.png",
        "ann/day1/notes.txt",
        "bob/x/hello.mov",
        "bob/x/hello.mp4",
        "bob/.trash/old.mp4",
        "loose.mp4",
    )
    read = layout.read_own_tree(tmp_path)
    assert [(clip.name, clip.expression, clip.take, clip.is_video) for clip in read.recordings] == [
        ("ann/day1/frames", "day1", "frames", False),
        ("ann/day1/happy/a", "day1/happy", "a", True),
        ("ann/hello", "", "hello", True),
        ("bob/x/hello", "x", "hello", True),
    ]
    assert [frame.name for frame in read.recordings[0].frames] == ["f_1.png", "f_2.png"]
    assert list(read.skipped) == [str(tmp_path / "bob/x/hello.mp4")]
    photos = [layout.own_identity(clip, tmp_path).relative_to(tmp_path).as_posix() for clip in read.recordings]
    assert photos == ["ann/neutral.PNG"] * 3 + ["bob/x/hello.mov"]
    tree(tmp_path, "ann/day1/happy/a.landmarks.npy")
    assert [clip.landmarks for clip in read.recordings[1:3]] == [tmp_path / "ann/day1/happy/a.landmarks.npy", None]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no clips; looked for <subject>/"):
        layout.read_own_tree(tmp_path / "empty")


def test_landmarks_lie_next_to_the_frames(tmp_path):
    tree(tmp_path, "001/anger/take000/img_0000.jpg", "001/fear/take000/img_0000.jpg")
    tree(tmp_path, "001/fear/take000/landmarks.npy")
    anger, fear = layout.read_tree(tmp_path).recordings
    assert anger.landmarks is None
    assert fear.landmarks == tmp_path / "001/fear/take000/landmarks.npy"


def test_the_photo_is_the_neutral_clip_of_the_same_session(tmp_path):
    tree(
        tmp_path,
        *(f"002/session0/anger/take000/img_{n:04d}.jpg" for n in (5, 6)),
        "002/session1/anger/take000/img_0000.jpg",
        *(f"002/session0/neutral/take001/img_{n:04d}.jpg" for n in (1, 2)),
        *(f"002/session0/neutral/take000/img_{n:04d}.jpg" for n in (3, 4)),
        "001/session0/neutral/take000/img_0000.jpg",
    )
    clips = layout.read_tree(tmp_path).recordings
    photo = {clip.name: layout.identity_frame(clip, reversed(clips)) for clip in clips if clip.subject == "002"}
    assert photo["002/session0/anger/take000"] == tmp_path / "002/session0/neutral/take000/img_0003.jpg"
    assert photo["002/session1/anger/take000"] == tmp_path / "002/session1/anger/take000/img_0000.jpg"


@pytest.mark.parametrize(
    ("length", "frames", "part", "expected"),
    [
        (64, 32, "onset", [list(range(32))]),
        (10, 4, "onset", [[0, 1, 3, 4]]),
        (6, 5, "onset", [[0, 1, 1, 2, 2]]),
        (5, 2, "onset", [[0, 2]]),
        (1, 3, "onset", [[0, 0, 0]]),
        (70, 1, "onset", [[0]]),
        (5, 3, "full", [[0, 2, 4]]),
        (7, 3, "windows", [[0, 1, 2], [3, 4, 5]]),
        (2, 3, "windows", [[0, 1, 1]]),
    ],
)
def test_positions(length, frames, part, expected):
    assert layout.positions(length, frames, part) == expected
