"""From trees to TFDS data sets: what is stored, what is skipped, and what a killed preparation leaves."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from clips import write_video
from tensorflow_datasets.core import shuffle
from test_records import SIZE, write_clip

from facenhance_jax.data import clip_dataset, layout, pipeline
from facenhance_jax.data.clip_dataset import ClipConfig, prepare, source
from facenhance_jax.data.folder_dataset_builder import Folder
from facenhance_jax.data.mug_dataset_builder import Mug
from facenhance_jax.data.records import Recipe, clip_records
from facenhance_jax.evaluation import clip_sets
from facenhance_jax.faces import alignment
from facenhance_jax.messages import InputError

PREPARE = Path(__file__).parents[2] / "launch" / "prepare.py"


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


def build(root: Path, output: Path, kind: type = Mug, **options) -> clip_dataset.Report:
    config = ClipConfig(**({"frames": 3, "resolution": SIZE} | options))
    return prepare(kind(data_dir=output, config=config), root)


def plain(record: dict) -> dict:
    """A stored record in the form in which it was made."""
    return dict(record) | {"high": list(record["high"]), "low": list(record["low"])}


def test_the_data_set_gives_back_the_records_split_by_subject(tree, tmp_path, monkeypatch):
    # If a split were gathered in memory first, this would need TensorFlow, which is not installed.
    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 0)
    monkeypatch.setattr(clip_dataset, "_FRAMES_PER_SHARD", 2)
    report = build(tree, tmp_path / "out")
    assert report.folder.parents[2] == tmp_path / "out" and report.skipped == {}
    assert report.subjects == {"train": ["001", "003"], "test": ["002"]}
    # 002 has no neutral clip in its second session, 003 none at all.
    assert report.counts == {"clips": 4, "frames": 12, "own_photo": 2}
    assert report.expressions == {"anger": 2, "fear": 2}
    clips = layout.read_tree(tree).recordings
    for split, subjects in report.subjects.items():
        chosen = [clip for clip in clips if clip.subject in subjects and clip.expression != "neutral"]
        recipe = Recipe(str(tree), frames=3, resolution=SIZE)
        expected = [clip_records(clip, layout.identity_frame(clip, clips), recipe)[0][0] for clip in chosen]
        assert [plain(record) for record in source(tmp_path / "out", split)] == expected
    assert len(source(tmp_path / "out", "all")) == 4
    elsewhere = tfds.builder_from_directory(report.folder).as_data_source("test")
    second = expected[1]  # a clip of three frames
    frames = [elsewhere[n] for n in range(3, 6)]
    assert [(frame["high"], frame["low"]) for frame in frames] == list(zip(second["high"], second["low"], strict=True))
    assert [frame["identity"] for frame in frames] == [second["identity"], b"", b""]
    assert {frame["take"].decode() for frame in frames} == {second["take"]} and len(elsewhere) == 6


def test_a_data_set_knows_whether_a_program_drew_its_people(tree, tmp_path):
    build(tree, tmp_path / "filmed", frames=1)
    (tree / "drawn.json").write_text("{}")
    build(tree, tmp_path / "drawn", frames=1)
    assert [source(tmp_path / name, "test").drawn for name in ("filmed", "drawn")] == [False, True]
    said = [clip_sets.Prepared(tmp_path / name, "test").describe()["data"] for name in ("filmed", "drawn")]
    assert said == ["filmed, split test", "drawn, split test: drawn (synthetic) faces"]


def test_tfds_own_writer_writes_the_same_bytes(tree, tmp_path, monkeypatch):
    (tree / "003/anger/take000/img_0002.jpg").write_bytes(b"broken")
    write_clip(tree, "004/anger/take000")
    streamed = build(tree, tmp_path / "streamed")
    monkeypatch.delattr(clip_dataset.ClipDataset, "_download_and_prepare")
    gathered = build(tree, tmp_path / "gathered")
    for split in ("train", "test"):
        left, right = (source(tmp_path / name, split) for name in ("streamed", "gathered"))
        assert [left.data[n] for n in range(3 * len(left))] == [right.data[n] for n in range(3 * len(right))]
    assert gathered.skipped == streamed.skipped
    assert "not a readable image" in streamed.skipped["003/session0/anger/take000"]
    assert (gathered.counts, gathered.expressions) == (streamed.counts, streamed.expressions)


def test_a_data_set_is_never_mixed_with_another(tree, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no such data set; make it"):
        source(tmp_path / "out", "train")
    one = build(tree, tmp_path / "out", frames=1)
    assert len(source(tmp_path / "out", "train")[0]["high"]) == 1
    with pytest.raises(InputError, match="already prepared"):
        build(tree, tmp_path / "out", frames=1)
    two = build(tree, tmp_path / "out", frames=2, part="full", split="quarter")
    assert (one.folder.parent.name, two.folder.parent.name) == ("1frames_48px", "2frames_48px_full")
    with pytest.raises(InputError, match="holds 2 data sets; give one of"):
        source(tmp_path / "out", "train")
    assert len(source(two.folder, "train")[0]["high"]) == 2
    monkeypatch.setattr(clip_dataset, "VERSION", "3.0.0")
    with pytest.raises(InputError, match="is of version 2.0.0, not 3.0.0; remove it and prepare it again"):
        source(two.folder, "train")


def test_a_split_that_cannot_be_filled_leaves_nothing(tree, tmp_path):
    for session in ("session0", "session1"):
        (tree / f"002/{session}/fear/take000/landmarks.npy").write_bytes(b"x")
    with pytest.raises(
        InputError, match="no clip of the test split could be used; 002/session0/fear/take000: "
    ) as error:
        build(tree, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_and_a_size_that_cannot_be(tree, tmp_path):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(InputError, match="cannot be made a folder"):
            build(tree, output)
    with pytest.raises(InputError, match="frames: 0 is below 1"):
        ClipConfig(frames=0)


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(PREPARE), *map(str, arguments)]


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(PREPARE.parents[1]), "PATH": ""}
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, cwd=PREPARE.parents[1])


def test_the_command_prints_a_summary_and_what_it_skipped(tree, tmp_path):
    (tree / "001/anger/take001").mkdir()  # holds nothing
    settings = ("--root", tree, "--frames", 6, "--resolution", SIZE)
    done = launch(*settings, "--output", tmp_path / "out", "--max_skipped", 20)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:7] == [
        "subjects  2 train, 1 test (002)",
        "clips     4: 2 anger, 2 fear",
        "frames    24, 48 px; 8 of them repeats, 0 without a face of their own",
        "photos    own first frame taken for 2 clips without a neutral photo; this makes copying the photo look better "
        "than it is",
        "missing   anger of 1 subjects, disgust of 3 subjects, fear of 2 subjects, happiness of 3 subjects, "
        "sadness of 3 subjects, surprise of 3 subjects",
        "skipped   1, 20.0 %",
        f"          {tree / '001/anger/take001'}: no jpg or png in it",
    ]
    assert lines[7].startswith("residual  config.model.residual_scale = ")
    assert lines[8].startswith(f"written   {tmp_path / 'out'}") and len(lines) == 9
    more = launch(*settings, "--output", tmp_path / "more")
    assert (more.returncode, more.stdout.splitlines()[:8]) == (3, lines[:8])
    assert more.stderr.splitlines()[-1] == "facenhance: more than 10 % of the clips were skipped"
    assert len(source(tmp_path / "more", "train")) == 2  # the data set exists nevertheless


def test_a_report_says_what_is_wrong_and_names_twenty_of_the_skipped_clips(monkeypatch):
    monkeypatch.setattr(clip_dataset, "source", lambda folder, split: (folder, split))
    monkeypatch.setattr(pipeline, "residual_scale", lambda source: {(Path("out"), "train"): 4.25}[source])
    report = clip_dataset.Report(Path("out"), 64, subjects={"train": ["ann"], "test": ["bob"]}, seconds=2)
    report.note("", 3, Counter(clips=2, frames=24, filled=5, unframed=1))
    report.skipped = {f"clip{n}": "no face" for n in range(22)}
    assert report.text().splitlines() == [
        "subjects  1 train, 1 test (bob)",
        "clips     3: 3 in no folder",
        "frames    24, 64 px; 0 of them repeats, 5 without a face of their own",
        "photos    middle square taken for 1 clips; no face was found in their photos, or dlib is not installed",
        "skipped   22, 91.7 %",
        *(f"          clip{n}: no face" for n in range(20)),
        "          and 2 more",
        "residual  config.model.residual_scale = 4.2, measured on the training clips",
        "written   out in 2.0 s, 12 frames/s",
    ]


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


def test_a_killed_preparation_looks_incomplete_and_is_finished_by_the_next(tmp_path):
    tree = tmp_path / "tree"
    for subject in range(3):
        for take in range(40):
            write_clip(tree, f"{subject + 1:03d}/anger/take{take:03d}")
    settings = ("--root", tree, "--output", tmp_path / "out", "--frames", 32, "--resolution", 400)
    with subprocess.Popen(command(*settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not list((tmp_path / "out").rglob("incomplete.*")) and process.poll() is None:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert list((tmp_path / "out").rglob("incomplete.*")), "it was killed too late to tell"
    with pytest.raises(InputError, match="no such data set"):
        source(tmp_path / "out", "train")
    done = launch(*settings)
    assert done.returncode == 0, done.stderr
    assert len(source(tmp_path / "out", "all")) == 120
    assert not list((tmp_path / "out").rglob("incomplete.*"))


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


def test_a_folder_of_own_videos(tmp_path):
    root = tmp_path / "videos"
    rng = np.random.default_rng(0)
    for person in ("ann", "bob"):
        (root / person / "trip").mkdir(parents=True)
        video = write_video(root / person / "trip/talk.mp4", rng.integers(0, 256, (7, 64, 64, 3), np.uint8))
        np.save(video.with_name("talk.landmarks.npy"), np.stack([alignment.mean_shape(64)] * 7).astype(np.float32))
    (root / "bob/note.mp4").write_bytes(b"no video")
    report = build(root, tmp_path / "out", Folder, part="windows")
    assert report.subjects == {"train": ["ann"], "test": ["bob"]} and report.expressions == {"trip": 4}
    assert report.counts["own_photo"] == 2
    assert report.skipped_share == 1 / 3  # one of three clips; the other two became four records
    assert list(report.skipped) == ["bob/note"] and "not a clip, or cut short" in report.skipped["bob/note"]
    takes = [(record["subject"], record["take"]) for record in source(tmp_path / "out", "all")]
    assert takes == [(person, take) for person in ("ann", "bob") for take in ("talk-000", "talk-001")]


def test_tfds_build_finds_the_builder_and_runs_it(tree, tmp_path):
    # The `tfds` program itself imports TensorFlow for its other commands; this is its command `build`.
    builder = PREPARE.parents[1] / "facenhance_jax/data/mug_dataset_builder.py"
    arguments = [str(builder), f"--manual_dir={tree}", f"--data_dir={tmp_path / 'out'}"]
    arguments += [f"--download_dir={tmp_path / 'downloads'}", '--config={"frames": 3, "resolution": 48}']
    program = "import simple_parsing, sys; from tensorflow_datasets.scripts.cli import build; "
    program += "simple_parsing.parse(build.Args, args=sys.argv[1:]).execute()"
    environment = os.environ | {"PYTHONPATH": str(PREPARE.parents[1])}
    run = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [len(record["high"]) for record in source(tmp_path / "out", "all")] == [3] * 4
