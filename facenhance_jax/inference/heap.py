"""Less memory from glibc's `malloc`, which keeps what a compiler has freed. With other C libraries nothing happens."""

import contextlib
import ctypes

M_ARENA_MAX = -8  # of malloc.h


def keep_one() -> None:
    """Serves all threads from one heap, instead of one for each, from now on: 80 MB less after compiling."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Returns what is free to the system, in a few milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
