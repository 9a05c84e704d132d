"""The values of a config, checked once. Only this file and `generators.settings` read a ConfigDict; all
other code takes these dataclasses.

A new field is written in two places: in configs/mug.py, with its unit, and in the dataclass that holds it (here, or
`DenoiserConfig` or `UNetConfig` for the network's own).
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ml_collections

from facenhance_jax.diffusion.formulas import linear_schedule
from facenhance_jax.messages import InputError
from facenhance_jax.network.denoiser import Denoiser
from facenhance_jax.network.denoiser_config import DenoiserConfig

STRATEGIES = ("jit", "fsdp", "pmap")
SPLITS = ("train", "test", "all")


@dataclass(frozen=True)
class ScheduleSettings:
    """The noise levels; see `diffusion.linear_schedule`."""

    timesteps: int
    beta_start: float
    beta_end: float

    def __post_init__(self):
        linear_schedule(**dataclasses.asdict(self))


@dataclass(frozen=True)
class SamplingSettings:
    """How a model is meant to be sampled.

    Attributes:
      steps: denoising steps of a frame.
      solver: "ddim" or "2m"; see `sampler.make_plan`.
      temperature: scale of the noise that sampling starts from. 1 samples the learnt distribution; less gives frames
        closer to its mean, which suits a network that leaves some of the noise in its frames.
      shared_noise: whether all frames of a clip start from the same noise, which flickers less. The paper draws new
        noise for each frame.
      corrections: how often each guess of a frame is corrected until its own low-res face agrees with the low-res frame
        (`Denoiser.agreeing`). Needs a place of the low-res face, and one as it should be: its faults come along.
    """

    steps: int
    solver: str
    temperature: float
    shared_noise: bool
    corrections: int = 0  # models of earlier versions have none

    def __post_init__(self):
        check_at_least(self, corrections=0)
        if not 0 <= self.temperature <= 1:
            raise ValueError(f"temperature must be from 0 to 1, not {self.temperature}")


@dataclass(frozen=True)
class DataSettings:
    """Which data set, and how samples are drawn from it; configs/mug.py says what each field is."""

    directory: str
    directories: tuple  # pairs (directory, weight)
    split: str
    validation_split: str
    any_previous: bool
    flip: bool
    jitter: float
    degrade: float

    def __post_init__(self):
        object.__setattr__(self, "directories", weighted(self.directories))
        for field in ("split", "validation_split"):
            if getattr(self, field) not in SPLITS:
                raise ValueError(f"{field} must be one of {', '.join(SPLITS)}, not {getattr(self, field)!r}")
        for field in ("jitter", "degrade"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} must be from 0 to 1, not {getattr(self, field)}")


@dataclass(frozen=True)
class TrainSettings:
    """How the parameters are trained; configs/mug.py says what each field is."""

    seed: int
    start_from: str
    batch_size: int
    accumulate: int
    learning_rate: float
    warmup_steps: int
    decay: str
    gradient_clip: float
    ema_decay: float
    ema_warmup: bool
    ema_every: int
    loss_weighting: str
    noise_levels: int = 0  # runs of earlier versions have none of these
    detail_weight: float = 0.0
    restored_weight: float = 0.0
    only_restorer: bool = False
    fit_batches: int = 0

    def __post_init__(self):
        check_at_least(
            self,
            batch_size=1,
            accumulate=1,
            ema_every=1,
            noise_levels=0,
            detail_weight=0,
            restored_weight=0,
            fit_batches=0,
            warmup_steps=0,
            gradient_clip=0,
            learning_rate=0,
        )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, not {self.seed}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be from 0 to below 1, not {self.ema_decay}")
        for field, choices in {"decay": ("none", "cosine"), "loss_weighting": ("x_prev", "velocity")}.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be {' or '.join(choices)}, not {getattr(self, field)!r}")


@dataclass(frozen=True)
class RunSettings:
    """How long the training loop runs, and what it does how often; configs/mug.py says what each field is."""

    steps: int
    log_every: int
    sample_every: int
    save_every: int
    save_minutes: float
    validate_every: int
    validate_batches: int
    profile_steps: tuple[int, int]
    parallel: str

    def __post_init__(self):
        check_at_least(self, steps=1, log_every=1, sample_every=1, save_every=1, validate_batches=1)
        check_at_least(self, save_minutes=0, validate_every=0)
        if len(self.profile_steps) != 2 or not 0 <= self.profile_steps[0] <= self.profile_steps[1]:
            raise ValueError(f"profile_steps must be (first, last), or (0, 0) for none, not {self.profile_steps}")
        if self.parallel not in STRATEGIES:
            raise ValueError(f"parallel must be one of {', '.join(STRATEGIES)}, not {self.parallel!r}")


@dataclass(frozen=True)
class ModelSettings:
    """The config.json of a released model: the network, its noise schedule, and how it is sampled."""

    model: DenoiserConfig
    schedule: ScheduleSettings
    sampling: SamplingSettings

    def denoiser(self) -> Denoiser:
        """The network and its schedule, without parameters."""
        return Denoiser(self.model, linear_schedule(**dataclasses.asdict(self.schedule)))


class Resolved:
    """The config of any training, the enhancer's or a generator's: a dataclass of sections, one of them `run`."""

    def to_dict(self) -> dict[str, Any]:
        """The config as nested dictionaries."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Settings(ModelSettings, Resolved):
    """The config of an enhancer's training."""

    data: DataSettings
    train: TrainSettings
    run: RunSettings


