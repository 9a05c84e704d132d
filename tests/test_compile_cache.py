"""The cache of compiled programs is in the user's cache folder, unless somebody chose another."""

import jax
import pytest

from facenhance_jax.compile_cache import keep_compiled_programs

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
