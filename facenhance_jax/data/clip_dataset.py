"""A tree of clips as a TFDS data set of records, written and read without TensorFlow.

The two builders, `mug` and `folder`, define how a tree is read and which photo belongs to a clip; the rest is here.
"""

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from facenhance_jax import messages
from facenhance_jax.data import layout
from facenhance_jax.data.records import Job, Recipe, Record, attempt, clip_records
from facenhance_jax.data.splits import split_subjects
from facenhance_jax.data.stored import WORDS, Records, entries
from facenhance_jax.data.synthetic import population
from facenhance_jax.messages import InputError

TRACKS = "tracks"  # folder in the output for the landmarks that our tracker found
VERSION = tfds.core.Version("2.0.0")
_FRAMES_PER_SHARD = 4096  # about 80 MB at 192 px
_NAMED = 20  # how many skipped clips a report names


@dataclasses.dataclass
class Report:
    """What the preparation of a data set did.

    Attributes:
      folder: the data set's folder.
      resolution: side of its frames, pixels.
      expected: expressions that every subject should perform.
      subjects: {"train": ids, "test": ids}.
      performers: {expression: number of subjects in the tree that perform it}.
      expressions: {expression: number of records}.
      counts: "clips", "frames", "repeated", "filled", "own_photo" and "unframed" (see `records.clip_records`).
      skipped: {clip, file or folder: why}.
      seconds: duration of the preparation.
    """

    folder: Path = Path()
    resolution: int = 0
    expected: Sequence[str] = ()
    subjects: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    performers: Counter = dataclasses.field(default_factory=Counter)
    expressions: Counter = dataclasses.field(default_factory=Counter)
    counts: Counter = dataclasses.field(default_factory=Counter)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    @property
    def skipped_share(self) -> float:
        """The share of skipped clips among all that should have become records."""
        return len(self.skipped) / max(1, len(self.skipped) + self.counts["clips"])

    def note(self, expression: str, records: int, counts: Counter) -> None:
        """Counts a clip that became records."""
        self.expressions[expression] += records
        self.counts += counts

    def text(self) -> str:
        """The report as lines of text. Measures the residual scale on the training clips, which takes seconds."""
        from facenhance_jax.data import pipeline

        counts, (train, test) = self.counts, (self.subjects[split] for split in ("train", "test"))
        clips = ", ".join(f"{count} {name or 'in no folder'}" for name, count in sorted(self.expressions.items()))
        lines = [
            f"subjects  {len(train)} train, {len(test)} test ({' '.join(test)})",
            f"clips     {self.expressions.total()}: {clips}",
            f"frames    {counts['frames']}, {self.resolution} px; {counts['repeated']} of them repeats, "
            f"{counts['filled']} without a face of their own",
        ]
        if counts["own_photo"]:
            lines.append(
                f"photos    own first frame taken for {counts['own_photo']} clips without a neutral photo; this makes "
                "copying the photo look better than it is"
            )
        if counts["unframed"]:
            lines.append(
                f"photos    middle square taken for {counts['unframed']} clips; no face was found in their photos, or "
                "dlib is not installed"
            )
        if self.expected:
            everyone = len(train) + len(test)
            lacking = {name: everyone - self.performers[name] for name in self.expected}
            missing = [f"{name} of {count} subjects" for name, count in lacking.items() if count]
            lines.append(f"missing   {', '.join(missing) or 'nothing'}")
        lines.append(f"skipped   {len(self.skipped)}, {100 * self.skipped_share:.1f} %")
        lines += [f"          {name}: {why}" for name, why in list(self.skipped.items())[:_NAMED]]
        if len(self.skipped) > _NAMED:
            lines.append(f"          and {len(self.skipped) - _NAMED} more")
        scale = pipeline.residual_scale(source(self.folder, "train"))
        lines.append(f"residual  config.model.residual_scale = {scale:.1f}, measured on the training clips")
        rate = f", {counts['frames'] / self.seconds:.0f} frames/s" if self.seconds else ""
        lines.append(f"written   {self.folder} in {self.seconds:.1f} s{rate}")
        return "\n".join(lines)


