"""The renderer: its flow meets the landmarks, and a fresh one shows the moved photo."""

import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.faces import alignment
from facenhance_jax.generators import renderer

CONFIG = renderer.RendererConfig("renderer", 8, (1, 2), ("anger", "fear"))
RNG = np.random.default_rng(2)
MEAN = np.float32(alignment.mean_shape())
CLOSED = MEAN.copy()
CLOSED[65:68] = MEAN[[63, 62, 61]]  # lower inner lip on the upper one


def call(points, photo, mask=None, phase=1.0, arrays=None):
    network = renderer.network(CONFIG)
    arrays = network.init(0) if arrays is None else arrays
    mask = jnp.ones((1, 64, 64)) if mask is None else mask
    inputs = (photo, jnp.asarray(points)[None], mask, jnp.array([1]), jnp.array([phase]))
    return network(arrays, *inputs)[0]


def test_the_flow_leads_from_each_landmark_to_its_place_in_the_photo():
    shift = np.float32([1.5, -2.0])
    flow = renderer.flow_of(jnp.asarray(np.stack([MEAN, MEAN + shift]))[None])[0]
    at = np.round(MEAN + shift).astype(int)
    for x, y in at[(at > 0).all(axis=1) & (at < 63).all(axis=1)]:
        np.testing.assert_allclose(flow[y, x], -shift, atol=0.1)


def test_nothing_flows_without_motion_and_far_from_it():
    assert not np.any(renderer.flow_of(jnp.asarray(np.stack([MEAN, MEAN]))[None]))
    moved = MEAN.copy()
    moved[48:] += np.float32([0, 3])  # the mouth
    flow = np.abs(renderer.flow_of(jnp.asarray(np.stack([MEAN, moved]))[None])[0])
    assert flow[47, 32].max() > 2.0 and flow[2, 32].max() < 0.05


def test_a_fresh_renderer_shows_the_photo_moved_and_black_around_it():
    photo = jnp.asarray(RNG.uniform(-1, 1, (1, 64, 64, 3)), jnp.float32)
    mask = np.zeros((1, 64, 64), np.float32)
    mask[:, 10:50, 5:60] = 1
    gate = 1 / (1 + np.exp(-renderer.GATE_START))
    shown = call(np.stack([CLOSED, CLOSED]), photo, jnp.asarray(mask))
    expected = np.where(mask[..., None] > 0, gate * np.asarray(photo), -1.0)
    np.testing.assert_allclose(shown, expected, atol=1e-5)
    # Moved by one pixel to the right, the landmarks' surroundings show the pixel to the left.
    ramp = jnp.broadcast_to(jnp.arange(64.0)[None, None, :, None] / 64, (1, 64, 64, 3))
    moved = call(np.stack([CLOSED, CLOSED + np.float32([1, 0])]), ramp)
    np.testing.assert_allclose(
        moved[0, 20:44, 20:44, 0] * 64 / gate, np.tile(np.arange(19.0, 43.0), (24, 1)), atol=0.25
    )


def test_the_mouth_is_the_area_between_the_inner_lips():
    """Of lips that open as a rectangle of 20 x 7.5 pixels, at half pixels: exact in each pixel."""
    lips = MEAN.copy()
    lips[60:65] = np.stack([np.linspace(20.25, 40.25, 5), np.full(5, 30.5)], axis=-1)
    lips[[67, 66, 65]] = lips[[61, 62, 63]] + np.float32([0, 7.5])
    lips[[60, 64], 1] += 3.75  # the corners are halfway, so the edges slope towards them
    mouth = np.asarray(renderer.mouth_of(jnp.asarray(lips)[None])[0])
    np.testing.assert_allclose(mouth[30:40, 30], [0, 1, 1, 1, 1, 1, 1, 1, 0.5, 0], atol=1e-5)
    half = (lips[61, 0] - 20.25) * 7.5  # two triangles, the left and the right one
    assert mouth.sum() == pytest.approx(7.5 * 20 - half, abs=1.0)
    assert mouth.max() <= 1 and not mouth[:, :20].any() and not mouth[:, 42:].any()


def test_closed_lips_show_no_mouth_and_the_open_mouth_is_painted():
    assert not np.any(renderer.mouth_of(jnp.asarray(CLOSED)[None]))
    opened = CLOSED.copy()
    opened[65:68, 1] += 12
    shown = call(np.stack([CLOSED, opened]), jnp.ones((1, 64, 64, 3)))[0, ..., 0]  # painted are zeros at first
    mouth = renderer.mouth_of(jnp.asarray(opened)[None])[0]
    np.testing.assert_allclose(shown, 1 / (1 + np.exp(-renderer.GATE_START * (1 - 2 * mouth))), atol=1e-5)
    assert mouth[52, 31] == 1 and shown[52, 31] < 0.05


def test_spots_and_phases_of_known_points():
    points = np.full((1, 68, 2), 200.0, np.float32)  # out of the picture
    points[0, 8] = 20, 30
    spots = renderer.spots_of(jnp.asarray(points))
    np.testing.assert_allclose(spots[0, 30, 20], [1, 0, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(spots[0, 30, 21, 0], np.exp(-0.5), atol=1e-6)
    assert float(renderer.phase_of(jnp.asarray(MEAN), jnp.asarray(MEAN + np.float32([0, 4])))) == 4.0


@pytest.mark.parametrize("changes", [{"base": 0}, {"multipliers": ()}, {"labels": ()}])
def test_a_config_that_builds_nothing_is_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        renderer.RendererConfig(**({"kind": "renderer", "base": 8, "multipliers": (1,), "labels": ("fear",)} | changes))
