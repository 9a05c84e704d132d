"""An experiment: all parts of a training, made once from its settings."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import UInt8

from facenhance_jax.generators.settings import Training
from facenhance_jax.inference.recurrence import draw_noise, enhance_frame
from facenhance_jax.messages import InputError
from facenhance_jax.network.denoiser import Denoiser
from facenhance_jax.network.denoiser_config import DenoiserConfig
from facenhance_jax.network.pixels import to_pixels, to_signal
from facenhance_jax.runs import checkpoints
from facenhance_jax.settings import Resolved, Settings, TrainSettings, read_model
from facenhance_jax.training import objective, train_step
from facenhance_jax.training.fitting import with_fitted_restorer
from facenhance_jax.training.optimizer import make_optimizer
from facenhance_jax.training.train_step import LossFn, TrainState

Batch = dict[str, np.ndarray]


class Experiment(NamedTuple):
    """The parts that the training loop works with. The loop itself knows nothing of networks and data sets.

    Attributes:
      settings: what it was made from, those of the enhancer or of a generator.
      initial_state: () -> the state before the first step, with fresh parameters; can be traced.
      warm_start: that state -> the same with the parameters to start from.
      step: (state, batch, axis=None, accumulate=...) -> (state, metrics), pure; see `train_step.train_step`.
      loss: (parameters, batch, key) -> (the loss, sums over the examples by name); see `objective.loss`.
      sample: (parameters, batch) -> each example's frame, uint8 [b, h, w, 3]; see `sampled`.
      batches: start step -> this process's share of the training batches from that step on, endless.
      validation_batches: () -> its share of the batches of held-out subjects, always the same.
      learning_rate: step -> rate.
    """

    settings: Resolved
    initial_state: Callable[[], TrainState]
    warm_start: Callable[[TrainState], TrainState]
    step: Callable[..., tuple[TrainState, dict]]
    loss: LossFn
    sample: Callable[[dict, dict], UInt8[jax.Array, "b h w 3"]]
    batches: Callable[[int], Iterator[Batch]]
    validation_batches: Callable[[], list[Batch]]
    learning_rate: optax.Schedule


def make(settings: Settings) -> Experiment:
    """FacEnhance's experiment: the denoiser, the paper's objective and a prepared data set.

    Raises InputError if a restorer is to be trained that the network does not have.
    """
    denoiser, train = settings.denoiser(), settings.train
    if (train.restored_weight or train.only_restorer or train.fit_batches) and not settings.model.restore_low:
        raise InputError(
            "config.train: restored_weight, only_restorer and fit_batches need config.model.restore_low=True"
        )
    rate = learning_rate(train, settings.run.steps)
    optimizer = make_optimizer(rate, train.gradient_clip)
    loss = functools.partial(
        objective.loss,
        denoiser=denoiser,
        weighting=train.loss_weighting,
        noise_levels=train.noise_levels,
        detail_weight=train.detail_weight,
        corrections=settings.sampling.corrections,
        restored_weight=train.restored_weight,
        only_restorer=train.only_restorer,
    )
    return Experiment(
        settings=settings,
        initial_state=lambda: train_step.initial_state(denoiser.init(train.seed), optimizer, train.seed),
        warm_start=functools.partial(_warm_start, settings),
        step=functools.partial(
            train_step.train_step,
            loss_fn=loss,
            optimizer=optimizer,
            ema_decay=train.ema_decay,
            ema_warmup=train.ema_warmup,
            ema_every=train.ema_every,
            accumulate=train.accumulate,
        ),
        loss=loss,
        sample=functools.partial(sampled, denoiser=denoiser, settings=settings),
        batches=functools.partial(batches, settings),
        validation_batches=functools.partial(validation_batches, settings),
        learning_rate=rate,
    )


# The learning rate


def learning_rate(train: TrainSettings | Training, steps: int) -> optax.Schedule:
    """The rate of each step: a linear warm-up, then constant or, with decay="cosine", a cosine to 0 at `steps`."""
    peak, warmup, cosine = train.learning_rate, max(train.warmup_steps, 1), train.decay == "cosine"

    def rate(step):
        decayed = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(step / steps, 1.0))) if cosine else 1.0
        return peak * jnp.minimum((step + 1) / warmup, 1.0) * decayed

    return rate


# The start from another model


def _warm_start(settings: Settings, fresh: TrainState) -> TrainState:
    state = started_from(settings.train.start_from, fresh)
    count = settings.train.fit_batches
    if not count:
        return state
    params = with_fitted_restorer(
        state.params, batches(settings), count, settings.denoiser(), whole=not settings.train.only_restorer
    )
    return state._replace(params=params, ema=jax.tree.map(jnp.copy, params))


def started_from(folder: str, fresh: TrainState) -> TrainState:
    """The fresh state, with the parameters of the released model in `folder`; unchanged if `folder` is ""."""
    if not folder:
        return fresh
    other = read_model(checkpoints.load_config(folder)).denoiser()
    params = merged(fresh.params, checkpoints.load_params(folder, other.abstract_params()))
    return fresh._replace(params=params, ema=jax.tree.map(jnp.copy, params))


def merged(params: dict, start: dict) -> dict:
    """`params` with the arrays of `start` that have the same name and shape; the others stay fresh.

    Raises InputError if less than half of the parameters come from `start`, which is then another network.
    """
    known = dict(jax.tree_util.tree_leaves_with_path(start))
    same = {
        path
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if path in known and known[path].shape == leaf.shape
    }
    taken = sum(math.prod(known[path].shape) for path in same)
    if 2 * taken < sum(leaf.size for leaf in jax.tree.leaves(params)):
        raise InputError("config.train.start_from: a model of another shape; start from one with this config.model")
    return jax.tree.map_with_path(lambda path, leaf: known[path] if path in same else leaf, params)


# The batches


def batches(settings: Settings, start_step: int = 0) -> Iterator[Batch]:
    """This process's share of the training batches from `start_step` on.

    Raises InputError for a batch size that does not split over the processes, and for a data set that is not there or
    does not fit the network.
    """
    data = settings.data
    options = {name: getattr(data, name) for name in ("flip", "any_previous", "jitter", "degrade")}
    return _batches(settings, data.split, start_step=start_step, **options)


def validation_batches(settings: Settings) -> list[Batch]:
    """This process's share of `run.validate_batches` batches of held-out subjects, without augmentation.

    Of a mix, the held-out subjects of every data set are mixed in the same shares.

    Raises InputError if no subject is held out.
    """
    data = settings.data
    if data.validation_split == data.split or "all" in (data.split, data.validation_split):
        raise InputError(
            f"config.data.validation_split: {data.validation_split!r} is not held out of split {data.split!r}; "
            "name another, or set config.run.validate_every=0"
        )
    found = _batches(settings, data.validation_split, flip=False, any_previous=False)
    return list(itertools.islice(found, settings.run.validate_batches))


def _batches(settings: Settings, split: str, **options: Any) -> Iterator[Batch]:
    # Imported here, because the data set libraries take seconds to load, and a benchmark's random batches need none.
    from facenhance_jax.data import pipeline, sources
    from facenhance_jax.data.shuffling import Mix

    size, processes = settings.train.batch_size, jax.process_count()
    if size % processes:
        raise InputError(
            f"config.train.batch_size: {size} examples do not split over {processes} processes; choose a multiple"
        )
    directories = settings.data.directories or ((settings.data.directory, 1.0),)
    sets = [sources.records(directory, split) for directory, _ in directories]
    for (directory, _), records in zip(directories, sets, strict=True):
        _check_fit(directory, records[0], settings.model)
    if len({"place" in records[0] for records in sets}) > 1:
        raise InputError("config.data.directories: only some of them say where faces are; prepare the others again")
    return pipeline.batches(
        sets[0] if len(sets) == 1 else Mix(sets, [weight for _, weight in directories]),
        batch_size=size // processes,
        seed=settings.train.seed,
        process=jax.process_index(),
        processes=processes,
        **options,
    )


def _check_fit(directory: str, record: Any, model: DenoiserConfig) -> None:
    """Raises InputError if a data set's records do not fit the network."""
    from facenhance_jax.data.stored import decoded

    images = {"resolution": ("frames", record["identity"]), "low_size": ("low-res frames", record["low"][0])}
    for field, (what, data) in images.items():
        side = decoded(data, directory).shape[0]
        if side != getattr(model, field):
            raise InputError(
                f"{directory}: {what} of {side} pixels, but config.model.{field} is {getattr(model, field)}; make them "
                "equal (launch/prepare.py --resolution sets the frames' size)"
            )
    if model.place_low and "place" not in record:
        raise InputError(f"{directory}: does not say where faces are, as config.model.place_low asks; prepare it again")


# Pictures


def sampled(params: dict, batch: dict, *, denoiser: Denoiser, settings: Settings) -> UInt8[jax.Array, "b h w 3"]:
    """Each example's frame, sampled with the real previous frame, and always from the same noise."""
    sampling = settings.sampling
    plan = denoiser.plan(sampling.steps, sampling.solver)
    key = jax.random.fold_in(jax.random.key(0), 0)  # as a clip's first frame has it
    images = (to_signal(batch[name]) for name in ("low", "identity", "previous"))
    frame, _ = enhance_frame(
        params,
        *images,
        batch.get("place"),
        draw_noise(key, denoiser, plan, sampling.temperature),
        denoiser=denoiser,
        plan=plan,
        corrections=sampling.corrections,
    )
    return to_pixels(frame)
