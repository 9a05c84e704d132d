"""The log of a training: a progress bar, `metrics.jsonl`, TensorBoard's files."""

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tqdm import tqdm

from facenhance_jax import messages
from facenhance_jax.media.writing import replacing
from facenhance_jax.runs.run_folder import METRICS, read_lines
from facenhance_jax.training import hardware

MAX_SKIPPED = 100  # steps in a row whose loss or gradient was not finite; after them the training stops


class RunLog:
    """Reads the metrics of every step, one step late, so that the devices never wait for the host.

    Losses are logged as means over the steps since the last line, norms and counters as they are. A resumed run logs no
    step twice. A full disk is reported, and the training goes on.

    Attributes:
      hopeless: why the training should stop; None as long as it learns.
      board: TensorBoard's file; None in all processes but the first.
    """

    def __init__(
        self,
        workdir: Path,
        start: int,
        steps: int,
        every: int,
        learning_rate: Callable[[int], float],
        step_flops: float | None = None,
    ):
        """With `step_flops`, the FLOPs of one update, the share of the devices' peak is logged as `mfu`."""
        self._every, self._last, self._rate, self._flops = every, steps, learning_rate, step_flops
        self._file = workdir / METRICS
        self._pending: tuple[int, dict] | None = None
        self._since: list[dict[str, np.ndarray]] = []
        self._in_a_row = 0
        self.hopeless: str | None = None
        self._skipped: int | None = None
        self._clock = time.perf_counter()
        self._writes = jax.process_index() == 0
        if self._writes:
            _forget_after(self._file, start)
        self.board = Board(workdir, start) if self._writes else None
        self._bar = tqdm(
            total=steps,
            initial=start,
            unit="step",
            disable=not self._writes,
            mininterval=0.5 if sys.stderr.isatty() else 30.0,  # seconds; a log file wants fewer lines than a terminal
        )

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self.board:
            self.board.close()

    def add(self, step: int, metrics: dict[str, jax.Array], examples: int) -> None:
        """Takes the metrics of a step just begun, and reads those of the step before. `examples`: its batch size."""
        self.flush()
        self._pending, self._examples = (step, metrics), examples

    def flush(self) -> None:
        """Waits for the last step that was added, and logs it if it is due."""
        if self._pending is None:
            return
        (step, metrics), self._pending = self._pending, None
        found = jax.device_get(metrics)
        self._since.append(found)
        self._count_skipped(step, int(found["skipped"]))
        if self.is_due(step):
            self._write(step)
        self._bar.update()

    def is_due(self, step: int) -> bool:
        """Whether the log gets a line after this step."""
        return step % self._every == 0 or step == self._last

    def validated(self, step: int, values: dict[str, float]) -> None:
        """Logs the scores of a validation, in a line of their own."""
        self._line(step, {f"validation_{name}": value for name, value in values.items()})

    def _count_skipped(self, step: int, skipped: int) -> None:
        grew = self._skipped is not None and skipped > self._skipped
        self._in_a_row = self._in_a_row + 1 if grew else 0
        self._skipped = skipped
        if self._in_a_row == MAX_SKIPPED:
            self.hopeless = (
                f"the loss or a gradient was not finite for {MAX_SKIPPED} steps in a row, up to step {step}: nothing "
                "was learned from them; look at the data, or go on with a lower config.train.learning_rate and "
                "--allow_config_change"
            )

    def _write(self, step: int) -> None:
        now = time.perf_counter()
        # The first rate of a run includes the compilation.
        rate = len(self._since) / (now - self._clock)
        values = _summary(self._since) | {
            "learning_rate": float(self._rate(step - 1)),
            "steps_per_second": rate,
            "examples_per_second": rate * self._examples,
        }
        device = jax.local_devices()[0]
        if memory := hardware.peak_memory(device):
            values["device_memory_gib"] = memory / 2**30
        if self._flops and (peak := hardware.peak_flops(device)):
            values["mfu"] = self._flops * rate / (peak * jax.device_count())
        self._since, self._clock = [], now
        self._line(step, values)
        self._bar.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)

    def _line(self, step: int, values: dict[str, float]) -> None:
        if not self._writes:
            return
        line = {"step": step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            messages.note(f"{self._file}: step {step} not written ({error.strerror}); the training goes on")
        self.board.scalars(step, values)


class Board:
    """TensorBoard's file, written without a queue: tensorboardX's own writer hangs once the disk was full."""

    def __init__(self, workdir: Path, start: int):
        self._writer = EventsWriter(str(workdir / "events"))
        # Removes the steps that will be done again from the curves.
        self._event(start + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        line = Summary()
        for name, value in values.items():
            line.MergeFrom(summary.scalar(name, value))
        self._event(step, summary=line)  # all in one event: each is forced to the disk, which is slow

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        self._event(step, summary=summary.image(name, pixels, dataformats="HWC"))

    def close(self) -> None:
        try:
            self._writer.close()
        except OSError as error:
            messages.note(f"TensorBoard's file is cut short ({error.strerror})")

    def _event(self, step: int, **what: Any) -> None:
        try:
            self._writer.write_event(Event(wall_time=time.time(), step=step, **what))
            self._writer.flush()
        except OSError as error:
            messages.note(f"TensorBoard's file: step {step} not written ({error.strerror}); the training goes on")


def _summary(steps: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """The mean losses of the steps with a finite loss, and the last norms and counters."""
    last = {name: float(value) for name, value in steps[-1].items() if np.ndim(value) == 0}
    losses = np.array([step["loss"] for step in steps], np.float64)
    finite = np.isfinite(losses)
    last["loss"] = float(losses[finite].mean()) if finite.any() else float("nan")
    if "level_loss" in steps[-1]:
        counted = [step for step, fine in zip(steps, finite, strict=True) if fine] or steps[-1:]
        total, count = (np.sum([step[name] for step in counted], axis=0) for name in ("level_loss", "level_count"))
        for level in np.flatnonzero(count):
            last[f"loss_noise{level + 1}of{len(count)}"] = float(total[level] / count[level])
    return last


def _forget_after(file: Path, start: int) -> None:
    """Drops the lines of steps that will be done again, and a truncated line."""
    kept = [line for line in read_lines(file.parent) if line["step"] <= start]
    with replacing(file) as part:
        part.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
