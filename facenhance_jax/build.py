"""The only reader of a ConfigDict: makes everything that a config asks for, and checks its values once."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

from facenhance_jax import checkpoints, objective, parallel, recurrence, sampler, state
from facenhance_jax.denoiser import Denoiser, DenoiserConfig
from facenhance_jax.diffusion import linear_schedule
from facenhance_jax.errors import InputError
from facenhance_jax.pixels import to_signal


@dataclass(frozen=True)
class RunSettings:
    """What the training loop needs to know.

    Attributes:
      steps: how many in all.
      log_every, sample_every, save_every: in steps.
      save_minutes: a checkpoint also after so many minutes without one; 0 for none.
      validate_every: in steps; 0 for never.
      validate_batches: how many batches of held-out subjects a validation takes.
      profile_steps: (first, last) of a trace; (0, 0) for none.
      parallel: "jit" over a mesh, "fsdp" (the same, the state split over the devices) or "pmap".
    """

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
        for field in ("steps", "log_every", "sample_every", "save_every", "validate_batches"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, not {getattr(self, field)}")
        for field in ("save_minutes", "validate_every"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must be 0 or more, not {getattr(self, field)}")
        if len(self.profile_steps) != 2 or not 0 <= self.profile_steps[0] <= self.profile_steps[1]:
            raise ValueError(f"profile_steps must be (first, last), or (0, 0) for none, not {self.profile_steps}")
        if self.parallel not in parallel.WAYS:
            raise ValueError(f"parallel must be one of {', '.join(parallel.WAYS)}, not {self.parallel!r}")


@dataclass(frozen=True)
class TrainSettings:
    """How the parameters are moved; configs/mug.py says what each field is."""

    seed: int
    start_from: str
    batch_size: int
    accumulate: int
    learning_rate: float
    warmup_steps: int
    decay: str
    gradient_clip: float
    ema_decay: float
    loss_weighting: str

    def __post_init__(self):
        at_least = {"batch_size": 1, "accumulate": 1, "warmup_steps": 0, "gradient_clip": 0, "learning_rate": 0}
        for field, least in at_least.items():
            if not getattr(self, field) >= least:
                raise ValueError(f"{field} must be at least {least}, not {getattr(self, field)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, not {self.seed}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be from 0 to below 1, not {self.ema_decay}")
        for field, choices in {"decay": ("none", "cosine"), "loss_weighting": ("x_prev", "velocity")}.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be {' or '.join(choices)}, not {getattr(self, field)!r}")


def train_settings(config: ml_collections.ConfigDict) -> TrainSettings:
    """Raises InputError where a value is wrong, as does every function here."""
    return _checked("train", lambda: TrainSettings(**config.train))


def run_settings(config: ml_collections.ConfigDict) -> RunSettings:
    """Raises InputError where a value is wrong, as does every function here."""
    return _checked("run", lambda: RunSettings(**config.run))


def denoiser(config: ml_collections.ConfigDict) -> Denoiser:
    """The network and its schedule, without parameters."""

    schedule = _checked("schedule", lambda: linear_schedule(**config.schedule))
    return Denoiser(_checked("model", lambda: DenoiserConfig(**config.model)), schedule)


def optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """Adam, behind a clip of the gradient's global norm unless gradient_clip is 0, at `learning_rate`'s rate."""
    clip = train_settings(config).gradient_clip
    adam = optax.adam(learning_rate(config))
    return optax.chain(optax.clip_by_global_norm(clip), adam) if clip else adam


def learning_rate(config: ml_collections.ConfigDict) -> optax.Schedule:
    """The rate of each step: a linear warm-up, then constant or, if asked for, a cosine down to 0 at the last step."""
    train, steps = train_settings(config), config.run.steps
    peak, warmup, cosine = train.learning_rate, max(train.warmup_steps, 1), train.decay == "cosine"

    def rate(step):
        decayed = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(step / steps, 1.0))) if cosine else 1.0
        return peak * jnp.minimum((step + 1) / warmup, 1.0) * decayed

    return rate


def initial_state(config: ml_collections.ConfigDict) -> state.TrainState:
    """The state of a run before its first step, with fresh parameters."""
    return state.initial_state(denoiser(config).init(config.train.seed), optimizer(config), config.train.seed)


def started_from(config: ml_collections.ConfigDict, fresh: state.TrainState) -> state.TrainState:
    """The fresh state, with the parameters of the released model `train.start_from` where one is named."""
    folder = config.train.start_from
    if not folder:
        return fresh
    other = denoiser(ml_collections.ConfigDict(checkpoints.load_config(folder)))
    params = merged(fresh.params, checkpoints.load_params(folder, other.abstract_params()))
    return fresh._replace(params=params, ema=jax.tree.map(jnp.copy, params))


def merged(params: dict, start: dict) -> dict:
    """`params` with the arrays of `start` in the places that both have, of one shape; the others stay fresh.

    Raises InputError where less than half of the parameters would come from `start`: it is another network then.
    """
    known = dict(jax.tree_util.tree_leaves_with_path(start))
    same = {path for path, leaf in jax.tree_util.tree_leaves_with_path(params) if _shape(known.get(path)) == leaf.shape}
    taken = sum(math.prod(known[path].shape) for path in same)
    if 2 * taken < sum(leaf.size for leaf in jax.tree.leaves(params)):
        raise InputError("config.train.start_from: a model of another shape; start from one with this config.model")
    return jax.tree.map_with_path(lambda path, leaf: known[path] if path in same else leaf, params)


def _shape(leaf: jax.Array | None) -> tuple[int, ...] | None:
    return None if leaf is None else leaf.shape


def train_step(config: ml_collections.ConfigDict, axis: str | None = None) -> Callable:
    """`state.train_step` with everything but the state and the batch bound."""
    train = train_settings(config)
    return functools.partial(
        state.train_step,
        loss_fn=loss(config),
        optimizer=optimizer(config),
        ema_decay=train.ema_decay,
        accumulate=train.accumulate,
        axis=axis,
    )


def step_flops(config: ml_collections.ConfigDict, abstract_state: Any, batch: dict) -> float | None:
    """FLOPs of one update of the whole batch, by the program's own count; None where JAX may not use the CPU.

    Counted for the CPU before it is compiled: what a GPU's compiler makes of convolutions is left out of its count.
    """
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
    abstract = jax.eval_shape(lambda: batch)
    whole = functools.partial(train_step(config), accumulate=1)  # a loop's body would be counted once
    with jax.default_device(cpu):
        return jax.jit(whole).lower(abstract_state, abstract).cost_analysis()["flops"]


def validation_loss(config: ml_collections.ConfigDict) -> Callable[[dict, dict], Float[Array, ""]]:
    """A function of (parameters, batch): the training's loss with noises and timesteps that are always the same."""
    bound = loss(config)
    return lambda params, batch: bound(params, batch, jax.random.key(0))[0]


