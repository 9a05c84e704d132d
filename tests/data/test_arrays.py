"""Records as plain arrays: what is written comes back, gives the same samples, and is a function of (seed, step)."""

import os
import re
import zipfile
from functools import partial
from itertools import islice

import cv2
import numpy as np
import pytest
from small_run import assert_same

from facenhance_jax.data import arrays, pipeline, shuffling, sources
from facenhance_jax.messages import InputError

FRAMES = 3


def png(value: int, size: int) -> bytes:
    """Every pixel different from its neighbours."""
    rng = np.random.default_rng((value, size))
    return cv2.imencode(".png", rng.integers(0, 256, (size, size, 3), np.uint8))[1].tobytes()


def record(clip: int) -> dict:
    return {
        "high": [png(100 * clip + n, 12) for n in range(FRAMES)],
        "low": [png(100 * clip + n, 6) for n in range(FRAMES)],
        "identity": png(100 * clip + 50, 12),
        "subject": f"{clip:03d}",
        "session": "",
        "expression": ("anger", "happiness")[clip % 2],
        "take": f"take{clip:03d}",
        "place": f"{clip}.125 2.001 3.500 -7.625",
    }


TRAIN, TEST = [record(clip) for clip in range(5)], [record(clip) for clip in range(5, 7)]
OPTIONS = {"batch_size": 4, "seed": 3, "threads": 2}


@pytest.fixture
def written(tmp_path):
    arrays.write(tmp_path / "set.npz", {"train": TRAIN, "test": TEST}, drawn=True)
    return tmp_path / "set.npz"


def members(file) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)


def take(source, count: int, **options) -> list:
    return list(islice(pipeline.batches(source, **OPTIONS | options), count))


def assert_decoded(found, encoded):
    for field in ("high", "low"):
        pictures = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) for data in encoded[field]]
        np.testing.assert_array_equal(found[field], pictures, strict=True)
    assert {word: found[word] for word in arrays.WORDS} == {word: encoded[word] for word in arrays.WORDS}
    np.testing.assert_array_equal(np.float32(found["place"].split()), np.float32(encoded["place"].split()))


@pytest.mark.parametrize("name", ["set.npz", "parts"])
def test_what_was_written_comes_back(tmp_path, name):
    assert arrays.write(tmp_path / name, {"train": TRAIN, "test": TEST}, drawn=True, part=5_000) == 7
    if name == "parts":  # 3 * (12 * 12 + 6 * 6) * 3 + 12 * 12 * 3 = 2,052 bytes a record
        assert sorted(os.listdir(tmp_path / name)) == [f"part000{n}.npz" for n in range(4)]
    for split, expected in {"train": TRAIN, "test": TEST, "all": TRAIN + TEST}.items():
        found = sources.records(tmp_path / name, split)
        assert (len(found), found.drawn) == (len(expected), True)
        for one, other in zip(found, expected, strict=True):
            assert_decoded(one, other)
    assert os.listdir(tmp_path) == [name]


def test_any_program_can_write_it_with_numpy(tmp_path, written):
    """Compressed or not, without place and drawn; images that are not compressed are not copied into memory."""
    plain = {name: array for name, array in members(written).items() if name not in ("place", "drawn")}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "mine.npz", **plain)
        found = arrays.source(tmp_path / "mine.npz", "train")
        assert "place" not in found[0] and not found.drawn
        np.testing.assert_array_equal(found[4]["high"], plain["high"][4])
        assert found[0]["high"].flags.writeable == (save is np.savez_compressed)  # a map of a file is not


def test_the_samples_are_those_of_the_encoded_records(written):
    """The same draws of the same records, decoded or not, give the same pixels, augmented too."""
    augmented = {"jitter": 0.5, "degrade": 1.0}
    choose = partial(pipeline.draw, flip=True, any_previous=True, augmented=True, drop=pipeline.DROPPED)
    share = {"start_step": 0, "process": 0, "processes": 1}
    encoded = shuffling.batches(TRAIN, choose, partial(pipeline.render, **augmented), **OPTIONS, **share)
    found = take(arrays.source(written, "train"), 6, any_previous=True, **augmented)
    assert_same(found, list(islice(encoded, 6)))
    assert found[0]["high"].shape == (4, 12, 12, 3)


def test_a_batch_is_a_function_of_seed_and_step(written):
    source = arrays.source(written, "train")
    whole = take(source, 7)
    for step in (1, 4):
        assert_same(take(source, 7 - step, start_step=step), whole[step:])
    assert_same(take(source, 7, threads=5), whole)
    assert any((a["high"] != b["high"]).any() for a, b in zip(whole, take(source, 7, seed=4), strict=True))
    halves = [take(source, 7, batch_size=2, process=process, processes=2) for process in (0, 1)]
    for batch, *parts in zip(whole, *halves, strict=True):
        for name, images in batch.items():
            together = np.stack([part[name] for part in parts], axis=1).reshape(images.shape)
            np.testing.assert_array_equal(together, images)