def read(config: ml_collections.ConfigDict | Mapping[str, Any]) -> Settings:
    """The settings of a training. Raises InputError, which names the field, if a value is missing or wrong."""
    return _checked(Settings, config)


def read_model(config: ml_collections.ConfigDict | Mapping[str, Any]) -> ModelSettings:
    """The settings of a model, from its config.json or a training's config. Raises InputError as `read` does."""
    return _checked(ModelSettings, config)


def _checked(kind: type, config: ml_collections.ConfigDict | Mapping[str, Any]) -> Any:
    values = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
    values = upgraded(values)
    settings = made(
        kind, {field.name: values[field.name] for field in dataclasses.fields(kind) if field.name in values}, "config"
    )
    try:
        settings.denoiser().plan(settings.sampling.steps, settings.sampling.solver)
    except InputError as error:
        raise InputError(f"config.sampling: {error}") from error
    return settings


def weighted(directories: tuple) -> tuple[tuple[str, float], ...]:
    """The pairs (directory, weight) of a mix. Raises ValueError if they are none, or a weight is not above 0."""
    try:
        pairs = tuple((str(directory), float(weight)) for directory, weight in directories)
    except (TypeError, ValueError):
        raise ValueError(f'directories must be pairs like ("data/mug", 0.5), not {directories}') from None
    if not all(0 < weight < float("inf") for _, weight in pairs):
        raise ValueError(f"directories must have weights above 0, not {directories}")
    return pairs


def made(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """The dataclass `kind` of these values, and the dataclasses inside it; errors name the section of the config."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(values.keys() - fields.keys()):
        raise InputError(f"{where}: has no field {unknown[0]!r}; its fields are {', '.join(fields)}")
    found = {}
    for name, field in fields.items():
        if name in values:
            nested = dataclasses.is_dataclass(field.type)
            found[name] = made(field.type, values[name], f"{where}.{name}") if nested else values[name]
        elif field.default is dataclasses.MISSING:
            raise InputError(f"{where}: the field {name!r} is missing; write it as configs/mug.py has it")
    try:
        return kind(**found)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {str(error).splitlines()[0]}") from error


def check_at_least(settings: Any, **least: float) -> None:
    """Raises ValueError, which names the field, if one of these is below its bound."""
    for field, bound in least.items():
        if not getattr(settings, field) >= bound:
            raise ValueError(f"{field} must be at least {bound}, not {getattr(settings, field)}")


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Brings a config.json of an earlier version to the fields of this version; one of this version stays as it is."""
    values = {name: dict(section) for name, section in values.items()}
    if "kind" in values.get("model", {}):  # of a generator
        return values
    if data := values.get("data"):  # of a training
        data.pop("workers", None)
        data.setdefault("directories", ())
        values.get("train", {}).setdefault("ema_every", 1)
    model = values.get("model", {})
    if model and "unet" not in model:
        names = [field.name for field in dataclasses.fields(DenoiserConfig.unet) if field.name in model]
        model["unet"] = {name: model.pop(name) for name in names}
    if "sampling" not in values:
        whole = model.get("prediction") == "x_prev"
        timesteps = values.get("schedule", {}).get("timesteps", 1000)
        temperature = model.pop("temperature", 1.0)
        steps = timesteps if whole else min(8, timesteps)
        values["sampling"] = dict(steps=steps, solver="ddim", temperature=temperature, shared_noise=True)
        if "train" in values:
            values["train"].setdefault("ema_warmup", True)
    return values


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of nested dicts under joined names, such as ("metrics.fvd.frames", 32); an empty dict is a value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
