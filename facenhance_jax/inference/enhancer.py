"""The public API: a model that is ready to enhance clips."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, UInt8

from facenhance_jax.faces.registration import find_face
from facenhance_jax.inference import recurrence
from facenhance_jax.inference.compile_cache import compiled, keep_compiled_programs, remembered, traced
from facenhance_jax.messages import InputError
from facenhance_jax.network.denoiser import Denoiser
from facenhance_jax.network.denoiser_config import GRID
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.runs import cards, checkpoints
from facenhance_jax.runs.cards import PACKAGED_MODEL
from facenhance_jax.settings import SamplingSettings, read_model

CHUNK = 8  # frames that one compiled program takes; a clip's last chunk is padded, at no cost


def as_computed(params: dict, dtype: str) -> dict:
    """The parameters, with the layers' in the dtype of the computation, to which each layer casts them at each call.

    The norms' stay float32, in which norms are computed, and so do the restorer's few: its detectors are, too.
    """
    leaves, _ = jax.tree.flatten_with_path(params)
    layers = {path[:-1] for path, _ in leaves if path[-1].key == "kernel" and path[0].key != "restorer"}
    return jax.tree.map_with_path(lambda path, leaf: leaf.astype(dtype) if path[:-1] in layers else leaf, params)


class Enhancer:
    """Makes 192x192 clips of a person from 64x64 clips of an expression and one photo.

    Each method takes `seed` (of the noise) and, to override the model's own, the fields of `SamplingSettings`: `steps`,
    `solver`, `temperature`, `shared_noise`. The pixels are a function of the arguments: a clip gives the same ones
    streamed or at once, and up to the rounding of sums also in a batch with other clips.

    Attributes:
      denoiser, params: the network; of a bfloat16 network, the kernels are bfloat16 too.
      sampling: how it is sampled by default.
      size: side of the photo and of the frames that come out, pixels.
      at_once: how many frames are made before they are handed out, at most CHUNK. With 1 they come as they are made,
        and who stops asking stops the work; the pixels are the same.
      low_size: side of the low-res frames that go in, pixels.
      name: of the model, one line, for the metadata of what it makes (see `media.label`).
    """

    def __init__(
        self,
        denoiser: Denoiser,
        params: dict,
        sampling: SamplingSettings,
        *,
        name: str = "unnamed",
        keep_programs: bool = False,
    ):
        """With `keep_programs`, traced programs are kept on disk (see `compile_cache.traced`)."""
        self.denoiser, self.sampling, self.name = denoiser, sampling, name
        dtype = denoiser.config.dtype
        self.params = params if dtype == "float32" else jax.jit(as_computed, static_argnames="dtype")(params, dtype)
        self.size, self.low_size = denoiser.config.resolution, denoiser.config.low_size
        self.at_once = CHUNK
        self._keeps = keep_programs
        self._programs: dict[Any, Callable] = {}

    @classmethod
    def load(cls, path: Path | str | None = None) -> "Enhancer":
        """Loads the folder of a released model or of a training run (its newest checkpoint), or the packaged model.

        Compiled programs are kept in the user's cache folder, so that the next process starts at once.

        Raises:
          InputError: the folder is neither a model nor a run, or its weights are damaged or do not fit its config.
        """
        keep_compiled_programs()
        path = PACKAGED_MODEL if path is None else Path(path)
        if (path / "checkpoints").is_dir():
            from facenhance_jax.runs import run_folder

            config, step, params = run_folder.read_ema(path)
            settings = read_model(config)
            name = f"the training run {path.resolve().name}, step {step}"
            return cls(settings.denoiser(), params, settings.sampling, name=name, keep_programs=True)
        settings = read_model(checkpoints.load_config(path))
        denoiser = settings.denoiser()
        abstract = remembered(denoiser.abstract_params, str(denoiser.config))
        params = checkpoints.load_params(path, abstract)
        return cls(denoiser, params, settings.sampling, name=cards.name(path), keep_programs=True)

    def enhance(
        self, low: np.ndarray, identity: np.ndarray, *, place: np.ndarray | None = None, seed: int = 0, **sampling: Any
    ) -> UInt8[np.ndarray, "n h w 3"]:
        """Enhances a whole clip: uint8 [n, low_size, low_size, 3] and a photo [size, size, 3] to [n, size, size, 3].

        Raises InputError as `stream` does, and for a clip without frames.
        """
        if len(low) == 0:
            raise InputError("the clip has no frames")
        return np.stack(list(self.stream(low, identity, place=place, seed=seed, **sampling)))

    def enhance_batch(
        self,
        lows: np.ndarray,
        identities: np.ndarray,
        *,
        places: Sequence[np.ndarray | None] | None = None,
        seed: int = 0,
        **sampling: Any,
    ) -> UInt8[np.ndarray, "b n h w 3"]:
        """Enhances b clips of one length: [b, n, low_size, low_size, 3] and [b, size, size, 3]; see `stream`."""
        if not lows.shape[1]:
            raise InputError("the clips have no frames")
        for index, photo in enumerate(identities):
            self._check(f"photo {index}", photo, self.size)
        places = [None] * len(lows) if places is None else [_checked(place) for place in places]
        frames = self._frames(np.moveaxis(lows, 1, 0), identities, places, seed, self.sampling_with(**sampling))
        return np.stack(list(frames), axis=1)

    def stream(
        self,
        frames: Iterable[np.ndarray],
        identity: np.ndarray,
        *,
        place: np.ndarray | None = None,
        seed: int = 0,
        **sampling: Any,
    ) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Yields enhanced frames as they are made, in memory that does not grow with the clip.

        Args:
          frames: low-res frames, uint8 [low_size, low_size, 3]; any iterable, read as needed.
          identity: the neutral photo, uint8 [size, size, 3].
          place: where the low-res face belongs in the photo, (left, top, side, angle) as `faces.placement` defines it,
            for example `placement.of_landmarks`; None to find it by the clip's first frames.
          seed: of the noise.
          **sampling: fields of `SamplingSettings`.

        Raises:
          InputError: at once, for sampling that the model cannot do, a photo of another size or a bad place; while
            iterating, for a frame of another size.
        """
        asked = self.sampling_with(**sampling)
        self._check("the photo", identity, self.size)
        lows, places = (np.asarray(frame)[None] for frame in frames), [_checked(place)]
        made = self._frames(lows, np.asarray(identity)[None], places, seed, asked)
        return (clips[0] for clips in made)

    def sampling_with(self, **changes: Any) -> SamplingSettings:
        """The model's own sampling with these fields changed; None leaves a field as it is.

        Raises InputError for what the model cannot do.
        """
        changes = {field: value for field, value in changes.items() if value is not None}
        asked = dataclasses.replace(self.sampling, **changes)
        self.denoiser.plan(asked.steps, asked.solver)
        return asked

    def compile(self, clips: int = 1, **sampling: Any) -> None:
        """Compiles the program for so many clips at once, so that the first call is as fast as later ones."""
        low = np.zeros((CHUNK, clips, self.low_size, self.low_size, 3), np.uint8)
        photos = np.zeros((clips, self.size, self.size, 3), np.uint8)
        self._program(self.sampling_with(**sampling), self._first_chunk(low, photos, [None] * clips, seed=0))

    def _frames(
        self,
        lows: Iterable[np.ndarray],
        identities: np.ndarray,
        places: Sequence[np.ndarray | None],
        seed: int,
        sampling: SamplingSettings,
    ) -> Iterator[UInt8[np.ndarray, "b h w 3"]]:
        """Each frame of b clips, from their low-res frames [b, low_size, low_size, 3]."""
        lows, first, chunk = iter(lows), 0, None
        while rows := list(itertools.islice(lows, CHUNK)):
            for index, row in enumerate(rows):
                for frame in row:
                    self._check(f"frame {first + index} of the clip", frame, self.low_size)
            chunk = chunk or self._first_chunk(np.stack(rows), identities, places, seed)
            for part in (rows[start : start + self.at_once] for start in range(0, len(rows), self.at_once)):
                low = np.zeros((CHUNK, *rows[0].shape), np.uint8)
                low[: len(part)] = part
                chunk = chunk._replace(low=low, first=np.int32(first), count=np.int32(len(part)))
                (previous, moves), enhanced = self._program(sampling, chunk)(self.params, chunk)
                yield from np.asarray(enhanced)[: len(part)]
                first, chunk = first + len(part), chunk._replace(previous=previous, moves=moves)

    def _first_chunk(
        self, low: np.ndarray, identities: np.ndarray, places: Sequence[np.ndarray | None], seed: int
    ) -> recurrence.Chunk:
        """The first chunk of b clips, from their first frames [n, b, low_size, low_size, 3], n <= CHUNK.

        Where no place is given, and one is needed, the face is found in the photo by these frames: the same ones in a
        stream.
        """
        photos, config = jax.device_put(identities), self.denoiser.config
        if config.place_low:
            found = [
                find_face(low[:, index], photo) if place is None else place
                for index, (photo, place) in enumerate(zip(identities, places, strict=True))
            ]
        squares = (len(photos), GRID, GRID, 2)
        return recurrence.Chunk(
            low=low,
            identity=photos,
            previous=jax.jit(to_signal)(photos),  # without jit it would compile three programs
            first=np.int32(0),
            count=np.int32(len(low)),
            key=jax.random.key(seed),
            place=np.stack(found) if config.place_low else None,
            moves=np.zeros(squares, np.float32) if config.restore_low else None,
        )

    def _program(self, sampling: SamplingSettings, chunk: recurrence.Chunk) -> Callable:
        """The compiled recurrence: one for each sampling and number of clips; clips of any length share it."""
        name = sampling, len(chunk.identity)
        if name not in self._programs:
            run = functools.partial(
                recurrence.enhance_chunk,
                denoiser=self.denoiser,
                plan=self.denoiser.plan(sampling.steps, sampling.solver),
                temperature=sampling.temperature,
                shared_noise=sampling.shared_noise,
                corrections=sampling.corrections,
            )
            arguments = (self.params, chunk)
            about = f"{self.denoiser.config} {hashlib.sha256(self.denoiser.schedule.phi).hexdigest()} {sampling}"
            program = traced(run, arguments, about) if self._keeps else jax.jit(run)
            self._programs[name] = compiled(program.lower(*arguments))
        return self._programs[name]

    @staticmethod
    def _check(what: str, pixels: np.ndarray, size: int) -> None:
        shape, dtype = np.shape(pixels), getattr(pixels, "dtype", type(pixels))
        if shape != (size, size, 3) or dtype != np.uint8:
            raise InputError(f"{what} must be uint8 of shape ({size}, {size}, 3), not {dtype} of shape {shape}")


def _checked(place: np.ndarray | None) -> Float32[np.ndarray, "4"] | None:
    """Raises InputError unless it is four finite numbers with a positive side, or None."""
    if place is None:
        return None
    numbers = np.asarray(place, np.float32)
    if numbers.shape != (4,) or not np.isfinite(numbers).all() or numbers[2] <= 0:
        raise InputError(f"place: {place} is not (left, top, side, angle), in pixels and degrees; see faces.placement")
    return numbers
