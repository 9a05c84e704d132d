"""What is asked of glibc, and that other C libraries are left alone."""

import ctypes

from facenhance_jax.inference import heap


def test_one_heap_for_all_threads_and_free_memory_goes_back(monkeypatch):
    asked = []

    class Glibc:
        def __init__(self, name):
            self.name = name

        def mallopt(self, option, value):
            asked.append((self.name, option, value))

        def malloc_trim(self, kept):
            asked.append((self.name, "trim", kept))

    monkeypatch.setattr(ctypes, "CDLL", Glibc)
    heap.keep_one()
    heap.give_back()
    assert asked == [("libc.so.6", -8, 1), ("libc.so.6", "trim", 0)]


def test_nothing_happens_without_glibc(monkeypatch):
    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    heap.keep_one()
    heap.give_back()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # a C library that has neither function
    heap.keep_one()
    heap.give_back()
