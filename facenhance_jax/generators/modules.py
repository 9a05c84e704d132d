"""Modules as pure functions of one nested dict of arrays: parameters, and statistics that are kept beside them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Statistic(nnx.Variable):
    """An array that the loss has no gradient for: it is kept with the parameters, but not learned."""


@functools.cache
def _blueprint(module: type[nnx.Module], config: Any) -> tuple[nnx.GraphDef, dict]:
    """The module's structure and the shapes of its arrays, traced once per process."""
    graphdef, shapes = nnx.split(nnx.eval_shape(lambda: module(config, rngs=nnx.Rngs(0))))
    return graphdef, nnx.to_pure_dict(shapes)


@dataclass(frozen=True)
class Pure:
    """A module's structure; its arrays are a nested dict of float32 arrays."""

    module: type[nnx.Module]
    config: Any

    def init(self, seed: int) -> dict:
        """Fresh arrays."""
        return nnx.to_pure_dict(nnx.state(self.module(self.config, rngs=nnx.Rngs(seed))))

    def abstract(self) -> dict:
        """The arrays' shapes and dtypes, without computing them."""
        return _blueprint(self.module, self.config)[1]

    def __call__(self, arrays: dict, *inputs: Any, method: Callable | None = None, **options: Any) -> tuple[Any, dict]:
        """(what the module returns, the arrays with the statistics that it changed)."""
        built = nnx.merge(_blueprint(self.module, self.config)[0], arrays)
        output = (method or self.module.__call__)(built, *inputs, **options)
        return output, nnx.to_pure_dict(nnx.state(built))


def root(square: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """The square root, with the gradient 0 at 0 instead of infinity."""
    safe = jnp.where(square > 0, square, 1.0)
    return jnp.where(square > 0, jnp.sqrt(safe), 0.0)


def one_hot(label: Array, labels: int) -> Float[Array, "b labels"]:
    """The condition of the paper's generators."""
    return jax.nn.one_hot(label, labels)
