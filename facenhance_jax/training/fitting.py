"""What the restorer of low-res frames learns too slowly by steps, fitted before the first step.

The straightener's map, because shifts move together; and the layers that tell which frames are faulty, because only
what they let through is trained by the frames' own error.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.experimental import multihost_utils
from jaxtyping import Array, Float

from facenhance_jax.messages import progress
from facenhance_jax.network.denoiser import Denoiser
from facenhance_jax.network.denoiser_config import GRID
from facenhance_jax.network.faults import FaultDetector, signs_of_faults
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.network.straightening import moved, shifts_of_squares
from facenhance_jax.training.objective import best_share

SHRINKAGE = 100.0  # squared pixels; of ten thousand warped frames, the sum of a square's squared shifts is some 4,000
KEPT = 4096  # examples at most to which the detectors are fitted: each takes 0.1 MB, and seven numbers are told by it
DETECTOR_STEPS, DETECTOR_RATE = 3000, 2e-2  # of Adam, with all examples in each

Low = Float[Array, "b l l 3"]
Told = tuple[Float[Array, "b signs"], Float[Array, " b"]]
"""What a detector sees of each frame, and the share that it is to tell."""


def with_fitted_restorer(params: dict, batches: Iterable[dict], count: int, denoiser: Denoiser, whole: bool) -> dict:
    """`params` with the straightener's map and the detectors of the restorer that fit `count` batches best.

    The map is the ridge regression that takes back warps: least is the sum over warped low-res frames of the moves'
    squared error, as in `objective.straightened_error`, plus SHRINKAGE times the map's squares. Each frame counts as it
    is given and with its warp alone; what is not warped does not count. Without a warped frame the map is 0.

    The detectors' cross entropy is that of `objective`, too, over the first KEPT examples: of `warped`, and if `whole`
    of `faulty`, for which the restorer has to be trained already.
    """
    frames_of, products_of = jax.jit(functools.partial(_frames, denoiser=denoiser)), jax.jit(_products)
    sums, kept = np.zeros((2, 2 * GRID**2, 2 * GRID**2)), []
    for batch in progress("fitting the restorer", count, itertools.islice(batches, count), unit="batch"):
        frames = frames_of(params, batch)
        sums += np.asarray(products_of(*frames), np.float64)
        if len(kept) * len(batch["low"]) < KEPT:
            kept.append(jax.tree.map(lambda frame: np.asarray(frame, np.float16), frames))
    squares, products = multihost_utils.process_allgather(sums.astype(np.float32)).sum(axis=0)  # each has its batches
    kernel = np.linalg.solve(squares + SHRINKAGE * np.eye(len(squares)), products).astype(np.float32)
    restorer = params["restorer"] | {"straightener": params["restorer"]["straightener"] | {"moves": {"kernel": kernel}}}

    def told(of: Callable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The signs and best shares, of all frames as they are given and of all with their warp alone."""
        run = jax.jit(functools.partial(of, denoiser=denoiser))
        for low, own, clean, warped in kept:
            for given in (low, warped):
                frames = (frame.astype(np.float32) for frame in (given, own, clean, warped))
                yield jax.device_get(run(params | {"restorer": restorer}, *frames))

    restorer["straightener"]["warped"] = _fitted_detector(told(_of_warps))
    if whole:
        restorer["faulty"] = _fitted_detector(told(_of_faults))
    return params | {"restorer": jax.tree.map(jnp.asarray, restorer)}


def _frames(params: dict, batch: dict, *, denoiser: Denoiser) -> tuple[Low, Low, Low, Low]:
    """Low-res frames as they are given, the photos' own, those without faults, and those with their warp alone."""
    low, identity = to_signal(batch["low"]), to_signal(batch["identity"])
    clean, warped = (to_signal(batch.get(name, batch["low"])) for name in ("clean_low", "warped_low"))
    return low, denoiser.encode(params, low, identity, batch.get("place")).own, clean, warped


def _products(low: Low, own: Low, clean: Low, warped: Low) -> Float[Array, "2 shifts shifts"]:
    """The sums over warped frames of the found shifts' products with each other, and with the wanted moves."""
    happened = jnp.any(warped != clean, axis=(1, 2, 3)).astype(jnp.float32)[:, None]
    wanted = -shifts_of_squares(clean, warped).reshape(len(low), -1)
    seen = [happened * shifts_of_squares(own, frame).reshape(len(low), -1) for frame in (low, warped)]
    return jnp.stack([sum(shifts.T @ shifts for shifts in seen), sum(shifts.T @ wanted for shifts in seen)])


def _of_warps(params: dict, low: Low, own: Low, clean: Low, warped: Low, *, denoiser: Denoiser) -> Told:
    """Of the straightener's detector: the share of the moves that would be best."""
    moves = denoiser.restored(params, low, own).straightened.moves
    return signs_of_faults(low, own, moved(low, moves)), best_share(warped, moved(warped, moves), clean)


def _of_faults(params: dict, low: Low, own: Low, clean: Low, warped: Low, *, denoiser: Denoiser) -> Told:
    """Of the restorer's detector: the share of what is restored that would be best."""
    found = denoiser.restored(params, low, own)
    return signs_of_faults(low, own, found.frame), best_share(found.straightened.frame, found.frame, clean)


def _fitted_detector(told: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict:
    """The parameters of a `FaultDetector` that tells the share from the signs, of all processes' examples."""
    own = [np.concatenate(part) for part in zip(*told, strict=True)]
    signs, shares = (x.reshape(-1, *x.shape[2:]) for x in multihost_utils.process_allgather(own))
    graph, start = nnx.split(FaultDetector(rngs=nnx.Rngs(0)), nnx.Param)
    optimizer = optax.adam(optax.cosine_decay_schedule(DETECTOR_RATE, DETECTOR_STEPS))

    def error(params, signs, shares):
        logit = nnx.merge(graph, params).logit_of(signs)
        return optax.sigmoid_binary_cross_entropy(logit, shares).mean()

    @jax.jit
    def fit(params, *examples):
        def step(carried, _):
            params, state = carried
            updates, state = optimizer.update(jax.grad(error)(params, *examples), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), length=DETECTOR_STEPS)[0][0]

    return nnx.to_pure_dict(fit(start, signs, shares))
