"""Threads that sleep in C code: found, counted, replaced, and their job locked."""

import os
import threading

from dispatch_desk import (
    HOUR,
    Open,
    statuses,
    until,
)
from dispatch_helpers import NOON, SECONDS, Bench, FakeJob, spec, succeed

from syncd.context import RunContext
from syncd.errors import TimedOut
from syncd.model.run import Due


class Pipe:
    """A work that sleeps in C code until somebody writes to its pipe."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.entered = threading.Event()

    def __call__(self, ctx: RunContext) -> None:
        self.entered.set()
        os.read(self.read, 1)

    def wake(self) -> None:
        os.write(self.write, b"x")
        os.close(self.write)


def test_a_thread_asleep_in_c_code_is_found_counted_and_replaced_and_locks_its_job(
    bench: Bench, desk: Open
) -> None:
    pipe = Pipe()
    at = desk(
        spec("j", FakeJob({"1": pipe})),
        spec("other", FakeJob({"1": succeed})),
        workers=1, stuck_after=0.2,
    )  # fmt: skip
    at.due(Due("j", NOON, "schedule"))
    assert pipe.entered.wait(SECONDS)
    at.board.attempts()[0].source.cancel(TimedOut("the time limit passed"))
    until(lambda: at.pool.stuck == 1)
    until(lambda: statuses(bench) == [(NOON, "schedule", "failed")])
    run = bench.one("select error_class, error, next_attempt_at, items_failed from syncd.run")
    assert run == (
        "timeout", "the time limit passed; its thread did not come back", None, 1,
    )  # fmt: skip
    assert at.final(at.request("other")) == "success"  # in the thread that replaces it
    at.due(Due("j", NOON + HOUR, "schedule"))
    until(lambda: ("skipped", "j", "stuck") in bench.watcher.told)
    pipe.wake()
    until(lambda: at.pool.stuck == 0 and not at.board.stuck)
    assert bench.scratch() == 1  # what the late thread would have written was refused
    assert bench.watcher.told.count(("ended", "j", "failed")) == 1
    assert ("ended", "j", "interrupted") not in bench.watcher.told
    at.due(Due("j", NOON + 2 * HOUR, "schedule"))
    until(lambda: len(statuses(bench)) == 3)  # the job is unlocked
    os.close(pipe.read)


def test_a_stuck_thread_of_a_cancelled_run_leaves_it_cancelled(bench: Bench, desk: Open) -> None:
    pipe = Pipe()
    at = desk(spec("j", FakeJob({"1": pipe})), stuck_after=0.1)
    run_id = at.request()
    assert pipe.entered.wait(SECONDS)
    at.dispatcher.ask(lambda: at.board.cancel(run_id, "me"))
    assert at.final(run_id) == "cancelled"
    until(lambda: at.pool.stuck == 1)
    pipe.wake()
    until(lambda: at.pool.stuck == 0)
    os.close(pipe.read)
