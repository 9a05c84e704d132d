"""The denoiser: the UNet, the expression encoder and the three conditions as one velocity function."""

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from facenhance_jax.diffusion.formulas import Schedule, clean_of, gaussian_gain, velocity_of_step
from facenhance_jax.diffusion.sampler import SOLVERS, Plan, make_plan, spaced_timesteps
from facenhance_jax.messages import InputError
from facenhance_jax.network import pixels, warping
from facenhance_jax.network.denoiser_config import DenoiserConfig

if TYPE_CHECKING:
    from facenhance_jax.network.restorer import Restored

SHARE_UNIT = 0.1  # scale of the share that the network outputs: at 1, the first training steps would change it too much


class Expression(NamedTuple):
    """A low-res frame as the UNet takes it (E_exp's tokens, an enlarged image, or both), and its pixels.

    `low` is restored as far as it seems faulty, if the network does that; `own` is the photo's low-res face on the same
    place, if the network needs it. `within` is 1 where the low-res face is (see `warping.within`), and `positions` says
    where each pixel of the frame lies in the low-res frame: (x, y) in its pixels.
    """

    tokens: Float[Array, "b n t"] | None
    image: Float[Array, "b h w 3"] | None
    low: Float[Array, "b l l 3"]
    own: Float[Array, "b l l 3"] | None
    within: Float[Array, "b l l 1"]
    place: Float[Array, "b 4"]
    positions: Float[Array, "b h w 2"]
    restored: "Restored | None"


class Conditions(NamedTuple):
    """What guides one frame in all of its steps, made by `Denoiser.conditions`.

    `entered` is what photo, previous frame and low-res image add to the output of the UNet's entrance; `token_kv` is
    what each attention makes of the expression's tokens; `coarse` is the photo's own low-res face, enlarged, if
    `warp_photo` needs it.
    """

    identity: Float[Array, "b h w 3"]
    entered: Float[Array, "b hp wp base"]
    token_kv: tuple[Float[Array, "b n _"], ...]
    expression: Expression
    coarse: Float[Array, "b h w 3"] | None


