"""Programs are kept in the user's cache folder, unless another is set, and give the same results as fresh ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.inference import compile_cache
from facenhance_jax.inference.compile_cache import keep_compiled_programs, remembered, traced

OPTIONS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture(autouse=True)
def options_restored():
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_it_is_on_by_default(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    keep_compiled_programs()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "facenhance_jax")


def test_a_folder_that_is_set_stays():
    jax.config.update("jax_compilation_cache_dir", "/chosen")
    keep_compiled_programs()
    assert jax.config.jax_compilation_cache_dir == "/chosen"


ARGUMENTS = ({"a": {0: np.arange(3.0, dtype=np.float32)}, "b": np.uint8([7])}, jax.random.key(1), None)


def counting(traces):
    def function(tree, key, nothing):
        traces.append(nothing)
        return jax.random.normal(key, (3,)) + tree["a"][0], jnp.sum(tree["b"])

    return function


def assert_right(answer):
    np.testing.assert_array_equal(
        answer[0], jax.random.normal(jax.random.key(1), (3,)) + np.arange(3.0, dtype=np.float32)
    )
    assert int(answer[1]) == 7


def test_what_was_traced_once_is_not_traced_again(tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "new"))
    traces = []
    for _ in range(3):
        assert_right(traced(counting(traces), ARGUMENTS, "this")(*ARGUMENTS))
    assert traces == [None]
    assert len(list(tmp_path.rglob("*.stablehlo"))) == 1


def test_another_program_shape_or_code_is_traced(tmp_path, monkeypatch):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    traces = []
    traced(counting(traces), ARGUMENTS, "this")(*ARGUMENTS)
    traced(counting(traces), ARGUMENTS, "that")(*ARGUMENTS)
    longer = ({"a": {0: np.zeros(1, np.float32)}, "b": np.uint8([7])}, jax.random.key(1), None)
    traced(counting(traces), longer, "this")(*longer)
    monkeypatch.setattr(compile_cache, "_code", lambda: "other code")
    traced(counting(traces), ARGUMENTS, "this")(*ARGUMENTS)
    assert len(traces) == len(list(tmp_path.rglob("*.stablehlo"))) == 4


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_file_is_replaced(tmp_path, content):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    traces = []
    traced(counting(traces), ARGUMENTS, "this")
    (file,) = tmp_path.rglob("*.stablehlo")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert_right(traced(counting(traces), ARGUMENTS, "this")(*ARGUMENTS))
    assert len(traces) == 2
    assert_right(traced(counting(traces), ARGUMENTS, "this")(*ARGUMENTS))
    assert len(traces) == 2


def test_without_a_folder_that_can_be_written_a_function_is_traced_as_usual(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (None, str(tmp_path / "file")):
        jax.config.update("jax_compilation_cache_dir", folder)
        assert_right(traced(counting([]), ARGUMENTS, "this")(*ARGUMENTS))


SHAPES = {"a": {0: jax.ShapeDtypeStruct((2, 3), jnp.float32)}, "b": jax.ShapeDtypeStruct((), jnp.uint8)}


def test_shapes_are_remembered_and_made_again_when_they_cannot_be_read(tmp_path, monkeypatch):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "new"))
    made = []

    def make():
        made.append(None)
        return SHAPES

    for _ in range(3):
        assert remembered(make, "this") == SHAPES
    assert len(made) == 1
    (file,) = tmp_path.rglob("*.json")
    for content in (b"", b"[[1]]", file.read_bytes()[:-9]):
        file.write_bytes(content)
        assert remembered(make, "this") == remembered(make, "this") == SHAPES
    assert len(made) == 4
    remembered(make, "that")
    monkeypatch.setattr(compile_cache, "_code", lambda: "other code")
    remembered(make, "this")
    assert len(made) == 6
    for folder in (None, str(file)):
        jax.config.update("jax_compilation_cache_dir", folder)
        assert remembered(make, "this") == SHAPES
    assert len(made) == 8


class Uncompiled(jax.stages.Lowered):
    """Of no program."""

    def __init__(self):
        pass


@pytest.mark.parametrize("known", [0, 1, 2])
def test_compiling_takes_the_first_options_that_this_xla_knows(monkeypatch, known):
    """`known` is the number of the options in `LEAN` that it knows; 2 stands for none of them."""
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    made, asked = jax.jit(lambda x: x + 1).lower(jnp.ones(3)).compile(), []

    class Lowered(Uncompiled):
        def compile(self, options=None):
            asked.append(options)
            if options is not None and options != (*compile_cache.LEAN, None)[known]:
                raise jax.errors.JaxRuntimeError(f"INVALID_ARGUMENT: No such compile option: '{next(iter(options))}'")
            return made

    assert compile_cache.compiled(Lowered()) is made
    assert asked == [*compile_cache.LEAN, None][: known + 1]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compile_cache.compiled(Lowered()) is made
    assert asked[-1] is None and len(asked) == known + 2


def test_other_errors_of_compiling_are_not_hidden(monkeypatch):
    """Without options it would compile."""
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    made = jax.jit(lambda x: x + 1).lower(jnp.ones(3)).compile()

    class Lowered(Uncompiled):
        def compile(self, options=None):
            if options:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
            return made

    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        compile_cache.compiled(Lowered())


def test_a_program_compiled_leanly_gives_the_same():
    lowered = jax.jit(lambda x: jnp.tanh(x) @ x).lower(jnp.ones((4, 4)))
    x = jnp.arange(16.0).reshape(4, 4) / 16
    np.testing.assert_allclose(compile_cache.compiled(lowered)(x), jnp.tanh(x) @ x, rtol=1e-6)
