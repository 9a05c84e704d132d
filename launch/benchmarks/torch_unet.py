"""The network and its training step in plain PyTorch, to compare ours with: the same blocks, the same sums.

Modules bear our names, so that our parameters fit them (`converted`). Images are [b, c, h, w], channels_last in memory.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facenhance_jax.network.denoiser import SHARE_UNIT, DenoiserConfig
from facenhance_jax.network.unet import GROUPS, HEAD_CHANNELS, UNetConfig
from facenhance_jax.settings import Settings


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)  # Flax's epsilon


def space_to_depth(x: torch.Tensor, patch: int) -> torch.Tensor:
    """[b, c, h, w] -> [b, p p c, h/p, w/p], in the order of `pixels.space_to_depth` (pixel_unshuffle has c first)."""
    b, c, h, w = x.shape
    return (
        x.view(b, c, h // patch, patch, w // patch, patch)
        .permute(0, 3, 5, 1, 2, 4)
        .reshape(b, -1, h // patch, w // patch)
    )


def depth_to_space(x: torch.Tensor, patch: int) -> torch.Tensor:
    """The inverse of `space_to_depth`."""
    b, c, h, w = x.shape
    return x.reshape(b, patch, patch, -1, h, w).permute(0, 3, 4, 1, 5, 2).reshape(b, -1, h * patch, w * patch)


class ResBlock(nn.Module):
    """As `unet.ResBlock`."""

    def __init__(self, inputs: int, outputs: int, embedding: int, resample: str = ""):
        super().__init__()
        self.resample = resample
        self.norm_in, self.norm_out = norm(inputs), norm(outputs)
        self.conv_in = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv_out = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.skip = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def _resampled(self, x: torch.Tensor) -> torch.Tensor:
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2.0, mode="nearest") if self.resample == "up" else x

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        h = self.conv_in(self._resampled(F.silu(self.norm_in(x))))
        x = self._resampled(x)
        scale, shift = self.modulation(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        h = self.conv_out(F.silu(self.norm_out(h) * (1 + scale) + shift))
        return h + (x if self.skip is None else self.skip(x))


class Attention(nn.Module):
    """As `unet.Attention`."""

    def __init__(self, channels: int, token_width: int):
        super().__init__()
        self.norm = norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.token_kv = nn.Linear(token_width, 2 * channels) if token_width else None
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor | None = None) -> torch.Tensor:
        b, c, h, w = x.shape
        query, key, value = self.qkv(self.norm(x).flatten(2).transpose(1, 2)).chunk(3, dim=-1)
        if self.token_kv is not None:
            token_key, token_value = self.token_kv(tokens).chunk(2, dim=-1)
            key, value = torch.cat([key, token_key], dim=1), torch.cat([value, token_value], dim=1)
        heads = [y.unflatten(-1, (-1, HEAD_CHANNELS)).transpose(1, 2) for y in (query, key, value)]
        attended = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        return x + self.out(attended).transpose(1, 2).unflatten(2, (h, w))


class Stage(nn.Module):
    """As `unet.Stage`."""

    def __init__(self, block: ResBlock, attention: Attention | None = None):
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, x: torch.Tensor, embedding: torch.Tensor, tokens: torch.Tensor | None) -> torch.Tensor:
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x, tokens)


class UNet(nn.Module):
    """As `unet.UNet`."""

    def __init__(self, config: UNetConfig, in_channels: int, out_channels: int, extra_channels: int, token_width: int):
        super().__init__()
        self.config = config
        base, width, area = config.base, 4 * config.base, config.patch**2
        self.time_in, self.time_out = nn.Linear(base, width), nn.Linear(width, width)
        self.entrance = nn.Conv2d(in_channels * area, base, 3, padding=1)

        def stage(inputs: int, outputs: int, level: int | None = None, resample: str = "") -> Stage:
            attention = Attention(outputs, token_width) if level in config.attention_levels else None
            return Stage(ResBlock(inputs, outputs, width, resample), attention)

        channels, skips, downs, ups = base, [base], [], []
        for level, multiplier in enumerate(config.multipliers):
            for _ in range(config.res_blocks):
                downs.append(stage(channels, base * multiplier, level))
                channels = base * multiplier
                skips.append(channels)
            if level != len(config.multipliers) - 1:
                downs.append(stage(channels, channels, resample="down"))
                skips.append(channels)
        self.middle_in, self.middle_out = stage(channels, channels), stage(channels, channels)
        self.middle_attention = Attention(channels, 0)
        for level, multiplier in reversed(list(enumerate(config.multipliers))):
            for _ in range(config.res_blocks + 1):
                ups.append(stage(channels + skips.pop(), base * multiplier, level))
                channels = base * multiplier
            if level:
                ups.append(stage(channels, channels, resample="up"))
        self.downs, self.ups = nn.ModuleList(downs), nn.ModuleList(ups)
        self.norm = norm(base)
        self.exit = nn.Conv2d(base, out_channels * area, 3, padding=1)
        self.extra = nn.Conv2d(base, extra_channels * area, 3, padding=1) if extra_channels else None
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(base // 2) / (base // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, images: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor | None) -> torch.Tensor:
        angles = timestep.float()[:, None] * self.frequencies
        embedding = self.time_out(F.silu(self.time_in(torch.cat([angles.cos(), angles.sin()], dim=-1))))
        folded = space_to_depth(images, self.config.patch).contiguous(memory_format=torch.channels_last)
        x = self.entrance(folded)
        skips = [x]
        for stage in self.downs:
            x = stage(x, embedding, tokens)
            skips.append(x)
        x = self.middle_out(self.middle_attention(self.middle_in(x, embedding, tokens)), embedding, tokens)
        for stage in self.ups:
            x = x if stage.block.resample else torch.cat([x, skips.pop()], dim=1)
            x = stage(x, embedding, tokens)
        x = F.silu(self.norm(x))
        exits = [self.exit, self.extra] if self.extra else [self.exit]
        return torch.cat([depth_to_space(out(x).float(), self.config.patch) for out in exits], dim=1)


class ExpressionEncoder(nn.Module):
    """As `expression.ExpressionEncoder`."""

    def __init__(self, low_size: int, channels: tuple[int, ...]):
        super().__init__()
        pairs = zip((3, *channels), channels, strict=False)
        self.downs = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2) for a, b in pairs])
        self.convs = nn.ModuleList([nn.Conv2d(b, b, 3, padding=1) for b in channels])
        self.norms = nn.ModuleList([norm(b) for b in channels])
        self.ends = nn.ModuleList([norm(b) for b in channels])
        self.position = nn.Parameter(torch.zeros((low_size // 2 ** len(channels)) ** 2, channels[-1]))

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        x = low
        for down, norm_in, conv, end in zip(self.downs, self.norms, self.convs, self.ends, strict=True):
            x = F.silu(norm_in(down(F.pad(x, (0, 1, 0, 1)))))  # "SAME" pads an even side only at its end
            x = F.silu(end(conv(x)))
        return x.flatten(2).transpose(1, 2) + self.position


class Network(nn.Module):
    """As `denoiser.Network`, with the velocity of `denoiser.Denoiser`, for prediction = "velocity"."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        outputs = (4 if config.gate_std else 3, 3 if config.warp_low else 0)
        self.unet = UNet(config.unet, config.in_channels, *outputs, config.token_width)
        encoder = ExpressionEncoder(config.low_size, config.expression_channels)
        self.expression = encoder if config.token_width else None

    def velocity(
        self,
        noisy: torch.Tensor,
        phi: torch.Tensor,
        timestep: torch.Tensor,
        identity: torch.Tensor,
        previous: torch.Tensor,
        low: torch.Tensor,
        place: torch.Tensor,
    ) -> torch.Tensor:
        """v_t [b, 3, h, w] of `noisy` at `timestep`, whose angle is `phi`; `place` [b, 3] as in `Denoiser.encode`."""
        config = self.config
        images = [noisy, identity] + ([previous] if config.previous != "none" else [])
        if config.expression != "encoder":
            places = self._places(place)
            inside = ((places > -0.5) & (places < config.low_size - 0.5)).all(-1)[:, None]
            images.append(torch.where(inside, self._sampled(low, places), -1.0))
        tokens = self.expression(low) if self.expression else None
        output = self.unet(torch.cat(images, dim=1), timestep, tokens)
        velocity, phi = output[:, :3], phi[:, None, None, None]
        sin, cos = phi.sin(), phi.cos()
        if config.gate_std:
            variance = config.gate_std**2
            gain = cos * sin * (1.0 - variance) / (variance * cos**2 + sin**2)
            velocity = velocity + output[:, 3:4] * gain * noisy
        if config.warp_low:
            share, shift = SHARE_UNIT * output[:, -3:-2], output[:, -2:]
            coarse = F.avg_pool2d(shift, config.unet.patch)
            smooth = F.interpolate(coarse, scale_factor=float(config.unet.patch), mode="bilinear").permute(0, 2, 3, 1)
            warped = self._sampled(low, self._places(place) + smooth)
            velocity = velocity - sin * share * self.to_target(warped, identity)
        return velocity

    def to_target(self, frame: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        """What is diffused."""
        return self.config.residual_scale * (frame - identity) if self.config.target == "residual" else frame

    def _places(self, place: torch.Tensor) -> torch.Tensor:
        config = self.config
        if not config.place_low:
            place = torch.tensor([0.0, 0.0, config.resolution], device=place.device).expand(len(place), 3)
        centres = torch.arange(config.resolution, device=place.device) + 0.5
        scale = config.low_size / place[:, 2:]
        columns, rows = ((centres - place[:, axis : axis + 1]) * scale - 0.5 for axis in (0, 1))
        shape = (len(place), config.resolution, config.resolution)
        return torch.stack([columns[:, None].expand(shape), rows[..., None].expand(shape)], dim=-1)

    def _sampled(self, low: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        grid = places * (2 / (self.config.low_size - 1)) - 1  # pixels to grid_sample's -1..1
        return F.grid_sample(low, grid, padding_mode="border", align_corners=True)


def converted(params: dict) -> dict[str, torch.Tensor]:
    """Our parameters, a nested dict of arrays, as a `state_dict` of `Network`."""
    state = {}
    for name, value in params.items():
        if isinstance(value, dict):
            state |= {f"{name}.{inner}": tensor for inner, tensor in converted(value).items()}
        else:
            array = np.asarray(value)
            if name == "kernel":  # [h, w, in, out] or [in, out]
                array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
            state[{"kernel": "weight", "scale": "weight"}.get(name, name)] = torch.tensor(array)
    return state


class Training:
    """`state.train_step` with the velocity loss, without its guard against what is not finite: Adam, clip and EMA.

    On a GPU as PyTorch's own guides advise: torch.compile, channels_last, autocast where the config asks for bfloat16,
    fused Adam. `step` draws its own noise where none is given.
    """

    def __init__(self, settings: Settings, params: dict, device: str, compiled: bool):
        denoiser = settings.denoiser()
        self.train, self.steps, self.done, self.device = settings.train, settings.run.steps, 0, device
        self.half = denoiser.config.dtype == "bfloat16"
        self.phi = torch.tensor(denoiser.schedule.phi, dtype=torch.float32, device=device)
        self.network = Network(denoiser.config)
        self.network.load_state_dict(converted(params))
        self.network.to(device, memory_format=torch.channels_last)
        self.parameters = list(self.network.parameters())
        self.ema = [parameter.detach().clone() for parameter in self.parameters]
        self.adam = torch.optim.Adam(self.parameters, fused=True)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def placed(self, batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """A host batch, as `objective.loss` takes it, on the device."""
        tensors = {name: torch.tensor(value, device=self.device) for name, value in batch.items()}
        return {name: x.permute(0, 3, 1, 2) if x.ndim == 4 else x for name, x in tensors.items()}

    def step(self, batch: dict[str, torch.Tensor], drawn: tuple[torch.Tensor, ...] | None = None) -> torch.Tensor:
        """One update; returns the loss. `drawn`: eps and z [b, 3, h, w], and t [b]."""
        loss = self.loss(batch, *(drawn or self._draw(batch["high"])))
        loss.backward()
        if self.train.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.train.gradient_clip, foreach=True)
        self.adam.param_groups[0]["lr"] = self._rate()
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        decay = min(self.train.ema_decay, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, self.parameters, 1 - decay)
        self.done += 1
        return loss.detach()

    def _loss(
        self, batch: dict[str, torch.Tensor], noise: torch.Tensor, z: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        high, previous, identity, low = (batch[name] / 127.5 - 1.0 for name in ("high", "previous", "identity", "low"))
        clean, phi = self.network.to_target(high, identity), self.phi[timestep]
        cos, sin = (angle[:, None, None, None] for angle in (phi.cos(), phi.sin()))
        seen = previous + z if self.network.config.previous == "noisy" else previous
        with torch.autocast(noise.device.type, torch.bfloat16, enabled=self.half):
            noisy = cos * clean + sin * noise
            predicted = self.network.velocity(noisy, phi, timestep, identity, seen, low, batch["place"])
        return F.mse_loss(predicted, cos * noise - sin * clean)

    def _draw(self, like: torch.Tensor) -> tuple[torch.Tensor, ...]:
        timestep = torch.randint(1, len(self.phi), (len(like),), device=self.device)
        noise, z = (torch.randn(like.shape, device=self.device) for _ in range(2))
        return noise, z, timestep

    def _rate(self) -> float:
        warm = min((self.done + 1) / max(self.train.warmup_steps, 1), 1.0)
        cosine = self.train.decay == "cosine"
        return (
            self.train.learning_rate
            * warm
            * (0.5 * (1 + math.cos(math.pi * min(self.done / self.steps, 1.0))) if cosine else 1.0)
        )
