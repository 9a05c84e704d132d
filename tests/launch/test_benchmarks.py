"""What the benchmarks measure with: processes of their own."""

import os

import pytest
from benchmarks import measuring

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
