"""What a command says on stderr while it works: notes, and how far it is."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def note(text: str) -> None:
    """Prints what a person should know although the work goes on."""
    print(f"facenhance: note: {text}", file=sys.stderr)


def progress(what: str, count: int | None, frames: Iterable | None = None) -> tqdm:
    """A bar with the rate and the time left, over `frames` or to be updated; `count` is None where it is not known."""
    # In a log every refresh is a line, so there they come seldom.
    interval = 0.2 if sys.stderr.isatty() else 10.0  # seconds
    return tqdm(frames, desc=what, total=count, unit="frame", mininterval=interval, maxinterval=interval)
