"""What a denoiser is made of, as numbers and choices."""

from dataclasses import dataclass

GROUPS = 32  # into which a norm divides the channels
GRID = 8  # squares along a side of a low-res frame, each of which the straightener moves


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a UNet; the defaults are the paper's (section 5.2).

    Attributes:
      patch: side of the squares folded into channels at the entrance and unfolded at the exit; 1 in the paper.
      base: channels at the first level, a multiple of 32.
      multipliers: channels of each level, in units of `base`; each level halves the grid of the one before.
      res_blocks: residual blocks of each level on the way down; one more on the way up.
      attention_levels: the levels (from 0) whose blocks attend to the image and the expression.
      remat: whether the backward pass computes each block again instead of keeping its activations.
    """

    patch: int = 1
    base: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 8)
    res_blocks: int = 1
    attention_levels: tuple[int, ...] = (4,)
    remat: bool = False

    def __post_init__(self):
        if self.base < GROUPS or self.base % GROUPS:
            raise ValueError(f"base must be a positive multiple of {GROUPS}, not {self.base}")
        if not self.multipliers or min(self.multipliers) < 1:
            raise ValueError(f"multipliers must be one or more whole numbers from 1 on, not {self.multipliers}")
        if self.patch < 1:
            raise ValueError(f"patch must be at least 1, not {self.patch}")
        if any(not 0 <= level < len(self.multipliers) for level in self.attention_levels):
            raise ValueError(f"attention_levels {self.attention_levels} must lie in 0..{len(self.multipliers) - 1}")

    @property
    def reduction(self) -> int:
        """Side of the image over side of the coarsest grid; image sides have to be multiples of it."""
        return self.patch * 2 ** (len(self.multipliers) - 1)


CHOICES = {
    "expression": ("encoder", "concat", "both"),
    "previous": ("noisy", "clean", "none"),
    "prediction": ("velocity", "x_prev"),
    "target": ("residual", "frame"),
    "dtype": ("float32", "bfloat16"),
}


@dataclass(frozen=True)
class DenoiserConfig:
    """What the denoiser is made of; the defaults are the paper's.

    Attributes:
      resolution, low_size: sides of the frame and of the low-res frame, pixels.
      unet: the UNet's shape.
      expression: "encoder" (E_exp's tokens in the attention), "concat" (the low-res frame, enlarged, as three more
        input channels: the first ablation of the paper's Table 3) or "both".
      place_low: whether concat, both and warp_low lay the low-res frame on the square of the photo where the face is
        (`registration.find_face`), with black around it, instead of over the whole frame.
      expression_channels: widths of E_exp's levels; each halves the grid.
      previous: "noisy" (previous frame + z), "clean" or "none" (the other ablations of Table 3).
      prediction: what the network outputs, "x_prev" (x_{t-1}) or "velocity".
      target: what is diffused, "frame" (x_0) or "residual" (residual_scale (x_0 - identity)).
      residual_scale: k, near 1 / rms(x_0 - identity) over the training set.
      gate_std: if > 0, the network also outputs a gate for each pixel. It multiplies the best guess of the velocity
        from that pixel alone (`gaussian_gain`), for pixels of this standard deviation, in units of the target. So the
        noise of pixels that hardly change need not pass through the UNet, whose channels are few if `patch` > 1.
      warp_low: whether the network also outputs, for each pixel, a shift into the low-res frame and how much to take
        from there (see `Denoiser.velocity`). So the low-res frame need not pass through the UNet either.
      warp_photo: whether the network also outputs, for each pixel, a shift into the photo (see `Denoiser.velocity`; it
        needs warp_low and place_low). So the photo's details move with the face and stay sharp.
      restore_low: whether a small network first restores the low-res frame, whose faults would else be taken along; it
        compares it with the photo's own low-res face (needs place_low; see `network.restorer`).
      dtype: of the computation, "float32" or "bfloat16". Parameters, norms' statistics, softmax and loss stay float32.
    """

    resolution: int = 192
    low_size: int = 64
    unet: UNetConfig = UNetConfig()
    expression: str = "encoder"
    place_low: bool = False
    expression_channels: tuple[int, ...] = (64, 128, 256, 512)
    previous: str = "noisy"
    prediction: str = "x_prev"
    target: str = "frame"
    residual_scale: float = 1.0
    gate_std: float = 0.0
    warp_low: bool = False
    warp_photo: bool = False
    restore_low: bool = False
    dtype: str = "float32"

    def __post_init__(self):
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {', '.join(choices)}, not {getattr(self, field)!r}")
        if self.resolution % self.unet.reduction:
            raise ValueError(
                f"resolution {self.resolution} must be a multiple of patch x 2^(levels - 1) = {self.unet.reduction}"
            )
        if self.expression != "concat" and (
            self.low_size % 2 ** len(self.expression_channels)
            or any(c % 32 or c < 32 for c in self.expression_channels)
        ):
            raise ValueError(
                f"expression_channels {self.expression_channels} must be multiples of 32, and low_size {self.low_size} "
                f"a multiple of {2 ** len(self.expression_channels)}"
            )
        if not self.residual_scale > 0:
            raise ValueError(f"residual_scale must be positive, not {self.residual_scale}")
        if self.gate_std < 0 or (self.gate_std and self.prediction != "velocity"):
            raise ValueError(f"gate_std must be 0, or positive with prediction=velocity, not {self.gate_std}")
        if self.warp_low and (self.prediction, self.target) != ("velocity", "residual"):
            raise ValueError("warp_low needs prediction=velocity and target=residual")
        if self.warp_photo and not (self.warp_low and self.place_low):
            raise ValueError("warp_photo needs warp_low and place_low")
        if self.restore_low and not (self.place_low and self.low_size % GRID == 0):
            raise ValueError(f"restore_low needs place_low, and a low_size that is a multiple of {GRID}")

    @property
    def in_channels(self) -> int:
        """Channels of the UNet's input: x_t, the photo and, if the config asks, the previous and the low-res frame."""
        return 3 * (2 + (self.previous != "none") + (self.expression != "encoder"))

    @property
    def token_width(self) -> int:
        """Channels of an expression token; 0 if the expression is not encoded."""
        return self.expression_channels[-1] if self.expression != "concat" else 0
