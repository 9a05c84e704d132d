"""A MUG-shaped tree as a TFDS data set of clips, written and read without TensorFlow.

A record holds `high` and `low` (encoded frames, as many of each), `identity` (one encoded photo), and the words
`subject`, `session`, `expression`, `take`. Frames stay encoded: the pipeline decodes only those it needs.
"""

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Shaped, UInt8
from tqdm import tqdm

from facenhance_jax import pixels
from facenhance_jax.data import faces, layout
from facenhance_jax.errors import InputError

JPEG_QUALITY = 95
SKIPPED = "needs landmarks.npy beside its frames"
_CLIPS_PER_SHARD = 128  # about 60 MB at 32 frames of 192 px


def usable(clips: Iterable[layout.Clip]) -> tuple[list[layout.Clip], dict[str, str]]:
    """Parts the clips of the six expressions into those that can become records, and {name: why not} for the rest.

    Raises InputError when a landmarks.npy does not fit its frames, or when no clip is left.
    """
    chosen, skipped = [], {}
    for clip in clips:
        if clip.expression not in layout.EXPRESSIONS:
            continue
        if clip.landmarks is None:
            skipped[clip.name] = SKIPPED
            continue
        _read_landmarks(clip)
        chosen.append(clip)
    if not chosen:
        why = f"each of its {len(skipped)} clips {SKIPPED}" if skipped else "it holds neutral clips only"
        raise InputError(f"tree: nothing to learn from, {why}; add landmarks (float32 [frames, 68, 2]) and clips")
    return chosen, skipped


def records(
    root: Path | str, subjects: Iterable[str], *, frames: int = 32, resolution: int = 192
) -> Iterator[dict[str, Any]]:
    """The records of these subjects, made on the fly; needs no data set on disk.

    `frames` positions over the first half of each clip. `high` is resolution x resolution; `low` is 64x64.
    Raises InputError for a tree, landmarks or image that cannot be used.
    """
    wanted = set(subjects)
    clips = [clip for clip in layout.read_tree(root) if clip.subject in wanted]
    for clip in usable(clips)[0]:
        yield clip_record(clip, layout.identity_frame(clip, clips), frames=frames, resolution=resolution)


def clip_record(clip: layout.Clip, identity: Path, *, frames: int, resolution: int) -> dict[str, Any]:
    """One record. Frames that already have the right size keep their bytes; others become JPEG at quality 95."""
    landmarks = _read_landmarks(clip)
    positions = layout.onset_positions(len(clip.frames), frames)
    pairs = {at: _encode_pair(clip.frames[at], landmarks[at], resolution) for at in sorted(set(positions))}
    data = identity.read_bytes()
    return {
        "high": [pairs[at][0] for at in positions],
        "low": [pairs[at][1] for at in positions],
        "identity": _encode_high(data, layout.decode(data, identity), resolution),
        "subject": clip.subject,
        "session": clip.session,
        "expression": clip.expression,
        "take": clip.take,
    }


@dataclasses.dataclass
class MugConfig(tfds.core.BuilderConfig):
    """What is stored of each clip: `frames` of its first half, at `resolution` px a side."""

    name: str = ""
    frames: int = 32
    resolution: int = 192

    def __post_init__(self) -> None:
        for field in ("frames", "resolution"):
            if getattr(self, field) < 1:
                raise InputError(f"{field}: {getattr(self, field)} is below 1; give a positive number")
        self.name = f"{self.frames}frames_{self.resolution}px"


