"""The summary of a trace: one whose times are known, and a real one."""

import jax
import jax.numpy as jnp
import pytest
from benchmarks import limits


def test_a_trace_is_summed_up():
    ms = 1e6  # ns
    kernels = [
        ("fusion.1", 0, 2 * ms),
        ("fusion_23", 1 * ms, 4 * ms),
        ("conv.2", 6 * ms, 10 * ms),
        ("a", 6 * ms, 7 * ms),
    ]
    kernels += [("copy", 9.5 * ms, 9.75 * ms)]
    busy, whole, count, items = limits.summary(kernels, 2)
    assert (busy, whole, count) == (4.0, 5.0, 2.5)
    assert items == [("fusion", (2.5, 1.0)), ("conv", (2.0, 0.5)), ("a", (0.5, 0.5))]


def test_a_real_trace_names_what_takes_longest(tmp_path):
    run = jax.jit(lambda x, w: jnp.tanh(x) @ w)
    x = jnp.ones((800, 800))
    run(x, x).block_until_ready()
    with jax.profiler.trace(tmp_path):
        for _ in range(4):
            run(x, x).block_until_ready()
    (file,) = tmp_path.rglob("*.xplane.pb")
    kernels = list(limits.kernels_of(jax.profiler.ProfileData.from_file(str(file))))
    busy, whole, count, items = limits.summary(kernels, 4)
    assert 0 < busy <= whole and count == pytest.approx(round(count)) and items[0][1][1] >= 1
