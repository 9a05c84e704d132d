"""Reading a MUG-shaped tree: what is a clip, who stands for it, who is in the test set."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facenhance_jax.data import layout
from facenhance_jax.errors import InputError


def tree(root: Path, *files: str) -> Path:
    """Empty files at these paths."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def found(root: Path) -> dict[str, list[str]]:
    return {clip.name: [frame.name for frame in clip.frames] for clip in layout.read_tree(root)}


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
    clip = layout.read_tree(tmp_path)[3]
    assert (clip.subject, clip.session, clip.expression, clip.take) == ("002", "session1", "fear", "take000")
    assert clip.frames == (tmp_path / "002/session1/fear/take000/img_0000.jpg",)


def test_frames_are_the_images_in_name_order_from_any_number_with_gaps(tmp_path):
    tree(tmp_path, *(f"008/disgust/take000nsg/img_{n:04d}.jpg" for n in (232, 161, 164)))
    tree(tmp_path, "009/sadness/take000end/b.JPG", "009/sadness/take000end/a.Png", "009/sadness/take000end/c.jpeg")
    assert found(tmp_path) == {
        "008/session0/disgust/take000nsg": ["img_0161.jpg", "img_0164.jpg", "img_0232.jpg"],
        "009/session0/sadness/take000end": ["a.Png", "b.JPG", "c.jpeg"],
    }


def test_strays_are_passed_over(tmp_path):
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


def test_one_name_twice_is_refused(tmp_path):
    tree(tmp_path, "003/anger/take000/img_0000.jpg", "003/session0/anger/take000/img_0000.jpg")
    with pytest.raises(InputError, match="a second 003/session0/anger/take000"):
        layout.read_tree(tmp_path)


def test_landmarks_lie_beside_the_frames(tmp_path):
    tree(tmp_path, "001/anger/take000/img_0000.jpg", "001/fear/take000/img_0000.jpg")
    tree(tmp_path, "001/fear/take000/landmarks.npy")
    anger, fear = layout.read_tree(tmp_path)
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
    clips = layout.read_tree(tmp_path)
    photo = {clip.name: layout.identity_frame(clip, reversed(clips)) for clip in clips if clip.subject == "002"}
    assert photo["002/session0/anger/take000"] == tmp_path / "002/session0/neutral/take000/img_0003.jpg"
    assert photo["002/session1/anger/take000"] == tmp_path / "002/session1/anger/take000/img_0000.jpg"


def test_the_split_is_every_fourth_of_the_sorted_subjects():
    ids = [f"{n:03d}" for n in range(1, 53)]
    split = layout.split_subjects(reversed([*ids, *ids]))
    assert split["test"] == "002 006 010 014 018 022 026 030 034 038 042 046 050".split()
    assert split["train"] == [subject for subject in ids if subject not in split["test"]]
    assert (len(split["train"]), len(split["test"])) == (39, 13)


def test_both_sides_of_a_split_have_somebody():
    assert layout.split_subjects(["b", "a"]) == {"train": ["a"], "test": ["b"]}
    assert layout.split_subjects("abc") == {"train": ["a", "c"], "test": ["b"]}
    with pytest.raises(InputError, match="subjects: 1 found"):
        layout.split_subjects(["a", "a"])


def test_onset_positions_cover_the_first_half():
    assert layout.onset_positions(64, 32) == list(range(32))
    assert layout.onset_positions(10, 4) == [0, 1, 3, 4]
    assert layout.onset_positions(6, 5) == [0, 1, 1, 2, 2]
    assert layout.onset_positions(5, 2) == [0, 2]
    assert layout.onset_positions(1, 3) == [0, 0, 0]
    assert layout.onset_positions(70, 1) == [0]


def test_any_image_decodes_to_8_bit_rgb():
    rgb = np.array([[[200, 100, 50], [1, 2, 3]]], np.uint8)
    alpha = np.concatenate([rgb[..., ::-1], np.full((1, 2, 1), 7, np.uint8)], -1)
    grey = np.array([[9, 250]], np.uint8)
    encode = lambda image: cv2.imencode(".png", image)[1].tobytes()  # noqa: E731
    np.testing.assert_array_equal(layout.decode(encode(rgb[..., ::-1]), "x"), rgb)
    np.testing.assert_array_equal(layout.decode(encode(alpha), "x"), rgb)
    np.testing.assert_array_equal(layout.decode(encode(grey), "x"), np.repeat(grey[..., None], 3, -1))
    np.testing.assert_array_equal(layout.decode(encode(rgb[..., ::-1].astype(np.uint16) * 257), "x"), rgb)


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_called_by_name(data):
    with pytest.raises(InputError, match="img_0007.jpg: not a readable image"):
        layout.decode(data, "img_0007.jpg")
