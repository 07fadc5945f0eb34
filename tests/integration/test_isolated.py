"""Attempts in a process of their own: as in a thread, and gone for good when their time is over."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import isolated_jobs
import psycopg
import pytest
from daemon_helpers import until
from dispatch_helpers import NOON, SECONDS, Bench, FakeJob, minutes, spec
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from syncd.context import CancelSource, Deadline
from syncd.dispatch.isolated import Isolated
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.spec import JobSpec
from syncd.errors import Cancelled, Interrupted, Preempted, SyncdError, TimedOut
from syncd.model.measures import Measures
from syncd.model.run import Claim, Target
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.runs import RunEnd

RUN = "select status, error_class, items_total, items_failed, added from syncd.run"
Works = dict[str, tuple[str, str]]


def isolated(bench: Bench, works: Works, parallel: int = 3) -> JobSpec:
    """Have the bench's runs do these works in a process of their own; return the job."""
    entry = isolated_jobs.entry(bench.store.dsn, works)
    bench.works["process"] = Isolated(entry, bench.recorder, bench.watcher)
    return spec("j", None, isolation="process", parallel=parallel)


def run(bench: Bench, works: Works, claim: Claim | None = None, **changes: Any) -> RunEnd | None:
    attempt = bench.attempt(isolated(bench, works), claim or bench.begun(), **changes)
    return bench.runner.run(attempt)


def pid_in(place: Path) -> int:
    return int(until(lambda: place.exists() and place.read_text(), SECONDS, f"{place} is written"))


def lives(pid: int) -> bool:
    """Tell whether there is a process, if only to be waited for."""
    return Path(f"/proc/{pid}").exists()


@contextmanager
def under_way(
    bench: Bench, works: Works, claim: Claim, **changes: Any
) -> Iterator[tuple[CancelSource, list[RunEnd | None]]]:
    """Run an attempt in a thread of its own; give what cancels it, and the list of its end."""
    source, ends = CancelSource(), []
    attempt = bench.attempt(isolated(bench, works), claim, source=source, **changes)
    thread = threading.Thread(target=lambda: ends.append(bench.runner.run(attempt)))
    thread.start()
    try:
        yield source, ends
    finally:
        source.cancel()
        thread.join(SECONDS)
    assert not thread.is_alive()


OUTCOMES = ("item", "measured", "error", "ended")


def told(bench: Bench) -> list[tuple[Any, ...]]:
    return sorted(t for t in bench.watcher.told if t[0] in OUTCOMES)


def test_it_goes_as_in_a_thread(bench: Bench) -> None:
    works = {"a/1": ("reports", ""), "a/2": ("succeeds", ""), "b/1": ("raises", "Network"),
             "c/1": ("raises", "Authentication"), "d": ("raises", "a bug")}  # fmt: skip
    seen = []
    for isolation in ("thread", "process"):
        bench.watcher.told.clear()
        bench.execute("truncate syncd.run cascade; truncate scratch")
        made = {n: isolated_jobs.WORKS[name](argument) for n, (name, argument) in works.items()}
        targets = {n: Target(n, account=n.split("/")[0] if "/" in n else None) for n in works}
        if isolation == "thread":
            of = spec("j", FakeJob(made, targets), parallel=1)
        else:
            of = isolated(bench, works, parallel=1)
        progress = RunProgress()
        end = bench.runner.run(bench.attempt(of, bench.begun(), progress=progress))
        items = bench.execute(
            """select target, account, status, attempt, total, added, errors, error_class, error,
                      details from syncd.run_item order by target"""
        )
        errors = bench.execute("select resource_id, error_class, error from syncd.run_error")
        credentials = dict(bench.credentials.refused), set(bench.credentials.answered)
        outcome = end.outcome if end else None
        seen.append(
            (outcome, end and end.next_attempt_at, bench.one(RUN), items, errors, told(bench),
             progress.snapshot(), credentials, bench.scratch())
        )  # fmt: skip
        bench.credentials.refused.clear()
        bench.credentials.answered.clear()
    assert seen[0] == seen[1]
    assert seen[1][2][2:] == (5, 3, 4)
    assert seen[1][6]["targets"]["a/1"] == {
        "state": "success",
        "done": 3,
        "of": 4,
        "per_second": None,
        "seconds_left": None,
    }
    assert seen[1][7] == ({"c": "x"}, {"a"})
    assert ("statement", "apply") in bench.watcher.told
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    assert ("measured", "j", "a/1", Measures(7, moment, 1)) in bench.watcher.told


