"""The values of a generator's config, checked once, as `facenhance_jax.settings` does for the enhancer's.

A config of a generator has a field `model.kind`: motiongan, renderer or imaginator. The configs of these names say what
each field is.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import ml_collections

from facenhance_jax.generators.imaginator import ImaginatorConfig, ImaginatorNetwork
from facenhance_jax.generators.modules import Pure
from facenhance_jax.generators.motiongan import MotionConfig, MotionNetwork
from facenhance_jax.generators.renderer import RendererConfig, RendererNetwork
from facenhance_jax.messages import InputError
from facenhance_jax.settings import SPLITS, Resolved, RunSettings, check_at_least, made, weighted


@dataclass(frozen=True)
class FaceData:
    """Which sets of face clips, and how samples are drawn from them."""

    directories: tuple  # pairs (directory, weight)
    split: str
    validation_split: str
    flip: bool

    def __post_init__(self):
        object.__setattr__(self, "directories", weighted(self.directories))
        if not self.directories:
            raise ValueError("directories must name one or more data sets, with weights")
        for field in ("split", "validation_split"):
            if getattr(self, field) not in SPLITS:
                raise ValueError(f"{field} must be one of {', '.join(SPLITS)}, not {getattr(self, field)!r}")


@dataclass(frozen=True)
class Training:
    """What the trainings of all generators have in common."""

    accumulate: ClassVar[int] = 1  # a batch stays whole: batch norm and critics look at all of it

    seed: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    decay: str
    gradient_clip: float
    ema_decay: float

    def __post_init__(self):
        least = {"batch_size": 1, "warmup_steps": 0, "gradient_clip": 0, "learning_rate": 0}
        weights = [field.name for field in dataclasses.fields(self) if field.name.endswith("_weight")]
        check_at_least(self, **least, **dict.fromkeys(weights, 0))
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, not {self.seed}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be from 0 to below 1, not {self.ema_decay}")
        if self.decay not in ("none", "cosine"):
            raise ValueError(f"decay must be none or cosine, not {self.decay!r}")


@dataclass(frozen=True)
class MotionTraining(Training):
    """Of MotionGAN."""

    critic_updates: int
    penalty_weight: float
    tangent_weight: float
    geodesic_weight: float
    length_weight: float

    def __post_init__(self):
        super().__post_init__()
        check_at_least(self, critic_updates=1)


@dataclass(frozen=True)
class RendererTraining(Training):
    """Of the renderer."""

    detail_weight: float
    mouth_weight: float


@dataclass(frozen=True)
class ImaginatorTraining(Training):
    """Of ImaGINator."""

    l1_weight: float


@dataclass(frozen=True)
class MotionSettings(Resolved):
    """MotionGAN's."""

    model: MotionConfig
    data: FaceData
    train: MotionTraining
    run: RunSettings


@dataclass(frozen=True)
class RendererSettings(Resolved):
    """The renderer's."""

    model: RendererConfig
    data: FaceData
    train: RendererTraining
    run: RunSettings


@dataclass(frozen=True)
class ImaginatorSettings(Resolved):
    """ImaGINator's."""

    model: ImaginatorConfig
    data: FaceData
    train: ImaginatorTraining
    run: RunSettings


GeneratorSettings = MotionSettings | RendererSettings | ImaginatorSettings

_SYSTEMS = {
    "motiongan": (MotionSettings, MotionConfig, MotionNetwork),
    "renderer": (RendererSettings, RendererConfig, RendererNetwork),
    "imaginator": (ImaginatorSettings, ImaginatorConfig, ImaginatorNetwork),
}


def is_generator(config: ml_collections.ConfigDict | Mapping[str, Any]) -> bool:
    """Whether a config, of a training or in a config.json, is a generator's and not the enhancer's."""
    return "kind" in config.get("model", {})


def read(config: ml_collections.ConfigDict | Mapping[str, Any]) -> GeneratorSettings:
    """The settings of a training. Raises InputError, which names the field, if a value is missing or wrong."""
    values = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
    return made(_system(values)[0], values, "config")


def read_model(config: Mapping[str, Any]) -> Pure:
    """The network that a config.json describes, without its arrays. Raises InputError as `read` does."""
    _, shape, network = _system(config)
    return Pure(network, made(shape, config["model"], "config.model"))


def _system(values: Mapping[str, Any]) -> tuple:
    kind = values.get("model", {}).get("kind")
    if kind not in _SYSTEMS:
        raise InputError(f"config.model.kind: {kind!r} is none of {', '.join(_SYSTEMS)}; see configs/")
    return _SYSTEMS[kind]
