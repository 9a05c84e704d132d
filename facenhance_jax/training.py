"""The training loop: from a config to a run's folder, and from a run's folder to a released model."""

import collections
import functools
import itertools
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from PIL import Image
from tensorboardX import SummaryWriter
from tqdm import tqdm

from facenhance_jax import build, checkpoints
from facenhance_jax.errors import InputError

CHECKPOINTS = "checkpoints"
CONFIG = "config.json"


def train(config: ml_collections.ConfigDict, workdir: Path) -> None:
    """Trains until `config.run.steps`, going on from the newest checkpoint in `workdir`.

    The folder gets `config.json`, `checkpoints/`, `metrics.jsonl`, `samples/*.png` and TensorBoard's files. SIGTERM and
    SIGINT save a checkpoint and return; a second one acts as usual.

    Raises:
      InputError: a bad config, another config than the one `workdir` was begun with, or a damaged checkpoint.
    """
    settings = build.run_settings(config)
    parallel = data_parallel(functools.partial(build.train_step, config), settings.parallel)
    _compare_config(workdir, config)
    step = start = saved = checkpoints.latest_step(workdir / CHECKPOINTS) or 0
    state = _initial_or_restored(config, workdir, start, parallel.replicated)
    feed = ahead(map(parallel.place, build.batches(config, start)))
    feed = itertools.chain([next(feed)], feed)  # bad data is found here, before anything is written
    _write_config(workdir, config)
    with (
        checkpoints.RunCheckpoints(workdir / CHECKPOINTS) as run,
        RunLog(workdir, start, settings) as log,
        Interruption() as interruption,
    ):
        samples = Samples(config, workdir, log.board)
        while step < settings.steps and not interruption.received:
            batch = next(feed)
            state, metrics = parallel.update(state, batch)
            step += 1
            log.add(step, metrics, examples=math.prod(batch["high"].shape[:-3]))
            if step % settings.sample_every == 0:
                samples.write(step, state.ema)
            if step % settings.save_every == 0:
                log.flush()  # first: a resumed run begins behind the checkpoint
                run.save(step, state)
                saved = step
        if saved != step:
            log.flush()
            run.save(step, state)
    ending = "finished" if step == settings.steps else f"stopped by {interruption.received}; run it again to go on"
    print(f"{workdir}: step {step} of {settings.steps}, {ending}", flush=True)


def export_model(workdir: Path, output: Path, card: str | None = None, dtype: str = "float32") -> int:
    """Writes the EMA of the newest checkpoint in `workdir` as a released model; returns its step.

    Without a `card` (Markdown) the model gets one line that names the step.

    Raises:
      InputError: `workdir` holds no run or no checkpoint, the checkpoint is damaged, or `output` holds something.
    """
    if not (workdir / CONFIG).is_file():
        raise InputError(f"{workdir}: not a training run (it has no {CONFIG}); give the --workdir of launch.train")
    config = checkpoints.read_config(workdir / CONFIG, "write it again from the run's config")
    step = checkpoints.latest_step(workdir / CHECKPOINTS)
    if step is None:
        raise InputError(f"{workdir}: no checkpoint yet; train until run.save_every first")
    abstract = jax.eval_shape(functools.partial(build.initial_state, ml_collections.ConfigDict(config)))
    state = checkpoints.restore(workdir / CHECKPOINTS, step, abstract)
    config.pop("data", None)  # where data and the first weights lay is a matter of the machine that trained
    config.get("train", {}).pop("start_from", None)
    checkpoints.save_model(output, state.ema, config, card or f"# Step {step} of a training run\n", dtype)
    return step


# ---- devices ---------------------------------------------------------------------------------------------------------


class DataParallel(NamedTuple):
    """One pure step on every device. The state is replicated, unstacked and donated; the batch is split.

    Attributes:
      update: (state, placed batch) -> (state, metrics).
      place: a host batch -> the same on the devices.
      replicated: where the state belongs.
    """

    update: Callable[[Any, Any], tuple[Any, dict]]
    place: Callable[[dict[str, np.ndarray]], dict[str, jax.Array]]
    replicated: NamedSharding


