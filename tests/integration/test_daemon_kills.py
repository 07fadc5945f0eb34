"""What is killed, stopped or cut off under the daemon: no record is lost, none doubled."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from daemon_helpers import (
    Process,
    Site,
    check_records,
    inventory,
    job,
    site,
    truth,
    until,
)
from databases import reachable_directory
from thorough import times

from syncd.model.run import Selection
from syncd.store.embedded import EmbeddedPostgres

ROUNDS = times(12)
FINAL = ("success", "failed", "cancelled")


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """Give a PostgreSQL that is somebody else's: reached by a DSN, stopped and started here."""
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory)
        server.start(60)
        try:
            yield server
        finally:
            server.stop(20)


def churn(place: Site, rng: random.Random) -> None:
    for account in place.emulator.world.accounts.values():
        for region in account.regions.values():
            region.churn(rng, adds=1, changes=1, releases=rng.randrange(2))


def kill_postmaster(place: Site) -> None:
    pid = place.server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_kills_at_random_moments_lose_no_record_and_double_none(seed: int) -> None:
    rng = random.Random(seed)
    with site(hosts=20) as place:
        place.configure({"hosts": job(every="1s", retries=["1m"] * 20)})
        place.up().kill()
        place.fault("latency", seconds=0.06)
        ended: dict[object, object] = {}
        owed: set[object] = set()
        epoch = middle = 0
        for number in range(ROUNDS):
            process = place.start()
            if number == 0:  # this one is in the middle of a run
                process.await_line("run started")
            else:
                await_any_moment(process, rng)
            process.kill()
            place.server.start(30)  # where the kill came before the daemon had started it again
            rows = place.runs()
            known = {row["id"]: row["status"] for row in rows}
            assert {i: known.get(i) for i in ended} == ended, f"round {number}"
            assert owed <= known.keys(), f"round {number}"
            ended = {i: status for i, status in known.items() if status in FINAL}
            owed = set(known)
            middle += "running" in known.values()
            check_records(place)
            (lease,) = place.rows("select epoch from syncd.leader")
            assert lease["epoch"] >= epoch
            epoch = lease["epoch"]
            churn(place, rng)
            if number % 4 == 3:
                kill_postmaster(place)
        print(f"{middle} of {ROUNDS} kills in the middle of a run")
        assert middle
        place.emulator.faults.clear()
        _check_the_last_start(place, epoch)


def await_any_moment(process: Process, rng: random.Random) -> None:
    """Wait until some moment of a start or, more often, of a run."""
    if rng.random() < 0.7:
        process.await_line("run started")
    time.sleep(rng.uniform(0, 0.7))  # the moment is what is random here


def _check_the_last_start(place: Site, epoch: int) -> None:
    """Check that a start finishes what was left, and that the records tell what happened."""
    process = place.up()
    run = place.client.trigger("hosts", Selection(), "me")
    until(lambda: place.client.wait(run, 5), 30, "a complete run")
    assert inventory(place) == truth(place.emulator)
    assert process.stop() == 0
    place.server.start(30)
    check_records(place)
    runs = place.runs()
    assert {row["status"] for row in runs} <= {"success", "pending"}
    assert [row["job"] for row in runs if row["status"] == "pending"][1:] == []
    assert place.rows("select epoch from syncd.leader")[0]["epoch"] > epoch
    (sums,) = place.rows("select sum(added) - sum(deleted) as living from syncd.run")
    assert sums["living"] == len(inventory(place))


def test_a_killed_postgresql_is_started_again_and_readiness_tells(seed: int) -> None:
    rng = random.Random(seed)
    with site() as place:
        place.configure({"hosts": job(every="1s", retries=["1s"] * 3)})
        process = place.up()
        place.fault("latency", seconds=0.05)
        for _ in range(3):
            process.await_line("run started")
            before = place.server.pid
            kill_postmaster(place)
            status, answer = until(
                lambda: (a := process.ready_answer())[0] == 503 and a, 15, "not ready"
            )
            assert status == 503
            assert "store" in answer["reason"]
            until(lambda: process.ready_answer()[0] == 200, 30, "ready again")
            assert place.server.pid not in (None, before)
            churn(place, rng)
        place.emulator.faults.clear()
        run = place.client.trigger("hosts", Selection(), "me")
        until(lambda: place.client.wait(run, 5), 20, "a complete run")
        assert inventory(place) == truth(place.emulator)
        assert process.stop() == 0
        place.server.start(30)
        check_records(place)
        assert place.runs("status = 'running'") == []
        assert "Traceback" not in process.text


