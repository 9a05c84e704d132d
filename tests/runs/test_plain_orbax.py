"""Plain Orbax restores what we write, without our help; and we read what earlier versions wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from orbax.checkpoint import v1
from small_run import assert_same
from test_checkpoints import CONFIG, abstract_state, make_params, make_state

from facenhance_jax.inference.enhancer import PACKAGED_MODEL
from facenhance_jax.runs import checkpoints
from facenhance_jax.settings import read_model

PARAMS = PACKAGED_MODEL / "params"


def by_name(tree: Any) -> dict[str, np.ndarray]:
    """The leaves by their path, in which attributes, keys and indices look the same: opt_state.1.0.count."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def assert_leaves_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert (actual[name].dtype, actual[name].shape) == (array.dtype, array.shape), name
        assert actual[name].tobytes() == array.tobytes(), name


@pytest.fixture(scope="module")
def packaged() -> dict[str, np.ndarray]:
    """The packaged model's parameters as they are stored, read by our own code."""
    abstract = read_model(checkpoints.load_config(PACKAGED_MODEL)).denoiser().abstract_params()
    stored = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float16), abstract)
    return by_name(checkpoints.load_params(PACKAGED_MODEL, stored))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Steps 3 and 5 of a run on four devices, with the kernels split over them."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    mesh = Mesh(np.asarray(jax.devices()), ("data",))
    specs = [PartitionSpec(), PartitionSpec(None, None, "data")]
    spread = lambda leaf: jax.device_put(leaf, NamedSharding(mesh, specs[leaf.ndim == 4]))  # noqa: E731
    with checkpoints.RunCheckpoints(folder) as saves:
        for step, loss in ((3, 0.5), (5, None)):
            saves.save(step, jax.tree.map(spread, make_state(step)), loss)
    return folder


# ---- plain Orbax reads ours ------------------------------------------------------------------------------------------


def test_the_old_checkpointer_restores_the_packaged_model(packaged):
    assert_leaves_same(by_name(ocp.StandardCheckpointer().restore(PARAMS)), packaged)


def test_v1_loads_the_packaged_model(packaged):
    assert_leaves_same(by_name(v1.load(PARAMS)), packaged)


def test_both_restore_a_model_released_now_as_numpy_arrays(tmp_path):
    checkpoints.save_model(tmp_path / "model", make_params(), CONFIG, "# A card\n")
    for tree in (ocp.StandardCheckpointer().restore(tmp_path / "model/params"), v1.load(tmp_path / "model/params")):
        assert {type(leaf) for leaf in jax.tree.leaves(tree)} == {np.ndarray}
        assert_leaves_same(by_name(tree), by_name(make_params()))


@pytest.mark.parametrize("args", [None, ocp.args.StandardRestore(), ocp.args.PyTreeRestore()])
def test_the_manager_restores_a_run(run, args):
    for step in (3, 5):
        assert_leaves_same(by_name(ocp.CheckpointManager(run).restore(step, args=args)), by_name(make_state(step)))


def test_the_manager_fills_the_tree_it_is_given(run):
    restored = ocp.CheckpointManager(run).restore(5, args=ocp.args.StandardRestore(make_state(0)))
    assert_same(restored, make_state(5))


def test_v1_loads_a_checkpoint_of_a_run(run):
    assert_leaves_same(by_name(v1.load(run / "5")), by_name(make_state(5)))


def test_the_manager_knows_the_losses(run):
    options = ocp.CheckpointManagerOptions(best_fn=lambda metrics: metrics["validation_loss"], best_mode="min")
    with ocp.CheckpointManager(run, options=options) as manager:
        assert (manager.all_steps(), manager.best_step()) == ([3, 5], 3)
        assert manager.metrics(3) == {"validation_loss": 0.5}


OUTSIDE = """
import sys
import jax, numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import v1

params, run, output = sys.argv[1:]
trees = {
    "old": ocp.StandardCheckpointer().restore(params),
    "new": v1.load(params),
    "run": ocp.CheckpointManager(run).restore(5, args=ocp.args.StandardRestore()),
}
assert jax.device_count() == 1 and not any(name.startswith("facenhance") for name in sys.modules)
for name, tree in trees.items():
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(tree))
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
    np.savez(f"{output}/{name}.npz", **named)
"""


def test_another_program_on_one_device_restores_them_as_numpy_arrays(packaged, run, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XLA_FLAGS")}
    command = [sys.executable, "-c", OUTSIDE, str(PARAMS), str(run), str(tmp_path)]
    subprocess.run(command, env=environment | {"JAX_PLATFORMS": "cpu"}, cwd=tmp_path, check=True, timeout=120)
    for name, expected in (("old", packaged), ("new", packaged), ("run", by_name(make_state(5)))):
        assert_leaves_same(dict(np.load(tmp_path / f"{name}.npz")), expected)


LOADS = """
import sys
import numpy as np
from facenhance_jax import Enhancer

Enhancer.load().enhance(np.zeros((1, 64, 64, 3), np.uint8), np.zeros((192, 192, 3), np.uint8), steps=2)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"flax", "orbax", "optax", "torch"}))
"""


def test_a_kept_program_starts_without_orbax_and_flax(tmp_path):
    """They would take a fifth of the time from the command to the first frame."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    run = dict(env=environment, capture_output=True, text=True, check=True, timeout=300)
    loaded = [subprocess.run([sys.executable, "-c", LOADS], **run).stdout for _ in range(2)]
    assert "flax" in loaded[0] and "orbax" not in loaded[0]
    assert loaded[1] == "\n"


# ---- we read what earlier versions wrote -----------------------------------------------------------------------------


def test_a_model_of_an_earlier_version_loads(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), make_params())
    context = v1.Context()
    context.array.saving.enable_write_sharding_file = False
    with context:
        v1.save(tmp_path / "params", half)
    assert (tmp_path / "params" / "state" / "_METADATA").is_file()
    assert checkpoints.load_config(tmp_path) == CONFIG
    loaded = checkpoints.load_params(tmp_path, jax.eval_shape(make_params))
    assert_same(loaded, jax.tree.map(lambda leaf: leaf.astype(jnp.float32), half))


def test_a_run_of_an_earlier_version_can_be_resumed(tmp_path):
    context = v1.Context()
    context.array.saving.use_replica_parallel = False
    with v1.training.Checkpointer(tmp_path, context=context) as earlier:
        for step, loss in ((1, 0.5), (2, 0.7), (3, None)):
            metrics = None if loss is None else {"validation_loss": loss}
            earlier.save_async(step, make_state(step), force=True, metrics=metrics).result()
    assert (tmp_path / "3" / "state" / "_METADATA").is_file()
    assert checkpoints.newest_whole(tmp_path, abstract_state()) == 3
    assert_same(checkpoints.restore(tmp_path, 3, abstract_state()), make_state(3))
    with checkpoints.RunCheckpoints(tmp_path) as saves:
        saves.save(4, make_state(4))
    assert checkpoints.steps(tmp_path) == [1, 3, 4]  # 1 is the best
    for step in (1, 3, 4):
        checkpoints.check(tmp_path, step, abstract_state())
        assert_same(checkpoints.restore(tmp_path, step, abstract_state()), make_state(step))


def test_only_the_ema_of_an_earlier_version_is_read(tmp_path):
    state = {"params": make_params(1), "ema": make_params(2), "em": jnp.zeros(3)}
    v1.save(tmp_path / "7", state)
    assert_same(checkpoints.restore_ema(tmp_path, 7, jax.eval_shape(make_params)), make_params(2))
