"""Folders of clips and of photos, told from a folder of frames, which is one clip, by what they hold."""

from pathlib import Path

from facenhance_jax.media.reading import FRAME_SUFFIXES, listed

PHOTO_SUFFIXES = (*FRAME_SUFFIXES, ".gif", ".webp", ".tif", ".tiff")
CLIP_SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".gif", ".webp", ".npy")


def clips_in(folder: Path | str) -> list[Path] | None:
    """The clips of a folder in natural order: videos, gifs, arrays and, beside them, folders of frames.

    None if `folder` is one clip itself: a file, or a folder of frames alone. Pictures beside clips are left out, such
    as the previews that `facenhance extract` writes; folders in a folder of frames do not make it one of clips.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return None
    held = listed(folder)
    clips = [path for path in held if path.suffix.lower() in CLIP_SUFFIXES and not path.is_dir()]
    folders = [path for path in held if path.is_dir()]
    if not clips and (not folders or any(path.suffix.lower() in FRAME_SUFFIXES for path in held)):
        return None
    return [path for path in held if path in clips or path in folders]


def photos_in(folder: Path | str) -> list[Path] | None:
    """The pictures directly in a folder, in natural order; None if `folder` is a file or missing."""
    folder = Path(folder)
    if not folder.is_dir():
        return None
    return [path for path in listed(folder) if path.suffix.lower() in PHOTO_SUFFIXES and not path.is_dir()]
