"""From a tree to records and to a TFDS data set, and what happens with a tree that is not fit."""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle

from facenhance_jax.data import faces, layout
from facenhance_jax.data import mug_dataset_builder as mug
from facenhance_jax.errors import InputError

LENGTH, SIZE = 8, 48
PREPARE = Path(__file__).parents[1] / "launch" / "prepare.py"


def write_clip(
    root: Path, name: str, *, size: tuple[int, int] = (SIZE, SIZE), seed: int = 0, suffix: str = "jpg"
) -> Path:
    """LENGTH smooth random images of height and width `size`, and landmarks that drift."""
    folder = root / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, *name.encode()])
    for n in range(LENGTH):
        image = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"img_{n:04d}.{suffix}"), image)
    face = faces.mean_shape(min(size))
    np.save(folder / "landmarks.npy", np.stack([face + n for n in range(LENGTH)]).astype(np.float32))
    return folder


@pytest.fixture
def tree(tmp_path) -> Path:
    """Three subjects: 001 and 002 with a neutral clip, 002 with a second session without one."""
    root = tmp_path / "tree"
    for name in (
        "001/anger",
        "001/neutral",
        "002/session0/fear",
        "002/session0/neutral",
        "002/session1/fear",
        "003/anger",
    ):
        write_clip(root, f"{name}/take000")
    return root


def test_a_record_of_frames_that_have_the_right_size(tree):
    anger, fear, late = mug.records(tree, ["001", "002"], frames=3, resolution=SIZE)
    files = [tree / f"001/anger/take000/img_{n:04d}.jpg" for n in (0, 2, 3)]
    assert anger["high"] == [file.read_bytes() for file in files]  # not encoded a second time
    assert anger["identity"] == (tree / "001/neutral/take000/img_0000.jpg").read_bytes()
    assert late["identity"] == late["high"][0] == (tree / "002/session1/fear/take000/img_0000.jpg").read_bytes()
    landmarks = np.load(tree / "001/anger/take000/landmarks.npy")
    for low, file, n in zip(anger["low"], files, (0, 2, 3), strict=True):
        frame = layout.decode(file.read_bytes(), file)
        np.testing.assert_array_equal(layout.decode(low, "low"), faces.low_frame(frame, landmarks[n]))
    words = {name: (record["subject"], record["session"], record["expression"], record["take"])
             for name, record in (("anger", anger), ("fear", fear), ("late", late))}  # fmt: skip
    assert words == {
        "anger": ("001", "session0", "anger", "take000"),
        "fear": ("002", "session0", "fear", "take000"),
        "late": ("002", "session1", "fear", "take000"),
    }


def test_other_sizes_are_cut_square_and_shrunk_but_low_sees_the_whole_frame(tmp_path):
    clip = write_clip(tmp_path, "001/anger/take000", size=(96, 130), suffix="PNG")
    (record,) = mug.records(tmp_path, ["001"], frames=2, resolution=SIZE)
    source = layout.decode((clip / "img_0003.PNG").read_bytes(), "source")
    expected = cv2.resize(source[:, 17:113], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    high = layout.decode(record["high"][1], "high")
    assert record["high"][1].startswith(b"\xff\xd8")  # JPEG
    assert high.shape == (SIZE, SIZE, 3)
    assert np.abs(high.astype(int) - expected).mean() < 3
    landmarks = np.load(clip / "landmarks.npy")[3]
    np.testing.assert_array_equal(layout.decode(record["low"][1], "low"), faces.low_frame(source, landmarks))


def test_the_data_set_gives_back_the_records_split_by_subject(tree, tmp_path, monkeypatch):
    # Were a split gathered in memory first, this would send it through TensorFlow, which is not there.
    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 0)
    monkeypatch.setattr(mug, "_CLIPS_PER_SHARD", 1)
    folder = mug.prepare(tree, tmp_path / "out", frames=3, resolution=SIZE)
    assert folder.parents[2] == tmp_path / "out"
    for split, subjects in (("train", ["001", "003"]), ("test", ["002"])):
        expected = list(mug.records(tree, subjects, frames=3, resolution=SIZE))
        stored = mug.source(tmp_path / "out", split, frames=3, resolution=SIZE)
        assert len(stored) == len(expected) == 2
        for got, record in zip(stored, expected, strict=True):
            assert list(got["high"]) == record["high"] and list(got["low"]) == record["low"]
            assert got["identity"] == record["identity"]
            assert [got[word].decode() for word in ("subject", "session", "expression", "take")] == [
                record[word] for word in ("subject", "session", "expression", "take")
            ]
    elsewhere = tfds.builder_from_directory(folder).as_data_source("test")
    assert elsewhere[1]["identity"] == stored[1]["identity"]


