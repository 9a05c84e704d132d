"""Media files: reads clips and photos with every check, writes clips and pictures whole or not at all."""

from facenhance_jax.media.drawing import strip
from facenhance_jax.media.pictures import read_photo
from facenhance_jax.media.reading import ClipFile, open_clip
from facenhance_jax.media.writing import ClipWriter, check_output, open_writer, write_array, write_png

__all__ = [
    "ClipFile",
    "ClipWriter",
    "check_output",
    "open_clip",
    "open_writer",
    "read_photo",
    "strip",
    "write_array",
    "write_png",
]
