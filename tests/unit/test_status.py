"""The status line, as `systemctl status` shows it."""

from datetime import UTC, datetime, timedelta

from syncd.context import Clock
from syncd.status import StatusLine

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class HandClock(Clock):
    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment


def text(line, *, jobs=4, due=None, progress=None, running=None):
    return line.text(jobs=jobs, soonest=due, progress=progress or {}, running=running or {})


def test_a_daemon_at_rest_tells_its_jobs_and_the_next_run():
    due = ("sizes", NOW + timedelta(minutes=12))
    assert text(StatusLine(HandClock()), due=due) == "4 jobs, next sizes in 12m"
    assert text(StatusLine(HandClock()), jobs=1) == "1 job"


def test_running_jobs_tell_how_far_they_are():
    running = {"hosts": "r1", "sizes": "r2"}
    progress = {"r1": {"items": 7, "items_done": 3}}
    told = text(StatusLine(HandClock()), running=running, progress=progress)
    assert told == "4 jobs, 2 running (hosts 42%, sizes starting)"


def test_the_last_failure_is_told_until_the_job_succeeds():
    clock = HandClock()
    line = StatusLine(clock)
    line.ended("early", failed=True)
    clock.moment += timedelta(hours=1)
    line.ended("late", failed=True)
    clock.moment += timedelta(seconds=5)
    assert text(line).endswith("; last failure late 5s ago")
    line.ended("late", failed=False)
    assert text(line).endswith("; last failure early 1h ago")
    line.ended("early", failed=False)
    assert text(line) == "4 jobs"


def test_a_problem_is_told_last():
    line = StatusLine(HandClock())
    line.problem = "the last reload failed"
    assert text(line) == "4 jobs; the last reload failed"


def test_a_job_that_is_gone_has_not_failed_last():
    line = StatusLine(HandClock())
    line.ended("gone", failed=True)
    line.keep(["hosts"])
    assert text(line) == "4 jobs"
