"""The network and its training step in plain PyTorch, to compare ours with: the same blocks, the same sums.

The parameters `p` are nested dicts of tensors with our names (see `converted`). Images are [b, c, h, w], in memory
channels_last.
"""

import math

import jax
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facenhance_jax.network.denoiser import SHARE_UNIT
from facenhance_jax.network.denoiser_config import GROUPS, DenoiserConfig, UNetConfig
from facenhance_jax.network.unet import HEAD_CHANNELS
from facenhance_jax.settings import Settings


def tensor(array: np.ndarray, device: str = "cpu") -> Tensor:
    """An array as a tensor. The channels of images [b, h, w, c] become the second axis, and stay last in memory."""
    found = torch.tensor(np.asarray(array), device=device)
    return found.permute(0, 3, 1, 2) if found.ndim == 4 else found


def converted(params: dict, device: str = "cpu") -> dict:
    """Our parameters, a nested dict of arrays, as tensors: kernels [out, in] or [out, in, h, w]."""
    if not isinstance(params, dict):
        return tensor(params, device)
    tensors = {name: converted(value, device) for name, value in params.items() if name != "kernel"}
    if "kernel" in params:
        tensors["kernel"] = tensor(np.moveaxis(params["kernel"], -1, 0), device)
    return tensors


def norm(p: dict, x: Tensor) -> Tensor:
    return F.group_norm(x, GROUPS, p["scale"], p["bias"], eps=1e-6)  # Flax's epsilon


def conv(p: dict, x: Tensor, stride: int = 1) -> Tensor:
    if stride == 2:
        x = F.pad(x, (0, 1, 0, 1))  # "SAME" pads an even side only at its end
    return F.conv2d(x, p["kernel"], p["bias"], stride, padding=p["kernel"].shape[-1] // 2 if stride == 1 else 0)


def linear(p: dict, x: Tensor) -> Tensor:
    return F.linear(x, p["kernel"], p["bias"])


def space_to_depth(x: Tensor, patch: int) -> Tensor:
    """[b, c, h, w] -> [b, p p c, h/p, w/p], in the order of `pixels.space_to_depth` (pixel_unshuffle has c first)."""
    return F.pixel_unshuffle(x, patch).unflatten(1, (-1, patch**2)).transpose(1, 2).flatten(1, 2)


def depth_to_space(x: Tensor, patch: int) -> Tensor:
    """The inverse of `space_to_depth`."""
    return F.pixel_shuffle(x.unflatten(1, (patch**2, -1)).transpose(1, 2).flatten(1, 2), patch)


def resampled(x: Tensor, resample: str) -> Tensor:
    if resample == "down":
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, scale_factor=2.0, mode="nearest") if resample == "up" else x