@dataclass(frozen=True)
class Denoiser:
    """A network's structure as pure functions of its parameters (a nested dict of float32 arrays)."""

    config: DenoiserConfig
    schedule: Schedule

    def init(self, seed: int) -> dict:
        """Fresh parameters."""
        return _modules().init(self.config, seed)

    def abstract_params(self) -> dict:
        """The parameters' shapes and dtypes, without computing them."""
        return _modules().abstract_params(self.config)

    def encode(
        self,
        params: dict,
        low: Float[Array, "b l l 3"],
        photo: Float[Array, "b h w 3"],
        place: Float[Array, "b 4"] | None = None,
        usual: Float[Array, "b grid grid 2"] | None = None,
    ) -> Expression:
        """Encodes low-res frames in [-1, 1]: once a frame, for all of its denoising steps.

        `place` is the turned square (left, top, side, angle) of the frame on which each low-res frame belongs, as
        `faces.placement` defines it; without it, or without `place_low`, that is the whole frame. Of the photo, its own
        low-res face is taken on this place, if the network needs it. `usual` is what the moves that straighten the
        other frames of the clip have in common (see `straightening.Straightener`).
        """
        config = self.config
        whole = jnp.broadcast_to(jnp.array([0.0, 0.0, config.resolution, 0.0]), (low.shape[0], 4))
        place = whole if place is None or not config.place_low else place
        tokens, image, own, restored, seen = None, None, None, None, low
        positions, within = warping.positions_in_low(place, config.resolution, config.low_size), warping.within(low)
        if config.restore_low or config.warp_photo:
            own = warping.low_of(photo, place, config.low_size)
        if config.restore_low:
            restored = self._network(params).restorer(low, own, usual)
            low = restored.straightened.frame
            low += jax.nn.sigmoid(restored.faulty_logit)[:, None, None, None] * (restored.frame - low)
            seen = within * low - (1.0 - within)  # around the face it stays black
        if config.expression != "concat":
            tokens = self._network(params).expression(seen.astype(config.dtype))
        if config.expression != "encoder":
            inside = jnp.all((positions > -0.5) & (positions < config.low_size - 0.5), axis=-1, keepdims=True)
            image = jnp.where(inside, pixels.sample_bilinear(seen, positions), -1.0)
        return Expression(tokens, image, low, own, within, place, positions, restored)

    def restored(self, params: dict, low: Float[Array, "b l l 3"], own: Float[Array, "b l l 3"]) -> Any:
        """What the restorer makes of low-res frames and the photos' own low-res faces (`Expression.own`)."""
        return self._network(params).restorer(low, own)

    def conditions(
        self,
        params: dict,
        identity: Float[Array, "b h w 3"],
        previous: Float[Array, "b h w 3"],
        expression: Expression,
    ) -> Conditions:
        """The conditions of a frame: once a frame, for all of its denoising steps.

        The frame before carries its noise z (`noised_previous`), or `velocity` gets z.
        """
        images = [identity] + [previous] * (self.config.previous != "none")
        if expression.image is not None:
            images.append(expression.image)
        unet, channels = self._network(params).unet, range(3, self.config.in_channels)
        entered = unet.enter(jnp.concatenate(images, axis=-1), channels)
        coarse = None
        if self.config.warp_photo:
            coarse = pixels.sample_bilinear(expression.own, expression.positions)  # around it its edge is repeated
        return Conditions(identity, entered, unet.token_kv(expression.tokens), expression, coarse)

    def modulations(self, params: dict, timestep: Int[Array, " k"]) -> tuple[Float[Array, "k _"], ...]:
        """What the UNet's blocks take of each timestep: once a program, for all steps of all frames."""
        return self._network(params).unet.modulations(timestep)

    def velocity(
        self,
        params: dict,
        noisy: Float[Array, "b h w 3"],
        timestep: Int[Array, " b"],
        conditions: Conditions,
        z: Float[Array, "b h w 3"] | None = None,
        modulations: tuple[Float[Array, "#b _"], ...] | None = None,
    ) -> Float[Array, "b h w 3"]:
        """The velocity v_t of `noisy` = x_t at `timestep` in 1..T; z is noise for a previous frame that has none yet.

        `modulations` are the timestep's, if they are made already.

        With prediction="x_prev" it is the velocity whose step gives the network's output.

        With `warp_low` the network also outputs a shift and a share for each pixel. The low-res frame, warped by the
        shift, is a guess of the frame; its target (see `to_target`) times the share is a guess m of x_0, and since
        v_t = cos(phi) eps - sin(phi) x_0, it adds -sin(phi) m to the velocity.

        With `warp_photo` it also outputs a shift into the photo, and the guess is the photo, warped by that shift, plus
        the share of what the warped low-res frame differs from it, both seen in low resolution (within the low-res
        face). So the coarse comes from the low-res frame and the fine from the photo. The share starts at 1.
        """
        unet, images, channels = self._network(params).unet, [noisy], [0, 1, 2]
        if z is not None and self.config.previous == "noisy":
            images, channels = [noisy, z], [0, 1, 2, 6, 7, 8]  # where the previous frame enters
        entered = conditions.entered + unet.enter(jnp.concatenate(images, axis=-1), channels)
        modulations = unet.modulations(timestep) if modulations is None else modulations
        output = unet.after_entrance(entered, modulations, conditions.token_kv)
        if self.config.prediction == "x_prev":
            return velocity_of_step(noisy, output, self.delta(timestep))
        phi, velocity = self.phi(timestep)[:, None, None, None], output[..., :3]
        if self.config.gate_std:
            velocity += output[..., 3:4] * gaussian_gain(phi, self.config.gate_std) * noisy
        if not self.config.warp_low:
            return velocity
        at, identity = 4 if self.config.gate_std else 3, conditions.identity
        share, shift = SHARE_UNIT * output[..., at : at + 1], self._smooth(output[..., at + 1 : at + 3])
        if self.config.warp_photo:
            moved = self._moved(conditions, 1.0 + share, shift, self._smooth(output[..., -2:]))
            guess = self.to_target(moved, identity)
        else:
            expression = conditions.expression
            warped = pixels.sample_bilinear(expression.low, expression.positions + shift)
            guess = share * self.to_target(warped, identity)
        return velocity - jnp.sin(phi) * guess

    def _smooth(self, shift: Float[Array, "b h w 2"]) -> Float[Array, "b h w 2"]:
        return warping.smooth(shift, self.config.unet.patch)

    def _moved(
        self,
        conditions: Conditions,
        share: Float[Array, "b h w 1"],
        shift: Float[Array, "b h w 2"],
        flow: Float[Array, "b h w 2"],
    ) -> Float[Array, "b h w 3"]:
        """The photo moved by `flow`, in its pixels; where `share` is 1, its coarse part is the low-res frame's."""
        expression, photo = conditions.expression, conditions.identity
        both = jnp.concatenate([photo, conditions.coarse], axis=-1)
        moved, coarse = jnp.split(warping.moved(both, flow), 2, axis=-1)
        seen = jnp.concatenate([expression.low, expression.within], axis=-1)
        seen = pixels.sample_bilinear(seen, expression.positions + shift)
        return moved + seen[..., 3:] * share * (seen[..., :3] - coarse)

    def agreeing(self, frame: Float[Array, "b h w 3"], expression: Expression, times: int) -> Float[Array, "b h w 3"]:
        """The frame, corrected `times` times (see `warping.agreeing`)."""
        return warping.agreeing(frame, expression.low, expression.within, expression.place, times)

    def corrected(
        self,
        noisy: Float[Array, "b h w 3"],
        timestep: Int[Array, " b"],
        velocity: Float[Array, "b h w 3"],
        conditions: Conditions,
        times: int,
    ) -> Float[Array, "b h w 3"]:
        """The velocity whose guess of the frame agrees with the low-res frame (see `agreeing`)."""
        if not times:
            return velocity
        phi, identity = self.phi(timestep)[:, None, None, None], conditions.identity
        frame = self.to_frame(clean_of(noisy, velocity, self.phi(timestep)), identity)
        clean = self.to_target(self.agreeing(frame, conditions.expression, times), identity)
        return (jnp.cos(phi) * noisy - clean) / jnp.sin(phi)

    def plan(self, steps: int, solver: str = "ddim") -> Plan:
        """The plan of a sampler with that many steps.

        Raises InputError if steps is not in 1..T, if the network outputs x_{t-1} and steps is less than T, or if there
        is no such solver.
        """
        total = self.schedule.timesteps
        if not 1 <= steps <= total:
            raise InputError(f"steps must be from 1 to {total}, not {steps}")
        if self.config.prediction == "x_prev" and steps != total:
            raise InputError(f"steps={steps}: this model predicts x_(t-1) and samples only with its own {total} steps")
        if solver not in SOLVERS:
            raise InputError(f"solver must be one of {', '.join(SOLVERS)}, not {solver!r}")
        return make_plan(self.schedule, spaced_timesteps(total, steps), solver)

    def delta(self, timestep: Int[Array, "*b"]) -> Float[Array, "*b"]:
        """phi_t - phi_{t-1}, subtracted in float64: in float32 it would lose four digits."""
        return jnp.asarray(self.schedule.delta, jnp.float32)[timestep]

    def phi(self, timestep: Int[Array, "*b"]) -> Float[Array, "*b"]:
        """phi_t."""
        return jnp.asarray(self.schedule.phi, jnp.float32)[timestep]

    def to_target(self, frame: Float[Array, "b h w 3"], identity: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """What is diffused: the frame, or its scaled residual to the photo (SRDiff, the paper's [23])."""
        return self.config.residual_scale * (frame - identity) if self.config.target == "residual" else frame

    def to_frame(self, clean: Float[Array, "b h w 3"], identity: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """The inverse of `to_target`."""
        return identity + clean / self.config.residual_scale if self.config.target == "residual" else clean

    def noised_previous(self, previous: Float[Array, "b h w 3"], z: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """The previous frame as the network gets it. If "noisy", unit noise z leaves no more than its silhouette."""
        return previous + z if self.config.previous == "noisy" else previous

    def _network(self, params: dict) -> Any:
        """The `modules.Network`."""
        return _modules().with_params(self.config, params)


def _modules() -> ModuleType:
    from facenhance_jax.network import modules  # not at the top: a kept program needs no Flax, which takes 0.27 s

    return modules
