"""The queue of jobs: their order, their cancelling, what they say, and who is refused."""

import threading
import time

import pytest

from facenhance_jax.messages import InputError
from facenhance_jax.web import jobs
from facenhance_jax.web.jobs import MOST_WAITING, Desk

PATIENCE = 20  # seconds after which a test that hangs fails


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.close()
    assert not desk._thread.is_alive()


class Steps:
    """Work that reports a frame each time it is let on, and counts how far it came."""

    def __init__(self):
        self.count, self.asked, self.on = 0, threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, job):
        for number in range(1, 5):
            self.asked.release()
            while not self.on.acquire(timeout=0.02):
                job.check()
            job.report("walking", number, 4, frame=number)
            self.count = number
        return "there"

    def started(self):
        assert self.asked.acquire(timeout=PATIENCE)

    def step(self):
        self.on.release()
        self.started()


def last(job):
    end = time.monotonic() + PATIENCE
    for update in job.updates():
        assert time.monotonic() < end
        if update.ended:
            return update


def test_a_job_says_how_far_it_is_and_gives_what_it_made(desk):
    walk = Steps()
    job = desk.submit("tab", walk)
    updates = job.updates()
    seen = [next(updates)]
    for _ in range(4):
        walk.on.release()
    seen += list(updates)
    ended = seen[-1]
    assert (ended.state, ended.what, ended.done, ended.total, ended.frame, ended.made) == (
        "done",
        "walking",
        4,
        4,
        4,
        "there",
    )


def test_the_time_left_is_by_the_frames_after_the_first(desk, monkeypatch):
    job = jobs.Job("tab", None, desk)
    monkeypatch.setattr(job, "check", lambda: None)
    for now, done, left in ((0.0, 0, None), (10.0, 1, None), (13.0, 2, 24.0), (22.0, 5, 15.0), (25.0, 10, 0.0)):
        monkeypatch.setattr(jobs.time, "monotonic", lambda now=now: now)
        job.report("walking", done, 10)
        assert job._update.seconds_left == left
    job.report("resting", 1, 3)
    assert job._update.seconds_left is None


def test_jobs_run_one_at_a_time_in_their_order_and_know_their_place(desk):
    walks, order = [Steps() for _ in range(3)], []

    def work(number):
        def run(job):
            order.append(number)
            return walks[number](job)

        return run

    queued = [desk.submit(f"tab {number}", work(number)) for number in range(3)]
    walks[0].started()
    listening = [job.updates() for job in queued]
    assert [next(updates).before for updates in listening] == [0, 1, 2]
    for updates in listening:
        updates.close()  # whoever leaves cancels the job
    walks[0].on.release()
    assert last(queued[0]).state == "cancelled" and order == [0]
    assert [job._update.state for job in queued[1:]] == ["cancelled", "cancelled"]


def test_cancelling_stops_before_the_next_frame_and_lets_the_next_job_on(desk):
    walk, following = Steps(), Steps()
    job, other = desk.submit("a", walk), desk.submit("b", following)
    walk.started()
    walk.step()
    desk.cancel("a")
    desk.cancel("nobody")
    walk.on.release()
    assert last(job).state == "cancelled"
    assert walk.count == 1
    for _ in range(4):
        following.on.release()
    assert last(other).state == "done" and following.count == 4


def test_a_waiting_job_is_cancelled_at_once(desk):
    walk = Steps()
    desk.submit("a", walk)
    walk.started()
    waiting = desk.submit("b", Steps())
    desk.cancel("b")
    assert last(waiting).state == "cancelled"
    desk.submit("b", Steps())  # its tab may ask again
    walk.on.release()


def test_who_is_gone_is_not_worked_for(desk, monkeypatch):
    """A killed browser tab: nobody takes the updates any more, and nobody closes their generator."""
    walk = Steps()
    job = desk.submit("a", walk)
    walk.started()
    walk.step()
    monkeypatch.setattr(jobs, "ABANDONED", -1.0)
    walk.on.release()
    monkeypatch.setattr(job, "cancel", lambda: None)
    for _ in range(PATIENCE * 10):
        if job._update.ended:
            break
        threading.Event().wait(0.1)
    assert job._update.state == "cancelled" and walk.count == 1


def test_twenty_jobs_are_refused_over_the_limit_in_words(desk):
    walk = Steps()
    desk.submit("running", walk)
    walk.started()
    refused = 0
    for number in range(20):
        try:
            desk.submit(f"tab {number}", Steps())
        except InputError as error:
            refused += 1
            assert str(error) == f"{MOST_WAITING} jobs are waiting, which is all that fit; try again in a while"
    assert refused == 20 - MOST_WAITING
    with pytest.raises(InputError, match="this page has a job already"):
        desk.submit("running", Steps())
    walk.on.release()


def test_bad_input_is_a_line_and_a_bug_is_words_and_the_desk_lives_on(desk, capfd, monkeypatch):
    def refuse(job):
        raise InputError("me.jpg: no face was found")

    def fail(job):
        raise ZeroDivisionError("secret")

    assert last(desk.submit("a", refuse)).problem == "me.jpg: no face was found"
    ended = last(desk.submit("a", fail))
    assert ended.state == "failed" and "secret" not in ended.problem and "not your fault" in ended.problem
    assert "ZeroDivisionError: secret" in capfd.readouterr().err
    assert last(desk.submit("a", lambda job: 5)).made == 5
