"""Small arrays side by side in one vector.

A network has hundreds of biases and scales, and to update each by itself, with its moments and its average, takes
thousands of operations that each last no longer than their start. So a training keeps them packed; checkpoints do not.

On a GPU it also keeps the convolutions' kernels in cuDNN's order. In Flax's, XLA turns each of them to compute with it,
and its gradient, its moments and its average to update them: 7.2 of the 31.8 GB that a step of configs/mug.py would
move on an H100 (`launch/benchmark.py --what=counts --target=h100`).
"""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SMALL = 2**14  # elements; arrays with as many or more stay as they are


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=("large", "small"), meta_fields=("tree", "shapes", "turned")
)
@dataclass(frozen=True)
class Packed:
    """The arrays of a tree: the large ones, and all others as one vector.

    Attributes:
      large, small: a list of arrays and a vector, in the tree's order.
      tree: the tree's structure.
      shapes: of all of its arrays.
      turned: whether the last axis of large arrays with four, the output channels of convolutions, comes first.
    """

    large: list
    small: Any  # like all trees of arrays, it may also hold their shapes or shardings
    tree: jax.tree_util.PyTreeDef
    shapes: tuple[tuple[int, ...], ...]
    turned: bool


def packed(tree: dict, turned: bool | None = None) -> Packed:
    """Packs a tree of arrays of one dtype; the convolutions' kernels are turned on a GPU, unless it is said."""
    turned = _is_gpu() if turned is None else turned
    leaves, structure = jax.tree.flatten(tree)
    small = [leaf for leaf in leaves if leaf.size < SMALL]
    large = [leaf for leaf in leaves if leaf.size >= SMALL]
    large = [jnp.moveaxis(leaf, -1, 0) if turned and leaf.ndim == 4 else leaf for leaf in large]
    return Packed(large, _joined(small), structure, tuple(leaf.shape for leaf in leaves), turned)


def unpacked(tree: Any) -> Any:
    """The inverse of `packed`; a tree that is not packed stays as it is."""
    if not isinstance(tree, Packed):
        return tree
    is_small = [math.prod(shape) < SMALL for shape in tree.shapes]
    small = iter(_parts(tree.small, tuple(itertools.compress(tree.shapes, is_small))))
    large = (jnp.moveaxis(leaf, 0, -1) if tree.turned and leaf.ndim == 4 else leaf for leaf in tree.large)
    return jax.tree.unflatten(tree.tree, [next(small if chosen else large) for chosen in is_small])


def _is_gpu() -> bool:
    return jax.default_backend() == "gpu"


# Compiled also where the caller is not: it would take one program for each array.


@jax.jit
def _joined(arrays: list) -> Float[Array, " n"]:
    return jnp.concatenate([jnp.zeros(0), *(array.ravel() for array in arrays)])


@functools.partial(jax.jit, static_argnums=1)
def _parts(vector: Float[Array, " n"], shapes: tuple[tuple[int, ...], ...]) -> list:
    ends = list(itertools.accumulate(map(math.prod, shapes)))
    return [vector[end - math.prod(shape) : end].reshape(shape) for end, shape in zip(ends, shapes, strict=True)]


def packed_state(state: Any, turned: bool | None = None) -> Any:
    """A training's state with every dict of arrays in it packed: the parameters, their average and the moments."""

    def is_tree(x: Any) -> bool:
        return isinstance(x, dict)

    return jax.tree.map(lambda x: packed(x, turned) if is_tree(x) else x, state, is_leaf=is_tree)


def unpacked_state(state: Any) -> Any:
    """The inverse of `packed_state`."""
    return jax.tree.map(unpacked, state, is_leaf=lambda x: isinstance(x, Packed))
