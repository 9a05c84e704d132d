"""One job at a time: a queue with one thread, whose jobs say how far they are and can be cancelled at any frame."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from facenhance_jax.messages import InputError

MOST_WAITING = 8  # jobs; more are refused
POLITE = 0.5  # seconds between two updates of a job about which there is nothing new
ABANDONED = 30.0  # seconds after which a job whose updates nobody takes is stopped: its browser tab is gone


class Cancelled(Exception):
    """Raised in a job's own work when somebody cancelled it, or when nobody takes its updates any more."""


@dataclass(frozen=True)
class Update:
    """What is known of a job.

    Attributes:
      state: an ended job is "done", "failed" or "cancelled".
      before: how many jobs come before this one, while it is waiting.
      what: the work that is being done, in words.
      done, total: how much of it; `total` is None if that is not known.
      seconds_left: of this work; None as long as it cannot be told.
      frame: the newest one, uint8 [h, w, 3], or None.
      made: what the work returned, once it is done.
      problem: one line, if it failed.
    """

    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    before: int = 0
    what: str = "starting"
    done: int = 0
    total: int | None = None
    seconds_left: float | None = None
    frame: Any = None
    made: Any = None
    problem: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Job:
    """A piece of work and how far it is; made by `Desk.submit`."""

    def __init__(self, owner: str, work: "Work", desk: "Desk"):
        self.owner = owner
        self._work, self._desk = work, desk
        self._news = threading.Condition(desk.lock)
        self._update = Update()
        self._cancelled = False
        self._taken = time.monotonic()  # when somebody last took an update
        self._first = self._taken, 0  # when the work that is reported now first had something done, and how much

    def cancel(self) -> None:
        """Ends the job: a waiting one at once, a running one when it next reports."""
        with self._desk.lock:
            self._cancelled = True
            if self._desk.drop(self):
                self._set(state="cancelled")

    def check(self) -> None:
        """For the work: raises Cancelled if it should stop."""
        if self._cancelled or time.monotonic() - self._taken > ABANDONED:
            raise Cancelled

    def report(self, what: str, done: int = 0, total: int | None = None, frame: Any = None) -> None:
        """For the work: says how far it is. Raises Cancelled if it should stop."""
        self.check()
        with self._desk.lock:
            now = time.monotonic()
            if what != self._update.what or not self._first[1]:
                self._first = now, done
            began, before = self._first  # the first frame, which may have to wait for a program, does not count
            left = (now - began) * (total - done) / (done - before) if total and done > before > 0 else None
            frame = self._update.frame if frame is None else frame
            self._set(what=what, done=done, total=total, seconds_left=left, frame=frame)

    def updates(self) -> Iterator[Update]:
        """Yields whenever there is news, and at least every half second, until the job has ended.

        Who stops taking them cancels the job.
        """
        known, said = None, Update()
        try:
            while not said.ended:
                with self._desk.lock:
                    if self._update is known:
                        self._news.wait(POLITE)
                    self._taken = time.monotonic()
                    known = self._update
                    said = replace(known, before=self._desk.before(self))
                yield said
        finally:
            self.cancel()

    def run(self) -> None:
        """Does the work, in the desk's thread."""
        try:
            self.check()
            with self._desk.lock:
                self._set(state="running")
            ended = dict(state="done", made=self._work(self))
        except Cancelled:
            ended = dict(state="cancelled")
        except InputError as error:
            ended = dict(state="failed", problem=str(error))
        except Exception:  # a bug: its traceback is for who started the server, and the server lives on
            traceback.print_exc()
            problem = "something went wrong here, which is not your fault; the server's window shows what"
            ended = dict(state="failed", problem=problem)
        with self._desk.lock:
            self._set(**ended)

    def _set(self, **changes: Any) -> None:
        self._update = replace(self._update, **changes)
        self._news.notify_all()


Work = Callable[[Job], Any]


class Desk:
    """Takes jobs and does them one after the other, in one thread."""

    def __init__(self):
        self.lock = threading.RLock()
        self._arrived = threading.Condition(self.lock)
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)
        self._thread.start()

    def submit(self, owner: str, work: Work) -> Job:
        """Puts a job at the end of the queue.

        Raises InputError if the queue is full, or if `owner` (one browser tab) has a job in it already.
        """
        with self.lock:
            if any(job.owner == owner for job in self._all()):
                raise InputError("this page has a job already; cancel it or wait for its end")
            if len(self._waiting) >= MOST_WAITING:
                raise InputError(f"{len(self._waiting)} jobs are waiting, which is all that fit; try again in a while")
            job = Job(owner, work, self)
            self._waiting.append(job)
            self._arrived.notify()
            return job

    def cancel(self, owner: str) -> None:
        """Cancels the job of a browser tab, if it has one."""
        with self.lock:
            for job in self._all():
                if job.owner == owner:
                    job.cancel()

    def close(self) -> None:
        """Cancels all jobs and ends the thread."""
        with self.lock:
            self._closed = True
            for job in self._all():
                job.cancel()
            self._arrived.notify()
        self._thread.join(ABANDONED)

    def before(self, job: Job) -> int:
        """How many jobs come before this one; 0 if it does not wait. Needs the lock."""
        return self._waiting.index(job) + (self._running is not None) if job in self._waiting else 0

    def drop(self, job: Job) -> bool:
        """Whether the job was still waiting; then it no longer is. Needs the lock."""
        if job not in self._waiting:
            return False
        self._waiting.remove(job)
        return True

    def _all(self) -> list[Job]:
        return [*self._waiting, *([self._running] if self._running else [])]

    def _serve(self) -> None:
        while True:
            with self.lock:
                self._arrived.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                self._running = self._waiting.pop(0)
            self._running.run()
            with self.lock:
                self._running = None
