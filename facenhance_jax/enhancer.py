"""The public API: a released model, ready to enhance clips."""

import functools
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import ml_collections
import numpy as np
from jaxtyping import UInt8

from facenhance_jax import build, checkpoints, recurrence
from facenhance_jax.compile_cache import keep_compiled_programs, traced
from facenhance_jax.denoiser import Denoiser
from facenhance_jax.errors import InputError
from facenhance_jax.pixels import to_signal
from facenhance_jax.registration import find_face

PACKAGED_MODEL = Path(__file__).parent / "model"
CHUNK = 8  # frames that one compiled program takes; a clip's last chunk is padded, at no cost


class Enhancer:
    """Makes 192x192 clips of a person from 64x64 clips of an expression and one photo.

    Attributes:
      size: side of the photo and of the frames that come out, pixels.
      low_size: side of the low-res frames that go in, pixels.
    """

    def __init__(self, denoiser: Denoiser, params: dict, about: str = ""):
        """`about` tells the denoiser from all others, for its traced programs to be kept; without it they are not."""
        self.denoiser = denoiser
        self._about = about
        self.params = params
        self.size = denoiser.config.resolution
        self.low_size = denoiser.config.low_size
        self._programs = {}

    @classmethod
    def load(cls, path: Path | str | None = None) -> "Enhancer":
        """Loads a released model's folder, a training run's (its newest checkpoint), or the model in the package.

        Compiled programs are kept in the user's cache folder, so that the next process starts at once.

        Raises:
          InputError: where the folder is no released model, or its weights do not fit its config.
        """
        keep_compiled_programs()
        path = PACKAGED_MODEL if path is None else Path(path)
        if (path / "checkpoints").is_dir():
            from facenhance_jax import runs  # not before: a released model needs no log

            config, _, params = runs.read_ema(path)
            return cls(build.denoiser(ml_collections.ConfigDict(config)), params, repr(config))
        config = checkpoints.load_config(path)
        denoiser = build.denoiser(ml_collections.ConfigDict(config))
        return cls(denoiser, checkpoints.load_params(path, denoiser.abstract_params()), repr(config))

    def enhance(
        self,
        low: np.ndarray,
        identity: np.ndarray,
        *,
        steps: int = 8,
        seed: int = 0,
        solver: str = "ddim",
        shared_noise: bool = True,
    ) -> UInt8[np.ndarray, "n h w 3"]:
        """The whole clip at once: uint8 [n, low_size, low_size, 3] to [n, size, size, 3]; see `stream`."""
        if len(low) == 0:
            raise InputError("the clip has no frames")
        options = dict(steps=steps, seed=seed, solver=solver, shared_noise=shared_noise)
        return np.stack(list(self.stream(low, identity, **options)))

    def stream(
        self,
        frames: Iterable[np.ndarray],
        identity: np.ndarray,
        *,
        steps: int = 8,
        seed: int = 0,
        solver: str = "ddim",
        shared_noise: bool = True,
    ) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Yields enhanced frames as they are made, in memory that does not grow with the clip.

        The pixels are a function of the arguments alone: the same whether a clip is streamed or done at once.

        Args:
          frames: low-res frames, uint8 [low_size, low_size, 3]; any iterable, read as needed.
          identity: the neutral photo, uint8 [size, size, 3].
          steps: of the sampler, 1..T.
          seed: of the noise.
          solver: "ddim" or "2m" (see `sampler.make_plan`).
          shared_noise: whether every frame starts from the same noise, which flickers less; the paper draws it anew.

        Raises:
          InputError: for steps that the model cannot take, or a photo or frame of another size.
        """
        build.plan(self.denoiser, steps, solver)  # for its errors, before the first frame is asked for
        self._check("the photo", identity, self.size)
        return self._chunks((steps, solver, shared_noise), iter(frames), np.asarray(identity), seed)

    def _chunks(self, way, frames, identity, seed):
        key = jax.random.key(seed)
        photo = jax.device_put(identity[None])
        previous, first, place = jax.jit(to_signal)(photo), 0, None  # op by op it would compile three programs
        while chunk := list(itertools.islice(frames, CHUNK)):
            for index, frame in enumerate(chunk):
                self._check(f"frame {first + index} of the clip", frame, self.low_size)
            low = np.zeros((CHUNK, 1, self.low_size, self.low_size, 3), np.uint8)
            low[: len(chunk), 0] = chunk
            if place is None:  # by the first frame: it is the likest to the photo, where an expression begins
                place = find_face(low[0, 0], identity)[None]
            count = np.int32(len(chunk))
            arguments = (self.params, low, photo, previous, np.int32(first), count, key, place)
            previous, enhanced = self._program(way, arguments)(*arguments)
            yield from np.asarray(enhanced)[: len(chunk), 0]
            first += len(chunk)

    def _program(self, way: tuple[int, str, bool], arguments: tuple):
        """The compiled recurrence; one for each (steps, solver, shared_noise), whatever the clip's length."""
        if way not in self._programs:
            steps, solver, shared_noise = way
            options = dict(denoiser=self.denoiser, plan=build.plan(self.denoiser, steps, solver))
            chunk = functools.partial(recurrence.enhance_chunk, **options, shared_noise=shared_noise)
            self._programs[way] = traced(chunk, arguments, f"{self._about} {way}") if self._about else jax.jit(chunk)
        return self._programs[way]

    @staticmethod
    def _check(what: str, pixels: np.ndarray, size: int) -> None:
        shape, dtype = np.shape(pixels), getattr(pixels, "dtype", type(pixels))
        if shape != (size, size, 3) or dtype != np.uint8:
            raise InputError(f"{what} must be uint8 of shape ({size}, {size}, 3), not {dtype} of shape {shape}")
