"""Reading what generators write: a fixture for each layout, in the form that the system or our choice defines."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import write_clip
from PIL import Image

from facenhance_jax.data.generated import Records, read_generated
from facenhance_jax.messages import InputError

HEAD = "file,subject,expression,row,column\n"
PEOPLE = "video,id,category,nframes\n/017/neutral/take000,17,neutral,28\n/045/neutral/take001,45,neutral,28\n"


def noise(count: int, seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


def flat(*values: int) -> np.ndarray:
    """A clip with a grey frame for each value."""
    return np.stack([np.full((64, 64, 3), value, np.uint8) for value in values])


def grid(tiles: list[np.ndarray], columns: int, rest: int) -> np.ndarray:
    """Clips as tiles of one clip, row by row; empty cells have the value `rest`."""
    rows = -(-len(tiles) // columns)
    made = np.full((len(tiles[0]), rows * 64, columns * 64, 3), rest, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = 64 * (index // columns), 64 * (index % columns)
        made[:, top : top + 64, left : left + 64] = tile
    return made


def save(path: Path, frames: np.ndarray) -> None:
    """Writes a strip (.png of n > 1 frames), a picture, an .npy, a video, or a folder of frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".png", ".jpg"):
        Image.fromarray(np.concatenate(frames, axis=1)).save(path)
    elif path.suffix == ".npy":
        np.save(path, frames)
    elif path.suffix:
        write_clip(path, frames)
    else:
        for index, frame in enumerate(frames):
            save(path / f"{index}.png", frame[None])  # 10.png comes after 9.png


def levels(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean())) for frame in frames]


def found(directory: Path, layout: str) -> dict[str, np.ndarray]:
    return {clip.name: clip.frames() for clip in read_generated(directory, layout)}


def refusal(directory: Path, layout: str) -> str:
    with pytest.raises(InputError) as error:
        read_generated(directory, layout)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_grid_of_videogan_is_cut_by_the_rows_and_columns_in_pairs(tmp_path):
    tiles = [flat(20 + 10 * index, 140 + 10 * index) for index in range(8)]
    save(tmp_path / "gen.gif", grid(tiles, 6, 255))  # torch's toDisplayTensor: 6 a row, the rest white
    save(tmp_path / "mask.gif", grid(tiles, 6, 0))
    save(tmp_path / "static.jpg", tiles[0])
    (tmp_path / "pairs.csv").write_text(
        "file,subject,expression,row,column\ngen.gif,002,Fear,1,1\ngen.gif,001,anger,0,5\ngen.gif,002,anger,0,0\n"
    )
    clips = read_generated(tmp_path, "videogan")
    assert [(clip.subject, clip.expression, clip.take) for clip in clips] == [
        ("001", "anger", ""),
        ("002", "anger", ""),
        ("002", "fear", ""),
    ]
    assert [levels(clip.frames()) for clip in clips] == [[70, 190], [20, 140], [90, 210]]


def test_names_of_single_videos_of_videogan_give_the_subject(tmp_path):
    save(tmp_path / "001_anger.gif", flat(10, 200))
    save(tmp_path / "001_anger_take001.mp4", flat(30, 60))
    save(tmp_path / "s_2_Surprise.gif", flat(90, 90))
    assert {name: levels(frames) for name, frames in found(tmp_path, "videogan").items()} == {
        "001/anger": [10, 200],
        "001/anger/take001": [30, 60],
        "s_2/surprise": [90, 90],
    }


def test_imaginators_numbers_are_lines_of_its_list_and_classes_of_its_code(tmp_path):
    (tmp_path / "val_neutral.csv").write_text(PEOPLE)
    for person in range(2):
        for code in range(6):
            save(tmp_path / f"{person}_{code}.mp4", flat(20 + 100 * person + 10 * code, 20))
    classes = {"sadness": 0, "anger": 1, "surprise": 2, "disgust": 3, "happiness": 4, "fear": 5}  # its dataset.py
    names = {f"{subject}/{expression}": 20 + 100 * person + 10 * code
             for person, subject in enumerate(("017", "045")) for expression, code in classes.items()}  # fmt: skip
    read = found(tmp_path, "imaginator")
    assert list(read) == sorted(names)
    assert all(abs(levels(read[name])[0] - level) <= 1 for name, level in names.items())


def test_imaginators_grids_for_tensorboard_are_cut_by_pairs(tmp_path):
    tiles = [flat(20 + 10 * index, 30) for index in range(10)]
    save(tmp_path / "vid_cat_4.gif", grid([*tiles, *[flat(0, 0)] * 6], 8, 0))  # 2 rows of 8, the last six black
    lines = [f"vid_cat_4.gif,{index:03d},happiness,take000,{index // 8},{index % 8}" for index in range(10)]
    (tmp_path / "pairs.csv").write_text("\n".join(["file,subject,expression,take,row,column", *lines]))
    assert [levels(frames)[0] for frames in found(tmp_path, "imaginator").values()] == list(range(20, 120, 10))


