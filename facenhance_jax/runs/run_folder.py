"""The folder of a training run: its files, and what may change when the run is resumed."""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from facenhance_jax import messages
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints
from facenhance_jax.settings import Resolved, flat, read_model, upgraded

CHECKPOINTS = "checkpoints"
CONFIG = "config.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets", "numpy")

# What may change when a run is resumed. The network, its optimizer's state and its randomness may not.
_CHANGEABLE = (
    "run.",
    "data.",
    "sampling.",
    "model.unet.remat",
    "model.dtype",
    "train.accumulate",
    "train.batch_size",
    "train.decay",
    "train.detail_weight",
    "train.ema_decay",
    "train.ema_every",
    "train.fit_batches",
    "train.learning_rate",
    "train.noise_levels",
    "train.only_restorer",
    "train.restored_weight",
    "train.start_from",
    "train.warmup_steps",
)


def check_config(workdir: Path, settings: Resolved, allow_change: bool) -> None:
    """Raises InputError if the run in `workdir` was begun with other values; the message names the fields.

    With `allow_change`, only if one of these fields may not change.
    """
    file = workdir / CONFIG
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"{workdir}: is a file; give a folder as --workdir")
    if not file.exists():
        return
    old = dict(flat(upgraded(checkpoints.read_config(file, "choose another --workdir"))))
    new = dict(flat(settings.to_dict()))
    fields = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    fixed = [name for name in fields if not name.startswith(_CHANGEABLE)]
    if allow_change and not fixed:
        if fields:
            messages.note(f"{file}: going on with other values of {', '.join(fields)}")
        return
    if fields:
        remedy = "give those or another --workdir" + ("" if fixed else ", or --allow_config_change")
        named = fixed if allow_change else fields
        raise InputError(f"{file}: begun with other values of {', '.join(named)}; {remedy}")


def write_config(workdir: Path, settings: Resolved) -> None:
    """Writes the resolved config, and the `environment` that it is run in."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        for name, values in ((CONFIG, settings.to_dict()), (ENVIRONMENT, environment())):
            with replacing(workdir / name) as part:
                part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{workdir}: cannot be written to ({error.strerror}); choose another --workdir") from error


def environment() -> dict[str, Any]:
    """The versions of Python, of the packages (None if absent) and of this code, and the devices."""
    git = ["git", "-C", str(Path(__file__).parents[1]), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        revision = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        revision = None  # not a git checkout, or no git
    return {
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "revision": revision,
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "processes": jax.process_count(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def enhancer_params(config: dict[str, Any]) -> dict:
    """The shapes of the parameters of the enhancer with this config."""
    return read_model(config).denoiser().abstract_params()


def read_ema(
    workdir: Path, which: str = "newest", params_of: Callable[[dict[str, Any]], dict] = enhancer_params
) -> tuple[dict[str, Any], int, Any]:
    """The config of a run, and the step and the EMA of its newest checkpoint, or of the best by validation loss.

    `params_of` gives the shapes of the parameters that a config has; see `generators.learned` for those of generators.

    Raises:
      InputError: `workdir` holds no run or no such checkpoint, or the checkpoint is damaged.
    """
    if not (workdir / CONFIG).is_file():
        raise InputError(f"{workdir}: not a training run (it has no {CONFIG}); give the --workdir of launch/train.py")
    config = upgraded(checkpoints.read_config(workdir / CONFIG, "write it again from the run's config"))
    step = chosen_step(workdir, which)
    return config, step, checkpoints.restore_ema(workdir / CHECKPOINTS, step, params_of(config))


def chosen_step(workdir: Path, which: str) -> int:
    """The step of a run's "newest" checkpoint, or of the "best" by validation loss. Raises InputError without one."""
    steps = checkpoints.steps(workdir / CHECKPOINTS)
    if not steps:
        raise InputError(f"{workdir}: no checkpoint yet; train until run.save_every first")
    if which == "newest":
        return max(steps)
    lines = [line for line in read_lines(workdir) if "validation_loss" in line]
    loss = {line["step"]: line["validation_loss"] for line in lines}
    scored = [step for step in steps if loss.get(step) is not None]
    if not scored:
        raise InputError(f"{workdir}: no checkpoint with a validation (run.validate_every); take the newest")
    return min(scored, key=loss.__getitem__)


def read_lines(workdir: Path) -> Iterator[dict[str, Any]]:
    """The complete lines of `metrics.jsonl`; none if there is no such file."""
    file = workdir / METRICS
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        if line.endswith("}"):  # a truncated line does not
            yield json.loads(line)