@dataclasses.dataclass
class ClipConfig(tfds.core.BuilderConfig):
    """How a data set is made; see `records.Recipe` for `frames`, `resolution`, `part` and `openface`.

    Attributes:
      split: how subjects are split; see `splits.split_subjects`.
    """

    name: str = ""
    frames: int = 32
    resolution: int = 192
    part: str = "onset"
    split: str = "quarter"
    openface: str = ""

    def __post_init__(self) -> None:
        Recipe("", self.frames, self.resolution, self.part)  # its checks
        options = [
            self.part != "onset" and self.part,
            self.split != "quarter" and self.split,
            self.openface and "openface",
        ]
        self.name = "_".join(filter(None, (f"{self.frames}frames_{self.resolution}px", *options)))


class ClipDataset(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """TFDS builder; its splits "train" and "test" share no subject. An example is one frame of a clip; see `stored`."""

    VERSION = VERSION
    RELEASE_NOTES = {"1.0.0": "First version.", "2.0.0": "An example is a frame, no longer a clip."}
    BUILDER_CONFIGS = [ClipConfig()]
    EXPRESSIONS: Sequence[str] = ()  # the expressions that become records; () for all
    AROUND_FACE = False  # see `records.Recipe`
    DESCRIPTION = ""
    HOMEPAGE = ""

    def __init__(self, *, config: ClipConfig | str | None = None, **kwargs: Any) -> None:
        self.report = Report()
        # TFDS compares configs by identity, so a config that equals a known one is replaced by it.
        known = next((known for known in self.BUILDER_CONFIGS if config in (None, known)), config)
        super().__init__(config=known, file_format="array_record", **kwargs)

    def read(self, root: Path) -> layout.Tree:
        """The tree at `root`."""
        raise NotImplementedError

    def identity(self, recording: layout.Recording, others: Sequence[layout.Recording], root: Path) -> Path:
        """The file of the photo for one of the tree's recordings; `others` are all of them."""
        raise NotImplementedError

    def make(self, job: Job, recipe: Recipe) -> tuple[list[Record], Counter]:
        """The records of a clip; see `records.Make`."""
        return clip_records(job.recording, job.identity, recipe)

    def jobs(self, root: Path) -> dict[str, list[Job]]:
        """{split: the clips that should become records}; starts a new report.

        Raises InputError for a tree without clips of expressions, or with too few subjects to split.
        """
        tree = self.read(root)
        chosen = [clip for clip in tree.recordings if not self.EXPRESSIONS or clip.expression in self.EXPRESSIONS]
        if not chosen:
            raise InputError(f"{root}: nothing to learn from, it holds neutral clips only; add clips of expressions")
        performers = Counter(expression for _, expression in {(clip.subject, clip.expression) for clip in chosen})
        self.report = Report(
            resolution=self.builder_config.resolution,
            expected=self.EXPRESSIONS,
            subjects=split_subjects((clip.subject for clip in chosen), self.builder_config.split),
            performers=performers,
            skipped=dict(tree.skipped),
        )
        return {
            name: [Job(clip, self.identity(clip, tree.recordings, root)) for clip in chosen if clip.subject in subjects]
            for name, subjects in self.report.subjects.items()
        }

    def recipe(self, root: Path) -> Recipe:
        """How this data set's records are made."""
        config, tracks = self.builder_config, Path(self.data_dir_root).absolute() / TRACKS / self.name
        shape = (config.frames, config.resolution, config.part)
        return Recipe(str(root), *shape, config.openface, str(tracks), self.AROUND_FACE)

    def _info(self) -> tfds.core.DatasetInfo:
        # TFDS's image features decode with TensorFlow; Text passes bytes through.
        fields = ("high", "low", "identity", "place", *WORDS)
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION,
            features=tfds.features.FeaturesDict({field: tfds.features.Text() for field in fields}),
            homepage=self.HOMEPAGE,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(frames=self.builder_config.frames),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        root = Path(dl_manager.manual_dir)
        self.info.metadata["drawn"] = population.is_drawn(root)
        return {name: self._generate_examples(name, jobs, self.recipe(root)) for name, jobs in self.jobs(root).items()}

    def _generate_examples(
        self, split: str, jobs: Sequence[Job], recipe: Recipe
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """(key, example) for each frame of all records in order; keys count from 0."""
        key = -1
        examples = (entry for record in self._records(jobs, recipe, split) for entry in entries(record))
        for key, example in enumerate(examples):
            yield key, example
        if key < 0:
            skipped = _reasons(self.report.skipped)
            raise InputError(f"{recipe.root}: no clip of the {split} split could be used; {skipped}")

    def _download_and_prepare(self, dl_manager: tfds.download.DownloadManager, download_config: Any) -> None:
        """Writes each record as soon as it is made.

        TFDS's own method keeps a whole split in memory and, above 1000 MiB, needs TensorFlow to store it on disk.
        """
        splits = self._split_generators(dl_manager)
        info = self._info()  # in the temporary folder that the base class has set for now
        writer = tfds.core.SequentialWriter(info, _FRAMES_PER_SHARD, file_format="array_record")
        writer.initialize_splits(list(splits))
        for name, examples in splits.items():
            # One call for each record, not each example: every call also rewrites the data set's description.
            while record := [example for _, example in islice(examples, self.builder_config.frames)]:
                writer.add_examples({name: record})
        writer.close_all()
        self.info.set_splits(info.splits)

    def _records(self, jobs: Sequence[Job], recipe: Recipe, name: str) -> Iterator[dict[str, Any]]:
        """The records of the jobs, in order, made by a pool of threads; failures go into the report."""
        workers = os.cpu_count() or 1
        with messages.progress(name, len(jobs), unit="clip") as progress, ThreadPoolExecutor(workers) as pool:
            waiting, rest = deque(), iter(jobs)
            while True:
                for job in rest:
                    waiting.append((job, pool.submit(attempt, self.make, job, recipe)))
                    if len(waiting) >= 2 * workers:  # no more records in memory than keep the threads busy
                        break
                if not waiting:
                    return
                job, future = waiting.popleft()
                result = future.result()
                progress.update()
                if isinstance(result, str):
                    self.report.skipped[job.recording.name] = result
                    continue
                records, counts = result
                self.report.note(job.recording.expression, len(records), counts)
                yield from records


def prepare(builder: ClipDataset, root: Path | str) -> Report:
    """Writes the builder's data set of the tree `root`, whole or not at all.

    Clips that cannot be used are skipped and listed in the report. If an earlier preparation was killed, what it left
    behind is removed first; only the landmarks that it found are kept and used.

    Raises InputError for a tree that cannot be used, and if the data set exists already.
    """
    start, root = time.monotonic(), Path(root)
    if builder.info.splits:
        raise InputError(f"{builder.data_dir}: already prepared; remove it or choose another output")
    builder.jobs(root)  # raises, before anything is written, if the tree cannot be used
    for leftover in Path(builder.data_dir).parent.glob("incomplete.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with (
        _folder(Path(builder.data_dir_root)),
        tempfile.TemporaryDirectory() as downloads,
        contextlib.redirect_stdout(None),
    ):
        # TFDS makes a folder for downloads and prints a message about them, although nothing is downloaded.
        settings = tfds.download.DownloadConfig(manual_dir=root, try_download_gcs=False)
        builder.download_and_prepare(download_dir=downloads, download_config=settings)
    builder.report.folder, builder.report.seconds = Path(builder.data_dir), time.monotonic() - start
    return builder.report


def source(directory: Path | str, split: str) -> Records:
    """The records of a prepared data set, by index; `split` is "train", "test" or "all".

    `directory` is the output folder of `prepare`, or a folder in it; it must contain one data set only.
    Raises InputError if it contains none, several, or one of another version.
    """
    found = sorted(path.parent for path in Path(directory).glob("**/dataset_info.json"))
    found = [path for path in found if not any(part.startswith("incomplete.") for part in path.parts)]
    if not found:
        raise InputError(f"{directory}: no such data set; make it with launch/prepare.py")
    if len(found) > 1:
        raise InputError(f"{directory}: holds {len(found)} data sets; give one of {', '.join(map(str, found))}")
    builder = tfds.builder_from_directory(found[0])
    if builder.version != VERSION:
        raise InputError(f"{found[0]}: is of version {builder.version}, not {VERSION}; remove it and prepare it again")
    data = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    about = builder.info.metadata
    return Records(data, about["frames"], directory, about.get("drawn", False))


def _reasons(skipped: dict[str, str], most: int = 3) -> str:
    shown = [f"{name}: {why}" for name, why in list(skipped.items())[:most]]
    return "; ".join(shown) + (f"; and {len(skipped) - most} more" if len(skipped) > most else "")


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Makes a folder. If it is new and the block fails, removes it again."""
    new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made a folder ({error.strerror}); choose another output") from error
    try:
        yield
    except Exception:
        if new:
            shutil.rmtree(path)
        raise