def test_folders_of_frames_in_natural_order(tmp_path):
    one, two, three = noise(11, 0), noise(2, 1), noise(3, 2)
    save(tmp_path / "001_anger", one)
    np.save(tmp_path / "001_anger/landmarks.npy", np.zeros((11, 68, 2), np.float32))
    save(tmp_path / "002" / "fear" / "take000", two)
    save(tmp_path / "002" / "fear_b", three)
    read = found(tmp_path, "motiongan")
    assert list(read) == ["001/anger", "002/fear/b", "002/fear/take000"]
    for frames, expected in zip(read.values(), (one, three, two), strict=True):
        np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("suffix", [".png", ".npy", ""])
def test_fevgans_strips_arrays_and_folders_hold_the_same_frames(tmp_path, suffix):
    frames = noise(5, 3)
    save(tmp_path / f"010_sadness{suffix}", frames)
    (tmp_path / "notes.txt").write_text("passed over")
    save(tmp_path / ".010_fear.png", frames)
    read = found(tmp_path, "fevgan")
    assert list(read) == ["010/sadness"]
    np.testing.assert_array_equal(read["010/sadness"], frames)


def test_the_folder_layout_takes_every_form_and_any_expression(tmp_path):
    clips = {"ann/wink/a.npy": noise(3, 4), "ann/wink/b.png": noise(4, 5), "ann/wink/c": noise(2, 6)}
    clips["bob/Smile"] = noise(3, 7)
    for name, frames in clips.items():
        save(tmp_path / name, frames)
    save(tmp_path / "ann/wink/d.mp4", flat(50, 150))
    save(tmp_path / "ann/neutral.png", noise(1, 8))
    read = found(tmp_path, "folder")
    assert list(read) == ["ann/wink/a", "ann/wink/b", "ann/wink/c", "ann/wink/d", "bob/smile"]
    assert levels(read.pop("ann/wink/d")) == [50, 150]
    for frames, expected in zip(read.values(), clips.values(), strict=True):
        np.testing.assert_array_equal(frames, expected)


def test_other_sizes_are_resized_to_64_by_area_and_bicubic(tmp_path):
    large, small = noise(2, 9, 128), noise(3, 10, 32)
    save(tmp_path / "001_anger.npy", large)
    save(tmp_path / "002_anger.png", small)
    read = found(tmp_path, "fevgan")
    means = large.reshape(2, 64, 2, 64, 2, 3).mean((2, 4))
    assert np.abs(read["001/anger"] - means).max() <= 0.5
    expected = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_CUBIC) for frame in small]
    np.testing.assert_array_equal(read["002/anger"], expected)


def test_pairs_csv_replaces_the_names_and_may_have_a_take(tmp_path):
    save(tmp_path / "001_anger.npy", noise(2, 0))
    save(tmp_path / "deep/x.png", noise(2, 1))
    save(tmp_path / "deep/y", noise(2, 2))
    (tmp_path / "pairs.csv").write_text(
        '\ufeffFile, Subject, Expression, Take, row, column\n001_anger.npy,007,"Glad, a bit",t1,,\n'
        "deep/x.png,007,fear\n\ndeep/y,007,fear, t2\n",
        encoding="utf-8",
    )
    assert list(found(tmp_path, "videogan")) == ["007/fear", "007/fear/t2", "007/glad, a bit/t1"]


def test_a_grid_may_be_a_folder_of_pictures(tmp_path):
    tiles = [noise(2, 0), noise(2, 1)]
    save(tmp_path / "grid", grid(tiles, 2, 0))
    (tmp_path / "pairs.csv").write_text(HEAD + "grid,1,anger,0,1\ngrid/,2,anger,0,0\n")
    read = found(tmp_path, "folder")
    np.testing.assert_array_equal(read["1/anger"], tiles[1])
    np.testing.assert_array_equal(read["2/anger"], tiles[0])


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ("file,subject\ng.gif,1\n", ["pairs.csv", "no column 'expression'"]),
        ("", ["pairs.csv", "no column 'file'"]),
        (HEAD + "g.gif,1,fear,0,0\ng.gif,,fear,0,1\n", ["line 3 has no subject"]),
        (HEAD + "g.gif,1\n", ["line 2 has no expression"]),
        (HEAD + "g.gif,1,fear,0,0\nnone.gif,1,fear,0,0\n", ["line 3 names none.gif", "not there"]),
        (HEAD + "g.gif,1,fear,0,\n", ["line 2 has row '0', column ''"]),
        (HEAD + "g.gif,1,fear,-1,0\n", ["line 2 has row '-1', column '0'"]),
        (HEAD + "g.gif,1,fear,0,0\ng.gif,2,fear,0,0\n", ["line 3 names what line 2 names"]),
        (HEAD + "g.gif,1,fear,0,0,0\n", ["line 2 has more cells"]),
        (HEAD + "g.gif,1,fear,1,0\n", ["g.gif", "row 1, column 0 is outside", "1 rows and 2 columns"]),
        (HEAD + "g.gif,1,fear,0,2\n", ["g.gif", "row 0, column 2 is outside"]),
        (HEAD + "g.gif,1,fear,,\n", ["g.gif", "128x64 pixels are not square", "row and column"]),
        (HEAD + "h.gif,1,fear,0,0\n", ["no line for g.gif (1 such)"]),
        (HEAD + "h.gif,1,fear,0,0\ng.gif,1,fear,0,0\n", ["h.gif", "132x66", "without padding"]),
        (HEAD + "g.gif,1,fear,0,0\ng.gif,1,fear,0,1\n", ["a second 1/fear", "g.gif"]),
    ],
)
def test_a_bad_pairs_is_refused_by_its_line(tmp_path, pairs, words):
    save(tmp_path / "g.gif", grid([flat(10, 20), flat(30, 40)], 2, 0))
    if "h.gif" in pairs:
        save(tmp_path / "h.gif", np.zeros((2, 66, 132, 3), np.uint8))
    (tmp_path / "pairs.csv").write_text(pairs)
    message = refusal(tmp_path, "videogan")
    assert str(tmp_path) in message and all(word in message for word in words)


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "pairs.csv").write_bytes(b"\xff\xfe\x00\x01")
    assert "pairs.csv: not a readable csv" in refusal(tmp_path, "fevgan")


