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
      moves: the sum of what would straighten the low-res frames before `first` (see `straightening.Straightened`);
        None if the denoiser does not restore them.
    """

    low: UInt8[Array, "n b l l 3"]
    identity: UInt8[Array, "b h w 3"]
    previous: Float[Array, "b h w 3"]
    first: Int[Array, ""]
    count: Int[Array, ""]
    key: PRNGKeyArray
    place: Float[Array, "b 4"] | None
    moves: Float[Array, "b grid grid 2"] | None = None


class FrameNoise(NamedTuple):
    """The noise of a frame, the same for all clips of a batch.

    Attributes:
      start: what sampling starts from, scaled by the temperature.
      z: of the frame before, for each of the K steps; None if each step draws its own from `key`, or needs none.
      key: of z.
    """

    start: Float[Array, "h w 3"]
    z: Float[Array, "k h w 3"] | None
    key: PRNGKeyArray


def draw_noise(key: PRNGKeyArray, denoiser: Denoiser, plan: Plan, temperature: float = 1.0) -> FrameNoise:
    """A frame's noise, a function of the key.

    The z are drawn in one operation for all steps, instead of one within each, if there are few: 0.4 MB a step at
    192x192.
    """
    start_key, z_key = jax.random.split(key)
    size = denoiser.config.resolution
    ahead = len(plan.timesteps) <= DRAWN_AHEAD and denoiser.config.previous == "noisy"
    z = jax.vmap(lambda timestep: _z(z_key, timestep, size))(jnp.asarray(plan.timesteps, jnp.int32)) if ahead else None
    start = temperature * _normal(start_key, size) if temperature else jnp.zeros((size, size, 3))
    return FrameNoise(start, z, z_key)


def _z(key: PRNGKeyArray, timestep: Int[Array, ""], size: int) -> Float[Array, "{size} {size} 3"]:
    return _normal(jax.random.fold_in(key, timestep), size)


def _normal(key: PRNGKeyArray, size: int) -> Float[Array, "{size} {size} 3"]:
    return jax.random.normal(key, (size, size, 3))


def enhance_frame(
    params: dict,
    low: Float[Array, "b l l 3"],
    photo: Float[Array, "b h w 3"],
    previous: Float[Array, "b h w 3"],
    place: Float[Array, "b 4"] | None,
    noise: FrameNoise,
    *,
    denoiser: Denoiser,
    plan: Plan,
    corrections: int = 0,
    usual: Float[Array, "b grid grid 2"] | None = None,
    modulations: tuple[Float[Array, "k _"], ...] | None = None,
) -> tuple[Float[Array, "b h w 3"], Float[Array, "b grid grid 2"] | None]:
    """Enhances one frame of b clips; all images are in [-1, 1].

    Args:
      params: the denoiser's.
      low: the low-res frames.
      photo: the photos.
      previous: the frames before, without noise.
      place: as of `Chunk`.
      noise: of the frame (see `draw_noise`).
      denoiser: gives the velocity.
      plan: the timesteps and their coefficients.
      corrections: how often each guess of the frame is corrected (see `Denoiser.agreeing`).
      usual: as of `Denoiser.encode`.
      modulations: `Denoiser.modulations` of the plan's timesteps, if they are made already.

    Returns:
      The frames; and the moves that would straighten their low-res frames, None if the denoiser does not restore them.
    """
    expression = denoiser.encode(params, low, photo, place, usual)
    conditions = denoiser.conditions(params, photo, previous, expression)

    def velocity(noisy, timestep, given):
        z, modulations = given
        z = _z(noise.key, timestep, photo.shape[1]) if z is None else z
        z, timestep = jnp.broadcast_to(z, noisy.shape), jnp.broadcast_to(timestep, noisy.shape[:1])
        found = denoiser.velocity(params, noisy, timestep, conditions, z, modulations)
        return denoiser.corrected(noisy, timestep, found, conditions, corrections)

    if modulations is None:
        modulations = denoiser.modulations(params, jnp.asarray(plan.timesteps, jnp.int32))
    rows = jax.tree.map(lambda of_steps: of_steps[:, None], modulations)  # a step's is the same for all clips
    clean = sample(velocity, jnp.broadcast_to(noise.start, photo.shape), plan, (noise.z, rows))
    moves = None if expression.restored is None else expression.restored.straightened.moves
    return jnp.clip(denoiser.to_frame(clean, photo), -1.0, 1.0), moves


def enhance_chunk(
    params: dict,
    chunk: Chunk,
    *,
    denoiser: Denoiser,
    plan: Plan,
    temperature: float = 1.0,
    shared_noise: bool = False,
    corrections: int = 0,
) -> tuple[tuple[Float[Array, "b h w 3"], Float[Array, "b grid grid 2"] | None], UInt8[Array, "n b h w 3"]]:
    """Enhances the frames first .. first + count - 1 of b clips.

    The noise of frame n is a function of (key, n), the same for all b clips, and only the last frame and the sum of the
    moves are carried on. So a clip gives the same pixels in one chunk or in several, alone or together with other
    clips. With `shared_noise` all frames start from the same noise, so that details decided by the noise do not change
    from frame to frame; Algorithm 3 draws new noise for each frame. `temperature` scales the noise that sampling starts
    from; the other arguments are those of `enhance_frame`.

    Returns:
      `previous` and `moves` of the next chunk, and all n frames as uint8.
    """
    photo = to_signal(chunk.identity)

    def noise_of(index):
        return draw_noise(jax.random.fold_in(chunk.key, index), denoiser, plan, temperature)

    shared = noise_of(0) if shared_noise else None
    modulations = denoiser.modulations(params, jnp.asarray(plan.timesteps, jnp.int32))
    options = dict(denoiser=denoiser, plan=plan, corrections=corrections, modulations=modulations)

    def enhance(carried, low_frame, index):
        previous, moves = carried
        noise = noise_of(index) if shared is None else shared
        # The mean over the frames before, as if there had been one more that needs no move.
        usual = None if moves is None else moves / (index + 1)
        low = to_signal(low_frame)
        frame, found = enhance_frame(params, low, photo, previous, chunk.place, noise, usual=usual, **options)
        return frame, None if moves is None else moves + found

    def advance(carried, row):
        low_frame, offset = row
        index = chunk.first + offset
        carried = jax.lax.cond(offset < chunk.count, lambda: enhance(carried, low_frame, index), lambda: carried)
        return carried, to_pixels(carried[0])

    return jax.lax.scan(advance, (chunk.previous, chunk.moves), (chunk.low, jnp.arange(chunk.low.shape[0])))
