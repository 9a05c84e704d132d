"""Four CPU devices, checked shapes and types, strict ranks, and caches apart from the user's."""

import os
from pathlib import Path

# One folder for all that the tests cache, kept between runs so that the second run compiles nothing.
# Programs that the tests start inherit both variables.
user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
test_cache = user_cache if user_cache.name == "facenhance-tests" else user_cache / "facenhance-tests"
os.environ["XDG_CACHE_HOME"] = str(test_cache)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402  (after the environment is set)
from beartype import BeartypeConf, beartype  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(test_cache / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)  # seconds; faster ones are not worth a file

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a float may be given as an int, as in Python itself
install_import_hook("facenhance_jax", "conftest.checked")
