"""Files on disk: the checkpoints of a training run, and the folder of a released model.

Both are Orbax checkpoints of NumPy arrays, so plain Orbax restores them on any devices. Before Orbax reads one, we read
every array once with TensorStore and compare it with what the caller expects: a truncated file then gives one error,
where Orbax would print thousands of lines. Enhancing does not need Orbax, so it is imported late.
"""

import collections
import contextlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorstore
from jax.experimental import multihost_utils

from facenhance_jax import messages
from facenhance_jax.messages import InputError
from facenhance_jax.runs import cards

KEPT = 2  # checkpoints of a run: the newest and the one before
READ_AHEAD = 8  # arrays that are read and unpacked at once
FORMATS = {".zarray": "zarr", "zarr.json": "zarr3"}  # the file that describes an array, and TensorStore's driver for it


class Damaged(InputError):
    """A checkpoint that is incomplete or cannot be read."""


class RunCheckpoints:
    """Writes the checkpoints of a training run, in the background, as `folder/<step>/`.

    Keeps the latest two, and the one with the lowest validation loss. A checkpoint gets its final name only when it is
    complete, so a process killed while saving leaves the earlier ones intact. Opening this removes what such a process
    left behind, so there may be only one writer at a time.
    """

    def __init__(self, folder: Path | str):
        self._folder = Path(folder).absolute()
        self._step: int | None = None  # of the last save, unless it failed
        self._open()

    def _open(self) -> None:
        import orbax.checkpoint as ocp

        self._make_room()
        policies = ocp.checkpoint_managers
        best = policies.BestN(
            get_metric_fn=lambda metrics: -metrics["validation_loss"], n=1, keep_checkpoints_without_metrics=False
        )
        options = ocp.CheckpointManagerOptions(
            best_fn=best.get_metric_fn,  # without one Orbax does not write the losses
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(KEPT), best]),
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "RunCheckpoints":
        return self

    def __exit__(self, *_: object) -> None:
        if self._manager:
            self._manager.close()
        else:
            self._make_room()

    def save(self, step: int, state: Any, validation_loss: float | None = None) -> None:
        """Copies the whole of `state` (a pytree of arrays) to this host, then writes it while the caller goes on.

        First waits for the save before. `state` may be donated as soon as this returns. If the disk is full or fails,
        that is reported, and the next save tries again. With several processes all must call this; the first writes.
        """
        from orbax.checkpoint.args import StandardSave

        self.wait()
        if not self._manager:
            self._open()
        item = StandardSave(jax.tree.map(_on_host, state))
        metrics = None if validation_loss is None else {"validation_loss": validation_loss}
        self._step = step
        try:
            self._manager.save(step, args=item, metrics=metrics, force=True)  # forced: Orbax never skips it
        except (OSError, ValueError) as error:
            self._failed(error)

    def wait(self) -> bool:
        """Waits for the save under way; returns whether the last one succeeded."""
        try:
            if self._manager:
                self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            self._failed(error)
        return self._step is not None

    def _make_room(self) -> None:
        """Removes the unfinished checkpoints of saves that were killed or failed."""
        for unfinished in self._folder.glob("*.orbax-checkpoint-tmp"):
            shutil.rmtree(unfinished, ignore_errors=True)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, OSError) and "os_error_code" not in str(error):
            raise error  # not the disk's fault
        messages.note(f"{self._folder}: step {self._step} not saved ({_reason(error)}); the training goes on")
        self._step = None
        with contextlib.suppress(OSError, ValueError):
            self._manager.close()
        self._manager = None  # this one would raise the same error again; the next save opens another