def test_every_record_once_an_epoch_and_every_frame_in_time(written):
    source = arrays.source(written, "train")
    known = {one["high"][n].tobytes(): (clip, n) for clip, one in enumerate(source) for n in range(FRAMES)}
    drawn = [image.tobytes() for batch in take(source, 30, batch_size=5, flip=False) for image in batch["high"]]
    seen = [known[image] for image in drawn]
    epochs = [[clip for clip, _ in seen[start : start + 5]] for start in range(0, 150, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 20
    assert set(seen) == set(known.values())
    assert 2 < np.mean([frame == 1 for _, frame in seen]) * 9 < 4  # a third


def changed(written, **changes):
    stored = members(written) | changes
    np.savez(written, **{name: array for name, array in stored.items() if array is not None})


HIGH = np.zeros((7, FRAMES, 12, 12, 3), np.uint8)
FAULTS = {
    "has no low": {"low": None},
    "has no split": {"split": None},
    "high is float32 [7, 3, 12, 12, 3], not uint8 [records, frames, h, w, 3]": {"high": HIGH.astype(np.float32)},
    "high is uint8 [7, 3, 12, 12], not uint8 [records, frames, h, w, 3]": {"high": HIGH[..., 0]},
    "high [6, 3, 12, 12, 3], low [7, 3, 6, 6, 3] and identity [7, 12, 12, 3] do not fit together": {"high": HIGH[1:]},
    "take is int64 [7], not text [7]": {"take": np.arange(7)},
    "split is <U5 [6], not text [7]": {"split": np.array(["train"] * 6)},
    "split has 'validation', which is neither train nor test": {"split": np.array(["validation"] * 7)},
    "place is float64 [7, 4], not float32 [7, 4]": {"place": np.zeros((7, 4))},
    "place is float32 [7, 2], not float32 [7, 4]": {"place": np.zeros((7, 2), np.float32)},
}


@pytest.mark.parametrize("message", FAULTS)
def test_members_that_are_wrong_are_named(written, message):
    changed(written, **FAULTS[message])
    whole = f"^{re.escape(f'{written}: {message}; write it as facenhance_jax/data/arrays.py says')}$"
    with pytest.raises(InputError, match=whole):
        sources.records(written, "train")


def test_files_that_are_damaged_are_named(tmp_path, written):
    whole = written.read_bytes()
    hurt = bytearray(whole)
    with zipfile.ZipFile(written) as archive:
        hurt[archive.getinfo("subject.npy").header_offset + 200] ^= 1  # behind the headers, in the text
    cut = whole[: len(whole) // 2]
    for data in (b"", b"text", cut, cut + whole[-200:], bytes(hurt)):
        written.write_bytes(data)
        with pytest.raises(InputError, match=f"^{written}: not a whole .npz file .*; write it again with launch/prep"):
            sources.records(written, "train")
    with pytest.raises(InputError, match="missing.npz: cannot be read .No such file or directory"):
        sources.records(tmp_path / "missing.npz", "train")
    np.savez(written, **dict.fromkeys(("high", "low", "identity"), np.array([{}], dtype=object)))
    with pytest.raises(InputError, match="high.npy is cut short or holds Python objects"):
        sources.records(written, "train")


def test_a_member_that_is_shorter_than_it_says_is_refused(tmp_path, written):
    with zipfile.ZipFile(written) as whole, zipfile.ZipFile(tmp_path / "short.npz", "w") as short:
        for name in whole.namelist():
            short.writestr(name, whole.read(name)[: -99 if name == "high.npy" else None])
    with pytest.raises(InputError, match="short.npz: not a whole .npz file .high.npy is cut short"):
        arrays.source(tmp_path / "short.npz", "train")


def test_parts_of_different_sizes_are_refused(tmp_path):
    folder = tmp_path / "parts"
    arrays.write(folder, {"train": TRAIN}, drawn=False)
    larger = record(9) | {"high": [png(n, 16) for n in range(FRAMES)], "identity": png(3, 16)}
    arrays.write(tmp_path / "b.npz", {"train": [larger]}, drawn=True)
    (tmp_path / "b.npz").rename(folder / "z.npz")
    with pytest.raises(InputError, match="z.npz: high is 16x16, but 12x12 in part0000.npz; give all one size"):
        sources.records(folder, "all")


def test_writing_refuses_and_leaves_nothing(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes").touch()
    for name, message in {"full": "not empty", "none/x.npz": "does not exist"}.items():
        with pytest.raises(InputError, match=message):
            arrays.write(tmp_path / name, {"train": TRAIN}, drawn=False)
    shorter = record(8) | {"high": TRAIN[0]["high"][:2]}
    with pytest.raises(InputError, match=r"record 008/anger/take008: high is \[2, 12, 12, 3\], others \[3, 12, 12, 3"):
        arrays.write(tmp_path / "x.npz", {"train": [*TRAIN, shorter]}, drawn=False)
    with pytest.raises(InputError, match="no records to write"):
        arrays.write(tmp_path / "x.npz", {"train": []}, drawn=False)
    assert os.listdir(tmp_path) == ["full"]