def data_parallel(make_step: Callable[..., Callable], parallel: str) -> DataParallel:
    """Spreads a step over all devices.

    Args:
      make_step: called with `axis=` the mapped axis's name or None, gives `(state, batch) -> (state, metrics)`.
      parallel: "pmap", or "jit" over a mesh. Both give the same numbers from the same state.
    """
    mesh = Mesh(np.asarray(jax.devices()), ("data",))
    split, replicated = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    if parallel == "pmap":
        if jax.process_count() > 1:
            raise InputError("config.run.parallel: pmap runs in one process only; set it to jit")
        step = make_step(axis="data")
        update = jax.pmap(step, axis_name="data", in_axes=(None, 0), out_axes=None, donate_argnums=0)
    else:
        update = jax.jit(make_step(axis=None), donate_argnums=0, out_shardings=replicated)

    def place(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        rows, devices = len(next(iter(batch.values()))), jax.local_device_count()
        if rows % devices:
            raise InputError(
                f"config.train.batch_size: {rows} examples do not split over {devices} devices; choose a multiple"
            )
        if parallel == "pmap":
            batch = {name: value.reshape(devices, rows // devices, *value.shape[1:]) for name, value in batch.items()}
        return {name: jax.make_array_from_process_local_data(split, value) for name, value in batch.items()}

    return DataParallel(update, place, replicated)


def ahead(batches: Iterable[Any], depth: int = 2) -> Iterator[Any]:
    """Keeps `depth` batches in flight to the devices while one is at work."""
    waiting = collections.deque()
    for batch in batches:
        waiting.append(batch)
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting


def _initial_or_restored(config: ml_collections.ConfigDict, workdir: Path, step: int, sharding: NamedSharding):
    initial = functools.partial(build.initial_state, config)
    if step == 0:
        fresh = jax.jit(initial, out_shardings=sharding)()
        return jax.device_put(build.started_from(config, fresh), sharding)
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), jax.eval_shape(initial)
    )
    return checkpoints.restore(workdir / CHECKPOINTS, step, abstract)


# ---- the run's folder ------------------------------------------------------------------------------------------------


def _compare_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Raises InputError where the run in `workdir` was begun with other values; the message names the fields."""
    file = workdir / CONFIG
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"{workdir}: is a file; give a folder as --workdir")
    if not file.exists():
        return
    old = dict(_flat(checkpoints.read_config(file, "choose another --workdir")))
    new = dict(_flat(config.to_dict()))
    fields = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if fields:
        raise InputError(f"{file}: begun with other values of {', '.join(fields)}; give those or another --workdir")


def _write_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Writes the resolved config where there is none yet."""
    workdir.mkdir(parents=True, exist_ok=True)
    if not (workdir / CONFIG).exists():
        write_whole(workdir / CONFIG, json.dumps(config.to_dict(), indent=2) + "\n")


def write_whole(file: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    partial = file.with_name(file.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, file)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """("train.seed", "0"), ...: each value as JSON, in which a tuple and a list are one."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value)


class Interruption:
    """Notes the first SIGTERM or SIGINT in `received`, by name, and leaves a second one to whoever had it before."""

    def __init__(self):
        self.received: str | None = None

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        self.received = signal.Signals(number).name
        self.__exit__()


class Samples:
    """Pictures of one fixed batch, drawn with the EMA, in `samples/` and TensorBoard."""

    def __init__(self, config: ml_collections.ConfigDict, workdir: Path, board: SummaryWriter):
        self._config, self._folder, self._board = config, workdir / "samples", board

    @functools.cached_property
    def _drawing(self) -> tuple[Callable, dict[str, np.ndarray]]:
        # The first batch of all, whatever step the run goes on from: its pictures then show one face as it gets better.
        return build.sample_grid(self._config), next(iter(build.batches(self._config, 0)))

    def write(self, step: int, params: Any) -> None:
        """Draws on the first device."""
        draw, batch = self._drawing
        picture = np.asarray(draw(jax.tree.map(lambda leaf: leaf.addressable_data(0), params), batch))
        self._folder.mkdir(exist_ok=True)
        partial = self._folder / "partial"
        Image.fromarray(picture).save(partial, format="PNG")
        os.replace(partial, self._folder / f"{step:08d}.png")
        self._board.add_image("samples", picture, step, dataformats="HWC")


class RunLog:
    """The progress bar, `metrics.jsonl` (a line a step that was logged, never two) and TensorBoard's scalars.

    Metrics are read one step late, so that the devices never wait for the host.
    """

    def __init__(self, workdir: Path, start: int, settings: build.RunSettings):
        self._every, self._last = settings.log_every, settings.steps
        self._file = workdir / "metrics.jsonl"
        self._pending: tuple[int, dict] | None = None
        self._written, self._clock = start, time.perf_counter()
        self._forget_after(start)
        self.board = SummaryWriter(str(workdir), purge_step=start + 1)
        self._bar = tqdm(
            total=settings.steps,
            initial=start,
            unit="step",
            mininterval=0.5 if sys.stderr.isatty() else 30.0,  # seconds; a log file wants fewer lines than a terminal
        )

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self.board.close()

    def add(self, step: int, metrics: dict[str, jax.Array], examples: int) -> None:
        """Notes the step just begun, and writes the one before. `examples` is how many the step saw."""
        self.flush()
        self._pending, self._examples = (step, metrics), examples

    def flush(self) -> None:
        """Waits for the step noted last, and writes it where it is due."""
        if self._pending is None:
            return
        (step, metrics), self._pending = self._pending, None
        jax.block_until_ready(metrics)
        if step % self._every == 0 or step == self._last:
            self._write(step, {name: float(value) for name, value in metrics.items()})
        self._bar.update()

    def _write(self, step: int, values: dict[str, float]) -> None:
        now = time.perf_counter()
        # The first rate of a run counts the compilation.
        rate = (step - self._written) / (now - self._clock)
        values |= {"steps_per_second": rate, "examples_per_second": rate * self._examples}
        self._written, self._clock = step, now
        line = {"step": step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        self._bar.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)

    def _forget_after(self, start: int) -> None:
        """Drops the lines of steps that will be done again, and one that was cut short."""
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= start]
        write_whole(self._file, "".join(line + "\n" for line in kept))
