"""The training loop: from an experiment to a run's folder."""

import itertools
import math
import signal
import time
from pathlib import Path
from typing import Any

import jax
import optax
from jax.experimental import multihost_utils

from facenhance_jax import messages
from facenhance_jax.media.writing import write_png
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints, run_folder
from facenhance_jax.training import hardware, parallel
from facenhance_jax.training.experiment import Experiment
from facenhance_jax.training.log import RunLog
from facenhance_jax.training.packing import packed_state, unpacked, unpacked_state
from facenhance_jax.training.validation import Pictures, Validation


def train(experiment: Experiment, workdir: Path, allow_config_change: bool = False) -> None:
    """Trains up to step `run.steps`, from the newest checkpoint in `workdir` or from the start.

    The folder gets `config.json`, `environment.json`, `checkpoints/`, `metrics.jsonl`, `samples/*.png` and TensorBoard
    files, all written by the first process. On SIGTERM or SIGINT it saves a checkpoint and returns; a second signal
    acts as usual. With `allow_config_change`, fields that do not change the network may differ from the run's own.

    Raises:
      InputError: the config differs from the run's own, no checkpoint can be read, the loss stays not finite, or the
        last checkpoint could not be saved.
    """
    settings = experiment.settings
    run_folder.check_config(workdir, settings, allow_config_change)
    abstract = jax.eval_shape(experiment.initial_state)
    kept = jax.eval_shape(packed_state, abstract)
    devices = parallel.over_devices(experiment.step, settings.run.parallel, kept, settings.train.accumulate)
    folder = workdir / run_folder.CHECKPOINTS
    start = parallel.agreed(checkpoints.newest_whole(folder, abstract) if jax.process_index() == 0 else 0)
    batches = experiment.batches(start)
    first = next(batches)  # bad data is found here, before anything is written
    flops = _step_flops(experiment, abstract, devices.spread(first))
    placed = devices.put(first)
    devices = devices._replace(update=_compiled(devices, kept, placed))
    feed = parallel.ahead(itertools.chain([placed], map(devices.put, batches)))
    validation = Validation(experiment, devices) if settings.run.validate_every else None
    state = _initial_or_restored(experiment, folder, start, devices.state_sharding(abstract))
    if jax.process_index() == 0:
        run_folder.write_config(workdir, settings)
    with (
        checkpoints.RunCheckpoints(folder) as saves,
        RunLog(workdir, start, settings.run.steps, settings.run.log_every, experiment.learning_rate, flops) as log,
        Interruption() as interruption,
    ):
        pictures = Pictures(experiment, devices)
        loop = _Loop(settings.run, workdir, devices, saves, log, interruption, validation, pictures)
        packed = jax.tree.map(jax.device_put, packed_state(state), devices.state_sharding(kept))
        step = loop.run(packed, feed, start)
        saved = saves.wait() or step == start
    if log.hopeless:
        raise InputError(f"{workdir}: {log.hopeless}")
    if not saved:
        raise InputError(f"{workdir}: step {step} could not be saved; make room and run it again to go on")
    if jax.process_index() == 0:
        _print_end(workdir, step, settings.run.steps, interruption.received)


def _print_end(workdir: Path, step: int, steps: int, signal_name: str | None) -> None:
    ending = "finished" if step == steps else f"stopped by {signal_name}; run it again to go on"
    print(f"{workdir}: step {step} of {steps}, {ending}", flush=True)


_norm = jax.jit(optax.tree.norm)