def test_it_tells_how_much_patience_a_server_asked_for(bench: Bench) -> None:
    end = run(bench, {"1": ("throttles", "90")})
    assert end is not None
    assert end.next_attempt_at == NOON + minutes(1.5)[0]


def test_the_order_says_what_is_wanted_and_what_is_held(bench: Bench) -> None:
    works = dict.fromkeys(("a/1", "b/1"), ("succeeds", ""))
    run(bench, works, held={"a": "no such key"})
    assert bench.items() == {"a/1": ("failed", "authentication", 1), "b/1": ("success", None, 1)}
    assert bench.one("select error from syncd.run_item where target = 'a/1'") == (
        "not tried: no such key"
    )
    assert bench.credentials.refused == {}


def test_a_report_that_no_record_can_hold_fails_its_item_alone(bench: Bench) -> None:
    run(bench, {"1": ("odd", ""), "2": ("succeeds", "")})
    assert bench.items() == {"1": ("failed", "bad_data", 1), "2": ("success", None, 1)}


@pytest.mark.parametrize("error", [Cancelled, Interrupted, Preempted, TimedOut])
def test_it_is_told_why_it_has_to_stop(
    bench: Bench, tmp_path: Path, error: type[SyncdError]
) -> None:
    claim, place = bench.begun(), tmp_path / "pid"
    works = {"1": ("waits", str(place)), "2": ("succeeds", "")}
    with under_way(bench, works, claim) as (source, ends):
        pid = pid_in(place)
        until(lambda: bench.items()["2"][0] == "success", SECONDS, "the other item has ended")
        source.cancel(error("for a reason"))
        until(lambda: ends, 1.9, "it stops by itself")
    assert not lives(pid)
    (end,) = ends
    assert end is not None
    assert (end.free, end.preempted) == (error in (Interrupted, Preempted), error is Preempted)
    status = {Cancelled: "cancelled", TimedOut: "pending"}.get(error, "pending")
    assert bench.one("select status, error from syncd.run") == (status, "for a reason")
    ended = "cancelled" if error is Cancelled else "failed"
    assert bench.items()["1"] == (ended, error.error_class, 1)


def test_one_that_sleeps_in_c_is_gone_at_its_time_limit(bench: Bench, tmp_path: Path) -> None:
    claim, place = bench.begun(), tmp_path / "pid"
    works = {"1": ("blocked", str(place))}
    deadline = Deadline.after(6)
    with under_way(bench, works, claim, deadline=deadline) as (_, ends):
        pid = pid_in(place)
        assert deadline.remaining() > 0, "the process began too late to be tested"
        until(lambda: not lives(pid), deadline.remaining() + 3.5, "it is gone")
        until(lambda: ends, 2, "the run ends")
    (end,) = ends
    assert end is not None
    assert end.next_attempt_at == NOON + minutes(1)[0]
    assert bench.one(RUN) == ("pending", "timeout", 1, 1, 0)
    assert bench.items()["1"] == ("failed", "interrupted", 1)


def test_one_that_does_not_stop_is_killed(bench: Bench, tmp_path: Path) -> None:
    claim, place = bench.begun(), tmp_path / "pid"
    with under_way(bench, {"1": ("blocked", str(place))}, claim) as (source, ends):
        pid = pid_in(place)
        source.cancel(Cancelled("cancelled by me"))
        until(lambda: ends, 5, "the run ends")
    assert not lives(pid)
    assert bench.one("select status, error from syncd.run") == ("cancelled", "cancelled by me")
    assert bench.items()["1"] == ("cancelled", None, 1)


@pytest.mark.parametrize(
    ("how", "text"),
    [("SIGSEGV", "was ended by SIGSEGV"), ("SIGKILL", "was ended by SIGKILL"),
     ("exit", "ended too early, with exit status 7")],
)  # fmt: skip
def test_a_crash_is_a_failure_that_is_tried_again(bench: Bench, how: str, text: str) -> None:
    end = run(bench, {"1": ("crashes", how)})
    assert end is not None
    assert end.next_attempt_at == NOON + minutes(1)[0]
    assert bench.one("select status, error_class, error from syncd.run") == (
        "pending", "internal", f"the process of the run {text}"
    )  # fmt: skip
    assert bench.items()["1"] == ("failed", "interrupted", 1)


