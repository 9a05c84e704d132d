"""Algorithm 3 of the paper: frame after frame, each guided by the one before, as `lax.scan`s over chunks of a clip."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from facenhance_jax.denoiser import Conditions, Denoiser
from facenhance_jax.pixels import to_pixels, to_signal
from facenhance_jax.sampler import Plan, sample


def enhance_chunk(
    params: dict,
    low: UInt8[Array, "n b l l 3"],
    identity: UInt8[Array, "b h w 3"],
    previous: Float[Array, "b h w 3"],
    first: Int[Array, ""],
    count: Int[Array, ""],
    key: PRNGKeyArray,
    place: Float[Array, "b 3"] | None = None,
    *,
    denoiser: Denoiser,
    plan: Plan,
    shared_noise: bool = False,
) -> tuple[Float[Array, "b h w 3"], UInt8[Array, "n b h w 3"]]:
    """Enhances the frames first .. first + count - 1 of b clips; rows beyond `count` are padding and cost nothing.

    The noise of frame n is a function of (key, n) alone, and the only thing carried between frames is the frame before,
    so a clip gives the same pixels in one chunk, in many, or streamed. With `shared_noise` every frame starts from the
    same noise, so that what noise decides stays as it is from frame to frame; Algorithm 3 draws it anew for each.

    Args:
      params: the denoiser's.
      low: the low-res frames, uint8, time first.
      identity: the photos, uint8.
      previous: the output frame before `first` in [-1, 1]; the photo itself when first = 0.
      first: index of the first frame in its clip.
      count: how many of the n rows are frames.
      key: the clip's.
      place: (left, top, side) of the square of each photo on which the low-res face belongs, pixels, where the denoiser
        wants it.
      denoiser: gives the velocity.
      plan: the timesteps and their coefficients.
      shared_noise: whether the noise is a function of the key alone.

    Returns:
      The last frame in [-1, 1], to carry on with, and all n frames as uint8.
    """
    photo = to_signal(identity)

    def enhance(previous, low_frame, index):
        noise_key, z_key = jax.random.split(jax.random.fold_in(key, 0 if shared_noise else index))
        expression = denoiser.encode(params, to_signal(low_frame), place)

        def velocity(noisy, timestep):
            z = jax.random.normal(jax.random.fold_in(z_key, timestep), previous.shape)
            conditions = Conditions(photo, denoiser.noised_previous(previous, z), expression)
            return denoiser.velocity(params, noisy, jnp.broadcast_to(timestep, noisy.shape[:1]), conditions)

        noise = denoiser.config.temperature * jax.random.normal(noise_key, previous.shape)
        clean = sample(velocity, noise, plan)
        return jnp.clip(denoiser.to_frame(clean, photo), -1.0, 1.0)

    def advance(previous, row):
        low_frame, offset = row
        frame = jax.lax.cond(offset < count, lambda: enhance(previous, low_frame, first + offset), lambda: previous)
        return frame, to_pixels(frame)

    return jax.lax.scan(advance, previous, (low, jnp.arange(low.shape[0])))
