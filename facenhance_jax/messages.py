"""What a command says to a person: the one error that a person has to mend, notes, and how far the work is."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


class InputError(ValueError):
    """Bad input: the message is one line that names the file or field, what is wrong with it, and what to do.

    Commands print the message and exit with status 2; every other exception is a fault of ours and keeps its traceback.
    """


def note(text: str) -> None:
    """Prints what a person should know although the work goes on."""
    print(f"facenhance: note: {text}", file=sys.stderr)


def progress(what: str, count: int | None, items: Iterable | None = None, unit: str = "frame") -> "tqdm":
    """A bar with the rate and the time left, over `items` or to be updated; `count` is None where it is not known."""
    from tqdm import tqdm  # only here: `facenhance --help` shows no bar

    # In a log every refresh is a line, so there they come seldom.
    interval = 0.2 if sys.stderr.isatty() else 10.0  # seconds
    return tqdm(items, desc=what, total=count, unit=unit, mininterval=interval, maxinterval=interval)


@contextmanager
def refusing() -> Iterator[None]:
    """What the programs in launch/ run in: bad input is one line on stderr and the exit status 2."""
    try:
        yield
    except InputError as error:
        print(f"facenhance: {error}", file=sys.stderr)
        sys.exit(2)