def _reason(error: Exception) -> str:
    """The system's error message, out of TensorStore's long one."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(code[1])) if code else getattr(error, "strerror", None) or str(error).splitlines()[0]


def steps(folder: Path | str) -> list[int]:
    """The steps of the complete checkpoints in `folder`, in order."""
    # Orbax gives a checkpoint its plain name last: any other name is an unfinished one.
    folder = Path(folder)
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()) if folder.is_dir() else []


def newest_whole(folder: Path | str, abstract: Any) -> int:
    """The step of the newest checkpoint that can be read; 0 if there are no checkpoints.

    Those that cannot be read are reported and moved to `damaged/`, next to `folder`.

    Raises:
      InputError: there are checkpoints but none can be read, or the newest holds another tree than `abstract`.
    """
    folder = Path(folder).absolute()
    found = steps(folder)
    for step in reversed(found):
        try:
            check(folder, step, abstract)
            return step
        except Damaged as error:
            aside = folder.parent / "damaged" / f"{step}-{uuid.uuid4().hex[:8]}"
            aside.parent.mkdir(exist_ok=True)
            (folder / str(step)).rename(aside)
            messages.note(f"{error}; it was moved to {aside}")
    if found:
        raise InputError(
            f"{folder}: none of the checkpoints of steps {found} can be read; run it again to begin from step 0"
        )
    return 0


def check(folder: Path | str, step: int, abstract: Any) -> None:
    """Reads the whole checkpoint of `step`.

    Raises:
      Damaged: it cannot be read.
      InputError: it holds another tree than `abstract`.
    """
    _read(Path(folder).absolute() / str(step), abstract, "", kept=False)


def restore(folder: Path | str, step: int, abstract: Any) -> Any:
    """Reads the checkpoint of `step` bit for bit; call `check` first.

    `abstract` is the pytree to fill: arrays or `jax.ShapeDtypeStruct`s. A leaf is put where its sharding says, or on
    the first local device if it has none. It does not matter which devices wrote it.
    """
    from orbax.checkpoint import StandardCheckpointer

    with StandardCheckpointer() as checkpointer:
        return checkpointer.restore(_tree(Path(folder).absolute() / str(step)), jax.tree.map(_target, abstract))


def restore_ema(folder: Path | str, step: int, abstract: Any) -> Any:
    """Reads only the EMA of the checkpoint of `step`; `abstract` is the tree of the parameters.

    Raises:
      InputError: it is damaged, or holds other leaves or shapes.
    """
    return _read(Path(folder).absolute() / str(step), abstract, "take another checkpoint", within="ema.")


def save_model(folder: Path | str, params: Any, config: dict[str, Any], card: str, dtype: str = "float32") -> None:
    """Writes a released model: `params/`, `config.json` and `card.md`, completely or not at all.

    Args:
      folder: new or empty; its parents are made.
      params: a pytree of floating-point arrays.
      config: everything needed to build the network again; JSON values only.
      card: the model card, Markdown.
      dtype: of the arrays on disk; "float16" halves the folder. `load_params` returns the dtypes that it is asked for.

    Raises:
      InputError: the folder is not empty, or a parameter is not finite in `dtype`.
    """
    from orbax.checkpoint import StandardCheckpointer

    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already; remove it or choose another folder")
    stored = jax.tree.map_with_path(lambda path, leaf: _cast(path, leaf, dtype), params)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        model = Path(scratch) / "model"
        model.mkdir()
        (model / "config.json").write_text(json.dumps(config, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        (model / cards.FILE).write_text(card, encoding="utf-8")
        with StandardCheckpointer() as checkpointer:
            checkpointer.save(model / "params", stored)
        (model / "params" / "commit_success.txt").unlink()  # holds the scratch folder's path; never read on local disks
        os.replace(model, folder)


def load_config(folder: Path | str) -> dict[str, Any]:
    """Reads the config of a released model.

    Raises:
      InputError: no such folder, not a model, or a broken `config.json`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a released model")
    for part in ("config.json", "params"):
        if not (folder / part).exists():
            raise InputError(f"{folder}: not a released model (it has no {part}); give one that launch.export wrote")
    return read_config(folder / "config.json", "copy the model again")


def load_params(folder: Path | str, abstract: Any) -> Any:
    """Reads the parameters of a released model onto the local device.

    Args:
      folder: of the model.
      abstract: the parameters of the config's network: arrays or `jax.ShapeDtypeStruct`s. What is stored is cast to
        their dtypes.

    Raises:
      InputError: the files are damaged, or hold other leaves or shapes than `abstract`.
    """
    # Without Orbax, whose import and own reading would double the time to the first frame.
    return _read(Path(folder).absolute() / "params", abstract, "copy the model again")


