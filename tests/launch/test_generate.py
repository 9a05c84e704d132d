"""launch/prepare.py --faces and launch/generate.py: from a tree of clips to clips that evaluate reads."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facenhance_jax.data import arrays, face_clips, generated
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.synthetic import population
from facenhance_jax.generators import learned, motiongan, renderer
from facenhance_jax.runs import checkpoints

LAUNCH = Path(__file__).parents[2] / "launch"
MOTION = motiongan.networks(motiongan.MotionConfig("motiongan", 32, 4, 8, ("anger", "fear")))[0]
PICTURES = renderer.network(renderer.RendererConfig("renderer", 8, (1,), ("anger", "fear")))


def launch(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, LAUNCH / program, *arguments], capture_output=True, text=True)


@pytest.fixture
def model(tmp_path) -> Path:
    """A generator with fresh networks."""
    for part, network in (("motion", MOTION), ("renderer", PICTURES)):
        values = {"model": dataclasses.asdict(network.config)}
        checkpoints.save_model(tmp_path / "model" / part, network.init(0), values, "# A card")
    return tmp_path / "model"


def test_clips_of_a_prepared_set(tmp_path, model):
    made = launch("prepare.py", "--draw=3", "--frames=4", f"--root={tmp_path}/tree", f"--faces={tmp_path}/faces")
    assert made.returncode == 0, made.stderr
    assert "18 clips of 4 frames; 0 skipped" in made.stdout
    records = face_clips.source(tmp_path / "faces", "test", 4)
    assert sorted(record["expression"] for record in records) == sorted(EXPRESSIONS)
    about = (f"--model={model}", f"--data={tmp_path}/faces", f"--output={tmp_path}/clips", "--frames=4")
    done = launch("generate.py", *about)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/clips: 2 clips of 4 frames\n"
    clips = generated.read_generated(tmp_path / "clips", "motiongan")
    subject = records[0]["subject"]
    assert [clip.name for clip in clips] == [f"{subject}/anger", f"{subject}/fear"]
    face, points = records[0]["photo"], records[0]["photo_landmarks"]
    expected = learned.load(model).of_face(face, points, "anger", 1.0, 4, 0)
    np.testing.assert_array_equal(clips[0].frames(), expected)
    both = (f"--generated={tmp_path}/clips", "--layout=motiongan", f"--arrays={tmp_path}/both.npz")
    paired = launch("prepare.py", f"--root={tmp_path}/tree", f"--output={tmp_path}/set", "--frames=4", *both)
    assert paired.returncode == 0 and f"{tmp_path}/both.npz, 2 records as arrays" in paired.stdout, paired.stderr
    fitted = arrays.source(tmp_path / "both.npz", "test")
    assert [record["expression"] for record in fitted] == ["anger", "fear"]
    np.testing.assert_array_equal(fitted[0]["low"], expected)
    again = launch("generate.py", *about)
    assert again.returncode == 2 and again.stderr.endswith("holds something already; choose a new folder\n")


def test_drawn_people_are_those_that_evaluate_draws(tmp_path, model):
    done = launch("generate.py", f"--model={model}", "--people=1", f"--output={tmp_path}/clips", "--frames=2")
    assert done.returncode == 0, done.stderr
    clips = generated.read_generated(tmp_path / "clips", "imaginator")
    assert [clip.name for clip in clips] == ["9000/anger", "9000/fear"]
    (frame,), (points,) = population.draw_clip(population.draw_subject(0, 9000), "neutral", 0, 1)
    face = face_clips.photo_face(frame, points)
    np.testing.assert_array_equal(clips[0].frames()[0], face_clips.masked(*face))


def test_a_folder_without_a_generator_is_one_line(tmp_path):
    done = launch("generate.py", f"--model={tmp_path}/absent", f"--output={tmp_path}/clips")
    assert done.returncode == 2 and done.stderr.startswith("facenhance: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "clips").exists()


def test_clips_of_faces_refuse_what_they_have_no_use_for(tmp_path):
    done = launch("prepare.py", f"--root={tmp_path}", f"--faces={tmp_path}/faces", f"--arrays={tmp_path}/a.npz")
    assert (done.returncode, done.stderr) == (2, "facenhance: --arrays: is of no use with --faces; leave it out\n")
    done = launch("prepare.py", f"--root={tmp_path}", f"--output={tmp_path}/set", f"--generated={tmp_path}")
    assert (done.returncode, done.stderr) == (2, "facenhance: --generated: goes into arrays; name them with --arrays\n")
