"""Curves on the sphere: known angles, maps that undo each other, and landmarks that come back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.faces import alignment
from facenhance_jax.generators import curves

RNG = np.random.default_rng(0)
STEPS = 7


def unit(rng) -> jax.Array:
    x = rng.standard_normal((STEPS, 136))
    return jnp.asarray(x / np.linalg.norm(x), jnp.float32)


def clip(rng, frames: int = STEPS + 1) -> np.ndarray:
    """A mean face whose points wander by up to some pixels."""
    moves = rng.standard_normal((frames, 68, 2)).cumsum(axis=0)
    return np.float32(alignment.mean_shape() + moves)


def test_a_curve_comes_back_from_the_sphere():
    curve = curves.normalised(jnp.asarray(np.stack([clip(RNG), clip(RNG)])))
    q, length = curves.to_sphere(curve)
    np.testing.assert_allclose(np.sum(np.square(q), axis=(1, 2)), 1.0, rtol=1e-6)
    steps = np.diff(np.asarray(curve).reshape(2, STEPS + 1, 136), axis=1)
    np.testing.assert_allclose(length, np.linalg.norm(steps, axis=2).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(curves.from_sphere(q, length, curve[:, 0]), curve, atol=1e-6)


def test_a_curve_that_stands_still_has_no_length_and_finite_gradients():
    curve = jnp.tile(jnp.asarray(clip(RNG)[:1]), (1, STEPS + 1, 1, 1))
    q, length = curves.to_sphere(curve)
    assert not np.any(q) and float(length[0]) == 0
    gradient = jax.grad(lambda curve: sum(part.sum() for part in curves.to_sphere(curve)))(curve)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("angle", [1e-4, 0.3, 1.5, 3.0])
def test_the_exponential_and_the_logarithm_undo_each_other(angle):
    at, direction = unit(RNG), unit(RNG)
    direction = curves.tangential(direction, at)
    tangent = angle * direction / jnp.linalg.norm(direction)
    q = curves.exponential(tangent, at)
    np.testing.assert_allclose(float(jnp.linalg.norm(q)), 1.0, rtol=1e-6)
    np.testing.assert_allclose(curves.distance(q, at), angle, rtol=1e-3)
    np.testing.assert_allclose(curves.logarithm(q, at), tangent, atol=2e-6)
    np.testing.assert_allclose(curves.exponential(curves.logarithm(q, at), at), q, atol=1e-6)


def test_the_distances_of_known_points():
    basis = np.zeros((3, STEPS, 136), np.float32)
    basis[0, 0, 0] = basis[1, 3, 5] = 1
    basis[2] = (3 * basis[0] + 4 * basis[1]) / 5
    basis = jnp.asarray(basis)
    np.testing.assert_allclose(curves.distance(basis[0], basis[1]), np.pi / 2, rtol=1e-6)
    np.testing.assert_allclose(curves.distance(basis[0], basis[2]), np.arccos(0.6), rtol=1e-6)
    np.testing.assert_allclose(curves.distance(basis[0], -basis[0]), np.pi, rtol=1e-6)
    assert float(curves.distance(basis[0], basis[0])) == 0.0


@pytest.mark.parametrize("function", [curves.distance, lambda a, b: curves.logarithm(a, b).sum()])
def test_gradients_are_finite_where_two_points_meet(function):
    """There the gradient of an arc cosine is infinite."""
    point = unit(RNG)
    assert np.isfinite(jax.grad(function)(point, point)).all()


def test_the_mean_of_points_lies_in_their_middle():
    a, b = np.asarray(unit(RNG)), np.asarray(unit(RNG))
    mean = jnp.asarray(curves.mean_of(np.stack([a, b])))
    np.testing.assert_allclose(curves.distance(mean, unit_a := jnp.asarray(a)), np.arccos((a * mean).sum()), rtol=1e-4)
    np.testing.assert_allclose(curves.distance(mean, unit_a), curves.distance(mean, jnp.asarray(b)), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(mean), 1.0, rtol=1e-6)


def test_aligned_landmarks_are_those_of_the_low_res_face():
    points = clip(RNG)
    turned = points @ np.float32([[2.0, 1.0], [-1.0, 2.0]]) + np.float32([300, -40])
    expected = []
    for shape in turned:
        matrix = alignment.crop_matrix(shape)
        expected.append(shape @ matrix[:, :2].T + matrix[:, 2])
    np.testing.assert_allclose(curves.aligned(jnp.asarray(turned)), np.stack(expected), atol=2e-3)
    # Centring and scaling are forgotten.
    np.testing.assert_allclose(curves.aligned(curves.normalised(jnp.asarray(turned))), np.stack(expected), atol=2e-3)
