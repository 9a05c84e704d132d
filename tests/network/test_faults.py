"""What tells how far a low-res frame has faults."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from facenhance_jax.network.faults import FaultDetector, face_of, signs_of_faults


def test_signs_of_faults_in_closed_form():
    """A checkerboard of 0.1 is rough by 0.2, a grey frame by 0. Half of the grey frame is a face with a hard edge."""
    board = 0.1 * (-1.0) ** np.indices((8, 8)).sum(0)
    low = jnp.asarray(np.repeat(board[None, ..., None], 3, axis=-1), jnp.float32)
    face = jnp.full((1, 8, 8, 3), -1.0).at[:, :4].set(1.0)
    found = np.asarray(signs_of_faults(low, face.at[:].set(0.3), low + 0.3))[0]
    logs = np.log(np.float32([0.201, 0.001, 0.201, 0.301, 0.001])) + 3
    np.testing.assert_allclose(found, [*logs, 0.0], atol=1e-4)  # no black, so no edge
    # Of the face's four rows, the outermost has 8 pixels; the mean counts one more, so that it exists without an edge.
    np.testing.assert_allclose(signs_of_faults(face, face, face)[0, 4:], [np.log(0.001) + 3, 3 * 8 / 9], rtol=1e-3)
    soft = face.at[:, 3].set(0.0).at[:, 4].set(-0.97)  # the edge is now a row of 0.03, beside one of 1
    np.testing.assert_allclose(signs_of_faults(soft, face, face)[0, 4:], [np.log(0.126) + 3, 0.08], rtol=1e-2)


def test_the_face_is_where_it_is_not_black():
    low = jnp.full((1, 4, 4, 3), -1.0).at[0, 1, 2, 1].set(-1.0 + 2 / 255)
    np.testing.assert_array_equal(np.argwhere(face_of(low)), [[0, 1, 2, 0]])


def test_a_fresh_detector_is_undecided():
    low = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)), jnp.float32)
    np.testing.assert_array_equal(FaultDetector(rngs=nnx.Rngs(0))(low, -low, 0.5 * low), [0.0, 0.0])
