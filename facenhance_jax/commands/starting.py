"""How a command starts: its arguments' values, what it may write, and loading what it needs."""

import argparse
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facenhance_jax.inference import heap
from facenhance_jax.messages import InputError

LARGEST_SEED = 2**32 - 1


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """The `type` of an argument that is a whole number from `least` to `most`."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < least or (most is not None and number > most):
            limits = f"from {least}" + (" up" if most is None else f" to {most}")
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {limits}")
        return number

    return convert


def number(least: float, most: float) -> Callable[[str], float]:
    """The `type` of an argument that is a number from `least` to `most`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:  # NaN too
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return convert


def add_face_and_mark(command: argparse.ArgumentParser) -> None:
    """Adds which face of a photo is meant, and whether frames are marked as synthetic."""
    command.add_argument(
        "--face", type=whole_number(1), help="which face of the photo, from the left, from 1 (default: the largest)"
    )
    command.add_argument("--mark", action="store_true", help='write "synthetic" into a corner of every frame')


def add_model(command: argparse.ArgumentParser, seeded: str) -> None:
    """Adds which model is sampled, in how many steps, and the seed, which is of what `seeded` says."""
    command.add_argument("--model", help="a released model's folder (default: the one that is installed)")
    command.add_argument(
        "--steps", type=whole_number(1), help="denoising steps a frame; more is slower (default: the model's own)"
    )
    command.add_argument(
        "--seed",
        type=whole_number(0, LARGEST_SEED),
        default=0,
        help=f"of {seeded}; the same seed, the same pixels",
    )


def check_outputs(inputs: Sequence[str], output: str, *others: tuple[str | None, str]) -> None:
    """Raises InputError if `output` or one of `others` (path or None, suffix) cannot be written or is an input."""
    from facenhance_jax import media

    media.check_output(output)
    asked = [(path, suffix) for path, suffix in others if path]
    for path, suffix in asked:
        media.check_output(path, (suffix,))
    taken = {Path(path).resolve() for path in inputs}
    for path in (output, *(path for path, _ in asked)):
        if Path(path).resolve() in taken:
            raise InputError(f"{path}: is also an input, which would be lost; choose another name for the output")
    for path, suffix in asked:
        if suffix == ".png" and Path(path).resolve().parent in taken:
            raise InputError(f"{path}: would become one of the frames that the folder holds; choose another folder")


@contextmanager
def loading() -> Iterator[None]:
    """Leaves what is imported and loaded to stay out of the garbage collection, which else is a tenth of the start.

    From here on malloc keeps one heap, which takes less memory.
    """
    heap.keep_one()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
