"""Fields for uploads: they hand on the file as it was uploaded, and take no address for a file.

Left alone, Gradio would open a picture itself, with errors that name its internals, and would fetch a file that is
named by an address: a way to let this server ask other ones.
"""

from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like

from facenhance_jax.messages import InputError

CLIPS = [".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif", ".webp", ".png", ".npy"]


def photo(**options: Any) -> gr.Image:
    """A photo: chosen, dropped, pasted or taken by the webcam."""
    sources = ["upload", "webcam", "clipboard"]
    return _local(gr.Image(type="filepath", sources=sources, height=280, buttons=[], **options))


def clip(**options: Any) -> gr.File:
    """A clip, as a file."""
    return _local(gr.File(file_count="single", file_types=CLIPS, type="filepath", height=170, **options))


def _local(field: Any) -> Any:
    """The same field, which reads uploads alone. Not a class of its own: Gradio would look for its scripts."""
    cached = field.async_move_resource_to_block_cache

    async def local_alone(name: Any) -> str | None:
        if is_http_url_like(str(name)):
            raise InputError("give a file, not an address")
        return await cached(name)

    field.async_move_resource_to_block_cache = local_alone
    field.preprocess = lambda payload: payload.path if payload else None  # the path of the upload
    return field
