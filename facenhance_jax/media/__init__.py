"""Media files: reads clips and photos with every check, writes clips and pictures whole or not at all."""

from facenhance_jax.media.drawing import contact, strip
from facenhance_jax.media.folders import clips_in, photos_in
from facenhance_jax.media.labels import label, mark
from facenhance_jax.media.pictures import read_photo
from facenhance_jax.media.reading import ClipFile, open_clip
from facenhance_jax.media.writing import ClipWriter, check_output, open_writer, write_array, write_png

__all__ = [
    "ClipFile",
    "ClipWriter",
    "check_output",
    "clips_in",
    "contact",
    "photos_in",
    "label",
    "mark",
    "open_clip",
    "open_writer",
    "read_photo",
    "strip",
    "write_array",
    "write_png",
]
