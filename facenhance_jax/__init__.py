"""FacEnhance: a 192x192 video of a person from a 64x64 clip of an expression and one neutral photo."""

__version__ = "0.1.0"
