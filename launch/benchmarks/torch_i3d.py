"""I3D in plain PyTorch with the weights of `metrics.i3d`, batch norm folded in as there: only for timing."""

import numpy as np
import torch
from torch.nn import functional


class TorchI3D:
    """Videos [b, 3, t, 224, 224] in [-1, 1] -> logits [b, 400], in the given memory format."""

    def __init__(self, units: dict, layout: torch.memory_format):
        self.units = {
            name: (
                torch.from_numpy(np.asarray(unit.kernel).transpose(4, 3, 0, 1, 2).copy()).contiguous(
                    memory_format=layout
                ),
                torch.from_numpy(np.array(unit.bias)),
            )
            for name, unit in units.items()
        }

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = self.unit("Conv3d_1a_7x7", x, 2)
        x = self.unit("Conv3d_2b_1x1", pool(x, (1, 3, 3), (1, 2, 2)))
        x = pool(self.unit("Conv3d_2c_3x3", x), (1, 3, 3), (1, 2, 2))
        x = pool(self.mixed("3c", self.mixed("3b", x)), (3, 3, 3), (2, 2, 2))
        for name in ("4b", "4c", "4d", "4e", "4f"):
            x = self.mixed(name, x)
        x = pool(x, (2, 2, 2), (2, 2, 2))
        x = self.mixed("5c", self.mixed("5b", x))
        x = functional.avg_pool3d(x, (2, 7, 7), 1)
        return functional.conv3d(x, *self.units["Logits/Conv3d_0c_1x1"]).mean(dim=(2, 3, 4))

    def mixed(self, name: str, x: torch.Tensor) -> torch.Tensor:
        at = f"Mixed_{name}/Branch_"
        second = self.unit(f"{at}1/Conv3d_0b_3x3", self.unit(f"{at}1/Conv3d_0a_1x1", x))
        third = self.unit(f"{at}2/Conv3d_0b_3x3", self.unit(f"{at}2/Conv3d_0a_1x1", x))
        fourth = self.unit(f"{at}3/Conv3d_0b_1x1", pool(x, (3, 3, 3), (1, 1, 1)))
        return torch.cat([self.unit(f"{at}0/Conv3d_0a_1x1", x), second, third, fourth], 1)

    def unit(self, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        kernel, bias = self.units[name]
        window, strides = tuple(kernel.shape[2:]), (stride,) * 3
        before, after = margins(x, window, strides)
        if before == after:  # PyTorch pads as it goes where both ends are alike
            return functional.conv3d(x, kernel, bias, stride, before).relu_()
        return functional.conv3d(padded(x, before, after), kernel, bias, stride).relu_()


def pool(x: torch.Tensor, window: tuple, strides: tuple) -> torch.Tensor:
    """Zeros beyond the edge are as good as minus infinity: every pool follows a ReLU."""
    before, after = margins(x, window, strides)
    if before == after:
        return functional.max_pool3d(x, window, strides, before)
    return functional.max_pool3d(padded(x, before, after), window, strides)


def padded(x: torch.Tensor, before: list, after: list) -> torch.Tensor:
    return functional.pad(x, [side for pair in zip(before[::-1], after[::-1], strict=True) for side in pair])


def margins(x: torch.Tensor, window: tuple, strides: tuple) -> tuple[list, list]:
    """How far TensorFlow's "SAME" reaches beyond each edge, of frames, rows and columns."""
    sizes = zip(x.shape[2:], window, strides, strict=True)
    beyond = [max((-(-size // stride) - 1) * stride + width - size, 0) for size, width, stride in sizes]
    return [total // 2 for total in beyond], [total - total // 2 for total in beyond]
