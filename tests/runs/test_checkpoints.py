"""Checkpoints of a run and the folder of a released model: exact, complete, and refused in one line if damaged."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from small_run import assert_same

from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints

CONFIG = {"model": {"base": 32, "multipliers": (1, 2), "residual_scale": 12.5, "dtype": "float32"}, "seed": 3}


class State(NamedTuple):
    step: Any
    params: Any
    opt_state: Any
    key: Any


def make_params(seed: int = 0) -> dict:
    """A nested tree with integer keys, as flax's lists of modules give."""
    rng = np.random.default_rng(seed)
    kernel = lambda *shape: jnp.asarray(rng.standard_normal(shape, dtype=np.float32))  # noqa: E731
    return {"blocks": {0: {"kernel": kernel(3, 3, 8, 8)}, 1: {"kernel": kernel(3, 3, 8, 8)}}, "bias": kernel(8)}


def make_state(step: int) -> State:
    params = make_params(step)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.linear_schedule(0.0, 1.0, 10)))
    return State(jnp.int32(step), params, optimizer.init(params), jnp.asarray([7, 2**32 - 1], jnp.uint32))


def abstract_state() -> State:
    return jax.eval_shape(lambda: make_state(0))


def biggest_file(folder: Path) -> Path:
    return max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)


def one_line(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    with checkpoints.RunCheckpoints(folder) as run:
        for step in (2, 4, 10):
            run.save(step, make_state(step))
    return folder


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "model"
    checkpoints.save_model(folder, make_params(), CONFIG, "# A card\n")
    return folder


@pytest.fixture
def run_copy(saved_run, tmp_path) -> Path:
    return Path(shutil.copytree(saved_run, tmp_path / "checkpoints"))


@pytest.fixture
def model_copy(saved_model, tmp_path) -> Path:
    return Path(shutil.copytree(saved_model, tmp_path / "model"))


# ---- a run -----------------------------------------------------------------------------------------------------------


def test_a_run_comes_back_bit_for_bit_and_keeps_the_latest_two(saved_run):
    assert checkpoints.steps(saved_run) == [4, 10]  # as numbers: "4" > "10" as text
    assert sorted(entry.name for entry in saved_run.iterdir()) == ["10", "4"]
    for step in (4, 10):
        assert_same(checkpoints.restore(saved_run, step, abstract_state()), make_state(step))


def test_there_are_no_steps_in_a_folder_that_is_new_or_empty(tmp_path):
    assert checkpoints.steps(tmp_path / "none") == checkpoints.steps(tmp_path) == []
    assert checkpoints.newest_whole(tmp_path / "none", abstract_state()) == 0


def test_a_state_on_four_devices_comes_back_on_one_and_the_other_way_round(tmp_path):
    mesh = Mesh(np.asarray(jax.devices()), ("data",))
    four = NamedSharding(mesh, PartitionSpec())
    with checkpoints.RunCheckpoints(tmp_path) as run:
        run.save(1, jax.device_put(make_state(1), four))
        run.save(2, make_state(2))
    on_one = checkpoints.restore(tmp_path, 1, abstract_state())
    assert_same(on_one, make_state(1))
    assert all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(on_one))
    target = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=four)  # noqa: E731
    on_four = checkpoints.restore(tmp_path, 2, jax.tree.map(target, abstract_state()))
    assert_same(on_four, make_state(2))
    assert all(len(leaf.devices()) == 4 for leaf in jax.tree.leaves(on_four))


def test_a_state_may_be_donated_as_soon_as_save_returns(tmp_path):
    big = jnp.ones((1024, 1024))
    overwrite = jax.jit(lambda x: x * 0.0, donate_argnums=0)
    with checkpoints.RunCheckpoints(tmp_path) as run:
        run.save(1, {"x": big})
        overwrite(big).block_until_ready()
    np.testing.assert_array_equal(checkpoints.restore(tmp_path, 1, {"x": jnp.zeros((1024, 1024))})["x"], 1.0)


