"""Algorithm 1 of the paper: the loss of a batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from facenhance_jax import diffusion
from facenhance_jax.denoiser import Conditions, Denoiser
from facenhance_jax.pixels import to_signal


def loss(
    params: dict,
    batch: dict,
    key: PRNGKeyArray,
    indices: Int[Array, " b"],
    *,
    denoiser: Denoiser,
    weighting: str,
) -> Float[Array, ""]:
    """The mean squared error of the batch, in float32.

    Args:
      params: the denoiser's.
      batch: high, previous, identity [b, 192, 192, 3] and low [b, 64, 64, 3] frames, uint8; and place [b, 3], where
        `place_low` asks for it.
      key: of this training step.
      indices: each example's place in the global batch. Its eps, z and t are functions of (key, index), so the loss
        does not depend on how many devices share the batch.
      denoiser: gives the velocity.
      weighting: "x_prev", ||x_{t-1} - xhat_{t-1}||^2 (equation 5), or "velocity", the same divided by
        sin(phi_t - phi_{t-1})^2, which is ||v - vhat||^2 exactly.
    """
    high, previous, identity, low = (to_signal(batch[name]) for name in ("high", "previous", "identity", "low"))
    noise, z, timestep = jax.vmap(lambda index: _draw(key, index, high.shape[1:], denoiser.schedule.timesteps))(indices)
    clean = denoiser.to_target(high, identity)
    expression = denoiser.encode(params, low, batch.get("place"))
    phi = denoiser.phi(timestep)
    conditions = Conditions(identity, denoiser.noised_previous(previous, z), expression)
    predicted = denoiser.velocity(params, diffusion.diffuse(clean, noise, phi), timestep, conditions)
    error = jnp.mean((diffusion.velocity(clean, noise, phi) - predicted) ** 2, axis=(1, 2, 3))
    return jnp.mean(error * jnp.sin(denoiser.delta(timestep)) ** 2 if weighting == "x_prev" else error)


def _draw(key, index, shape, timesteps):
    """eps ~ N(0, I), z ~ N(0, I) and t ~ Uniform{1..T} of one example."""
    noise_key, z_key, timestep_key = jax.random.split(jax.random.fold_in(key, index), 3)
    timestep = jax.random.randint(timestep_key, (), 1, timesteps + 1)
    return jax.random.normal(noise_key, shape), jax.random.normal(z_key, shape), timestep
