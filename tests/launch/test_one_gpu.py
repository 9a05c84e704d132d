"""launch/one_gpu.sh with a tiny network on the CPU: every part's table, and a second call that does nothing again."""

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import jax

from facenhance_jax.inference.enhancer import Enhancer

SCRIPT = Path(__file__).parents[2] / "launch/one_gpu.sh"


def one_gpu(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    cache = {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir, "PYTHON": sys.executable}
    line = [SCRIPT, *map(str, arguments)]
    return subprocess.run(line, env=os.environ | cache | more, capture_output=True, text=True)


def test_the_four_parts_and_a_second_call(tmp_path):
    out = tmp_path / "what it gave"
    done = one_gpu("--tiny", out, LIMIT="3000")
    assert (done.returncode, done.stderr) == (0, ""), (out / "work/log.txt").read_text()
    tables = {part: (out / f"{part}.txt").read_text() for part in "ABCD"}
    assert "unfinished" not in "".join(tables.values())
    assert re.search(r"copying 64 MiB of float32: \d+ GB/s", tables["A"])
    for row in (r"^smoke +float32 +4 ours +\d", r"^smoke batch 4: [\d.]+, the device at work in \d+ %"):
        assert re.search(row, tables["B"], re.MULTILINE)
    assert re.findall(r"^smoke +1 +(\d) ", tables["C"], re.MULTILINE) == ["1", "2", "4", "8"]
    steps = (out / "work/steps").read_text().strip()
    assert "84 frames drawn in " in tables["D"] and f"step {steps} of {steps}, finished" in tables["D"]
    assert f"work/model: step {steps}, " in tables["D"]
    again = one_gpu("--tiny", out, "A", "B", "C", LIMIT="3000")
    assert again.returncode == 0 and tables == {part: (out / f"{part}.txt").read_text() for part in "ABCD"}
    joined = b"".join(piece.read_bytes() for piece in sorted(out.glob("model.tar.*")))
    with tarfile.open(fileobj=io.BytesIO(joined)) as archive:
        archive.extractall(tmp_path / "model", filter="data")
    assert Enhancer.load(tmp_path / "model/model").size == 64


def test_rows_that_find_no_time_are_left_for_the_next_call(tmp_path):
    done = one_gpu("--tiny", tmp_path, "A", LIMIT="5")
    assert (done.returncode, done.stderr) == (0, "A, --what=ceilings: no time left; call it again\n")
    assert not (tmp_path / "A.txt").exists()


def test_it_refuses_in_one_line(tmp_path):
    for arguments in ([], ["--small", tmp_path], [tmp_path, "E"]):
        done = one_gpu(*arguments)
        assert done.returncode == 2 and done.stderr.startswith("usage: ") and done.stderr.count("\n") == 1
