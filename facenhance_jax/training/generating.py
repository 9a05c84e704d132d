"""The experiments of the light generators: each system's losses, batches and pictures.

All are trained on sets of `data.face_clips`. MotionGAN and ImaGINator have a critic (`adversarial`); the renderer has a
loss of its own and the enhancer's step.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from facenhance_jax.generators import curves, motiongan
from facenhance_jax.generators.imaginator import Discriminators, ImaginatorNetwork
from facenhance_jax.generators.modules import Pure
from facenhance_jax.generators.renderer import RendererNetwork, mouth_of
from facenhance_jax.generators.settings import (
    GeneratorSettings,
    ImaginatorSettings,
    MotionSettings,
    RendererSettings,
)
from facenhance_jax.network.pixels import to_pixels, to_signal
from facenhance_jax.training import adversarial, face_batches, train_step
from facenhance_jax.training.experiment import Batch, Experiment, learning_rate
from facenhance_jax.training.objective import detail_error
from facenhance_jax.training.optimizer import make_optimizer

BETAS = {"motiongan": (0.5, 0.9), "imaginator": (0.5, 0.999), "renderer": (0.9, 0.999)}  # of Adam, as in the papers


def make(settings: GeneratorSettings) -> Experiment:
    """The experiment of the generator that the settings are of."""
    if isinstance(settings, MotionSettings):
        return _motion(settings)
    return _renderer(settings) if isinstance(settings, RendererSettings) else _imaginator(settings)


def _experiment(settings: GeneratorSettings, row: Callable, **parts: Any) -> Experiment:
    train = settings.train
    shared = functools.partial(face_batches.batches, settings.data, train, row)
    defaults = {
        "settings": settings,
        "warm_start": lambda fresh: fresh,
        "batches": functools.partial(shared, settings.data.split, settings.data.flip),
        "validation_batches": functools.partial(_validation, settings, shared),
        "learning_rate": learning_rate(train, settings.run.steps),
    }
    return Experiment(**(defaults | parts))


def _validation(settings: GeneratorSettings, shared: Callable[..., Iterator[Batch]]) -> list[Batch]:
    face_batches.check_held_out(settings.data)
    return list(itertools.islice(shared(settings.data.validation_split, False, 0), settings.run.validate_batches))


def _optimizer(settings: GeneratorSettings) -> optax.GradientTransformationExtraArgs:
    rate = learning_rate(settings.train, settings.run.steps)
    return make_optimizer(rate, settings.train.gradient_clip, *BETAS[settings.model.kind])


def _adversarial(settings: GeneratorSettings, nets: tuple[Pure, Pure], players: adversarial.Players) -> dict[str, Any]:
    """The state and the step of a training against a critic."""
    seed = settings.train.seed
    return {
        "initial_state": lambda: adversarial.start(nets[0].init(seed), nets[1].init(seed + 1), players.optimizer, seed),
        "step": functools.partial(adversarial.step, players=players, ema_decay=settings.train.ema_decay),
    }


# MotionGAN


def _motion(settings: MotionSettings) -> Experiment:
    config, train = settings.model, settings.train
    generator, critic = motiongan.networks(config)

    def made(arrays: dict, batch: dict, key: PRNGKeyArray) -> motiongan.Motion:
        noise = adversarial.noise_of(key, batch["index"], config.noise)
        return generator(arrays, noise, batch["label"])[0]

    def critic_loss(own: dict, arrays: dict, batch: dict, key: PRNGKeyArray) -> tuple[Float[Array, ""], dict]:
        draw, mix = jax.random.split(key)
        real = motiongan.seen(motiongan.motion_of(arrays, batch["landmarks"], batch["label"]))
        fake = motiongan.seen(made(arrays, batch, draw))

        def judged(motion: motiongan.Motion) -> Float[Array, " b"]:
            return critic(own, motion, batch["label"])[0]

        penalty = adversarial.gradient_penalty(judged, real, fake, mix)
        return jnp.mean(judged(fake) - judged(real)) + train.penalty_weight * penalty, own

    def apart(arrays: dict, fake: motiongan.Motion, batch: dict) -> Float[Array, ""]:
        """How far the motions are from the real ones of the same expressions."""
        real = motiongan.motion_of(arrays, batch["landmarks"], batch["label"])
        reference = arrays["reference"][None]
        points = (curves.exponential(motion.tangent, reference) for motion in (fake, real))
        return (
            train.tangent_weight * jnp.mean(jnp.abs(fake.tangent - real.tangent))
            + train.geodesic_weight * jnp.mean(curves.distance(*points))
            + train.length_weight * jnp.mean(jnp.abs(fake.length - real.length))
        )

    def generator_loss(own: dict, other: dict, batch: dict, key: PRNGKeyArray) -> tuple[Float[Array, ""], dict]:
        fake = made(own, batch, key)
        fixed = jax.lax.stop_gradient(own)
        # In radians again, as the paper's critic judges; else it outweighs the angle, and motions become too long.
        judged = jnp.mean(critic(other, motiongan.seen(fake), batch["label"])[0]) / motiongan.TANGENT_UNIT
        return apart(fixed, fake, batch) - judged, own

    def sample(arrays: dict, batch: dict) -> UInt8[Array, "b 64 64 3"]:
        motion = made(arrays, batch, jax.random.key(0))
        return dots(motiongan.landmarks_of(arrays, motion, batch["label"], batch["landmarks"][:, 0])[:, -1])

    def warm_start(fresh: train_step.TrainState) -> train_step.TrainState:
        found = statistics(settings)
        arrays = fresh.params["generator"] | found
        ema = fresh.ema | jax.tree.map(jnp.copy, found)
        return fresh._replace(params=fresh.params | {"generator": arrays}, ema=ema)

    players = adversarial.Players(generator_loss, critic_loss, _optimizer(settings), train.critic_updates)
    return _experiment(
        settings,
        functools.partial(face_batches.motion, config=config),
        loss=lambda arrays, batch, key: (apart(arrays, made(arrays, batch, key), batch), {}),
        sample=sample,
        warm_start=warm_start,
        **_adversarial(settings, (generator, critic), players),
    )


def statistics(settings: MotionSettings) -> dict[str, jax.Array]:
    """The reference and the lengths of `MotionNetwork`, measured on all training clips, each set with its weight."""
    shares, points, logs, labels = [], [], [], []
    for records, weight in face_batches.sets(settings.data, settings.data.split, settings.model.frames):
        rows = [face_batches.motion(record, None, config=settings.model) for record in records]
        landmarks = jnp.asarray(np.stack([row["landmarks"] for row in rows]))
        q, length = jax.jit(lambda landmarks: curves.to_sphere(curves.normalised(landmarks)))(landmarks)
        shares.append(np.full(len(rows), weight / len(rows)))
        points.append(np.asarray(q))
        logs.append(np.log(np.maximum(length, 1e-6)))
        labels.append(np.array([row["label"] for row in rows]))
    share, q, log, label = (np.concatenate(parts) for parts in (shares, points, logs, labels))
    mean, std = np.full(len(settings.model.labels), log.mean()), np.ones(len(settings.model.labels))
    for number in np.unique(label):
        own = label == number
        mean[number] = np.average(log[own], weights=share[own])
        std[number] = max(np.average((log[own] - mean[number]) ** 2, weights=share[own]) ** 0.5, 0.01)
    mass = q * (share / share.mean())[:, None, None]
    return {
        "reference": jnp.asarray(curves.mean_of(mass)),
        "mean_log_length": jnp.asarray(mean, jnp.float32),
        "std_log_length": jnp.asarray(std, jnp.float32),
    }


def dots(points: Float[Array, "b 68 2"]) -> UInt8[Array, "b 64 64 3"]:
    """Pictures of landmarks, for people who look at a training."""
    x, y = jnp.moveaxis(jnp.clip(jnp.round(points), 0, 63).astype(jnp.int32), -1, 0)
    white = jnp.zeros((len(points), 64, 64), jnp.uint8)
    white = white.at[jnp.arange(len(points))[:, None], y, x].set(255)
    return jnp.repeat(white[..., None], 3, axis=-1)


# The renderer


def _renderer(settings: RendererSettings) -> Experiment:
    network, train = Pure(RendererNetwork, settings.model), settings.train
    optimizer = _optimizer(settings)

    def made(params: dict, batch: dict) -> Float[Array, "b 64 64 3"]:
        inputs = (to_signal(batch["photo"]), batch["points"], batch["mask"].astype(jnp.float32))
        return network(params, *inputs, batch["label"], batch["phase"])[0]

    def loss(params: dict, batch: dict, key: PRNGKeyArray) -> tuple[Float[Array, ""], dict]:
        frame, real = made(params, batch), to_signal(batch["high"])
        weight = 1.0 + train.mouth_weight * mouth_of(batch["points"][:, 1])[..., None]
        error = jnp.mean(weight * jnp.abs(frame - real))
        return error + train.detail_weight * jnp.mean(detail_error(frame, real)), {}

    return _experiment(
        settings,
        functools.partial(face_batches.frame, config=settings.model),
        initial_state=lambda: train_step.initial_state(network.init(train.seed), optimizer, train.seed),
        step=functools.partial(train_step.train_step, loss_fn=loss, optimizer=optimizer, ema_decay=train.ema_decay),
        loss=loss,
        sample=lambda params, batch: to_pixels(made(params, batch)),
    )


# ImaGINator


def _imaginator(settings: ImaginatorSettings) -> Experiment:
    config, train = settings.model, settings.train
    generator, critic = Pure(ImaginatorNetwork, config), Pure(Discriminators, config)

    def made(arrays: dict, batch: dict, key: PRNGKeyArray, is_training: bool) -> tuple[Float[Array, "b ..."], dict]:
        noise = adversarial.noise_of(key, batch["index"], config.noise)
        return generator(arrays, to_signal(batch["identity"]), noise, batch["label"], train=is_training)

    def one_of(clip: Float[Array, "b n h w 3"], batch: dict, key: PRNGKeyArray) -> Float[Array, "b h w 3"]:
        """A frame of each clip, drawn at random."""
        number = jax.vmap(lambda index: jax.random.randint(jax.random.fold_in(key, index), (), 0, clip.shape[1]))
        return jnp.take_along_axis(clip, number(batch["index"])[:, None, None, None, None], axis=1)[:, 0]

    def critic_loss(own: dict, arrays: dict, batch: dict, key: PRNGKeyArray) -> tuple[Float[Array, ""], dict]:
        draw, first, second = jax.random.split(key, 3)
        real = to_signal(batch["clip"])
        fake = jax.lax.stop_gradient(made(arrays, batch, draw, True)[0])
        real_logits, own = critic(own, real, one_of(real, batch, first), batch["label"], train=True)
        fake_logits, own = critic(own, fake, one_of(fake, batch, second), batch["label"], train=True)
        loss = sum(jnp.mean(jax.nn.softplus(-logits)) for logits in real_logits)
        return loss + sum(jnp.mean(jax.nn.softplus(logits)) for logits in fake_logits), own

    def generator_loss(own: dict, other: dict, batch: dict, key: PRNGKeyArray) -> tuple[Float[Array, ""], dict]:
        draw, pick = jax.random.split(key)
        fake, own = made(own, batch, draw, True)
        logits, _ = critic(other, fake, one_of(fake, batch, pick), batch["label"])
        fooled = sum(jnp.mean(jax.nn.softplus(-logit)) for logit in logits)
        return train.l1_weight * jnp.mean(jnp.abs(fake - to_signal(batch["clip"]))) + fooled, own

    def loss(arrays: dict, batch: dict, key: PRNGKeyArray) -> tuple[Float[Array, ""], dict]:
        return jnp.mean(jnp.abs(made(arrays, batch, key, False)[0] - to_signal(batch["clip"]))), {}

    players = adversarial.Players(generator_loss, critic_loss, _optimizer(settings), critic_updates=1)
    return _experiment(
        settings,
        functools.partial(face_batches.clip, config=config),
        loss=loss,
        sample=lambda arrays, batch: to_pixels(made(arrays, batch, jax.random.key(0), False)[0][:, -1]),
        **_adversarial(settings, (generator, critic), players),
    )