def read_config(file: Path, remedy: str) -> dict[str, Any]:
    """Reads a config from a JSON file. JSON has no tuples and our configs no lists, so its lists come back as tuples.

    Raises:
      InputError: it cannot be read or is not a JSON object; the message ends with `remedy`, which says what to do.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not readable as JSON ({str(error).splitlines()[0]}); {remedy}") from error
    if not isinstance(values, dict):
        raise InputError(f"{file}: not a JSON object; {remedy}")
    return _with_tuples(values)


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _on_host(leaf: Any) -> np.ndarray:
    whole = getattr(leaf, "is_fully_replicated", True)  # on each device, or a NumPy array
    return np.asarray(leaf) if whole else multihost_utils.process_allgather(leaf, tiled=True)


def _cast(path: tuple[Any, ...], leaf: Any, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        cast = np.asarray(leaf).astype(dtype)
    if not np.isfinite(cast).all():
        raise InputError(f"{_name(path)}: not finite as {dtype}; use float32, or an earlier checkpoint")
    return cast


def _read(checkpoint: Path, abstract: Any, remedy: str, within: str = "", kept: bool = True) -> Any:
    """Reads the arrays whose names begin with `within`, checks names and shapes and, if `kept`, fills `abstract`."""
    tree = _tree(checkpoint)
    try:
        for file in (checkpoint / "_CHECKPOINT_METADATA", tree / "_METADATA"):
            json.loads(file.read_text(encoding="utf-8"))
        shapes, arrays = {}, {}
        for name, array in _arrays(tree, within):
            shapes[name] = array.shape
            if kept:
                arrays[name] = array
    except (OSError, ValueError) as error:
        raise Damaged(f"{checkpoint}: incomplete or damaged" + (f"; {remedy}" if remedy else "")) from error
    expected = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(abstract)}
    if misfit := _misfit(shapes, expected):
        raise InputError(f"{checkpoint}: does not fit the config, {misfit}; use it with the config it was written with")
    if kept:
        # Cast on the host, and not with jnp.asarray: both would compile a program for each shape.
        cast = jax.tree.map_with_path(lambda path, leaf: arrays.pop(_name(path)).astype(leaf.dtype), abstract)
        return jax.device_put(cast)


def _tree(checkpoint: Path) -> Path:
    """The folder of the arrays: a model's own, `default/` in a run, or `state/` in both of earlier versions."""
    return next((checkpoint / name for name in ("default", "state") if (checkpoint / name).is_dir()), checkpoint)


def _arrays(folder: Path, within: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every array with its name without `within`. Raises ValueError, as TensorStore does, if a file is damaged."""
    store = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}}
    context = tensorstore.Context()  # shared, so that the table of contents is read once
    keys = tensorstore.KvStore.open(store, context=context).result().list().result()
    opening = {}
    for name, _, file in (key.decode().rpartition("/") for key in keys if key.startswith(within.encode())):
        if file in FORMATS:
            spec = {"driver": FORMATS[file], "kvstore": {**store, "path": name}}
            opening[name] = tensorstore.open(spec, context=context, open=True)
    if not opening:
        raise ValueError("no arrays")
    reading = collections.deque()
    for name, opened in opening.items():
        reading.append((name.removeprefix(within), opened.result().read()))
        if len(reading) > READ_AHEAD:
            name, array = reading.popleft()
            yield name, array.result()
    for name, array in reading:
        yield name, array.result()


def _misfit(stored: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> str | None:
    """Says in which leaf the two trees first differ; None if they do not."""
    for name in sorted(stored.keys() | expected.keys()):
        if name not in stored:
            return f"{name} is not stored"
        if name not in expected:
            return f"which has no {name}"
        if stored[name] != expected[name]:
            return f"{name} is {stored[name]} and not {expected[name]}"
    return None


def _target(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _name(path: tuple[Any, ...]) -> str:
    """Orbax's name for the array of a leaf, such as opt_state.1.0.count."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