def test_a_data_set_is_never_mixed_with_another(tree, tmp_path):
    with pytest.raises(InputError, match="no such data set; make it"):
        mug.source(tmp_path / "out", "train")
    mug.prepare(tree, tmp_path / "out", frames=1, resolution=SIZE)
    with pytest.raises(InputError, match="already prepared"):
        mug.prepare(tree, tmp_path / "out", frames=1, resolution=SIZE)
    mug.prepare(tree, tmp_path / "out", frames=2, resolution=SIZE)
    assert len(mug.source(tmp_path / "out", "train", frames=1, resolution=SIZE)[0]["high"]) == 1
    assert len(mug.source(tmp_path / "out", "train", frames=2, resolution=SIZE)[0]["high"]) == 2


def test_clips_without_landmarks_are_skipped_and_named(tree):
    (tree / "001/anger/take000/landmarks.npy").unlink()
    (tree / "001/neutral/take000/landmarks.npy").unlink()  # a photo needs none
    chosen, skipped = mug.usable(layout.read_tree(tree))
    assert [clip.subject for clip in chosen] == ["002", "002", "003"]
    assert skipped == {"001/session0/anger/take000": "needs landmarks.npy beside its frames"}
    for path in tree.rglob("landmarks.npy"):
        path.unlink()
    with pytest.raises(InputError, match="each of its 4 clips needs landmarks.npy"):
        mug.usable(layout.read_tree(tree))


def bad_landmarks(path: Path) -> None:
    np.save(path, np.zeros((LENGTH - 1, 68, 2), np.float32))


def pickled_landmarks(path: Path) -> None:
    np.save(path, np.array([{}], object), allow_pickle=True)


def lost_face(path: Path) -> None:
    landmarks = np.load(path)
    landmarks[1] = np.nan
    np.save(path, landmarks)


def broken_image(path: Path) -> None:
    image = path.with_name("img_0001.jpg")
    image.write_bytes(image.read_bytes()[:20])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (bad_landmarks, r"take000/landmarks.npy: is float32 \[7, 68, 2\]; write float32 \[8, 68, 2\]"),
        (pickled_landmarks, "take000/landmarks.npy: not a NumPy array file"),
        (lambda path: path.write_text("x"), "take000/landmarks.npy: not a NumPy array file"),
        (lambda path: path.write_bytes(b""), "take000/landmarks.npy: not a NumPy array file"),
        (lost_face, "take000/img_0001.jpg: landmarks: not finite"),
        (broken_image, "take000/img_0001.jpg: not a readable image"),
    ],
)
def test_what_is_broken_is_named_and_nothing_is_left(tree, tmp_path, spoil, message):
    spoil(tree / "003/anger/take000/landmarks.npy")
    with pytest.raises(InputError, match=message) as error:
        mug.prepare(tree, tmp_path / "out", frames=4, resolution=SIZE)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_and_a_size_that_cannot_be(tree, tmp_path):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(InputError, match="cannot be made a folder"):
            mug.prepare(tree, output)
    with pytest.raises(InputError, match="frames: 0 is below 1"):
        mug.MugConfig(frames=0)


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PREPARE, *map(str, arguments)]
    environment = {"PYTHONPATH": str(PREPARE.parents[1]), "PATH": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=PREPARE.parents[1])


def test_the_command_prints_a_summary(tree, tmp_path):
    (tree / "001/anger/take000/landmarks.npy").unlink()
    done = launch("--root", tree, "--output", tmp_path / "out", "--frames", 2, "--resolution", SIZE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "subjects  1 train, 1 test (003)",
        "clips     3: 1 anger, 0 disgust, 2 fear, 0 happiness, 0 sadness, 0 surprise",
        "frames    2 a clip, 6 in all, 48 px",
        "skipped   1 clips: needs landmarks.npy beside its frames",
    ]
    assert lines[4].startswith("residual  config.model.residual_scale = ")
    assert lines[5].startswith(f"written   {tmp_path / 'out'}") and len(lines) == 6
    assert len(mug.source(tmp_path / "out", "train", frames=2, resolution=SIZE)) == 2


def test_the_command_refuses_in_one_line(tree, tmp_path):
    wrong = launch("--root", tmp_path / "missing", "--output", tmp_path / "out")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert (
        wrong.stderr
        == f"facenhance: {tmp_path / 'missing'}: no such folder; give the folder that holds {layout.LAYOUT}\n"
    )
    drawn = launch("--root", tree, "--output", tmp_path / "out", "--draw", 1)
    assert drawn.returncode == 2 and drawn.stderr.startswith(f"facenhance: {tree}: holds something else")
    assert drawn.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_drawing_that_was_stopped_goes_on_and_another_is_refused(tmp_path):
    tree = tmp_path / "tree"
    size = ("--frames", 2, "--resolution", 64, "--draw", 2)
    first = launch("--root", tree, "--output", tmp_path / "one", *size)
    assert first.returncode == 0, first.stderr
    take = tree / "001/fear/take000"
    drawn = {path.name: path.read_bytes() for path in take.iterdir()}
    shutil.rmtree(take)
    again = launch("--root", tree, "--output", tmp_path / "two", *size)
    assert again.returncode == 0, again.stderr
    assert {path.name: path.read_bytes() for path in take.iterdir()} == drawn
    other = launch("--root", tree, "--output", tmp_path / "three", *size, "--seed", 1)
    assert other.returncode == 2 and "holds something else" in other.stderr
