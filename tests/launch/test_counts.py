"""Counting a program's kernels in its HLO text: one whose counts are known, and compiled ones."""

import jax
import jax.numpy as jnp
import pytest
from benchmarks import counts

PROGRAM = """HloModule jit_step, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

%fused (p: f32[4,4], q: f32[8]) -> f32[4] {
  %p = f32[4,4]{1,0} parameter(0)
  %q = f32[8]{0} parameter(1)
  %h = f32[4]{0} slice(%q), slice={[4:8]}
  %d = f32[4]{0} dot(%p, %h), lhs_contracting_dims={1}, metadata={op_name="jit(step)/jvp()/dot_general"}
  ROOT %n = f32[4]{0} negate(%d), metadata={op_name="jit(step)/neg"}
}

%body (s: (s32[], bf16[8])) -> (s32[], bf16[8]) {
  %s = (s32[], bf16[8]{0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %x = bf16[8]{0} get-tuple-element(%s), index=1
  %c = bf16[8]{0} copy(%x)
  ROOT %t = (s32[], bf16[8]{0}) tuple(%i, %c)
}

%small () -> f32[] {
  ROOT %z = f32[] constant(0)
}

ENTRY %main (a: f32[4,4], b: f32[8], start: (s32[], bf16[8])) -> (f32[4], bf16[8]) {
  %a = f32[4,4]{1,0} parameter(0)
  %b = f32[8]{0} parameter(1)
  %start = (s32[], /*index=1*/bf16[8]{0}) parameter(2)
  %f = f32[4]{0} fusion(%a, %b), kind=kLoop, calls=%fused
  %w = (s32[], /*index=1*/bf16[8]{0}) while(%start), condition=%test, body=%body, """ + (
    """backend_config={"known_trip_count":{"n":"5"}}
  %which = s32[] get-tuple-element(%w), index=0
  %y = (s32[], bf16[8]{0}) conditional(%which, %start, %start), branch_computations={%small, %body}
  %g = bf16[8]{0} get-tuple-element(%w), index=1
  ROOT %r = (f32[4]{0}, bf16[8]{0}) tuple(%f, %g)
}
"""
)


def test_a_program_is_counted_with_its_loops():
    # The fusion moves 4 x 4 + 4 + 4 float32 numbers, of its second operand only a slice; the copy 2 x 8 bfloat16
    # numbers, in the loop five times, in the branch that does more once.
    assert counts.counted(PROGRAM) == {"kernels": 7, "dot": 1, "copy": 6, "update": 1, "bytes": 24 * 4 + 6 * 32}


def test_a_librarys_kernels_are_of_their_kind_and_its_working_room_is_not_moved():
    program = """HloModule jit_step

ENTRY %main (a: bf16[4,4], b: bf16[4,4]) -> bf16[4,4] {
  %a = bf16[4,4]{1,0} parameter(0)
  %b = bf16[4,4]{1,0} parameter(1)
  %c = (bf16[4,4]{1,0}, u8[1024]{0}) custom-call(%a, %b), custom_call_target="__cudnn$convForward"
  %d = bf16[4,4]{1,0} get-tuple-element(%c), index=0
  ROOT %e = (bf16[4,4]{1,0}, s8[33554432]{0}) custom-call(%d, %b), custom_call_target="__cublas$lt$matmul"
}
"""
    assert counts.counted(program) == {"kernels": 2, "convolution": 1, "dot": 1, "update": 0, "bytes": 2 * 3 * 32}


@pytest.mark.parametrize("turns", [3, 7])
def test_a_compiled_program_is_counted(turns):
    def run(x, w):
        turned = jax.lax.fori_loop(0, turns, lambda _, x: jnp.tanh(x @ w), x)
        return turned, jax.grad(lambda w: jnp.sum(w**4))(w)

    x, w = jnp.ones((256, 256)), jnp.ones((256, 256))
    found = counts.counted(jax.jit(run).lower(x, w).compile().as_text())
    assert found["dot"] == turns and found["kernels"] >= 2 * turns
    assert found["bytes"] >= turns * 3 * 4 * 256**2
