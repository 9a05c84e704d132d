"""OpenFace's output: both dialects, frames without a face, and what is not its output."""

import cv2
import mug_tree
import numpy as np
import pytest

from facenhance_jax.data import layout, openface
from facenhance_jax.faces import alignment, gaps
from facenhance_jax.media.pictures import decode_image
from facenhance_jax.messages import InputError

HEADER = "frame,face_id,timestamp,confidence,success," + ",".join(openface.POINTS)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return mug_tree.draw(tmp_path_factory.mktemp("tree") / "mug")


def clip(root, name="001/session0/anger/take000") -> layout.Recording:
    return {clip.name: clip for clip in layout.read_tree(root).recordings}[name]


@pytest.mark.parametrize("old", [False, True])
def test_both_dialects_are_read_by_frame_and_success(drawn, tmp_path, old):
    output = mug_tree.openface(drawn, tmp_path / "out", failed=(2, 3), old=old)
    one = clip(drawn)
    file = openface.find(one, drawn, output)
    assert file == output / "001/anger/take000.csv"
    read = openface.read(file, mug_tree.LENGTH)
    landmarks = np.load(one.landmarks)
    good = [n not in (2, 3) for n in range(mug_tree.LENGTH)]
    assert read.success.tolist() == good
    np.testing.assert_allclose(read.landmarks[good], landmarks[good], atol=1e-4)
    assert np.isnan(read.landmarks[[2, 3]]).all()
    assert sorted(read.aligned) == [0, 1, 3, 4, 5, 6, 7, 8]  # 3 is black, 2 was not written
    assert read.low_frame(2, 64) is None and read.low_frame(3, 64) is None
    image = decode_image(one.frames[4].read_bytes(), "image")
    np.testing.assert_array_equal(read.low_frame(4, 64), alignment.low_frame(image, landmarks[4]))
    assert read.low_frame(4, 32).shape == (32, 32, 3)


def test_black_images_are_failures_even_if_the_csv_says_success(tmp_path):
    (tmp_path / "c_aligned").mkdir()
    cv2.imwrite(str(tmp_path / "c_aligned/frame_det_00_000001.bmp"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "c.csv").write_text("frame, face_id, timestamp, confidence, success\n1, 0, 0, .9, 1\n")
    assert openface.read(tmp_path / "c.csv", 1).low_frame(0, 64) is None


def test_the_face_in_most_frames_is_taken(tmp_path):
    rows = [(1, 0, 0), (1, 1, 1), (2, 0, 1), (2, 1, 1), (3, 1, 1)]
    lines = [f"{frame},{face},0,.9,{good}," + ",".join([str(10 * face)] * 136) for frame, face, good in rows]
    (tmp_path / "c.csv").write_text("\n".join([HEADER, *lines]))
    read = openface.read(tmp_path / "c.csv", 3)
    assert read.success.all() and (read.landmarks == 10).all()


def test_images_without_the_mask_are_refused(tmp_path):
    (tmp_path / "c_aligned").mkdir()
    cv2.imwrite(str(tmp_path / "c_aligned/frame_det_00_000001.bmp"), np.full((64, 64, 3), 9, np.uint8))
    (tmp_path / "c.csv").write_text("frame,face_id,timestamp,confidence,success\n1,0,0,.9,1\n")
    with pytest.raises(InputError, match="frame_det_00_000001.bmp: the face is not on black; run OpenFace without"):
        openface.read(tmp_path / "c.csv", 1).low_frame(0, 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("face_id,confidence\n", "c.csv: has no column frame and no success; give FeatureExtraction's CSV"),
        ("", "c.csv: has no column frame and no success"),
        ("frame,success\n1,yes\n", "c.csv: not a whole CSV of OpenFace's"),
        ("frame,success\n1\n", "c.csv: not a whole CSV of OpenFace's"),
        ("frame,success\n4,1\n", "c.csv: lists frame 4, but the clip has 3; give the CSV of this clip"),
    ],
)
def test_what_is_no_csv_of_openface(tmp_path, text, message):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        openface.read(tmp_path / "c.csv", 3)
    assert "\n" not in str(error.value)


def test_where_a_clips_csv_may_lie(drawn, tmp_path):
    one, out = clip(drawn), tmp_path / "001/anger"
    out.mkdir(parents=True)
    assert openface.find(one, drawn, tmp_path) is None
    (out / "take000").mkdir()
    (out / "take000/frames.csv").touch()
    assert openface.find(one, drawn, tmp_path) == out / "take000/frames.csv"
    (out / "take000/other.csv").touch()
    assert openface.find(one, drawn, tmp_path) is None  # which of the two?
    (out / "take000/take000.csv").touch()
    assert openface.find(one, drawn, tmp_path) == out / "take000/take000.csv"
    (out / "take000.csv").touch()
    assert openface.find(one, drawn, tmp_path) == out / "take000.csv"


def test_gaps_of_five_are_bridged_and_of_six_refused():
    landmarks = np.zeros((12, 68, 2), np.float32) + np.arange(12, dtype=np.float32)[:, None, None]
    holed = landmarks.copy()
    holed[[0, 4, 5, 6, 7, 8, 11]] = np.nan
    filled = gaps.fill(holed)
    np.testing.assert_allclose(filled[1:11], landmarks[1:11], atol=1e-6)
    assert (filled[0] == 1).all() and (filled[11] == 10).all()
    gaps.check([0, 4, 5, 6, 7, 8, 11], 12, "c")
    with pytest.raises(InputError, match=r"^c: no face in frames 4 to 9 \(the first is 0\); cut them out of the clip$"):
        gaps.check([0, 4, 5, 6, 7, 8, 9, 11], 12, "c")
    with pytest.raises(InputError, match="c: no face was found in any of its 2 frames"):
        gaps.check([0, 1], 2, "c")
    with pytest.raises(InputError, match="c: no frames"):
        gaps.check([], 0, "c")


def test_the_nearest_frame_with_a_face():
    found = np.array([False, True, False, False, False, True, False])
    assert gaps.nearest(found) == {0: 1, 2: 1, 3: 1, 4: 5, 6: 5}
