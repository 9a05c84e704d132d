"""PSNR and SSIM of each frame against its reference, by the usual definitions."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

Frames = UInt8[np.ndarray, "n h w 3"] | UInt8[Array, "n h w 3"]
Mask = Bool[np.ndarray, "n h w"] | Float[np.ndarray, "n h w"] | Bool[Array, "n h w"] | Float[Array, "n h w"]

PSNR_CAP = 100.0  # dB, for identical frames
WINDOW, SIGMA = 11, 1.5  # pixels: the Gaussian window of Wang et al. 2004
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the same paper's constants, for pixels in 0..255


def psnr(frames: Frames, reference: Frames, mask: Mask | None = None) -> Float[np.ndarray, "n"]:
    """PSNR of each frame in dB, data range 255, capped at 100 (identical frames would be infinite).

    With a mask (boolean, or weights >= 0) only the squared errors of its pixels are averaged.
    Raises ValueError if a frame's mask is empty.
    """
    error = _average(_squared_error_map(frames, reference), mask)
    return 10 * np.log10(255**2 / np.maximum(error, 255**2 / 10 ** (PSNR_CAP / 10)))


def ssim(frames: Frames, reference: Frames, mask: Mask | None = None) -> Float[np.ndarray, "n"]:
    """SSIM of each frame (Wang et al. 2004): Gaussian window, population covariance, valid crop, mean over RGB.

    Equals scikit-image's with gaussian_weights=True, use_sample_covariance=False, data_range=255. With a mask, the SSIM
    map is averaged over the mask's pixels except those within 5 pixels of the border. Raises ValueError if a frame's
    mask is empty, or frames are smaller than the 11-pixel window.
    """
    _, height, width, _ = frames.shape
    if min(height, width) < WINDOW:
        raise ValueError(f"frames are {height} x {width}; SSIM needs at least {WINDOW} x {WINDOW}")
    border = WINDOW // 2
    inside = None if mask is None else mask[:, border : height - border, border : width - border]
    return _average(_ssim_maps(frames, reference), inside)


def _average(maps: Float[Array, "n h w"], mask: Mask | None) -> Float[np.ndarray, "n"]:
    """Each map's weighted mean, in float64."""
    weights = np.ones(maps.shape) if mask is None else np.asarray(mask, np.float64)
    total = weights.sum(axis=(1, 2))
    if not (total > 0).all():
        raise ValueError(f"the mask of frame {int(np.argmin(total))} is empty")
    return (np.asarray(maps, np.float64) * weights).sum(axis=(1, 2)) / total


@jax.jit
def _squared_error_map(frames: Frames, reference: Frames) -> Float[Array, "n h w"]:
    return jnp.square(frames.astype(jnp.float32) - reference.astype(jnp.float32)).mean(axis=-1)


@jax.jit
def _ssim_maps(frames: Frames, reference: Frames) -> Float[Array, "n hc wc"]:
    """One frame at a time, to save memory: the windowed moments of all frames of a long clip are large."""
    return jax.lax.map(lambda pair: _ssim_map(*pair), (frames, reference))


def _ssim_map(frame: UInt8[Array, "h w 3"], other: UInt8[Array, "h w 3"]) -> Float[Array, "hc wc"]:
    """Equation 13 of Wang et al. at each pixel, averaged over RGB.

    Both factors (2ab + C) / (a^2 + b^2 + C) are written as 1 - (a - b)^2 / (a^2 + b^2 + C), with moments of the
    difference and about mid-grey, because in float32 the plain form loses the variance of flat, bright areas.
    """
    x, y = frame.astype(jnp.float32) - 127.5, other.astype(jnp.float32) - 127.5
    mean_x, mean_difference = _blur(x), _blur(x - y)
    mean_y = mean_x - mean_difference
    variances = _blur(x * x + y * y) - mean_x**2 - mean_y**2
    variance_of_difference = _blur(jnp.square(x - y)) - mean_difference**2
    luminance = 1 - mean_difference**2 / ((mean_x + 127.5) ** 2 + (mean_y + 127.5) ** 2 + C1)
    return (luminance * (1 - variance_of_difference / (variances + C2))).mean(axis=-1)


def _blur(image: Float[Array, "h w c"]) -> Float[Array, "hc wc c"]:
    """Gaussian mean, valid crop: two products with banded matrices, much faster on a CPU than sums or convolutions."""
    height, width, _ = image.shape
    return jnp.einsum("ih,hwc,jw->ijc", _bands(height), image, _bands(width), precision="highest")


def _bands(size: int) -> Float[np.ndarray, "crop size"]:
    """Row i holds the window that starts at pixel i."""
    taps = np.exp(-0.5 * np.square((np.arange(WINDOW) - WINDOW // 2) / SIGMA))
    crop = size - WINDOW + 1
    bands = np.zeros((crop, size), np.float32)
    bands[np.arange(crop)[:, None], np.arange(crop)[:, None] + np.arange(WINDOW)] = taps / taps.sum()
    return bands