@pytest.mark.parametrize(
    ("layout", "files", "words"),
    [
        ("videogan", {"gen.gif": flat(1, 2)}, ["gen.gif", "has no subject", "pairs.csv", "row,column"]),
        ("motiongan", {"run/001_anger": flat(1, 2)}, ["run/001_anger", "has no subject"]),
        ("fevgan", {"001_anger.png": np.zeros((3, 64, 50, 3), np.uint8)}, ["001_anger.png", "150x64", "cut"]),
        ("fevgan", {"001_anger.png": flat(1)}, ["001_anger.png", "one picture of 64x64"]),
        ("fevgan", {"001_anger.png": flat(1, 2), "001_anger.npy": flat(1)}, ["a second 001/anger", ".npy", ".png"]),
        ("folder", {"001/anger.npy": flat(1, 2)}, ["001/anger.npy", "not <subject>/<expression>/<clip>"]),
        ("folder", {"001/fear/a.npy": np.zeros((2, 64, 80, 3), np.uint8)}, ["80x64 pixels are not square"]),
        ("imaginator", {"0_0.mp4": flat(1, 2)}, ["val_neutral.csv: missing", "ImaGINator"]),
        ("videogan", {"mask.gif": flat(1, 2)}, ["no clips"]),
        ("lfdm", {"a.gif": flat(1, 2)}, ["layout 'lfdm'", "videogan, imaginator, motiongan, fevgan, folder"]),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, layout, files, words):
    for name, frames in files.items():
        save(tmp_path / name, frames)
    message = refusal(tmp_path, layout)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(("name", "word"), [("2_0", "only 2 people"), ("0_6", "class 6"), ("x", "has no subject")])
def test_imaginators_numbers_must_be_in_its_lists(tmp_path, name, word):
    (tmp_path / "val_neutral.csv").write_text(PEOPLE)
    save(tmp_path / f"{name}.mp4", flat(1, 2))
    message = refusal(tmp_path, "imaginator")
    assert f"{name}.mp4" in message and word in message


def test_files_that_are_no_clips_are_named(tmp_path):
    (tmp_path / "001_anger.mp4").write_text("not a video")
    message = refusal(tmp_path, "motiongan")
    assert "001_anger.mp4" in message and "not a clip" in message
    assert "no such folder" in refusal(tmp_path / "nowhere", "folder")


def test_a_video_cut_short_is_not_scored(tmp_path):
    path = tmp_path / "001_anger.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "1"})
        stream.height = stream.width = 64
        for frame in noise(12, 0):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[:-20000])
    (clip,) = read_generated(tmp_path, "motiongan")
    with pytest.raises(InputError, match="of 12 frames could be read.*write it again"):
        clip.frames()


def test_records_get_the_clips_of_their_subject_expression_and_take(tmp_path):
    def record(subject: str, expression: str, take: str) -> dict:
        return {"subject": subject, "expression": expression, "take": take, "high": [b"", b""], "low": [b"", b""]}

    save(tmp_path / "001_anger.npy", flat(1, 2))
    save(tmp_path / "001_fear_b.npy", flat(3, 4))
    save(tmp_path / "002_anger.npy", flat(5, 6, 7))
    clips = read_generated(tmp_path, "motiongan")
    records = [record("001", "anger", "a"), record("001", "fear", "a"), record("001", "fear", "b")]
    paired = Records([*records, record("003", "anger", "a"), record("002", "anger", "a")], clips)
    assert len(paired) == 3
    assert [(row["expression"], row["take"]) for row in (paired[0], paired[1])] == [("anger", "a"), ("fear", "b")]
    assert [levels(row["low"]) for row in (paired[0], paired[1])] == [[1, 2], [3, 4]]
    assert paired[0]["high"] == [b"", b""]
    with pytest.raises(InputError, match="002_anger.npy: 3 frames, but its real clip has 2; cut both to one length"):
        paired[2]
