"""The straightener's linear map in closed form: gradient steps find it slowly, because shifts move together."""

import functools
import itertools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Array, Float

from facenhance_jax.messages import progress
from facenhance_jax.network.denoiser import Denoiser
from facenhance_jax.network.denoiser_config import GRID
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.network.straightening import shifts_of_squares

SHRINKAGE = 100.0  # squared pixels; of ten thousand warped frames, the sum of a square's squared shifts is some 4,000


def with_fitted_straightener(params: dict, batches: Iterable[dict], count: int, denoiser: Denoiser) -> dict:
    """`params` with the linear map that takes back the warps of `count` batches best, by ridge regression.

    Least is the sum over warped low-res frames of the moves' squared error, as in `objective.straightened_error`, plus
    SHRINKAGE times the map's squares. Each frame counts as it is given and with its warp alone; what is not warped does
    not count. Without a warped frame the map is 0.
    """
    products_of = jax.jit(functools.partial(_products, denoiser=denoiser))
    sums = np.zeros((2, 2 * GRID**2, 2 * GRID**2))
    for batch in progress("fitting the straightener", count, itertools.islice(batches, count), unit="batch"):
        sums += np.asarray(products_of(params, batch), np.float64)
    squares, products = multihost_utils.process_allgather(sums.astype(np.float32)).sum(axis=0)  # each has its batches
    kernel = np.linalg.solve(squares + SHRINKAGE * np.eye(len(squares)), products).astype(np.float32)
    straightener = params["restorer"]["straightener"] | {"moves": {"kernel": jnp.asarray(kernel)}}
    return params | {"restorer": params["restorer"] | {"straightener": straightener}}


def _products(params: dict, batch: dict, *, denoiser: Denoiser) -> Float[Array, "2 shifts shifts"]:
    """The sums over warped frames of the found shifts' products with each other, and with the wanted moves."""
    low, identity = to_signal(batch["low"]), to_signal(batch["identity"])
    clean, warped = (to_signal(batch.get(name, batch["low"])) for name in ("clean_low", "warped_low"))
    own = denoiser.encode(params, low, identity, batch.get("place")).own
    happened = jnp.any(warped != clean, axis=(1, 2, 3)).astype(jnp.float32)[:, None]
    wanted = -shifts_of_squares(clean, warped).reshape(len(low), -1)
    seen = [happened * shifts_of_squares(own, frame).reshape(len(low), -1) for frame in (low, warped)]
    return jnp.stack([sum(shifts.T @ shifts for shifts in seen), sum(shifts.T @ wanted for shifts in seen)])
