"""The only reader of a ConfigDict: makes everything that a config asks for, and checks its values once."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import UInt8

from facenhance_jax import checkpoints, objective, recurrence, sampler, state
from facenhance_jax.denoiser import Denoiser, DenoiserConfig
from facenhance_jax.diffusion import linear_schedule
from facenhance_jax.errors import InputError


@dataclass(frozen=True)
class RunSettings:
    """What the training loop needs to know.

    Attributes:
      steps: how many in all.
      log_every, sample_every, save_every: in steps.
      parallel: "pmap" or "jit" (over a mesh; what runs across processes).
    """

    steps: int
    log_every: int
    sample_every: int
    save_every: int
    parallel: str

    def __post_init__(self):
        for field in ("steps", "log_every", "sample_every", "save_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, not {getattr(self, field)}")
        if self.parallel not in ("pmap", "jit"):
            raise ValueError(f"parallel must be pmap or jit, not {self.parallel!r}")


def run_settings(config: ml_collections.ConfigDict) -> RunSettings:
    """Raises InputError where a value is wrong, as does every function here."""
    return _checked("run", lambda: RunSettings(**config.run))


def denoiser(config: ml_collections.ConfigDict) -> Denoiser:
    """The network and its schedule, without parameters."""

    schedule = _checked("schedule", lambda: linear_schedule(**config.schedule))
    return Denoiser(_checked("model", lambda: DenoiserConfig(**config.model)), schedule)


def optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """Adam, behind a clip of the gradient's global norm unless gradient_clip is 0, at `learning_rate`'s rate."""
    clip = config.train.gradient_clip
    adam = optax.adam(learning_rate(config))
    return optax.chain(optax.clip_by_global_norm(clip), adam) if clip else adam


def learning_rate(config: ml_collections.ConfigDict) -> optax.Schedule:
    """The rate of each step: a linear warm-up, then constant or, if asked for, a cosine down to 0 at the last step."""
    train, steps = config.train, config.run.steps
    if train.decay not in ("none", "cosine"):
        raise InputError(f"config.train.decay must be none or cosine, not {train.decay!r}")
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
    if config.train.loss_weighting not in ("x_prev", "velocity"):
        raise InputError(f"config.train.loss_weighting must be x_prev or velocity, not {config.train.loss_weighting!r}")
    loss_fn = functools.partial(objective.loss, denoiser=denoiser(config), weighting=config.train.loss_weighting)
    return functools.partial(
        state.train_step, loss_fn=loss_fn, optimizer=optimizer(config), ema_decay=config.train.ema_decay, axis=axis
    )


def batches(config: ml_collections.ConfigDict, start_step: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of the training batches from `start_step` on.

    Raises InputError for a config.data or a batch size that cannot be used, and where the data set is not there.
    """
    # Imported here: who only enhances needs no data set library, and waits for none to load.
    from facenhance_jax.data import clip_dataset, layout, pipeline

    data, size, processes = config.data, config.train.batch_size, jax.process_count()
    if size % processes:
        raise InputError(
            f"config.train.batch_size: {size} examples do not split over {processes} processes; choose a multiple"
        )
    clips = clip_dataset.source(data.directory, data.split)
    side = layout.decode(clips[0]["identity"], data.directory).shape[0]
    if side != config.model.resolution:
        raise InputError(
            f"{data.directory}: frames of {side} pixels, but config.model.resolution is {config.model.resolution}; "
            "prepare it with that --resolution"
        )
    if config.model.place_low and "place" not in clips[0]:
        raise InputError(f"{data.directory}: does not say where faces are, as model.place_low asks; prepare it anew")
    return pipeline.batches(
        clips,
        batch_size=size // processes,
        seed=config.train.seed,
        start_step=start_step,
        flip=data.flip,
        any_previous=data.any_previous,
        jitter=data.jitter,
        degrade=data.degrade,
        process=jax.process_index(),
        processes=processes,
        workers=data.workers,
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


def sample_grid(config: ml_collections.ConfigDict) -> Callable[[dict, dict], UInt8[np.ndarray, "h w 3"]]:
    """A function of (EMA parameters, batch) that pictures up to 8 examples: photo | low | previous | sampled | real."""
    model = denoiser(config)
    steps = model.schedule.timesteps if model.config.prediction == "x_prev" else 8
    enhance = jax.jit(functools.partial(recurrence.enhance_chunk, denoiser=model, plan=plan(model, steps)))

    def picture(params, batch):
        shown = {name: np.asarray(images)[:8] for name, images in batch.items()}
        previous = np.asarray(shown["previous"], np.float32) / 127.5 - 1.0
        _, sampled = enhance(
            params,
            shown["low"][None],
            shown["identity"],
            previous,
            np.int32(0),
            np.int32(1),
            jax.random.key(0),
            shown.get("place"),
        )
        size = model.config.resolution
        low = np.stack([np.kron(x, np.ones((size // x.shape[0],) * 2 + (1,), np.uint8)) for x in shown["low"]])
        rows = [shown["identity"], low, shown["previous"], np.asarray(sampled[0]), shown["high"]]
        return np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)

    return picture


def _checked(section: str, make: Callable):
    """Turns a value that a dataclass refused into one line for the person who wrote the config."""
    try:
        return make()
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise InputError(f"config.{section}: {str(error).splitlines()[0]}") from error
