"""Algorithm 3 of the paper: frame after frame, each guided by the one before, as `lax.scan`s over chunks of a clip."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from facenhance_jax.diffusion.sampler import Plan, sample
from facenhance_jax.network.denoiser import Denoiser
from facenhance_jax.network.pixels import to_pixels, to_signal

DRAWN_AHEAD = 50  # steps at most whose z is drawn ahead


class Chunk(NamedTuple):
    """Consecutive frames of b clips, and all that enhancing them needs except the parameters.

    Attributes:
      low: the low-res frames, uint8, time first.
      identity: the photos, uint8.
      previous: the output frames before `first` in [-1, 1]; the photos themselves when first = 0.
      first: index of the first frame in its clip.
      count: how many of the n rows are frames; the others are padding and cost nothing.
      key: of the noise.
      place: where the low-res face belongs in each photo, (left, top, side, angle) as `faces.placement` defines it;
        None if the denoiser does not need it.
    """

    low: UInt8[Array, "n b l l 3"]
    identity: UInt8[Array, "b h w 3"]
    previous: Float[Array, "b h w 3"]
    first: Int[Array, ""]
    count: Int[Array, ""]
    key: PRNGKeyArray
    place: Float[Array, "b 4"] | None


def enhance_frame(
    params: dict,
    low: Float[Array, "b l l 3"],
    photo: Float[Array, "b h w 3"],
    previous: Float[Array, "b h w 3"],
    place: Float[Array, "b 4"] | None,
    key: PRNGKeyArray,
    *,
    denoiser: Denoiser,
    plan: Plan,
    temperature: float = 1.0,
    corrections: int = 0,
) -> Float[Array, "b h w 3"]:
    """Enhances one frame of b clips, all from the same noise; all images are in [-1, 1].

    Args:
      params: the denoiser's.
      low: the low-res frames.
      photo: the photos.
      previous: the frames before, without noise.
      place: as of `Chunk`.
      key: of the frame's noise.
      denoiser: gives the velocity.
      plan: the timesteps and their coefficients.
      temperature: scale of the noise that sampling starts from.
      corrections: how often each guess of the frame is corrected (see `Denoiser.agreeing`).
    """
    noise_key, z_key = jax.random.split(key)
    conditions = denoiser.conditions(params, photo, previous, denoiser.encode(params, low, photo, place))

    def normal(key):
        return jax.random.normal(key, photo.shape[1:])

    def z_of(timestep):
        return normal(jax.random.fold_in(z_key, timestep))

    def velocity(noisy, timestep, z):
        z = z_of(timestep) if z is None else z
        z, timestep = jnp.broadcast_to(z, noisy.shape), jnp.broadcast_to(timestep, noisy.shape[:1])
        found = denoiser.velocity(params, noisy, timestep, conditions, z)
        return denoiser.corrected(noisy, timestep, found, conditions, corrections)

    # In one operation for all steps, instead of one within each, if there are few: 0.4 MB a step at 192x192.
    ahead = len(plan.timesteps) <= DRAWN_AHEAD and denoiser.config.previous == "noisy"
    zs = jax.vmap(z_of)(jnp.asarray(plan.timesteps, jnp.int32)) if ahead else None
    noise = temperature * normal(noise_key) if temperature else jnp.zeros(photo.shape[1:])
    clean = sample(velocity, jnp.broadcast_to(noise, photo.shape), plan, zs)
    return jnp.clip(denoiser.to_frame(clean, photo), -1.0, 1.0)


def enhance_chunk(
    params: dict,
    chunk: Chunk,
    *,
    denoiser: Denoiser,
    plan: Plan,
    temperature: float = 1.0,
    shared_noise: bool = False,
    corrections: int = 0,
) -> tuple[Float[Array, "b h w 3"], UInt8[Array, "n b h w 3"]]:
    """Enhances the frames first .. first + count - 1 of b clips.

    The noise of frame n is a function of (key, n), the same for all b clips, and only the last frame is carried on. So
    a clip gives the same pixels in one chunk or in several, alone or together with other clips. With `shared_noise` all
    frames start from the same noise, so that details decided by the noise do not change from frame to frame; Algorithm
    3 draws new noise for each frame. The other arguments are those of `enhance_frame`.

    Returns:
      The last frame in [-1, 1], for the next chunk, and all n frames as uint8.
    """
    photo = to_signal(chunk.identity)
    options = dict(denoiser=denoiser, plan=plan, temperature=temperature, corrections=corrections)

    def enhance(previous, low_frame, index):
        key = jax.random.fold_in(chunk.key, 0 if shared_noise else index)
        return enhance_frame(params, to_signal(low_frame), photo, previous, chunk.place, key, **options)

    def advance(previous, row):
        low_frame, offset = row
        index = chunk.first + offset
        frame = jax.lax.cond(offset < chunk.count, lambda: enhance(previous, low_frame, index), lambda: previous)
        return frame, to_pixels(frame)

    return jax.lax.scan(advance, chunk.previous, (chunk.low, jnp.arange(chunk.low.shape[0])))