class _Loop:
    """The steps, and what is due after each."""

    def __init__(self, settings, workdir, devices, saves, log, interruption, validation, pictures):
        self.settings, self.workdir, self.devices = settings, workdir, devices
        self.saves, self.log, self.interruption = saves, log, interruption
        self.validation, self.pictures = validation, pictures
        self.saved_at = time.monotonic()
        self.tracing = False

    def run(self, state: Any, feed: Any, start: int) -> int:
        """Trains on from `state`, the one after step `start`; returns the step that was reached."""
        settings, step, saved = self.settings, start, start
        while step < settings.steps and not self.interruption.due(step) and not self.log.hopeless:
            self._begin_trace(step + 1)
            batch = next(feed)
            state, metrics = self.devices.update(state, batch)
            step += 1
            if self.log.is_due(step):
                metrics |= {"param_norm": _norm(state.params)}
            self.log.add(step, metrics, examples=math.prod(batch["index"].shape))
            if step == settings.profile_steps[1]:
                self._end_trace()
            if step % settings.sample_every == 0:
                self._picture(step, state)
            loss = self._validate(step, state) if self._is_due(step, settings.validate_every) else None
            if loss is not None or self._is_due(step, settings.save_every) or self._is_late(step):
                self._save(step, state, loss)
                saved = step
        self._end_trace()
        if saved != step:
            self._save(step, state, None)
        return step

    @staticmethod
    def _is_due(step: int, every: int) -> bool:
        return every > 0 and step % every == 0

    def _is_late(self, step: int) -> bool:
        """Whether the last checkpoint is too long ago; asked only at logged steps, since all processes must agree."""
        if not self.settings.save_minutes or step % self.settings.log_every:
            return False
        self.log.flush()  # ends the update first: at the same time, it and `agreed` would wait for each other for ever
        return bool(parallel.agreed(time.monotonic() - self.saved_at > 60 * self.settings.save_minutes))

    def _save(self, step: int, state: Any, validation_loss: float | None) -> None:
        self.log.flush()  # first, because a resumed run begins after the checkpoint
        self.saves.save(step, unpacked_state(state), validation_loss)
        self.saved_at = time.monotonic()

    def _validate(self, step: int, state: Any) -> float:
        scores = self.validation.score(unpacked(state.ema))
        self.log.flush()
        self.log.validated(step, scores)
        return scores["loss"]

    def _picture(self, step: int, state: Any) -> None:
        picture = self.pictures.draw(unpacked(state.ema))  # all processes take part
        if jax.process_index() == 0:
            try:
                (self.workdir / "samples").mkdir(exist_ok=True)
                write_png(self.workdir / "samples" / f"{step:08d}.png", picture)
            except (OSError, InputError) as error:
                messages.note(f"{error}; the training goes on")
            self.log.board.picture(step, "samples", picture)

    def _begin_trace(self, step: int) -> None:
        if step == self.settings.profile_steps[0]:
            jax.profiler.start_trace(str(self.workdir / "profile"))
            self.tracing = True

    def _end_trace(self) -> None:
        if self.tracing:
            self.log.flush()  # until the step is done
            jax.profiler.stop_trace()
            self.tracing = False


class Interruption:
    """Puts the name of the first SIGTERM or SIGINT into `received`; a second one goes to the handler from before.

    With several processes JAX catches SIGTERM, and tells all of them to stop before the same step.
    """

    def __init__(self):
        self.received: str | None = None

    def __enter__(self) -> "Interruption":
        numbers = (signal.SIGTERM, signal.SIGINT) if jax.process_count() == 1 else ()
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def due(self, step: int) -> bool:
        """Whether to stop before the step after `step`."""
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(step):
            self.received = "SIGTERM"
        return self.received is not None

    def _note(self, number: int, _frame: object) -> None:
        self.received = signal.Signals(number).name
        self.__exit__()


def _compiled(devices: parallel.Parallel, abstract: Any, batch: dict) -> Any:
    """The update, compiled before there is a state: on a CPU, compiling takes 1 GB for a while."""
    update = devices.update.lower(_placed(abstract, devices.state_sharding(abstract)), batch).compile()
    hardware.return_freed_memory()
    return update


def _placed(abstract: Any, sharding: Any) -> Any:
    return jax.tree.map(
        lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where), abstract, sharding
    )


def _initial_or_restored(experiment: Experiment, folder: Path, step: int, sharding: Any) -> Any:
    if step == 0:
        fresh = jax.jit(experiment.initial_state, out_shardings=sharding)()
        hardware.return_freed_memory()
        return jax.tree.map(jax.device_put, experiment.warm_start(fresh), sharding)
    return checkpoints.restore(folder, step, _placed(jax.eval_shape(experiment.initial_state), sharding))


def _step_flops(experiment: Experiment, abstract_state: Any, batch: dict) -> float | None:
    """FLOPs of an update; None if the devices' peak is unknown, to save the tracing that counting takes."""
    if hardware.peak_flops(jax.devices()[0]) is None:
        return None
    return hardware.step_flops(experiment.step, abstract_state, batch)
