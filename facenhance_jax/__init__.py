"""FacEnhance: a 192x192 video of a person from a 64x64 clip of an expression and one neutral photo.

from facenhance_jax import Enhancer, express
"""

__version__ = "0.1.0"
__all__ = ["Enhancer", "express"]


def __getattr__(name: str) -> object:
    """What is public, imported at its first use: `facenhance --help` need not wait for JAX to load."""
    if name == "Enhancer":
        from facenhance_jax.inference.enhancer import Enhancer

        return Enhancer
    if name == "express":
        from facenhance_jax.inference.expressing import express

        return express
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
