"""`warp_photo`: the guess of a frame is the photo, moved, with the low-res frame's coarse part."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax import settings
from facenhance_jax.diffusion.formulas import clean_of
from facenhance_jax.faces import placement
from facenhance_jax.network import pixels, warping
from facenhance_jax.network.denoiser_config import DenoiserConfig
from facenhance_jax.network.pixels import depth_to_space
from facenhance_jax.network.warping import within
from tests.network.test_denoiser import config_of

PLACE = np.float32([6.0, 7.0, 20.0, 12.0])


def moving_denoiser(**model):
    return settings.read_model(
        config_of(warp_photo=True, warp_low=True, place_low=True, gate_std=0.2, expression="both", **model)
    ).denoiser()


def frame_of(denoiser, params, photo, low, place):
    """The frame at one step from no noise, where the velocity is -sin(phi) x_0."""
    expression = denoiser.encode(params, low, photo, jnp.asarray(place)[None])
    conditions = denoiser.conditions(params, photo, photo, expression)
    velocity = denoiser.velocity(params, jnp.zeros_like(photo), jnp.array([1000]), conditions)
    return denoiser.to_frame(-velocity / float(np.sin(denoiser.schedule.phi[1000])), photo)


def with_bias(params, channel, value):
    """The parameters with one channel of the output image at a constant value."""
    kernel_bias = params["unet"]["exit"]["bias"]
    units = jnp.eye(kernel_bias.size, dtype=jnp.float32).reshape(kernel_bias.size, 1, 1, -1)
    owners = np.asarray(depth_to_space(units, 2).sum((1, 2)))[:, channel] > 0
    bias = jnp.asarray(np.where(owners, value, kernel_bias), jnp.float32)
    return params | {"unet": params["unet"] | {"exit": params["unet"]["exit"] | {"bias": bias}}}


@pytest.fixture(scope="module")
def photo():
    """A smooth photo, so that enlarging hardly changes it."""
    columns, rows = np.meshgrid(np.linspace(0, 3, 32), np.linspace(0, 2, 32))
    return jnp.asarray(
        np.stack([np.sin(columns + rows), np.cos(columns), np.sin(rows)], axis=-1)[None] * 0.5, jnp.float32
    )


def low_of(photo, place, size=16):
    """The photo's own low-res frame: each of its pixels lies where the place says, in the photo, blurred."""
    tap = (warping.SPREAD * (place[2] / size) ** 2 - warping.BILINEAR) / 2
    for axis in (1, 2):
        padded = np.pad(photo, [(0, 0)] * axis + [(1, 1)] + [(0, 0)] * (3 - axis), mode="edge")
        ends = np.delete(padded, [-1, -2], axis) + np.delete(padded, [0, 1], axis)
        photo = (1 - 2 * tap) * photo + tap * ends
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    positions = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ placement.matrix(place, size).T
    return pixels.sample_bilinear(jnp.asarray(photo, jnp.float32), jnp.asarray(positions, jnp.float32)[None])


def test_the_photos_own_low_res_face_gives_the_photo(photo):
    denoiser = moving_denoiser()
    params = denoiser.init(0)
    frame = frame_of(denoiser, params, photo, low_of(photo, PLACE), PLACE)
    np.testing.assert_allclose(frame, photo, atol=2e-5)


def test_a_brighter_low_res_face_makes_the_photo_brighter_within_it(photo):
    denoiser = moving_denoiser()
    frame = frame_of(denoiser, denoiser.init(0), photo, low_of(photo, PLACE) + 0.1, PLACE)
    change = np.asarray(frame - photo)[0]
    np.testing.assert_allclose(change[14:20, 13:19], 0.1, atol=1e-4)
    assert np.abs(change[:3]).max() < 1e-4 and np.abs(change[:, 29:]).max() < 1e-4


def test_the_flow_moves_the_photo(photo):
    denoiser = moving_denoiser()
    share, right = 4, 7  # after the velocity and the gate: share, shift of the low-res frame, flow
    params = with_bias(with_bias(denoiser.init(0), share, -10.0), right, 3.0)  # a share of 0
    frame = frame_of(denoiser, params, photo, low_of(photo, PLACE), PLACE)
    np.testing.assert_allclose(frame[:, :, :29], photo[:, :, 3:], atol=1e-5)


def test_within_is_the_face_without_dark_spots_and_ends_at_the_frame():
    low = np.full((1, 16, 16, 3), -1.0, np.float32)
    low[:, :, 4:12] = 0.3
    low[:, 8, 8] = -1.0  # a nostril
    found = np.asarray(within(jnp.asarray(low)))[0, :, :, 0]
    assert (found[2:14, 6:10] == 1).all()
    assert (found[:, :3] == 0).all() and (found[[0, 15]] == 0).all()


