"""Fields for uploads: they hand on the file as it was uploaded, and take no address for a file.

Gradio's own would open a picture themselves, whose errors name its internals, and would fetch a file that is named by an
address: a way to let this server ask other ones.
"""

from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like

from facenhance_jax.messages import InputError

CLIPS = [".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif", ".webp", ".png", ".npy"]

class _Local:
    """What both fields do with a file."""

    async def async_move_resource_to_block_cache(self, name: Any) -> str | None:
        """The file's place, as of Gradio. Raises InputError for an address."""
        if is_http_url_like(str(name)):
            raise InputError("give a file, not an address")
        return await super().async_move_resource_to_block_cache(name)

    def preprocess(self, payload: Any) -> str | None:
        """The path of the upload."""
        return payload.path if payload else None

    def postprocess(self, value: None) -> None:
        """Nothing: these fields are filled by the user alone."""

class Photo(_Local, gr.Image):
    """A photo: chosen, dropped, pasted or taken by the webcam."""

    def __init__(self, **options: Any):
        super().__init__(type="filepath", sources=["upload", "webcam", "clipboard"], height=280, buttons=[], **options)
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

class Upload(_Local, gr.File):
    """A clip."""

    def __init__(self, **options: Any):
        super().__init__(file_count="single", file_types=CLIPS, type="filepath", height=140, **options)
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component
