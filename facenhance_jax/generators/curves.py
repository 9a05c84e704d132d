"""Moving landmarks as points of a sphere: square-root velocities (Srivastava et al. 2011), as in MotionGAN.

The 68 landmarks of a frame, centred and divided by their Frobenius norm, are a point of R^136, so a clip is a curve p.
Its square-root velocity q = p' / sqrt|p'| has the squared norm L, the curve's length: q / sqrt(L) lies on the unit
sphere of R^((n-1) x 136). In steps d_k = p_(k+1) - p_k, as here, q_k = d_k / sqrt|d_k|. Sums over k and over the 136
take the place of the integral, and the inverse is exact: p_(k+1) = p_k + L q_k |q_k|.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facenhance_jax.faces import alignment
from facenhance_jax.generators.modules import root

_RIGID = list(alignment.RIGID)

Points = Float[Array, "*#b 68 2"]
Tangent = Float[Array, "*#b k 136"]


def normalised(points: Points) -> Points:
    """The points around their centre, with the Frobenius norm 1."""
    centred = points - points.mean(axis=-2, keepdims=True)
    return centred / root(jnp.sum(centred**2, axis=(-2, -1), keepdims=True))


def aligned(points: Points, size: int = 64) -> Points:
    """The points moved by a similarity into the frame of a low-res face, pixels; see `alignment.crop_matrix`."""
    mean = alignment.mean_shape(size)[_RIGID].astype(np.float32).reshape((1,) * (points.ndim - 2) + (-1, 2))
    aim, centre = mean.mean(axis=-2, keepdims=True), points[..., _RIGID, :].mean(axis=-2, keepdims=True)
    x, y = jnp.moveaxis(points[..., _RIGID, :] - centre, -1, 0)
    u, v = np.moveaxis(mean - aim, -1, 0)
    spread = jnp.sum(x * x + y * y, axis=-1)[..., None]
    cos = (x * u + y * v).sum(axis=-1, keepdims=True) / spread
    sin = (x * v - y * u).sum(axis=-1, keepdims=True) / spread
    x, y = jnp.moveaxis(points - centre, -1, 0)
    return jnp.stack([cos * x - sin * y, sin * x + cos * y], axis=-1) + aim


def to_sphere(curve: Float[Array, "*#b n 68 2"]) -> tuple[Tangent, Float[Array, "*#b"]]:
    """(q on the unit sphere, the curve's length) of normalised points. A curve that stands still gives (0, 0)."""
    steps = jnp.diff(curve.reshape(*curve.shape[:-2], 136), axis=-2)
    speeds = root(jnp.sum(steps**2, axis=-1, keepdims=True))
    length = speeds.sum(axis=(-2, -1))
    velocity = steps / jnp.where(speeds > 0, root(speeds), 1.0)
    return velocity / jnp.where(length > 0, root(length), 1.0)[..., None, None], length


def from_sphere(q: Tangent, length: Float[Array, "*#b"], first: Points) -> Float[Array, "*#b n 68 2"]:
    """The curve with this q and length that begins at the normalised points `first`."""
    steps = length[..., None, None] * q * root(jnp.sum(q**2, axis=-1, keepdims=True))
    moved = jnp.concatenate([jnp.zeros_like(steps[..., :1, :]), jnp.cumsum(steps, axis=-2)], axis=-2)
    return first[..., None, :, :] + moved.reshape(*moved.shape[:-1], 68, 2)


# The sphere


def inner(a: Tangent, b: Tangent) -> Float[Array, "*#b 1 1"]:
    """The inner product, with the axes kept."""
    return jnp.sum(a * b, axis=(-2, -1), keepdims=True)


def exponential(tangent: Tangent, at: Tangent) -> Tangent:
    """The point that one reaches from `at` along the tangent, on a great circle of the unit sphere."""
    angle = root(inner(tangent, tangent))
    return jnp.cos(angle) * at + jnp.sinc(angle / jnp.pi) * tangent


def logarithm(q: Tangent, at: Tangent) -> Tangent:
    """The tangent at `at` that leads to q: the inverse of `exponential`, up to half of a great circle.

    The angle is that of sine and cosine together: the arc cosine alone has no gradient at 0.
    """
    cosine = inner(q, at)
    across = q - cosine * at
    sine = root(inner(across, across))
    angle = jnp.arctan2(sine, cosine)
    return jnp.where(sine > 0, angle / jnp.where(sine > 0, sine, 1.0), 1.0) * across


def tangential(vector: Tangent, at: Tangent) -> Tangent:
    """The part of a vector that is tangential to the unit sphere at `at`."""
    return vector - inner(vector, at) * at


def distance(a: Tangent, b: Tangent) -> Float[Array, "*#b"]:
    """The angle between two points of the unit sphere, 0 to pi."""
    apart, together = (root(inner(x, x))[..., 0, 0] for x in (a - b, a + b))
    return 2.0 * jnp.arctan2(apart, together)


def mean_of(points: Float[np.ndarray, "r k 136"]) -> Float[np.ndarray, "k 136"]:
    """The mean of points of the unit sphere, brought back to it."""
    mean = np.asarray(points, np.float64).mean(axis=0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)
