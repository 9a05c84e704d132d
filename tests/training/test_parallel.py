"""One step on one, two and four devices: the same numbers, however they share the batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run
from jax.sharding import PartitionSpec
from small_run import assert_same, initial_state, make_batch, make_config, small_step

from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints
from facenhance_jax.training import packing, parallel, train_step

CONFIG = make_config()
ABSTRACT = jax.eval_shape(lambda: initial_state(CONFIG))


def over(strategy, count=4, config=CONFIG):
    parts = config.train.accumulate
    return parallel.over_devices(small_step(config), strategy, ABSTRACT, parts, jax.devices()[:count])


def after_five_steps(strategy, count, config=CONFIG):
    devices = over(strategy, count, config)
    run = jax.jit(lambda: initial_state(config), out_shardings=devices.state_sharding(ABSTRACT))()
    for step in range(5):
        run, metrics = devices.update(run, devices.put(make_batch(step, 8)))
    assert all(len(leaf.devices()) == count for leaf in jax.tree.leaves(run))
    return run, metrics


@pytest.fixture(scope="module")
def alone():
    return after_five_steps("jit", 1)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    "strategy, count", [("jit", 2), ("jit", 4), ("pmap", 1), ("pmap", 2), ("pmap", 4), ("fsdp", 4)]
)
def test_five_steps_end_the_same_on_any_devices_and_in_parts(alone, strategy, count, parts, monkeypatch):
    monkeypatch.setattr(parallel, "SMALLEST_SHARDED", 100)  # so that the small matrix is sharded too
    config = make_config()
    config.train.accumulate = parts
    ends = after_five_steps(strategy, count, config)
    for one, other in zip(jax.tree.leaves(ends), jax.tree.leaves(alone), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_a_run_with_turned_kernels_is_the_same_on_devices_that_share_them(tmp_path, monkeypatch):
    """With as many channels in as out, another axis is the longest once a kernel is turned."""
    config = make_config(parallel="fsdp")

    def start():
        kernels = {"kernel": jnp.ones((12, 12)), "conv": jax.random.normal(jax.random.key(0), (3, 3, 64, 64))}
        return train_step.initial_state(kernels, small_run.OPTIMIZER, 0)

    def loss(params, batch, key):
        value, sums = small_run.loss(params, batch, key)
        return value + jnp.mean((params["conv"] - batch["low"].mean() / 255.0) ** 2), sums

    step = functools.partial(train_step.train_step, loss_fn=loss, optimizer=small_run.OPTIMIZER, ema_decay=0.9)
    found = []
    for turned in (False, True):
        monkeypatch.setattr(packing, "_is_gpu", lambda: turned)  # noqa: B023
        jax.clear_caches()  # the shapes of a packed state are remembered
        small_run.train(config, tmp_path / str(turned), initial_state=start, step=step)
        found.append(checkpoints.restore(tmp_path / str(turned) / "checkpoints", 6, jax.eval_shape(start)))
    assert_same(*found)


def test_fsdp_splits_the_longest_axis_of_large_arrays_of_the_whole_state(monkeypatch):
    monkeypatch.setattr(parallel, "SMALLEST_SHARDED", 100)
    run, _ = after_five_steps("fsdp", 4)
    moments = run.opt_state[0]
    for tree in (run.params, run.ema, moments.mu, moments.nu):
        assert tree["kernel"].addressable_shards[0].data.shape == (3, 12)
    assert run.key.sharding.is_fully_replicated and moments.count.sharding.is_fully_replicated
    shapes = {
        (3, 3, 64, 128): PartitionSpec(None, None, None, "data"),
        (3, 3, 30, 31): PartitionSpec(),
        (9,): PartitionSpec(),
    }
    abstract = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    assert [found.spec for found in over("fsdp").state_sharding(abstract)] == list(shapes.values())


def test_an_examples_index_counts_through_the_whole_batch(monkeypatch):
    np.testing.assert_array_equal(over("jit").put(make_batch(0, 8))["index"], np.arange(8))
    np.testing.assert_array_equal(np.ravel(over("pmap").put(make_batch(0, 8))["index"]), np.arange(8))
    monkeypatch.setattr(jax, "process_index", lambda: 2)
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    # As pipeline.batches shares them: process 2 of 3 has the examples 2, 5, 8, ...
    np.testing.assert_array_equal(parallel._numbered(make_batch(0, 4))["index"], [2, 5, 8, 11])


def test_a_batch_that_does_not_split_is_refused():
    with pytest.raises(InputError, match="6 examples of this process do not split into 4 equal parts"):
        over("jit").put(make_batch(0, 6))
    config = make_config()
    config.train.accumulate = 4
    for strategy in ("pmap", "jit"):
        with pytest.raises(InputError, match="8 examples of this process do not split into 16 equal parts"):
            over(strategy, 4, config).put(make_batch(0, 8))


def test_a_batch_is_split_in_order_over_the_devices():
    batch = make_batch(0, 8)
    for strategy, shape in (("pmap", (4, 2, 2, 2, 3)), ("jit", (8, 2, 2, 3))):
        on_devices = over(strategy).put(batch)
        assert on_devices["high"].shape == shape
        for device, shard in enumerate(on_devices["high"].addressable_shards):
            mine = batch["high"][2 * device : 2 * device + 2]
            np.testing.assert_array_equal(np.asarray(shard.data).reshape(mine.shape), mine)


def test_batches_are_sent_two_ahead_and_none_is_lost():
    on_devices = []
    feed = parallel.ahead((on_devices.append(n) or n for n in range(6)), depth=2)
    assert (next(feed), on_devices) == (0, [0, 1, 2])
    assert (list(feed), on_devices) == ([1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])
