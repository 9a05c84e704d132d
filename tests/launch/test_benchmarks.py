"""What the benchmarks measure with: processes of their own, in turn."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from benchmarks import call, inference, measuring, train
from benchmarks.networks import network

PROGRAM = Path(__file__).parents[2] / "launch/benchmark.py"

STATEMENT = "raise RuntimeError({!r})"


def test_a_process_of_its_own_has_its_own_environment_and_memory():
    assert measuring.apart(os.getenv, "FACENHANCE", FACENHANCE="here") == "here"
    assert "FACENHANCE" not in os.environ
    held = bytearray(300 * measuring.MIB)
    held[:: 2**12] = b"x" * len(held[:: 2**12])  # a page in use is memory held
    assert measuring.peak_memory() > 300
    assert 20 < measuring.apart(measuring.peak_memory) < measuring.peak_memory() - 200  # it has only imported JAX


def test_too_little_device_memory_is_none_and_other_errors_are_raised():
    assert measuring.apart(exec, STATEMENT.format("RESOURCE_EXHAUSTED: 8 GB")) is None
    assert measuring.apart(exec, STATEMENT.format("CUDA out of memory")) is None
    with pytest.raises(RuntimeError, match="anything else"):
        measuring.apart(exec, STATEMENT.format("anything else"))


def test_a_device_on_the_cpu():
    assert measuring.apart(measuring.device, JAX_PLATFORMS="cpu") == {"platform": "cpu", "kind": "cpu", "peak": None}
    assert measuring.share(1e12, 4e12) == "25.0 %" and measuring.share(1e12, None) == "unknown"


def test_times_are_of_the_parts_of_a_call_without_the_first():
    calls = []
    found = measuring.times(lambda: calls.append(sum(range(10**6))), 3, lambda: 7.0, parts=100)
    assert len(calls) == 4 and len(found.wall) == len(found.cpu) == 3 and found.peak == 7.0
    whole = measuring.times(lambda: sum(range(10**6)), 3, lambda: 7.0)
    assert 10 < min(whole.cpu) / min(found.cpu) < 1000


def test_ways_take_turns_and_wait_asleep():
    order = []

    def way(name: str, peak: float) -> measuring.Times | None:
        order.append((name, os.environ["OMP_WAIT_POLICY"], os.environ["OMP_NUM_THREADS"]))
        return measuring.Times([float(len(order))], [0.0], peak) if peak else None

    ways = {name: functools.partial(way, name, peak) for name, peak in {"a": 5.0, "b": 6.0, "c": 0.0}.items()}
    found = measuring.in_turn(ways, 2)
    assert [name for name, *_ in order] == ["a", "b", "c", "a", "b"]  # what does not fit is not tried again
    assert set(order) == {(name, "passive", str(len(os.sched_getaffinity(0)))) for name in "abc"}
    assert found == {"a": ([1.0, 4.0], [0.0, 0.0], 5.0), "b": ([2.0, 5.0], [0.0, 0.0], 6.0), "c": None}
    assert "OMP_WAIT_POLICY" not in os.environ


def test_a_comparison_gives_medians_and_their_spread(capsys):
    found = {"ours": measuring.Times([0.2, 0.1, 0.4], [0.3, 0.3, 0.3], 99.0), "c": None}
    found["theirs"] = measuring.Times([0.1], [0.1], 50.0)
    measuring.compare("mug", found, 8, 1e12, 1e13)
    ours, unfit, theirs = (line.split() for line in capsys.readouterr().out.splitlines())
    assert ours == ["mug", "ours", "200.00", "(100.00..400.00)", "300.0", "40.00", "50.0", "%", "99"]
    assert " ".join(unfit) == "mug c does not fit into the device's memory"
    assert theirs[-1] == "0.50"


@pytest.mark.parametrize(
    "options, says",
    [
        (["--what=draw", "--clips=1"], "--clips is not for --what=draw"),
        (["--steps=1"], "--steps needs --what"),
        (["--what=call", "--networks=small"], "'small' is none of mug, paper, fast, released, smoke"),
        (["--what=call", "--clips=0"], "--clips: invalid numbers value: '0'"),
    ],
)
def test_options_that_a_table_does_not_have_are_refused(options, says):
    done = subprocess.run([sys.executable, PROGRAM, *options], capture_output=True, text=True)
    assert done.returncode == 2 and says in done.stderr.splitlines()[-1]


def test_what_is_timed_fits_the_network():
    config = network("smoke", "cpu")
    params, given = call.inputs("smoke", config, 2)
    velocity = jax.eval_shape(call.our_call(config), params, given["high"], given)
    assert velocity.shape == given["high"].shape == (2, 32, 32, 3)
    step, one = (train.flops_of_step(config, batch) for batch in (4, 1))
    # A step of an example is about three calls of the network: forward, and twice as much backward.
    assert 3.5 < step / one < 4.1 and 2 < one / inference.flops_of_call(config) < 4.5