def res_block(p: dict, x: Tensor, embedding: Tensor, resample: str) -> Tensor:
    """As `unet.ResBlock`."""
    h = conv(p["conv_in"], resampled(F.silu(norm(p["norm_in"], x)), resample))
    x = resampled(x, resample)
    scale, shift = linear(p["modulation"], F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
    h = conv(p["conv_out"], F.silu(norm(p["norm_out"], h) * (1 + scale) + shift))
    return h + (conv(p["skip"], x) if "skip" in p else x)


def attention(p: dict, x: Tensor, tokens: Tensor | None) -> Tensor:
    """As `unet.Attention`."""
    query, key, value = linear(p["qkv"], norm(p["norm"], x).flatten(2).transpose(1, 2)).chunk(3, dim=-1)
    if "token_kv" in p:
        token_key, token_value = linear(p["token_kv"], tokens).chunk(2, dim=-1)
        key, value = torch.cat([key, token_key], dim=1), torch.cat([value, token_value], dim=1)
    heads = [y.unflatten(-1, (-1, HEAD_CHANNELS)).transpose(1, 2) for y in (query, key, value)]
    attended = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    return x + linear(p["out"], attended).transpose(1, 2).unflatten(2, x.shape[2:])


def stage(p: dict, x: Tensor, embedding: Tensor, tokens: Tensor | None, resample: str = ""):
    """As `unet.Stage`."""
    x = res_block(p["block"], x, embedding, resample)
    return attention(p["attention"], x, tokens) if "attention" in p else x


def unet(p: dict, config: UNetConfig, images: Tensor, timestep: Tensor, tokens: Tensor | None):
    """As `unet.UNet`."""
    half, levels = config.base // 2, len(config.multipliers)
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, device=images.device) / half)
    angles = timestep.float()[:, None] * frequencies
    embedding = linear(p["time_in"], torch.cat([angles.cos(), angles.sin()], dim=-1))
    embedding = linear(p["time_out"], F.silu(embedding))
    x = conv(p["entrance"], space_to_depth(images, config.patch).contiguous(memory_format=torch.channels_last))
    skips = [x]
    downs = ([""] * config.res_blocks + ["down"]) * levels
    for index, resample in enumerate(downs[:-1]):
        x = stage(p["downs"][index], x, embedding, tokens, resample)
        skips.append(x)
    x = stage(p["middle_in"], x, embedding, tokens)
    x = attention(p["middle_attention"], x, None)
    x = stage(p["middle_out"], x, embedding, tokens)
    ups = ([""] * (config.res_blocks + 1) + ["up"]) * levels
    for index, resample in enumerate(ups[:-1]):
        x = x if resample else torch.cat([x, skips.pop()], dim=1)
        x = stage(p["ups"][index], x, embedding, tokens, resample)
    x = F.silu(norm(p["norm"], x))
    exits = [conv(p[name], x).float() for name in ("exit", "extra") if name in p]
    return torch.cat([depth_to_space(y, config.patch) for y in exits], dim=1)


def expression(p: dict, low: Tensor) -> Tensor:
    """As `expression.ExpressionEncoder`."""
    x = low
    for index in range(len(p["downs"])):
        x = F.silu(norm(p["norms"][index], conv(p["downs"][index], x, stride=2)))
        x = F.silu(norm(p["ends"][index], conv(p["convs"][index], x)))
    return x.flatten(2).transpose(1, 2) + p["position"]


def velocity(p: dict, config: DenoiserConfig, noisy: Tensor, timestep: Tensor, phi: Tensor, given: dict) -> Tensor:
    """As `denoiser.Denoiser.velocity` for prediction = "velocity": v_t [b, 3, h, w] of `noisy` at `timestep` [b].

    `phi` [b] is the angle at `timestep`. `given`: the images identity, previous and low, and place [b, 4], as in
    `Denoiser.encode`.
    """
    identity, low, place = given["identity"], given["low"], given["place"]
    images = [noisy, identity] + ([given["previous"]] if config.previous != "none" else [])
    if config.expression != "encoder":
        positions = low_positions(config, place)
        inside = ((positions > -0.5) & (positions < config.low_size - 0.5)).all(-1)[:, None]
        images.append(torch.where(inside, sampled(low, positions), -1.0))
    tokens = expression(p["expression"], low) if "expression" in p else None
    output = unet(p["unet"], config.unet, torch.cat(images, dim=1), timestep, tokens)
    result, phi = output[:, :3], phi[:, None, None, None]
    sin, cos = phi.sin(), phi.cos()
    if config.gate_std:
        variance = config.gate_std**2
        gain = cos * sin * (1.0 - variance) / (variance * cos**2 + sin**2)
        result = result + output[:, 3:4] * gain * noisy
    if config.warp_low:
        share, shift = SHARE_UNIT * output[:, -3:-2], output[:, -2:]
        coarse = F.avg_pool2d(shift, config.unet.patch)
        smooth = F.interpolate(coarse, scale_factor=float(config.unet.patch), mode="bilinear").permute(0, 2, 3, 1)
        warped = sampled(low, low_positions(config, place) + smooth)
        result = result - sin * share * to_target(config, warped, identity)
    return result


