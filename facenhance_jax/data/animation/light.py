"""Another light, exposure and colour for a clip, as if it had been filmed on another day than the photo."""

import numpy as np
from jaxtyping import UInt8


def relight(
    frames: UInt8[np.ndarray, "n h w 3"], rng: np.random.Generator, strength: float = 1.0
) -> UInt8[np.ndarray, "n h w 3"]:
    """The same smooth gain over the picture, gamma and shift of colour for all frames; strength 0 changes nothing."""
    n, height, width, _ = frames.shape
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    slope, bend = rng.normal(0, 0.14, 2), rng.normal(0, 0.07, 3)
    field = slope[0] * x + slope[1] * y + bend[0] * (x * x - 0.33) + bend[1] * (y * y - 0.33) + bend[2] * x * y
    exposure, gamma = rng.normal(0, 0.12), np.exp(strength * rng.normal(0, 0.1))
    warm, tint = rng.normal(0, 0.05), rng.normal(0, 0.02)
    colour = np.array([warm, tint, -warm])
    gain = np.exp(strength * (field[..., None] + exposure + colour)).astype(np.float32)
    table = (255.0 * (np.arange(256) / 255.0) ** gamma).astype(np.float32)
    return np.stack([np.clip(table[frame] * gain + 0.5, 0, 255).astype(np.uint8) for frame in frames])