def test_within_leaves_out_the_black_between_the_face_and_the_frames_edge():
    """A chin near the lower edge: the corners beside it are black, although only a few pixels wide."""
    low = np.full((1, 32, 32, 3), -1.0, np.float32)
    low[:, 4:30, 8:24] = 0.3
    found = np.asarray(within(jnp.asarray(low)))[0, :, :, 0]
    assert (found[low[0, :, :, 0] < 0] == 0).all() and (found[6:28, 10:22] == 1).all()


def test_warp_photo_needs_the_low_res_frame_on_its_place():
    with pytest.raises(ValueError, match="warp_photo needs warp_low and place_low"):
        dataclasses.replace(DenoiserConfig(), warp_photo=True)


def test_a_frame_that_agrees_with_the_low_res_frame_is_not_corrected(photo):
    denoiser = moving_denoiser()
    expression = denoiser.encode(denoiser.init(0), low_of(photo, PLACE), photo, jnp.asarray(PLACE)[None])
    np.testing.assert_allclose(denoiser.agreeing(photo, expression, 4), photo, atol=1e-5)


def test_corrections_bring_the_frames_own_low_res_face_to_the_low_res_frame(photo):
    denoiser = moving_denoiser()
    low = low_of(photo, PLACE) + 0.2 * jnp.sin(jnp.arange(16))[None, :, None, None]
    expression = denoiser.encode(denoiser.init(0), low, photo, jnp.asarray(PLACE)[None])
    errors = [
        float(jnp.abs(low_of(denoiser.agreeing(photo, expression, times), PLACE) - low)[:, 4:12, 4:12].mean())
        for times in (0, 1, 4)
    ]
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.35 * errors[1]
    far = np.abs(np.asarray(denoiser.agreeing(photo, expression, 4) - photo))[0]
    assert far[:3].max() < 1e-5 and far[:, 29:].max() < 1e-5


def test_the_corrected_velocity_is_that_of_the_corrected_frame(photo):
    denoiser = moving_denoiser()
    params, noisy = denoiser.init(0), jnp.asarray(np.random.default_rng(0).normal(size=photo.shape), jnp.float32)
    expression = denoiser.encode(params, low_of(photo, PLACE) + 0.1, photo, jnp.asarray(PLACE)[None])
    conditions = denoiser.conditions(params, photo, photo, expression)
    timestep, velocity = jnp.array([500]), 0.3 * noisy[:, ::-1]
    assert denoiser.corrected(noisy, timestep, velocity, conditions, 0) is velocity
    phi = denoiser.phi(timestep)
    before, after = (
        denoiser.to_frame(clean_of(noisy, found, phi), photo)
        for found in (velocity, denoiser.corrected(noisy, timestep, velocity, conditions, 2))
    )
    np.testing.assert_allclose(after, denoiser.agreeing(before, expression, 2), atol=1e-4)
    assert float(jnp.abs(after - before).max()) > 0.01


def test_a_low_res_frame_is_restored_as_far_as_it_seems_faulty(photo):
    """A restorer that always gives the photo's own face: sure of faults, of none, and in between.

    What is not restored is the straightened frame, here one whose shifts are taken for warps by half.
    """
    denoiser = moving_denoiser(restore_low=True)
    params, place = denoiser.init(0), jnp.asarray(PLACE)[None]
    restorer = params["restorer"]
    bias = np.zeros((4, restorer["exit"]["bias"].size // 4), np.float32)
    bias[:, 32] = 1.0  # the share of the photo's own pixel
    own, low = low_of(photo, PLACE), np.full((1, 16, 16, 3), -1.0, np.float32)
    low[:, 3:13, 4:12] = 0.5
    straightener = restorer["straightener"]
    warped = straightener["warped"] | {"logit": {"kernel": jnp.zeros((16, 1)), "bias": jnp.array([50.0])}}
    straightener = straightener | {"moves": {"kernel": -0.5 * jnp.eye(128)}, "warped": warped}
    for logit, share in ((-50.0, 0.0), (0.0, 0.5), (50.0, 1.0)):
        changed = restorer | {"exit": restorer["exit"] | {"bias": jnp.asarray(bias.ravel())}}
        changed |= {
            "straightener": straightener,
            "faulty": restorer["faulty"] | {"logit": {"kernel": jnp.zeros((16, 1)), "bias": jnp.array([logit])}},
        }
        expression = denoiser.encode(params | {"restorer": changed}, jnp.asarray(low), photo, place)
        straight = expression.restored.straightened.frame
        np.testing.assert_allclose(expression.low, share * own + (1 - share) * straight, atol=1e-6)
        assert float(jnp.abs(straight - low).max()) > 0.1
        np.testing.assert_array_equal(expression.within, within(jnp.asarray(low)))
        assert float(expression.image[:, :6].max()) == -1.0  # around the face it stays black