def to_target(config: DenoiserConfig, frame: Tensor, identity: Tensor) -> Tensor:
    """What is diffused."""
    return config.residual_scale * (frame - identity) if config.target == "residual" else frame


def low_positions(config: DenoiserConfig, place: Tensor) -> Tensor:
    """Where each pixel of the frame lies in the low-res frame: [b, h, w, 2], (x, y) in its pixels."""
    if not config.place_low:
        place = torch.tensor([0.0, 0.0, config.resolution, 0.0], device=place.device).expand(len(place), 4)
    centres = torch.arange(config.resolution, device=place.device) + 0.5
    middle, turn = place[:, :2] + place[:, 2:3] / 2, torch.deg2rad(place[:, 3])[:, None, None]
    x, y = ((centres - middle[:, axis, None]) * (config.low_size / place[:, 2:3]) for axis in (0, 1))
    x, y, cos, sin = x[:, None], y[..., None], turn.cos(), turn.sin()
    return torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1) + (config.low_size - 1) / 2


def sampled(low: Tensor, positions: Tensor) -> Tensor:
    grid = positions * (2 / (low.shape[-1] - 1)) - 1  # pixels to grid_sample's -1..1
    return F.grid_sample(low, grid, padding_mode="border", align_corners=True)


class Training:
    """`state.train_step` with the velocity loss: Adam, clip and EMA. It has a constant learning rate, and no guard
    against what is not finite.

    On a GPU as PyTorch's own guides advise: torch.compile, channels_last, autocast where the config asks for bfloat16,
    fused Adam. `step` draws its own noise where none is given.
    """

    def __init__(self, settings: Settings, params: dict, device: str, compiled: bool):
        denoiser = settings.denoiser()
        self.config, self.train, self.device, self.done = denoiser.config, settings.train, device, 0
        self.phi = tensor(denoiser.schedule.phi, device).float()
        self.params = converted(params, device)
        self.parameters = [leaf.requires_grad_() for leaf in jax.tree.leaves(self.params)]
        self.ema = [leaf.detach().clone() for leaf in self.parameters]
        self.adam = torch.optim.Adam(self.parameters, lr=settings.train.learning_rate, fused=True)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def placed(self, batch: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """A host batch, as `objective.loss` takes it, on the device."""
        return {name: tensor(value, self.device) for name, value in batch.items()}

    def step(self, batch: dict[str, Tensor], drawn: tuple[Tensor, ...] | None = None) -> Tensor:
        """One update; returns the loss. `drawn`: eps and z [b, 3, h, w], and t [b]."""
        loss = self.loss(self.params, batch, *(drawn or self._draw(batch["high"])))
        loss.backward()
        if self.train.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.train.gradient_clip, foreach=True)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        decay = min(self.train.ema_decay, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, self.parameters, 1 - decay)
        self.done += 1
        return loss.detach()

    def _loss(self, params: dict, batch: dict[str, Tensor], noise: Tensor, z: Tensor, timestep: Tensor) -> Tensor:
        high, previous, identity, low = (batch[name] / 127.5 - 1.0 for name in ("high", "previous", "identity", "low"))
        seen = previous + z if self.config.previous == "noisy" else previous
        given = {"identity": identity, "previous": seen, "low": low, "place": batch["place"]}
        clean, phi = to_target(self.config, high, identity), self.phi[timestep]
        cos, sin = (angle[:, None, None, None] for angle in (phi.cos(), phi.sin()))
        with torch.autocast(noise.device.type, torch.bfloat16, enabled=self.config.dtype == "bfloat16"):
            found = velocity(params, self.config, cos * clean + sin * noise, timestep, phi, given)
        return F.mse_loss(found, cos * noise - sin * clean)

    def _draw(self, like: Tensor) -> tuple[Tensor, ...]:
        timestep = torch.randint(1, len(self.phi), (len(like),), device=self.device)
        noise, z = (torch.randn(like.shape, device=self.device) for _ in range(2))
        return noise, z, timestep
