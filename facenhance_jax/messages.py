"""What a command tells its user: the error for bad input, notes, and progress bars."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


_gathered: ContextVar[list[str] | None] = ContextVar("gathered", default=None)


class InputError(ValueError):
    """Bad input: the message is one line that names the file or field, what is wrong with it, and what to do.

    Commands print the message and exit with status 2; any other exception is a bug and keeps its traceback.
    """


def note(text: str) -> None:
    """Prints a line that the user should know, above a progress bar if there is one; the work goes on."""
    notes, line = _gathered.get(), f"facenhance: note: {text}"
    if notes is not None:
        notes.append(text)
    elif "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


@contextmanager
def gathered() -> Iterator[list[str]]:
    """In the block and its thread, notes go into the list that it gives, and no bar is drawn; for the page."""
    notes: list[str] = []
    token = _gathered.set(notes)
    try:
        yield notes
    finally:
        _gathered.reset(token)


def progress(what: str, count: int | None, items: Iterable | None = None, unit: str = "frame") -> "tqdm":
    """A bar with the rate and the time left, over `items` or updated by the caller; `count` is None if unknown."""
    from tqdm import tqdm  # not at the top: `facenhance --help` need not load it

    # In a log file every refresh is a new line, so there are few.
    hidden = _gathered.get() is not None
    interval = 0.2 if sys.stderr.isatty() else 10.0  # seconds
    return tqdm(items, desc=what, total=count, unit=unit, mininterval=interval, maxinterval=interval, disable=hidden)


@contextmanager
def refusing() -> Iterator[None]:
    """For the programs in launch/: turns an InputError into one line on stderr and exit status 2."""
    try:
        yield
    except InputError as error:
        print(f"facenhance: {error}", file=sys.stderr)
        sys.exit(2)