KILLED = """
import os, pathlib, signal, sys
import numpy as np
from facenhance_jax.runs.checkpoints import RunCheckpoints
state = lambda step: {"x": np.random.default_rng(step).random((4096, 4096), np.float32)}
with RunCheckpoints(sys.argv[1]) as run:
    run.save(1, state(1))
with RunCheckpoints(sys.argv[1]) as run:
    run.save(2, state(2))
    while not list(pathlib.Path(sys.argv[1]).glob("2.*tmp*")):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_while_saving_leaves_the_checkpoint_before(tmp_path):
    folder = tmp_path / "checkpoints"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], env=environment, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(folder.glob("2.*tmp*"))) == 1 and checkpoints.steps(folder) == [1]
    restored = checkpoints.restore(folder, 1, {"x": jax.ShapeDtypeStruct((4096, 4096), jnp.float32)})
    np.testing.assert_array_equal(restored["x"], np.random.default_rng(1).random((4096, 4096), np.float32))
    with checkpoints.RunCheckpoints(folder) as run:  # removes what was left behind
        run.save(3, {"x": jnp.ones((2, 2))})
    assert sorted(entry.name for entry in folder.iterdir()) == ["1", "3"]


def test_the_best_by_validation_is_kept_with_the_latest_two(tmp_path):
    with checkpoints.RunCheckpoints(tmp_path) as run:
        for step, loss in ((1, 0.9), (2, 0.5), (3, 0.7), (4, None), (5, None)):
            run.save(step, {"x": jnp.full(2, step)}, loss)
    assert checkpoints.steps(tmp_path) == [2, 4, 5]


def test_the_ema_alone_comes_back_bit_for_bit(tmp_path):
    state = {"params": make_params(1), "ema": make_params(2), "em": jnp.zeros(3)}
    with checkpoints.RunCheckpoints(tmp_path) as run:
        run.save(7, state)
    assert_same(checkpoints.restore_ema(tmp_path, 7, jax.eval_shape(make_params)), make_params(2))


def cut_short(checkpoint: Path) -> None:
    file = biggest_file(checkpoint)
    os.truncate(file, file.stat().st_size // 2)


def test_a_damaged_newest_checkpoint_is_set_aside_and_the_one_before_taken(run_copy, capfd):
    cut_short(run_copy / "10")
    assert checkpoints.newest_whole(run_copy, abstract_state()) == 4
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"facenhance: note: {run_copy}/10: incomplete or damaged; it was moved to {run_copy.parent}")
    assert checkpoints.steps(run_copy) == [4]
    (aside,) = (run_copy.parent / "damaged").iterdir()
    assert biggest_file(aside).stat().st_size > 0
    assert_same(checkpoints.restore(run_copy, 4, abstract_state()), make_state(4))


def test_if_no_checkpoint_can_be_read_only_the_second_start_begins_from_step_0(run_copy):
    for step in (4, 10):
        cut_short(run_copy / str(step))
    with pytest.raises(InputError, match="none of the checkpoints of steps .4, 10. can be read; run it again to begin"):
        checkpoints.newest_whole(run_copy, abstract_state())
    assert checkpoints.newest_whole(run_copy, abstract_state()) == 0


def test_a_checkpoint_of_another_network_is_refused_and_stays(run_copy):
    with pytest.raises(InputError, match="10: does not fit the config"):
        checkpoints.newest_whole(run_copy, {"params": make_params()})
    assert checkpoints.steps(run_copy) == [4, 10]


def test_a_full_disk_is_reported_and_the_next_save_tries_again(tmp_path, capfd):
    """No file may grow beyond 1 MB for a while, which looks like a full disk."""
    state = {"x": np.random.default_rng(0).random((1024, 1024), np.float32)}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with checkpoints.RunCheckpoints(tmp_path) as run:
        run.save(1, {"x": jnp.ones(2)})
        assert run.wait()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
        try:
            run.save(2, state)
            assert not run.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert checkpoints.steps(tmp_path) == [1]
        assert capfd.readouterr().err == (
            f"facenhance: note: {tmp_path}: step 2 not saved (File too large); the training goes on\n"
        )
        run.save(3, state)
        assert run.wait()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["1", "3"]
    np.testing.assert_array_equal(checkpoints.restore(tmp_path, 3, state)["x"], state["x"])


# ---- a released model ------------------------------------------------------------------------------------------------


def test_a_model_comes_back_bit_for_bit(saved_model):
    assert checkpoints.load_config(saved_model) == CONFIG
    assert_same(checkpoints.load_params(saved_model, jax.eval_shape(make_params)), make_params())
    assert (saved_model / "card.md").read_text() == "# A card\n"
    assert sorted(entry.name for entry in saved_model.iterdir()) == ["card.md", "config.json", "params"]


def test_a_half_precision_model_is_half_the_size_and_rounded_once(tmp_path):
    params = {"kernel": jnp.asarray(np.random.default_rng(0).standard_normal((512, 1024), dtype=np.float32))}
    checkpoints.save_model(tmp_path / "model", params, CONFIG, "", dtype="float16")
    size = sum(file.stat().st_size for file in (tmp_path / "model").rglob("*") if file.is_file())
    assert size < 2 * 512 * 1024 + 10_000
    loaded = checkpoints.load_params(tmp_path / "model", jax.eval_shape(lambda: params))
    assert_same(loaded, jax.tree.map(lambda leaf: leaf.astype(jnp.float16).astype(jnp.float32), params))


def test_a_model_names_no_folder_and_no_device_of_the_machine_that_wrote_it(saved_model):
    assert not list(saved_model.rglob("_sharding"))
    for file in saved_model.rglob("*"):
        assert file.is_dir() or str(saved_model.parent).encode() not in file.read_bytes(), file


def test_loading_writes_nothing(model_copy):
    before = {file: file.stat().st_mtime_ns for file in model_copy.rglob("*")}
    checkpoints.load_params(model_copy, jax.eval_shape(make_params))
    assert {file: file.stat().st_mtime_ns for file in model_copy.rglob("*")} == before


def test_a_parameter_too_large_for_half_precision_is_refused_and_leaves_nothing(tmp_path):
    params = {"blocks": {0: {"kernel": jnp.asarray([1.0, 70000.0])}}}
    with pytest.raises(InputError) as error:
        checkpoints.save_model(tmp_path / "model", params, CONFIG, "", dtype="float16")
    assert one_line(error).startswith("blocks.0.kernel: not finite as float16")
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        checkpoints.save_model(tmp_path / "model", make_params(), {"model": object()}, "")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_not_overwritten(model_copy):
    with pytest.raises(InputError) as error:
        checkpoints.save_model(model_copy, make_params(1), CONFIG, "")
    assert one_line(error) == f"{model_copy}: exists already; remove it or choose another folder"
    assert_same(checkpoints.load_params(model_copy, jax.eval_shape(make_params)), make_params())


def test_a_folder_that_is_not_a_model_is_refused_in_one_line(tmp_path, model_copy):
    with pytest.raises(InputError) as error:
        checkpoints.load_config(tmp_path / "none")
    assert one_line(error) == f"{tmp_path}/none: no such folder; give the folder of a released model"
    (model_copy / "config.json").unlink()
    with pytest.raises(InputError) as error:
        checkpoints.load_config(model_copy)
    assert "not a released model (it has no config.json)" in one_line(error)


@pytest.mark.parametrize("text", ["", '{"model": ', "[1, 2]", "\0"])
def test_a_broken_config_is_refused_in_one_line(model_copy, text):
    (model_copy / "config.json").write_text(text)
    with pytest.raises(InputError) as error:
        checkpoints.load_config(model_copy)
    assert one_line(error).startswith(f"{model_copy}/config.json: not ")


def damage_cut_short(model: Path) -> None:
    file = biggest_file(model)
    os.truncate(file, file.stat().st_size // 2)


def damage_no_weights(model: Path) -> None:
    biggest_file(model).unlink()


def damage_no_contents(model: Path) -> None:
    (model / "params" / "manifest.ocdbt").unlink()


def damage_metadata(model: Path) -> None:
    os.truncate(model / "params" / "_METADATA", 100)


def damage_everything(model: Path) -> None:
    shutil.rmtree(model / "params")
    (model / "params").mkdir()


@pytest.mark.parametrize(
    "damage", [damage_cut_short, damage_no_weights, damage_no_contents, damage_metadata, damage_everything]
)
def test_damaged_weights_are_refused_in_one_line_and_nothing_is_printed(model_copy, damage, capfd):
    damage(model_copy)
    with pytest.raises(InputError) as error:
        checkpoints.load_params(model_copy, jax.eval_shape(make_params))
    assert one_line(error) == f"{model_copy}/params: incomplete or damaged; copy the model again"
    assert capfd.readouterr() == ("", "")


def another_shape(params: dict) -> dict:
    return params | {"bias": jnp.zeros((9,))}


def one_more(params: dict) -> dict:
    return params | {"scale": jnp.zeros((8,))}


def one_fewer(params: dict) -> dict:
    return params | {"blocks": {0: params["blocks"][0]}}


@pytest.mark.parametrize(
    "change, says",
    [
        (another_shape, "bias is (8,) and not (9,)"),
        (one_more, "scale is not stored"),
        (one_fewer, "which has no blocks.1.kernel"),
    ],
)
def test_weights_that_do_not_fit_name_the_leaf(saved_model, change, says, capfd):
    with pytest.raises(InputError) as error:
        checkpoints.load_params(saved_model, change(make_params()))
    assert f"does not fit the config, {says}; " in one_line(error)
    assert capfd.readouterr() == ("", "")


def test_the_config_is_plain_json(saved_model):
    assert json.loads((saved_model / "config.json").read_text())["model"]["multipliers"] == [1, 2]
