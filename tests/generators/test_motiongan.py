"""MotionGAN: real motions come back, strength is the length of the way, and tangents are tangents."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_curves import clip

from facenhance_jax.generators import curves, motiongan

CONFIG = motiongan.MotionConfig("motiongan", 8, 4, 8, ("anger", "fear"))
RNG = np.random.default_rng(1)


def arrays() -> dict:
    """Of a generator whose reference and lengths are no longer the fresh ones."""
    made = motiongan.networks(CONFIG)[0].init(0)
    reference = curves.mean_of(
        np.stack([curves.to_sphere(curves.normalised(jnp.asarray(clip(RNG, 8))))[0] for _ in range(3)])
    )
    return made | {
        "reference": jnp.asarray(reference),
        "mean_log_length": jnp.array([-1.0, 0.5]),
        "std_log_length": jnp.array([0.7, 2.0]),
    }


def test_a_real_motion_comes_back_from_its_tangent_and_length():
    made, label = arrays(), jnp.array([0, 1])
    real = curves.aligned(jnp.asarray(np.stack([clip(RNG, 8), clip(RNG, 8)])))
    motion = motiongan.motion_of(made, real, label)
    np.testing.assert_allclose(motiongan.landmarks_of(made, motion, label, real[:, 0]), real, atol=1e-3)


def test_strength_scales_the_way_and_0_leaves_the_face_as_it_is():
    made, label = arrays(), jnp.array([1])
    real = jnp.asarray(clip(RNG, 8))[None]
    motion = motiongan.motion_of(made, real, label)
    still = motiongan.landmarks_of(made, motion, label, real[:, 0], 0.0)
    np.testing.assert_allclose(still, np.tile(still[:, :1], (1, 8, 1, 1)), atol=1e-4)
    np.testing.assert_allclose(still[:, 0], curves.aligned(real[:, 0]), atol=1e-3)
    near = curves.normalised(real[:, :2])
    half = motiongan.landmarks_of(made, motion, label, real[:, 0], 0.5)
    expected = curves.aligned(near[:, :1] + 0.5 * (near[:, 1:] - near[:, :1]))
    np.testing.assert_allclose(half[:, 1:2], expected, atol=1e-3)


def test_lengths_stay_within_reason():
    made, label = arrays(), jnp.array([0])
    neutral = jnp.asarray(clip(RNG, 1))
    tangent = motiongan.motion_of(made, jnp.asarray(clip(RNG, 8))[None], label).tangent
    far, farthest = (
        motiongan.landmarks_of(made, motiongan.Motion(tangent, jnp.array([length])), label, neutral)
        for length in (motiongan.LENGTHS[1], 100.0)
    )
    np.testing.assert_array_equal(far, farthest)


def test_the_generators_tangents_are_tangential_at_the_reference():
    generator, critic = motiongan.networks(CONFIG)
    made = arrays()
    made["exit"]["kernel"] = 10.0 * made["exit"]["kernel"]
    label = jnp.array([0, 1, 1])
    motion, passed = generator(made, jnp.asarray(RNG.standard_normal((3, 4)), jnp.float32), label)
    assert motion.tangent.shape == (3, 7, 136) and float(jnp.abs(motion.tangent).max()) > 1e-3
    inner = curves.inner(motion.tangent, made["reference"][None])
    np.testing.assert_allclose(inner, 0.0, atol=1e-6)
    np.testing.assert_array_equal(passed["reference"], made["reference"])
    assert critic(critic.init(1), motiongan.seen(motion), label)[0].shape == (3,)


def test_another_label_is_another_motion():
    generator, _ = motiongan.networks(CONFIG)
    made, noise = arrays(), jnp.ones((1, 4))
    first, second = (generator(made, noise, jnp.array([label]))[0].tangent for label in (0, 1))
    assert float(jnp.abs(first - second).max()) > 1e-5


@pytest.mark.parametrize(("taps", "stride", "time"), [(3, 1, 8), (5, 2, 8), (5, 2, 31)])
def test_a_convolution_along_time_is_flaxs(taps, stride, time):
    conv = nnx.Conv(3, 5, (taps,), stride, rngs=nnx.Rngs(0))
    x = jnp.asarray(RNG.standard_normal((2, time, 3)), jnp.float32)
    np.testing.assert_allclose(motiongan._along_time(conv, x, stride), conv(x), atol=1e-5)
