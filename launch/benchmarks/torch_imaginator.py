"""ImaGINator's training step in plain PyTorch, to compare ours with: the same layers and losses.

The parameters `p` are nested dicts of tensors with our names, and with PyTorch's axes (see `converted`). Clips are
[b, c, t, h, w], pictures [b, c, h, w].
"""

from collections.abc import Callable

import jax
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facenhance_jax.generators.imaginator import Discriminators, ImaginatorConfig, ImaginatorNetwork
from facenhance_jax.generators.modules import Pure

BETAS = (0.5, 0.999)
STATISTICS = ("mean", "variance", "direction")


def converted(arrays: dict, name: str = "") -> dict | Tensor:
    """Our arrays as tensors, each kernel with the axes that PyTorch's convolution of its place takes."""
    if isinstance(arrays, dict):
        return {key: converted(value, f"{name}/{key}") for key, value in arrays.items()}
    array = np.asarray(arrays)
    if name.endswith("time/kernel"):
        array = array.transpose(1, 2, 0)[..., None, None]
    elif name.endswith("space/kernel"):
        array = array.transpose(2, 3, 0, 1)[:, :, None]
    elif name.endswith("exit/kernel"):
        array = np.moveaxis(array.reshape(4, 4, -1, array.shape[-1]), (-1, -2), (0, 1))
    elif name.endswith("kernel"):
        array = np.moveaxis(array, (-1, -2), (0, 1))
    return torch.tensor(np.ascontiguousarray(array))


def norm(p: dict, x: Tensor, train: bool) -> Tensor:
    return F.batch_norm(x, p["mean"], p["variance"], p["scale"], p["bias"], train, 0.1, 1e-5)


def generator(p: dict, photo: Tensor, noise: Tensor, labels: Tensor, train: bool) -> Tensor:
    """As `imaginator.ImaginatorNetwork`."""
    scales, h = [], photo
    for number in range(4):
        down = p["encoder"]["downs"][number]
        h = F.leaky_relu(norm(down["norm"], F.conv2d(h, down["kernel"], down["bias"], 2, 1), train), 0.2)
        scales.insert(0, h)
    vector = F.conv2d(h, p["encoder"]["exit"]["kernel"], p["encoder"]["exit"]["bias"])
    h = torch.cat([noise[..., None, None], labels[..., None, None], vector], 1)[:, :, None]
    for number in range(5):
        up, first = p["ups"][number], number == 0
        time = (1, (0, 0, 0)) if first else ((2, 1, 1), (1, 0, 0))
        space = (1, (0, 0, 0)) if first else ((1, 2, 2), (0, 1, 1))
        h = F.conv_transpose3d(h, up["time"]["kernel"], up["time"]["bias"], *time)
        h = F.leaky_relu(norm(up["norm"], h, train), 0.2)
        h = F.conv_transpose3d(h, up["space"]["kernel"], up["space"]["bias"], *space)
        if number == 4:
            return torch.tanh(h)
        h = F.leaky_relu(norm(up["norm_out"], h, train), 0.2)
        more = [scales[number][:, :, None].expand(-1, -1, *h.shape[2:]), _spread(labels, h)]
        h = torch.cat([h, *more], 1)
    raise AssertionError


def _spread(labels: Tensor, h: Tensor) -> Tensor:
    return labels[..., None, None, None].expand(-1, -1, *h.shape[2:])


def spectral(p: dict, x: Tensor, train: bool) -> Tensor:
    """As `imaginator.SpectralConv`."""
    kernel = p["kernel"]
    matrix = kernel.flatten(1)  # [outputs, the rest]
    with torch.no_grad():
        out = p["direction"]
        across = F.normalize(matrix.T @ out, dim=0, eps=1e-12)
        if train:
            out = p["direction"] = F.normalize(matrix @ across, dim=0, eps=1e-12)
    kernel = kernel / (out @ (matrix @ across))
    whole = x.shape[2:] == kernel.shape[2:]
    conv = F.conv3d if x.ndim == 5 else F.conv2d
    return conv(x, kernel, p["bias"], 1 if whole else 2, 0 if whole else 1)


def critics(p: dict, clip: Tensor, frame: Tensor, labels: Tensor, train: bool) -> tuple[Tensor, Tensor]:
    """As `imaginator.Discriminators`."""
    h, image = clip, frame
    for number in range(5):
        h = F.leaky_relu(h, 0.2) if number else h
        h = torch.cat([h, _spread(labels, h)], 1) if number == 1 else h
        h = spectral(p["video"][number], h, train)
        image = spectral(p["image"][number], F.leaky_relu(image, 0.2) if number else image, train)
    return h.flatten(), image.flatten()


class Training:
    """Both networks and a step, of which `step` is the work that ours does."""

    def __init__(self, config: ImaginatorConfig, l1_weight: float, compiled: bool):
        networks = Pure(ImaginatorNetwork, config), Pure(Discriminators, config)
        self.players = [converted(jax.device_get(network.init(0))) for network in networks]
        self.l1_weight, self.noise = l1_weight, config.noise
        self.optimizers = [torch.optim.Adam(learned(player), 2e-4, BETAS) for player in self.players]
        wrap: Callable = torch.compile if compiled else lambda function: function
        self.generator, self.critics = wrap(generator), wrap(critics)

    def step(self, photo: Tensor, clip: Tensor, labels: Tensor) -> Tensor:
        """One update of the critics and one of the generator; the generator's loss."""
        made, judges = self.players
        with torch.no_grad():
            fake = self.generator(made, photo, torch.randn(len(photo), self.noise), labels, True)
        real_logits = self.critics(judges, clip, _one_of(clip), labels, True)
        fake_logits = self.critics(judges, fake, _one_of(fake), labels, True)
        loss = sum(F.softplus(-logits).mean() for logits in real_logits)
        self._update(1, loss + sum(F.softplus(logits).mean() for logits in fake_logits))
        fake = self.generator(made, photo, torch.randn(len(photo), self.noise), labels, True)
        logits = self.critics(judges, fake, _one_of(fake), labels, False)
        loss = self.l1_weight * (fake - clip).abs().mean() + sum(F.softplus(-logit).mean() for logit in logits)
        self._update(0, loss)
        return loss.detach()

    def _update(self, player: int, loss: Tensor) -> None:
        self.optimizers[player].zero_grad(set_to_none=True)
        grads = torch.autograd.grad(loss, learned(self.players[player]))
        for tensor, grad in zip(learned(self.players[player]), grads, strict=True):
            tensor.grad = grad
        self.optimizers[player].step()


def _one_of(clip: Tensor) -> Tensor:
    return clip[torch.arange(len(clip)), :, torch.randint(clip.shape[2], (len(clip),))]


def learned(p: dict) -> list[Tensor]:
    """The parameters, without the statistics."""
    found = []
    for name, value in p.items():
        if isinstance(value, dict):
            found += learned(value)
        elif name not in STATISTICS:
            found.append(value.requires_grad_())
    return found
