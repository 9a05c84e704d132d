"""What keeps frames of few steps sharp: the error in the amount of detail, and the sampler's own timesteps."""

import jax
import jax.numpy as jnp
import numpy as np

from facenhance_jax.diffusion.sampler import spaced_timesteps
from facenhance_jax.training.objective import _draw, detail_error


def grey(image):
    return jnp.asarray(np.repeat(np.float32(image)[None, ..., None], 3, axis=-1))


def test_the_detail_of_a_checkerboard_is_known():
    """Its Laplacian is 8 a inside, 6 a at an edge and 4 a in a corner, as edges are repeated."""
    board = 0.25 * (-1.0) ** np.add.outer(np.arange(16), np.arange(16))
    expected = 0.25 * (8 * 14 * 14 + 6 * 4 * 14 + 4 * 4) / 256
    np.testing.assert_allclose(detail_error(grey(board), grey(np.zeros((16, 16)))), [expected], rtol=1e-5)


def test_detail_elsewhere_in_a_square_is_as_good_and_in_another_square_is_not():
    here, near, far = np.zeros((3, 24, 24))
    here[11, 11], near[12, 13], far[4, 4] = 1.0, 1.0, 1.0
    assert float(detail_error(grey(near), grey(here))[0]) < 1e-7
    assert float(detail_error(grey(far), grey(here))[0]) > 0.01


def test_training_draws_the_timesteps_of_a_sampler_with_so_many_steps_equally_often():
    timesteps = jnp.asarray(spaced_timesteps(1000, 4))
    drawn = jax.vmap(lambda index: _draw(jax.random.key(0), index, (1,), timesteps)[2])(jnp.arange(2000))
    values, counts = np.unique(np.asarray(drawn), return_counts=True)
    assert values.tolist() == [250, 500, 750, 1000] and counts.min() > 430


def test_training_at_all_timesteps_draws_as_before():
    """The same numbers as `jax.random.randint(key, (), 1, 1001)`, so older runs go on with their own."""
    key = jax.random.key(3)
    timestep = _draw(key, 5, (1,), jnp.asarray(spaced_timesteps(1000, 1000)))[2]
    expected = jax.random.randint(jax.random.split(jax.random.fold_in(key, 5), 3)[2], (), 1, 1001)
    assert int(timestep) == int(expected)