def test_a_stop_with_the_store_gone_keeps_what_it_can_not_record() -> None:
    with site() as place:
        place.configure({"hosts": job()}, shutdown_grace="1s")
        process = place.up()
        place.fault("hang", action="DescribeInstances")
        run = place.client.trigger("hosts", Selection(), "me")
        waiting = "select from syncd.run_item where status = 'running'"
        until(lambda: len(place.rows(waiting)) == 2, 15, "items")
        process.send(signal.SIGTERM)
        process.await_line("event=stopping")
        kill_postmaster(place)
        assert process.wait() == 0
        assert "Traceback" not in process.text
        assert place.leftovers() == []
        place.emulator.faults.clear()
        place.up()
        until(lambda: place.runs("id = %s and status = 'success'", run), 20, "the run")
        assert inventory(place) == truth(place.emulator)
        check_records(place)


def test_a_store_that_is_stopped_in_a_run_gets_its_records_when_it_is_back(
    server: EmbeddedPostgres,
) -> None:
    with site(server.dsn, regions=2) as place:
        place.configure({"hosts": job(every="1s"), "other": job()})
        process = place.up()
        until(lambda: place.runs("status = 'success'"), 20, "a run")
        number = place.fault("hang", action="DescribeInstances")
        waiting = "select from syncd.run_item where status = 'running'"
        until(lambda: len(place.rows(waiting)) == 4, 15, "a run in the middle of its work")
        (run,) = place.runs("status = 'running'")
        server.stop(20)
        process.await_line("the store is lost")
        place.emulator.faults.clear(number)
        process.await_line("outbox", "level=warning")
        until(lambda: process.metric("syncd_outbox_records") >= 4, 15, "records in the outbox")
        assert process.metric("syncd_records_incomplete") >= 1
        assert process.ready_answer()[0] == 503
        assert process.get("/healthz")[0] == 200
        server.start(60)
        process.await_line("the store is back")
        until(lambda: process.metric("syncd_outbox_records") == 0, 10, "an empty outbox")
        until(lambda: process.ready_answer()[0] == 200, 10, "ready")
        (late,) = place.runs("id = %s", run["id"])
        assert late["status"] == "failed"
        later = "status = 'success' and scheduled_for > %s"
        until(lambda: place.runs(later, run["scheduled_for"]), 20, "the next run")
        assert inventory(place) == truth(place.emulator)
        assert process.stop() == 0
        check_records(place)
        assert "Traceback" not in process.text


def test_a_store_that_hangs_makes_the_daemon_not_ready_but_does_not_stop_its_clock(
    server: EmbeddedPostgres,
) -> None:
    with site(server.dsn) as place:
        place.configure({"hosts": job(every="1s")})
        process = place.up()
        until(lambda: place.runs("status = 'success'"), 20, "a run")
        frozen = _processes_of(server)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: process.ready_answer()[0] == 503, 25, "not ready")
            assert "store" in process.ready_answer()[1]["reason"]
            assert process.get("/healthz")[0] == 200
        finally:
            for pid in frozen:
                with suppress(ProcessLookupError):  # told to end meanwhile
                    os.kill(pid, signal.SIGCONT)
        until(lambda: process.ready_answer()[0] == 200, 20, "ready again")
        last = place.rows("select max(scheduled_for) at from syncd.run")[0]["at"]
        until(lambda: place.runs("status = 'success' and scheduled_for > %s", last), 20, "a run")
        assert process.stop() == 0
        check_records(place)


def _processes_of(server: EmbeddedPostgres) -> list[int]:
    """Return the postmaster and its children."""
    assert server.pid is not None
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return [server.pid, *map(int, children.split())]


def test_what_is_owed_survives_a_kill(server: EmbeddedPostgres) -> None:
    with site(server.dsn) as place:
        place.configure({"hosts": job()})
        process = place.up()
        number = place.fault("hang", action="DescribeInstances")
        run = place.client.trigger("hosts", Selection(), "me")
        waiting = "select from syncd.run_item where status = 'running'"
        until(lambda: len(place.rows(waiting)) == 2, 15, "items")
        server.stop(20)
        place.emulator.faults.clear(number)
        until(lambda: process.metric("syncd_outbox_records") == 3, 15, "records in the outbox")
        process.kill()
        assert (Path(place.state_dir) / "outbox" / "records").read_bytes()[:1] != b"\0"
        server.start(60)
        place.up()
        (record,) = place.runs("id = %s", run)
        assert (record["status"], record["error_class"]) == ("failed", "store")
        check_records(place)


def test_a_store_that_is_away_at_the_start_is_waited_for(server: EmbeddedPostgres) -> None:
    dsn = server.dsn
    server.stop(20)
    with site(dsn) as place:
        place.configure({"hosts": job(every="1s")})
        process = place.start()
        process.await_line("event=waiting", "out of reach")
        status, answer = process.ready_answer()
        assert status == 503
        assert "store" in answer["reason"]
        server.start(60)
        process.await_ready()
        until(lambda: place.runs("status = 'success'"), 20, "a run")
        assert process.stop() == 0
