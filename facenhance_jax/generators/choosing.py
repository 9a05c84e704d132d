"""A light generator by its name: the animator, the trained one that is installed, or a folder."""

from pathlib import Path

from facenhance_jax.generators import learned
from facenhance_jax.generators.animated import Animated

ANIMATED, LEARNED = Animated.name, learned.Learned.name
INSTALLED = Path(__file__).parents[1] / "model" / "generator"  # motion/ and renderer/


def named(name: str) -> Animated | learned.Learned | learned.Imagined:
    """The generator; a folder of one of these names is given as ./learned. Raises InputError as `learned.load` does."""
    if name == ANIMATED:
        return Animated()
    return learned.load(INSTALLED if name == LEARNED else name)