def test_a_process_that_can_not_begin_is_a_failure(bench: Bench) -> None:
    bench.works["process"] = Isolated(
        lambda _: isolated_jobs.Entry(["-m", "no_such_module"], b""), bench.recorder, bench.watcher
    )
    bench.runner.run(bench.attempt(spec("j", isolation="process"), bench.begun()))
    assert bench.one(RUN)[:2] == ("pending", "internal")


def test_one_whose_run_was_taken_over_is_abandoned(bench: Bench, tmp_path: Path) -> None:
    claim, place = bench.begun(), tmp_path / "pid"
    with under_way(bench, {"1": ("waits", str(place))}, claim) as (_, ends):
        pid = pid_in(place)
        bench.execute("update syncd.run set owner_epoch = 2")
        Path(f"{place}.open").touch()
        until(lambda: ends, SECONDS, "it is abandoned")
    assert ends == [None]
    assert not lives(pid)
    assert bench.scratch() == 0
    assert bench.items() == {"1": ("running", None, 1)}


@contextmanager
def closed(server: EmbeddedPostgres, dsn: str) -> Iterator[None]:
    """Let nobody into a database, as if it were out of reach."""
    name = sql.Identifier(str(conninfo_to_dict(dsn)["dbname"]))
    allow = sql.SQL("alter database {} allow_connections {}")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(allow.format(name, sql.Literal(False)))
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            (conninfo_to_dict(dsn)["dbname"],),
        )
        try:
            yield
        finally:
            connection.execute(allow.format(name, sql.Literal(True)))


def test_what_a_lost_store_can_not_take_waits_in_the_daemon(
    bench: Bench, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    claim, place = bench.begun(), tmp_path / "pid"
    works = {"1": ("waits", str(place)), "2": ("succeeds", "")}
    with under_way(bench, works, claim) as (_, ends):
        pid_in(place)
        until(lambda: bench.items()["2"][0] == "success", SECONDS, "the other item has ended")
        with closed(postgres, bench.store.dsn):
            Path(f"{place}.open").touch()
            until(lambda: ends, SECONDS, "the run ends")
            assert bench.recorder.owed == 2

    def flushed() -> bool:
        with suppress(SyncdError):
            bench.recorder.flush()
        return bench.recorder.owed == 0

    until(flushed, SECONDS, "the records are recorded")
    assert bench.one(RUN) == ("pending", "store", 2, 1, 1)
    assert bench.items() == {"1": ("failed", "store", 1), "2": ("success", None, 1)}


def test_it_has_no_more_of_the_daemon_than_it_needs(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"):
        monkeypatch.setenv(name, "0")
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)
    try:
        run(bench, {"1": ("looks", str(tmp_path / "seen"))})
    finally:
        os.close(lock)
    seen = json.loads((tmp_path / "seen").read_text())
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"} & seen["environment"].keys()
    assert seen["environment"].keys() - os.environ.keys() <= {"PYTHONPATH"}
    assert str(tmp_path / "lock") not in seen["files"]
    assert os.devnull in seen["files"]
    assert not any(bench.store.dsn in argument for argument in seen["arguments"])
    assert seen["session"]


def test_signals_are_for_the_daemon(bench: Bench, tmp_path: Path) -> None:
    claim, place = bench.begun(), tmp_path / "pid"
    with under_way(bench, {"1": ("waits", str(place))}, claim) as (_, ends):
        pid = pid_in(place)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        Path(f"{place}.open").touch()
        until(lambda: ends, SECONDS, "the run ends")
    assert bench.one(RUN) == ("success", None, 1, 0, 1)


PARENT = """
import sys
from dispatch_helpers import Bench
from pathlib import Path
from test_isolated import run
run(Bench(sys.argv[1], Path(sys.argv[2])), {"1": (sys.argv[3], sys.argv[4])})
"""


@pytest.mark.parametrize("work", ["waits", "blocked"])
def test_it_dies_with_its_daemon(bench: Bench, tmp_path: Path, work: str) -> None:
    place = tmp_path / "pid"
    command = [sys.executable, "-c", PARENT, bench.store.dsn, str(tmp_path / "other"), work,
               str(place)]  # fmt: skip
    (tmp_path / "other").mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    with subprocess.Popen(command, env=environment) as parent:
        try:
            pid = pid_in(place)
            assert lives(pid)
        finally:
            parent.kill()
    until(lambda: not lives(pid), 5, "it is gone")
