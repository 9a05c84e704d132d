"""Generators on disk: the folder of a released one, or of a training run."""

from pathlib import Path
from typing import Any

from facenhance_jax.generators import settings
from facenhance_jax.generators.modules import Pure
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints, run_folder


def params_of(config: dict[str, Any]) -> dict:
    """The shapes of the arrays that a config has, a generator's or the enhancer's."""
    if settings.is_generator(config):
        return settings.read_model(config).abstract()
    return run_folder.enhancer_params(config)


def load(folder: Path | str) -> tuple[Pure, dict]:
    """A generator's network and its arrays, from a released model or the newest checkpoint of a training.

    Raises InputError for a folder that holds neither, or another kind of model, and for damaged files.
    """
    folder = Path(folder)
    is_run = (folder / run_folder.CHECKPOINTS).is_dir()
    if is_run:
        config, _, arrays = run_folder.read_ema(folder, params_of=params_of)
    else:
        config = checkpoints.load_config(folder)
    if not settings.is_generator(config):
        raise InputError(f"{folder}: a model of the enhancer, not a generator's; train one with configs/motiongan.py")
    network = settings.read_model(config)
    return network, arrays if is_run else checkpoints.load_params(folder, network.abstract())
