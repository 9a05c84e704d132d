"""Entries on disk and the records made of them: the same clip again, and only the needed entries are read."""

import numpy as np
import pytest
from tensorflow_datasets.proto import tf_example_pb2

from facenhance_jax.data import pipeline
from facenhance_jax.data.stored import Records, entries
from facenhance_jax.messages import InputError

FRAMES = 4


def record(clip: int) -> dict:
    return {
        "high": [f"high {clip} {n}".encode() for n in range(FRAMES)],
        "low": [f"low {clip} {n}".encode() for n in range(FRAMES)],
        "identity": f"photo {clip}".encode(),
        "place": "1 2 3",
        "subject": f"{clip:03d}",
        "session": "",
        "expression": "anger",
        "take": "take000",
    }


class Disk:
    """Three clips as bytes; remembers which entries were read."""

    def __init__(self):
        self.data = []
        for entry in (entry for clip in range(3) for entry in entries(record(clip))):
            example = tf_example_pb2.Example()
            for name, value in entry.items():
                example.features.feature[name].bytes_list.value.append(
                    value.encode() if isinstance(value, str) else value
                )
            self.data.append(example.SerializeToString())
        self.read = []

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> bytes:
        self.read.append(index)
        return self.data[index]


def test_a_clip_comes_back_as_it_was():
    clips = Records(Disk(), FRAMES, "here")
    assert len(clips) == 3
    for number, clip in enumerate(clips):
        found = {name: list(value) if name in ("high", "low") else value for name, value in clip.items()}
        assert found == record(number)
    assert clips[-1]["subject"] == "002" and clips[0]["low"][-1] == b"low 0 3"
    with pytest.raises(IndexError):
        clips[3]
    with pytest.raises(IndexError):
        clips[0]["high"][FRAMES]  # not the next clip's first
    assert "place" in clips[0] and "colour" not in clips[0]


def test_the_photo_is_stored_once_for_a_clip():
    assert [entry["identity"] for entry in entries(record(7))] == [b"photo 7", b"", b"", b""]


def test_an_example_reads_its_frame_the_one_before_and_the_photos():
    disk = Disk()
    clips, rng = Records(disk, FRAMES, "here"), np.random.default_rng(0)
    for _ in range(20):
        disk.read.clear()
        drawn = pipeline.draw(clips[1], rng, flip=True, any_previous=False)
        frame = record(1)["high"].index(drawn.images["high"][1])
        before = {FRAMES + frame - 1} if frame else set()
        assert set(disk.read) == {FRAMES, FRAMES + frame} | before
        assert len(disk.read) == len(set(disk.read))  # none is read twice
        assert drawn.images["low"] == ("low", record(1)["low"][frame]) and drawn.name == "001/anger/take000"


def test_a_file_that_is_gone_is_named_when_it_is_read():
    class Gone(Disk):
        def __getitem__(self, index: int) -> bytes:
            if index > 2 * FRAMES:
                raise RuntimeError("FAILED_PRECONDITION: no such file; at offset 7")
            return super().__getitem__(index)

    clip = Records(Gone(), FRAMES, "folder")[2]
    assert len(clip["high"]) == FRAMES
    with pytest.raises(
        InputError, match=r"^folder: record 2 cannot be read \(FAILED_PRECONDITION\); prepare it again$"
    ):
        clip["high"][1]
