"""Your own face videos as the TFDS data set `folder`."""

from collections.abc import Sequence
from pathlib import Path

from facenhance_jax.data import layout
from facenhance_jax.data.clip_dataset import ClipConfig, ClipDataset


class Folder(ClipDataset):
    """Videos and folders of frames in a folder for each person; see `layout.read_own_tree`."""

    DESCRIPTION = "People's own clips of faces, with aligned low-resolution faces."
    BUILDER_CONFIGS = [ClipConfig(part="windows")]
    AROUND_FACE = True
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"manual_dir is a folder of your own that holds {layout.OWN_LAYOUT}."

    def read(self, root: Path) -> layout.Tree:
        return layout.read_own_tree(root)

    def identity(self, recording: layout.Recording, others: Sequence[layout.Recording], root: Path) -> Path:
        return layout.own_identity(recording, root)
