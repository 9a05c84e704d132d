"""The environment in which a training on a CPU starts: what the process sees, and that it is still the same process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import cpu
import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
OLD, NEW = "flags\t\t: fpu avx avx2 fma\n", "flags\t\t: fpu avx avx2 fma avx512f avx512dq\n"
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
OFF = "--xla_cpu_experimental_ynn_fusion_type="


@pytest.mark.parametrize(
    ("environment", "processor", "added"),
    [
        ({}, NEW, HUGE),
        ({}, OLD, HUGE | {"XLA_FLAGS": OFF}),
        ({"XLA_FLAGS": "--xla_a=1"}, OLD, HUGE | {"XLA_FLAGS": f"--xla_a=1 {OFF}"}),
        ({"XLA_FLAGS": f"{OFF}dot"}, OLD, HUGE),
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}, NEW, {}),
        (HUGE | {"XLA_FLAGS": OFF}, OLD, {}),
        ({}, "Features\t: fp asimd\n", HUGE),  # ARM
        ({}, "", {}),  # not Linux
    ],
)
def test_only_what_is_missing_is_added(environment, processor, added):
    assert cpu.variables(environment, processor) == added


@pytest.mark.parametrize(
    ("batch_size", "cores", "expected"), [(4, 2, 2), (4, 1, 1), (3, 2, 1), (6, 64, 3), (8, 64, 4), (1, 8, 1)]
)
def test_a_batch_splits_over_the_devices(batch_size, cores, expected):
    assert cpu.devices(batch_size, cores) == expected


SHARING = """
import cpu, jax, os
cpu.share_cores(8)
assert len(jax.devices("cpu")) == int(os.environ["EXPECTED"]), jax.devices()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the cores that a process may use are not known")
def test_a_device_for_each_core_unless_a_number_is_set():
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    own = {"EXPECTED": str(min(len(os.sched_getaffinity(0)), cpu.MOST_DEVICES))}
    for more in (own, {"XLA_FLAGS": f"{cpu.DEVICES}=3", "EXPECTED": "3"}):
        environment |= {"PYTHONPATH": str(LAUNCH), "JAX_PLATFORMS": "cpu"} | more
        subprocess.run([sys.executable, "-c", SHARING], env=environment, check=True)


PROGRAM = """
import os, sys
print("started", flush=True)
import cpu
cpu.start_again()
print(os.getpid(), os.environ["GLIBC_TUNABLES"], sys.flags.dev_mode, *sys.argv, flush=True)
assert not cpu.variables()
if sys.argv[-1] == "wait":
    sys.stdin.read()
sys.exit(7)
"""


def started(argument: str, **more: str) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name not in ("GLIBC_TUNABLES", "XLA_FLAGS")}
    line = [sys.executable, "-X", "dev", "-c", PROGRAM, "a b", argument]
    environment |= {"PYTHONPATH": str(LAUNCH)} | more
    return subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is set")
def test_the_program_starts_once_more_as_the_same_process():
    process = started("end")
    out, _ = process.communicate(timeout=60)
    assert out.splitlines() == ["started", "started", f"{process.pid} {cpu.TUNABLES} True -c a b end"]
    assert process.returncode == 7


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is set")
def test_a_users_own_values_stay_and_signals_arrive():
    with started("wait", GLIBC_TUNABLES="glibc.malloc.arena_max=2", XLA_FLAGS=OFF) as process:
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines == ["started\n", f"{process.pid} glibc.malloc.arena_max=2 True -c a b wait\n"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == -signal.SIGTERM


def test_the_installed_xla_knows_the_flag():
    """It would end the process at a flag that it does not know."""
    program = "import jax; print(jax.jit(lambda x: x + 1)(1))"
    environment = os.environ | {"XLA_FLAGS": OFF, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
