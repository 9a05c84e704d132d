"""Algorithm 1 of the paper: the loss of a batch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from facenhance_jax.diffusion import formulas
from facenhance_jax.diffusion.sampler import spaced_timesteps
from facenhance_jax.network import straightening
from facenhance_jax.network.denoiser import Denoiser, Expression
from facenhance_jax.network.pixels import to_signal

SMALLEST_ERROR = 1e-5  # of a restored low-res frame that counts: 56 dB
LEVELS = 4  # of noise, for the log: the quarters of 1..T


class Drawn(NamedTuple):
    """The random numbers of each example: eps ~ N(0, I), z ~ N(0, I) and t, any of the timesteps there are."""

    noise: Float[Array, "b h w 3"]
    z: Float[Array, "b h w 3"]
    timestep: Int[Array, " b"]


def loss(
    params: dict,
    batch: dict,
    key: PRNGKeyArray,
    *,
    denoiser: Denoiser,
    weighting: str,
    noise_levels: int = 0,
    detail_weight: float = 0.0,
    corrections: int = 0,
    restored_weight: float = 0.0,
    only_restorer: bool = False,
) -> tuple[Float[Array, ""], dict[str, Float[Array, " levels"]]]:
    """The mean squared error of the batch, in float32; and its sum and count over the examples of each noise level.

    Args:
      params: the denoiser's.
      batch: high, previous, identity [b, 192, 192, 3] and low [b, 64, 64, 3] frames, uint8; index [b], each example's
        number in the global batch; place [b, 4], if `place_low` needs it; and clean_low and warped_low, the low-res
        frames before `augmentation.degrade` and with its warps alone, if it was applied. An example's eps, z and t are
        functions of (key, index), so the loss does not depend on how many devices share the batch.
      key: of this training step.
      denoiser: gives the velocity.
      weighting: "x_prev", ||x_{t-1} - xhat_{t-1}||^2 (equation 5), or "velocity", the same divided by
        sin(phi_t - phi_{t-1})^2, which is ||v - vhat||^2 exactly.
      noise_levels: how many timesteps there are to draw from, those of a sampler with as many steps; 0 for all.
      detail_weight: of `detail_error`, which is added to the squared error.
      corrections: how often sampling corrects a guess of the frame (see `Denoiser.agreeing`). If it does, half of the
        squared error is that of the corrected guess, and so is `detail_error`.
      restored_weight: of `restored_error` and `straightened_error`, which are added too, if the network restores
        low-res frames.
      only_restorer: whether the loss is these two alone; all else then stays as it is, and costs nothing.
    """
    high, previous, identity, low = (to_signal(batch[name]) for name in ("high", "previous", "identity", "low"))
    clean_low, warped_low = (to_signal(batch.get(name, batch["low"])) for name in ("clean_low", "warped_low"))
    total = denoiser.schedule.timesteps
    timesteps = jnp.asarray(spaced_timesteps(total, noise_levels or total))
    drawn = jax.vmap(lambda index: _draw(key, index, high.shape[1:], timesteps))(batch["index"])
    expression = denoiser.encode(params, low, identity, batch.get("place"))
    restored = 0.0
    if only_restorer or restored_weight:
        restored = restored_error(expression, low, clean_low) + straightened_error(expression, warped_low, clean_low)
    if only_restorer:
        error = restored
    else:
        error = _denoising_error(
            params, high, previous, identity, expression, drawn, denoiser, weighting, detail_weight, corrections
        )
        error += restored_weight * restored
    level = jax.nn.one_hot((drawn.timestep - 1) * LEVELS // total, LEVELS)
    return jnp.mean(error), {"level_loss": (error[:, None] * level).sum(axis=0), "level_count": level.sum(axis=0)}


def _denoising_error(
    params: dict,
    high: Float[Array, "b h w 3"],
    previous: Float[Array, "b h w 3"],
    identity: Float[Array, "b h w 3"],
    expression: Expression,
    drawn: Drawn,
    denoiser: Denoiser,
    weighting: str,
    detail_weight: float,
    corrections: int,
) -> Float[Array, " b"]:
    """What the loss of each example has of the velocity and of the guess of the frame."""
    noise, z, timestep = drawn
    phi, clean, scale = denoiser.phi(timestep), denoiser.to_target(high, identity), denoiser.config.residual_scale
    conditions = denoiser.conditions(params, identity, denoiser.noised_previous(previous, z), expression)
    noisy = formulas.diffuse(clean, noise, phi)
    predicted = denoiser.velocity(params, noisy, timestep, conditions)
    error = jnp.mean((formulas.velocity(clean, noise, phi) - predicted) ** 2, axis=(1, 2, 3))
    error *= jnp.sin(denoiser.delta(timestep)) ** 2 if weighting == "x_prev" else 1.0
    if not corrections and not detail_weight:
        return error
    guess = denoiser.to_frame(formulas.clean_of(noisy, predicted, phi), identity)
    if corrections:
        guess = denoiser.agreeing(guess, jax.lax.stop_gradient(expression), corrections)
        error = (error + jnp.mean((scale * (guess - high)) ** 2, axis=(1, 2, 3))) / 2
    return error + (detail_weight * scale * detail_error(guess, high) if detail_weight else 0.0)


def detail_error(frame: Float[Array, "b h w 3"], real: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
    """How much the amount of fine detail differs, on average over squares of 8x8 pixels.

    The amount is the mean absolute Laplacian of the grey image. The squared error alone is smallest for a blurred
    frame, wherever detail cannot be told exactly. This error does not ask where in the square the detail is.
    """
    return jnp.mean(jnp.abs(_detail(frame) - _detail(real)), axis=(1, 2))


def restored_error(
    expression: Expression, low: Float[Array, "b l l 3"], clean: Float[Array, "b l l 3"]
) -> Float[Array, " b"]:
    """How badly low-res frames are restored, and how badly it is told how far to take what is restored.

    Of those that have faults: the logarithm of the restored frame's mean squared error, as in a PSNR, where the face is
    to be as in `clean` and, in place of the black around it, the photo. Of all: the cross entropy of the share that
    would be best, the one at which the mixture of straightened and restored face is nearest to `clean`.
    """
    restored, logit, straightened = expression.restored
    face = jnp.any(clean > -1.0, axis=-1, keepdims=True)
    wanted = jnp.where(face, clean, expression.own)
    faulty = jnp.any(low != clean, axis=(1, 2, 3))
    error = jnp.log(jnp.mean((restored - wanted) ** 2, axis=(1, 2, 3)) + SMALLEST_ERROR)
    best = best_share(straightened.frame, restored, clean)
    return faulty * error + optax.sigmoid_binary_cross_entropy(logit, best)


def straightened_error(
    expression: Expression, warped: Float[Array, "b l l 3"], clean: Float[Array, "b l l 3"]
) -> Float[Array, " b"]:
    """How badly it is told how low-res frames are warped, in squared pixels; and how badly, whether they are.

    What would take a warp back are the shifts that are found between `warped`, the frame with its warp but without its
    other faults, and `clean`: the moves' squared error, of those that are warped. Of all: the cross entropy of the
    share that would be best, the one at which the mixture of `warped` and moved face is nearest to `clean`.
    """
    _, moves, logit = expression.restored.straightened
    wanted = -jax.lax.stop_gradient(straightening.shifts_of_squares(clean, warped))
    happened = jnp.any(warped != clean, axis=(1, 2, 3))
    error = jnp.mean((moves - wanted) ** 2, axis=(1, 2, 3))
    best = best_share(warped, straightening.moved(warped, moves), clean)
    return happened * error + optax.sigmoid_binary_cross_entropy(logit, best)


def best_share(
    start: Float[Array, "b l l 3"], end: Float[Array, "b l l 3"], clean: Float[Array, "b l l 3"]
) -> Float[Array, " b"]:
    """Which share of the way from `start` to `end` is nearest to the face in `clean`. It is not trained by."""
    face = jnp.any(clean > -1.0, axis=-1, keepdims=True)
    start, end = jax.lax.stop_gradient((start, end))
    change, lacking = face * (end - start), face * (clean - start)
    share = jnp.sum(change * lacking, axis=(1, 2, 3)) / (jnp.sum(change**2, axis=(1, 2, 3)) + 1e-9)
    return jnp.clip(share, 0.0, 1.0)


def _detail(frame: Float[Array, "b h w 3"]) -> Float[Array, "b h8 w8"]:
    grey = jnp.pad(frame.mean(axis=-1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    laplacian = (
        grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * grey[:, 1:-1, 1:-1]
    )
    batch, height, width = laplacian.shape
    return jnp.abs(laplacian).reshape(batch, height // 8, 8, width // 8, 8).mean(axis=(2, 4))


def _draw(key, index, shape, timesteps) -> Drawn:
    noise_key, z_key, timestep_key = jax.random.split(jax.random.fold_in(key, index), 3)
    timestep = timesteps[-1 - jax.random.randint(timestep_key, (), 0, len(timesteps))]  # they decrease
    return Drawn(jax.random.normal(noise_key, shape), jax.random.normal(z_key, shape), timestep)
