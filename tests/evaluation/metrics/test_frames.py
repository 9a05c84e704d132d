"""PSNR and SSIM: closed forms, and scikit-image 0.26's own numbers for the same pictures."""

import numpy as np
import pytest

from facenhance_jax.evaluation.metrics.frames import psnr, ssim


def pictures(shift: int) -> np.ndarray:
    """Two frames of 24 x 30 with edges, slopes and wrapped values."""
    n, y, x, c = np.ogrid[:2, :24, :30, :3]
    return ((7 * y + 3 * x + 29 * c + x * y // (4 + n) + shift * (x * x + 5 * n * y) // 9) % 256).astype(np.uint8)


def face() -> np.ndarray:
    mask = np.zeros((2, 24, 30), bool)
    mask[:, 4:15, 8:22] = True
    mask[1, :, 15:] = False
    return mask


def test_scikit_image_gives_the_same():
    """peak_signal_noise_ratio and structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=255, channel_axis=-1), the latter's full map averaged over the mask in the valid crop."""
    frames, reference = pictures(0), pictures(1)
    np.testing.assert_allclose(psnr(frames, reference), [10.4737429, 9.6518193], atol=1e-5)
    np.testing.assert_allclose(ssim(frames, reference), [0.4506590, 0.4008812], atol=1e-5)
    np.testing.assert_allclose(psnr(frames, reference, face()), [10.7632128, 17.9924767], atol=1e-5)
    np.testing.assert_allclose(ssim(frames, reference, face()), [0.5095476, 0.7844522], atol=1e-5)


def test_identical_frames_get_the_cap_and_one():
    frames = pictures(1)
    np.testing.assert_array_equal(psnr(frames, frames), [100.0, 100.0])
    np.testing.assert_array_equal(ssim(frames, frames), [1.0, 1.0])


@pytest.mark.parametrize("offset", [1, 10, 255])
def test_a_constant_offset(offset):
    """PSNR = 20 log10(255 / d); SSIM of flat pictures is the luminance term alone."""
    black = np.zeros((1, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(psnr(black, black + np.uint8(offset)), 20 * np.log10(255 / offset), atol=1e-5)
    c1 = 2.55**2
    np.testing.assert_allclose(ssim(black, black + np.uint8(offset)), c1 / (offset**2 + c1), atol=1e-5)


def test_the_mask_alone_counts_and_weights_are_relative():
    frames, mask = pictures(0), face()
    spoilt = np.where(mask[..., None], frames, 0).astype(np.uint8)
    np.testing.assert_array_equal(psnr(spoilt, frames, mask), [100.0, 100.0])
    weights = np.where(mask, 3.0, 0.5).astype(np.float32)
    error = np.square(spoilt.astype(float) - frames).mean(axis=-1)
    expected = 20 * np.log10(255) - 10 * np.log10([np.average(error[i], weights=weights[i]) for i in range(2)])
    np.testing.assert_allclose(psnr(spoilt, frames, weights), expected, atol=1e-5)


def test_what_cannot_be_measured_is_said():
    frames, mask = pictures(0), face()
    mask[1] = False
    with pytest.raises(ValueError, match="the mask of frame 1 is empty"):
        psnr(frames, frames, mask)
    with pytest.raises(ValueError, match="10 x 30; SSIM needs at least 11 x 11"):
        ssim(frames[:, :10], frames[:, :10])