class Mug(tfds.core.GeneratorBasedBuilder):
    """TFDS builder: splits "train" and "test" share no subject (`layout.split_subjects`)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The MUG Facial Expression Database is given to researchers who apply for it at https://mug.ee.auth.gr/fed/. "
        f"manual_dir is the folder that holds {layout.LAYOUT}, with a landmarks.npy in each take's folder."
    )

    def __init__(self, *, config: MugConfig | None = None, **kwargs: Any) -> None:
        super().__init__(config=config or MugConfig(), file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        words = {word: tfds.features.Text() for word in ("subject", "session", "expression", "take")}
        # TFDS's own image features decode with TensorFlow; Text passes bytes through.
        images = {
            "high": tfds.features.Sequence(tfds.features.Text()),
            "low": tfds.features.Sequence(tfds.features.Text()),
            "identity": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Clips of facial expressions from neutral to apex, with aligned low-resolution faces.",
            features=tfds.features.FeaturesDict(images | words),
            homepage="https://mug.ee.auth.gr/fed/",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        root = Path(dl_manager.manual_dir)
        split = layout.split_subjects(clip.subject for clip in usable(layout.read_tree(root))[0])
        return {name: self._generate_examples(root, subjects) for name, subjects in split.items()}

    def _generate_examples(self, root: Path, subjects: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        config = self.builder_config
        for record in records(root, subjects, frames=config.frames, resolution=config.resolution):
            yield "/".join(record[word] for word in ("subject", "session", "expression", "take")), record

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        # TFDS's writer keeps a whole split in memory and, beyond 1000 MiB, spills it through TensorFlow. This one
        # streams. For now the base class has pointed data_dir at a temporary folder, and so does a new info.
        generators = self._split_generators(dl_manager)
        info = self._info()
        writer = tfds.core.SequentialWriter(info, _CLIPS_PER_SHARD, file_format="array_record")
        writer.initialize_splits(list(generators))
        for name, examples in generators.items():
            for _, record in tqdm(examples, desc=name, unit=" clips"):
                writer.add_examples({name: [record]})
        writer.close_all()
        self.info.set_splits(info.splits)


def prepare(root: Path | str, output: Path | str, *, frames: int = 32, resolution: int = 192) -> Path:
    """Writes the data set of the tree `root` somewhere in the folder `output`, whole or not at all, and says where.

    Raises InputError for a tree that cannot be used, and when `output` already holds this data set.
    """
    layout.split_subjects(clip.subject for clip in usable(layout.read_tree(root))[0])
    builder = Mug(data_dir=output, config=MugConfig(frames=frames, resolution=resolution))
    if builder.info.splits:
        raise InputError(f"{builder.data_dir}: already prepared; remove it or choose another output")
    with _folder(Path(output)), tempfile.TemporaryDirectory() as downloads, contextlib.redirect_stdout(None):
        # TFDS makes a folder for downloads although there are none, and talks of downloading.
        settings = tfds.download.DownloadConfig(manual_dir=root, try_download_gcs=False)
        builder.download_and_prepare(download_dir=downloads, download_config=settings)
    return Path(builder.data_dir)


def source(directory: Path | str, split: str, *, frames: int = 32, resolution: int = 192) -> Sequence[dict[str, Any]]:
    """The records of a prepared data set, by index. Raises InputError when `directory` does not hold it."""
    folder = Path(directory) / Mug.name / MugConfig(frames=frames, resolution=resolution).name / str(Mug.VERSION)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such data set; make it with launch/prepare.py")
    return tfds.builder_from_directory(folder).as_data_source(split)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Makes a folder, and removes it if it is new and what follows fails."""
    new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made a folder ({error.strerror}); choose another output") from error
    try:
        yield
    except BaseException:
        if new:
            shutil.rmtree(path)
        raise


def _read_landmarks(clip: layout.Clip) -> Shaped[np.ndarray, "n 68 2"]:
    shape = (len(clip.frames), 68, 2)
    try:
        landmarks = np.load(clip.landmarks, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{clip.landmarks}: not a NumPy array file; write float32 {list(shape)}") from error
    if landmarks.shape != shape or landmarks.dtype.kind != "f":
        found = f"{landmarks.dtype} {list(landmarks.shape)}"
        raise InputError(f"{clip.landmarks}: is {found}; write float32 {list(shape)}, one row for each frame")
    return landmarks


def _encode_pair(path: Path, landmarks: Shaped[np.ndarray, "68 2"], resolution: int) -> tuple[bytes, bytes]:
    data = path.read_bytes()
    frame = layout.decode(data, path)
    try:
        low = faces.low_frame(frame, landmarks)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return _encode_high(data, frame, resolution), _encode(low, ".png")


def _encode_high(data: bytes, frame: UInt8[np.ndarray, "h w 3"], resolution: int) -> bytes:
    if frame.shape[:2] == (resolution, resolution):
        return data
    return _encode(pixels.resize(pixels.centre_square(frame), resolution), ".jpg")


def _encode(image: UInt8[np.ndarray, "h w 3"], suffix: str) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
    return cv2.imencode(suffix, image[..., ::-1], options)[1].tobytes()
