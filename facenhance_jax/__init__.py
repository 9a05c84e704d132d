"""FacEnhance: a 192x192 video of a person from a 64x64 expression clip and one neutral photo, by recurrent diffusion."""

__version__ = "0.1.0"
