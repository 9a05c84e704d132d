"""Flicker, background drift and colour shift: closed forms on constant, moving and half-painted clips."""

import numpy as np
import pytest

from facenhance_jax.evaluation.metrics.motion import background_drift, colour_shift, temporal
from facenhance_jax.messages import InputError


def clip(frames: int = 4) -> np.ndarray:
    """A moving clip with values from 60 to 179."""
    n, y, x, c = np.ogrid[:frames, :12, :10, :3]
    return (60 + (7 * y + 3 * x + 29 * c + 13 * n * n + x * y * n) % 120).astype(np.uint8)


def face() -> np.ndarray:
    mask = np.zeros((4, 12, 10), bool)
    mask[:, 3:9, 2:8] = True
    mask[2, 3:9, 2:5] = False
    return mask


def test_an_error_that_stands_still_does_not_flicker():
    still = clip() + np.arange(12, dtype=np.uint8)[:, None, None]  # different in each row, the same in each frame
    assert temporal(still, clip()) == 0.0


def test_flicker_is_the_mean_of_the_errors_steps():
    """Offsets 0, 40, -20, -20 change by 40, -60 and 0; on half of the columns, in one channel of three."""
    made = clip().astype(int)
    made[:, :, :5, 1] += np.array([0, 40, -20, -20])[:, None, None]
    np.testing.assert_allclose(temporal(made.astype(np.uint8), clip()), (40 + 60 + 0) / 3 / 2 / 3, rtol=1e-12)


def test_the_full_range_does_not_wrap():
    """The largest possible step: from +255 to -255."""
    made = np.array([255, 0], np.uint8)[:, None, None, None] * np.ones((2, 3, 3, 3), np.uint8)
    assert temporal(made, 255 - made) == 510.0


def test_a_clip_that_stands_still_gets_the_real_ones_frame_difference():
    real = clip()
    copied = np.broadcast_to(real[0], real.shape)
    expected = np.abs(np.diff(real.astype(float), axis=0)).mean()
    np.testing.assert_allclose(temporal(copied, real), expected, rtol=1e-12)


def test_a_constant_offset_counts_on_its_own_side_only():
    inside = clip() + np.uint8(9) * face()[..., None]
    outside = clip() - np.uint8(5) * ~face()[..., None]
    assert (colour_shift(inside, clip(), face()), background_drift(inside, clip(), face())) == (9.0, 0.0)
    assert (colour_shift(outside, clip(), face()), background_drift(outside, clip(), face())) == (0.0, 5.0)


def test_the_error_is_that_of_the_mean_colour_of_each_frame_and_channel():
    """Within a frame signs cancel; between channels and between frames they do not."""
    made = clip().astype(int)
    made[:, :, 2:5] += 12
    made[:, :, 5:8] -= 12
    cancels = made.astype(np.uint8)
    whole = face()[[0, 0, 0, 0]]
    assert (colour_shift(cancels, clip(), whole), background_drift(cancels, clip(), whole)) == (0.0, 0.0)
    signs = np.array([1, -1, 1, -1])[:, None, None, None] * np.array([30, -6, 0])
    made = (clip() + signs).astype(np.uint8)
    assert colour_shift(made, clip(), face()) == 12.0
    assert background_drift(made, clip(), face()) == 12.0


def test_frames_have_equal_weight_for_faces_of_any_size():
    """Frame 2 shows half as much of the face; only this frame has an error."""
    made = clip()
    made[2] += 8
    assert colour_shift(made, clip(), face()) == 2.0


def test_what_cannot_be_measured_is_said():
    with pytest.raises(InputError, match="^temporal: the clip has one frame; consecutive ones are compared: give at"):
        temporal(clip(1), clip(1))
    said = "^the clip is 4 frames of 10 x 12, the real one {}; give clips of one size and length$"
    for measure in (
        temporal,
        lambda *clips: colour_shift(*clips, face()),
        lambda *clips: background_drift(*clips, face()),
    ):
        with pytest.raises(InputError, match=said.format("1 frames of 10 x 12")):
            measure(clip(), clip(1))
        with pytest.raises(InputError, match=said.format("4 frames of 1 x 12")):
            measure(clip(), clip()[:, :, :1])
    with pytest.raises(InputError, match="^the clip is 0 frames"):
        colour_shift(clip()[:0], clip()[:0], face()[:0])
    with pytest.raises(InputError, match="^face mask: 1 frames of 10 x 12, but the clip is 4 frames of 10 x 12; give"):
        colour_shift(clip(), clip(), face()[:1])
    empty = face()
    empty[3] = False
    with pytest.raises(InputError, match="^face mask: no pixel inside the face in frame 3; mark the face alone$"):
        colour_shift(clip(), clip(), empty)
    with pytest.raises(InputError, match="^face mask: no pixel outside the face in frame 3; mark the face alone$"):
        background_drift(clip(), clip(), ~empty)
