"""Sets of face clips: what is written comes back, drawn people become right ones, and bad sets are refused."""

from collections import Counter

import face_sets
import numpy as np
import pytest

from facenhance_jax.data import face_clips, face_making, layout
from facenhance_jax.data.clip_dataset import ClipConfig
from facenhance_jax.data.mug_dataset_builder import Mug
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment
from facenhance_jax.messages import InputError


def test_what_is_written_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(face_clips, "PART", 3)  # several files
    face_sets.write(tmp_path / "set", train=5, test=2)
    assert len(list((tmp_path / "set").iterdir())) == 3
    found = face_clips.source(tmp_path / "set", "train", face_sets.FRAMES)
    assert len(found) == 5 and len(face_clips.source(tmp_path / "set", "all", 32)) == 7
    for number, record in enumerate(found):
        clip = face_sets.face_clip(number)
        for name in (*face_clips.IMAGES, *face_clips.POINTS):
            np.testing.assert_array_equal(record[name], getattr(clip, name), strict=True)
        assert (record["subject"], record["expression"], record["split"]) == (clip.subject, clip.expression, "train")


def test_a_drawn_persons_clip_begins_at_the_neutral_photo(tmp_path):
    population.write_tree(tmp_path / "tree", [3, 4], frames=8, size=96, processes=1)
    builder = Mug(data_dir=tmp_path / "work", config=ClipConfig(frames=4))
    jobs = [job for jobs in builder.jobs(tmp_path / "tree").values() for job in jobs]
    job = next(job for job in jobs if job.recording.name == "003/session0/surprise/take000")
    (clip,) = face_making.of_job(job, builder.recipe(tmp_path / "tree"))
    drawn, landmarks = population.draw_clip(population.draw_subject(0, 3), "surprise", 0, 8, 96)
    kept = layout.positions(8, 4, "onset")[0]
    for low, points, at in zip(clip.low, clip.landmarks, kept, strict=True):
        matrix = alignment.crop_matrix(landmarks[at])
        np.testing.assert_allclose(points, landmarks[at] @ matrix[:, :2].T + matrix[:, 2], atol=1e-3)
        expected = alignment.low_frame(drawn[at], landmarks[at])
        assert np.abs(low.astype(int) - expected).mean() < 2  # JPEG
    assert np.abs(clip.photo_landmarks - clip.landmarks[0]).max() < 1.0
    assert np.abs(clip.photo_landmarks - clip.landmarks[-1]).max() > 2.0
    assert np.abs(face_clips.masked(clip.photo, clip.photo_landmarks).astype(int) - clip.low[0]).mean() < 4
    assert clip.photo.any(axis=-1).mean() > 0.99  # without the black around the face


def test_a_set_of_the_enhancer_says_what_to_prepare(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="has no landmarks, .* launch/prepare.py --root=TREE --faces=DIR"):
        face_clips.source(tmp_path / "data", "train", 32)
    np.savez(tmp_path / "data/part.npz", low=np.zeros((1, 8, 64, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"part.npz: has no photo landmarks; .*--faces=DIR"):
        face_clips.source(tmp_path / "data", "train", 32)
    with pytest.raises(InputError, match="no such data set"):
        face_clips.source(tmp_path / "absent", "train", 32)


def test_too_few_frames_or_clips_are_refused(tmp_path):
    face_sets.write(tmp_path / "set", frames=8, test=0)
    with pytest.raises(InputError, match="of 8 frames, at least 32 are needed; prepare it again with --frames=32"):
        face_clips.source(tmp_path / "set", "train", 32)
    with pytest.raises(InputError, match="no clips in split test"):
        face_clips.source(tmp_path / "set", "test", 8)
    with pytest.raises(InputError, match="is there already"):
        face_sets.write(tmp_path / "set")
    with pytest.raises(InputError, match="no clip could be used"):
        face_clips.write(tmp_path / "empty", {"train": [], "test": []})
    assert not (tmp_path / "empty").exists()


def test_a_damaged_set_is_refused(tmp_path):
    folder = face_sets.write(tmp_path / "set", train=1, test=1)
    (file,) = folder.iterdir()
    members = dict(np.load(file))
    np.savez(file, **(members | {"landmarks": members["landmarks"][:, :5]}))
    with pytest.raises(InputError, match=r"landmarks is float32 \[2, 5, 68, 2\]"):
        face_clips.source(folder, "all", 32)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a whole .npz file"):
        face_clips.source(folder, "all", 32)


def test_every_expression_of_a_tree_is_there(tmp_path):
    population.write_tree(tmp_path / "tree", [3, 4], frames=4, size=64, processes=1)
    builder = Mug(data_dir=tmp_path / "work", config=ClipConfig(frames=2))
    jobs = builder.jobs(tmp_path / "tree")
    made = [face_making.of_job(job, builder.recipe(tmp_path / "tree"))[0] for job in jobs["train"]]
    assert Counter(clip.expression for clip in made) == Counter(layout.EXPRESSIONS)
