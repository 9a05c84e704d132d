"""The MUG Facial Expression Database, or a tree with its layout, as the TFDS data set `mug`."""

from collections.abc import Sequence
from pathlib import Path

from facenhance_jax.data import layout
from facenhance_jax.data.clip_dataset import ClipDataset


class Mug(ClipDataset):
    """Six expressions, each clip from neutral to apex; see `layout.read_tree`."""

    EXPRESSIONS = layout.EXPRESSIONS
    DESCRIPTION = "Clips of facial expressions from neutral to apex, with aligned low-resolution faces."
    HOMEPAGE = "https://mug.ee.auth.gr/fed/"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The MUG Facial Expression Database is given to researchers who apply for it at https://mug.ee.auth.gr/fed/. "
        f"manual_dir is the folder that holds {layout.LAYOUT}."
    )

    def read(self, root: Path) -> layout.Tree:
        return layout.read_tree(root)

    def identity(self, recording: layout.Recording, others: Sequence[layout.Recording], root: Path) -> Path:
        return layout.identity_frame(recording, others)
