"""From one photo and the name of an expression to a clip: a light generator, the enhancer, and back into the photo."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped, UInt8

from facenhance_jax.faces import dlib_models, placement, portrait, tracking
from facenhance_jax.generators.animated import Animated
from facenhance_jax.inference.compositing import Compositor
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.messages import InputError

SIZES = ("photo", "model")
MOST_FRAMES = 1000  # 40 s at 25 frames/s; they are kept to play them backwards


@runtime_checkable
class Generator(Protocol):
    """A light generator; see the package `generators`."""

    def generate(
        self, photo: portrait.Portrait, expression: str, strength: float, frames: int, seed: int
    ) -> UInt8[np.ndarray, "n l l 3"]: ...


def express(
    photo: UInt8[np.ndarray, "h w 3"],
    expression: str,
    *,
    strength: float = 1.0,
    frames: int = 32,
    seed: int = 0,
    hold: bool = False,
    loop: bool = False,
    size: str = "photo",
    face: int | None = None,
    framed: portrait.Portrait | None = None,
    enhancer: Enhancer | None = None,
    generator: Generator | None = None,
    **sampling: Any,
) -> Iterator[UInt8[np.ndarray, "h2 w2 3"]]:
    """Yields the frames of a clip in which the person of a photo shows an expression, as they are made.

    Args:
      photo: RGB of any size, with a neutral face.
      expression: anger, disgust, fear, happiness, sadness or surprise.
      strength: 0 (nothing) to 1.5 (much); 1 is usual.
      frames: how many, from 1 to 1000. Without `hold` and `loop`, the last one is the apex.
      seed: of the performance's timing and of the noise.
      hold: the last third stays at the apex; with `loop` the middle third does.
      loop: goes back to neutral.
      size: "photo" for frames of the photo's own size, "model" for the framed face as the model makes it.
      face: which face of the photo, from the left, from 1; None for the largest.
      framed: what `frame_face` found in the photo, if it was called already.
      enhancer: None for the packaged model, which is then loaded for this call.
      generator: makes the low-res clip; None for `generators.animated.Animated`.
      **sampling: fields of `SamplingSettings`.

    Raises:
      InputError: at once, for values that are not these, and as `frame_face` does.
    """
    if size not in SIZES:
        raise InputError(f"size: {size!r} is not one of {', '.join(SIZES)}")
    order = timeline(frames, hold=hold, loop=loop)
    enhancer = enhancer or Enhancer.load()
    framed = framed or frame_face(photo, enhancer.size, face=face)
    low = (generator or Animated()).generate(framed, expression, strength, max(order) + 1, seed)
    place = placement.of_landmarks(framed.landmarks)
    made = enhancer.stream(iter(low), framed.frame, place=place, seed=seed, **sampling)
    played = _played(made, order)
    return map(Compositor(photo, framed).paste, played) if size == "photo" else played


def frame_face(
    photo: UInt8[np.ndarray, "h w 3"],
    size: int,
    *,
    face: int | None = None,
    landmarks: Shaped[np.ndarray, "68 2"] | None = None,
    name: object = "the photo",
) -> portrait.Portrait:
    """The framed face of a photo, for a model that takes photos of size x size pixels, with its landmarks.

    As `portrait.find`, and with the landmarks also of a photo that is framed already; or as `portrait.around`, if the
    landmarks in the photo are known. Raises InputError as those do, and if no face is found or dlib is not installed.
    """
    if landmarks is not None:
        return portrait.around(photo, np.asarray(landmarks, np.float64), size, name=name)
    dlib_models.library(f"{name}: finding the face")
    framed = portrait.find(photo, size, face=face, name=name)
    if framed.landmarks is None:
        faces, _ = tracking.faces(framed.frame)
        if not len(faces):
            raise InputError(f"{name}: no face was found; give a photo of one from the front, not covered, not small")
        largest = int(np.ptp(faces, axis=1).max(axis=1).argmax())
        framed = framed._replace(landmarks=faces[largest], faces=len(faces), note="")
    return framed


def timeline(frames: int, *, hold: bool, loop: bool) -> list[int]:
    """Which of a generator's frames is shown when: forwards, then a third of the time the last if `hold`, then back if
    `loop`. Raises InputError if `frames` is not from 1 to 1000.
    """
    if not 1 <= frames <= MOST_FRAMES:
        raise InputError(f"frames: {frames} is not from 1 to {MOST_FRAMES}")
    stay = frames // 3 if hold else 0
    apex = (-(-(frames - stay) // 2) if loop else frames - stay) - 1
    return [min(n, apex, frames - 1 - n if loop else n) for n in range(frames)]


def _played(made: Iterator[UInt8[np.ndarray, "s s 3"]], order: Sequence[int]) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """Frames in another order, which takes each for the first time in turn."""
    kept = []
    for index in order:
        if index == len(kept):
            kept.append(next(made))
        yield kept[index]
