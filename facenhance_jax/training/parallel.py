"""One pure step on many devices: the same numbers up to rounding, however the devices share the work."""

import collections
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from facenhance_jax.messages import InputError

SMALLEST_SHARDED = 2**14  # elements: splitting a smaller array costs more than it saves


class Parallel(NamedTuple):
    """A step and a state on every device. The state is donated; the batch is split.

    Attributes:
      update: (state, batch on the devices) -> (state, metrics).
      put: this process's share of a batch, on the host -> the same on the devices, as `update` takes it.
      spread: the same -> split over the mesh, for any jitted function.
      state_sharding: abstract state -> the sharding of each leaf.
      replicated: the sharding with a whole array on each device.
    """

    update: Callable[[Any, Any], tuple[Any, dict]]
    put: Callable[[dict[str, np.ndarray]], dict[str, jax.Array]]
    spread: Callable[[dict[str, np.ndarray]], dict[str, jax.Array]]
    state_sharding: Callable[[Any], Any]
    replicated: NamedSharding


def over_devices(
    step: Callable[..., tuple[Any, dict]],
    strategy: str,
    abstract_state: Any,
    accumulate: int = 1,
    devices: list[jax.Device] | None = None,
) -> Parallel:
    """Spreads a step over devices.

    Args:
      step: (state, batch, axis=...) -> (state, metrics), with the mapped axis's name or None.
      strategy: "jit" over a mesh, the state whole on each device; "fsdp", the same with every large array of the state
        (parameters, EMA and moments) split over the devices; or "pmap", within one process.
      abstract_state: shapes and dtypes of the state.
      accumulate: parts that each device's share of a batch is split into.
      devices: all that there are, by default.

    Raises:
      InputError: pmap across processes; from `put` and `spread`, a batch that does not split.
    """
    devices = jax.devices() if devices is None else devices
    mesh = Mesh(np.asarray(devices), ("data",))
    split, replicated = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    local = sum(device.process_index == jax.process_index() for device in devices)

    def state_sharding(abstract: Any) -> Any:
        return jax.tree.map(lambda leaf: _sharding(mesh, leaf.shape) if strategy == "fsdp" else replicated, abstract)

    if strategy == "pmap":
        update = _mapped(step, devices)
    else:
        shardings = (state_sharding(abstract_state), replicated)
        update = jax.jit(functools.partial(step, axis=None), donate_argnums=0, out_shardings=shardings)

    def spread(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        batch = _numbered(_split(batch, local * accumulate))
        return {name: jax.make_array_from_process_local_data(split, value) for name, value in batch.items()}

    def put(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        if strategy != "pmap":
            return spread(batch)
        batch = _numbered(_split(batch, local * accumulate))
        return {name: _folded(value, local, split) for name, value in batch.items()}

    return Parallel(update, put, spread, state_sharding, replicated)


def _mapped(step: Callable[..., tuple[Any, dict]], devices: list[jax.Device]) -> Callable[[Any, Any], tuple[Any, dict]]:
    if jax.process_count() > 1:
        raise InputError("config.run.parallel: pmap runs in one process only; set it to jit")
    step = functools.partial(step, axis="data")
    return jax.pmap(step, axis_name="data", in_axes=(None, 0), out_axes=None, donate_argnums=0, devices=devices)


def ahead(batches: Iterable[Any], depth: int = 2) -> Iterator[Any]:
    """Takes `depth` batches in advance, so that they travel to the devices while one is in use."""
    waiting = collections.deque()
    for batch in batches:
        waiting.append(batch)
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting


def agreed(value: int) -> int:
    """The first process's value, in all processes: for decisions that must be the same in all."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int64(value)))


def _sharding(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """Splits the longest axis that divides by the number of devices, if the array is large and no vector.

    Of vectors there is only the one of all small arrays, which each device needs whole.
    """
    fitting = [axis for axis, length in enumerate(shape) if length % mesh.size == 0]
    if math.prod(shape) < SMALLEST_SHARDED or not fitting or len(shape) == 1:
        return NamedSharding(mesh, PartitionSpec())
    longest = max(fitting, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*(None,) * longest, "data"))


def _split(batch: dict[str, np.ndarray], parts: int) -> dict[str, np.ndarray]:
    rows = len(next(iter(batch.values())))
    if rows % parts:
        raise InputError(
            f"config.train.batch_size: {rows} examples of this process do not split into {parts} equal parts "
            "(devices x config.train.accumulate); choose a multiple"
        )
    return batch


def _numbered(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Adds each example's number in the global batch: `pipeline.batches` gives the processes one example in turn."""
    rows = len(next(iter(batch.values())))
    index = jax.process_index() + jax.process_count() * np.arange(rows, dtype=np.int32)
    return batch | {"index": index}


def _folded(value: np.ndarray, devices: int, split: NamedSharding) -> jax.Array:
    return jax.device_put(value.reshape(devices, len(value) // devices, *value.shape[1:]), split)