def loss(config: ml_collections.ConfigDict) -> Callable:
    """`objective.loss` with everything but the parameters, the batch and the key bound."""
    return functools.partial(objective.loss, denoiser=denoiser(config), weighting=config.train.loss_weighting)


def batches(config: ml_collections.ConfigDict, start_step: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of the training batches from `start_step` on.

    Raises InputError for a config.data or a batch size that cannot be used, and where the data set is not there.
    """
    data = config.data
    options = {name: data[name] for name in ("flip", "any_previous", "jitter", "degrade", "workers")}
    return _batches(config, data.split, start_step=start_step, **options)


def validation_batches(config: ml_collections.ConfigDict) -> list[dict[str, np.ndarray]]:
    """This process's share of `run.validate_batches` batches of held-out subjects, as they are: always the same.

    Raises InputError where no subject is held out.
    """
    data = config.data
    if data.validation_split == data.split or "all" in (data.split, data.validation_split):
        raise InputError(
            f"config.data.validation_split: {data.validation_split!r} is not held out of split {data.split!r}; "
            "name another, or set config.run.validate_every=0"
        )
    found = _batches(config, data.validation_split, flip=False, any_previous=False)
    return list(itertools.islice(found, config.run.validate_batches))


def _batches(config: ml_collections.ConfigDict, split: str, **options: Any) -> Iterator[dict[str, np.ndarray]]:
    # Imported here: who only enhances needs no data set library, and waits for none to load.
    from facenhance_jax.data import clip_dataset, pipeline
    from facenhance_jax.media.pictures import decode_image

    train, directory, processes = train_settings(config), config.data.directory, jax.process_count()
    size = train.batch_size
    if split not in ("train", "test", "all"):
        raise InputError(f"config.data: a split must be train, test or all, not {split!r}")
    if size % processes:
        raise InputError(
            f"config.train.batch_size: {size} examples do not split over {processes} processes; choose a multiple"
        )
    clips = clip_dataset.source(directory, split)
    first, model = clips[0], config.model
    images = {"resolution": ("frames", first["identity"]), "low_size": ("low-res frames", first["low"][0])}
    for field, (what, data) in images.items():
        side = decode_image(data, directory).shape[0]
        if side != model[field]:
            raise InputError(
                f"{directory}: {what} of {side} pixels, but config.model.{field} is {model[field]}; make them equal "
                "(launch/prepare.py --resolution sets the frames' size)"
            )
    if config.model.place_low and "place" not in clips[0]:
        raise InputError(f"{directory}: does not say where faces are, as model.place_low asks; prepare it anew")
    return pipeline.batches(
        clips,
        batch_size=size // processes,
        seed=train.seed,
        process=jax.process_index(),
        processes=processes,
        **options,
    )


def plan(model: Denoiser, steps: int, solver: str = "ddim") -> sampler.Plan:
    """The timesteps of a sampler with that many steps.

    Raises:
      InputError: where steps is not in 1..T, or a network that prints x_{t-1} is asked for fewer than its own T.
    """
    total = model.schedule.timesteps
    if not 1 <= steps <= total:
        raise InputError(f"steps must be from 1 to {total}, not {steps}")
    if model.config.prediction == "x_prev" and steps != total:
        raise InputError(
            f"steps={steps}: this model predicts x_(t-1) and samples only with its own {total}; use --steps {total}"
        )
    return sampler.make_plan(model.schedule, sampler.spaced_timesteps(total, steps), solver)


def sampled(config: ml_collections.ConfigDict) -> Callable[[dict, dict], UInt8[Array, "b h w 3"]]:
    """A function of (parameters, batch): each example's frame, sampled in 8 steps (or T, in x_prev form) from noise
    that is always the same, after the real frame before it."""
    model = denoiser(config)
    steps = model.schedule.timesteps if model.config.prediction == "x_prev" else min(8, model.schedule.timesteps)
    walk = plan(model, steps)

    def frames(params, batch):
        first, count, key = jnp.int32(0), jnp.int32(1), jax.random.key(0)
        previous, low = to_signal(batch["previous"]), batch["low"][None]
        conditions = (low, batch["identity"], previous, first, count, key, batch.get("place"))
        return recurrence.enhance_chunk(params, *conditions, denoiser=model, plan=walk)[1][0]

    return frames


def _checked(section: str, make: Callable):
    """Turns a value that a dataclass refused into one line for the person who wrote the config."""
    try:
        return make()
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise InputError(f"config.{section}: {str(error).splitlines()[0]}") from error
