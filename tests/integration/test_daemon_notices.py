"""Daemons as processes: killed, cut off from the store, reloaded, two of them; each tells once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from daemon_helpers import Site, job, neighbour, site, until
from databases import reachable_directory
from notice_engine import told
from notify_receivers import Receiver
from store_proxy import StoreProxy
from thorough import times
from toml_text import toml

from syncd.errors import ConfigurationError
from syncd.model.run import Selection

SECONDS = 20.0


@pytest.fixture
def place(migrated_dsn: str) -> Iterator[Site]:
    with site(migrated_dsn, hosts=2) as made:
        yield made


def configure(place: Site, ops: Receiver | None, job_keys: Any = (), **keys: Any) -> None:
    """Write a configuration with the job hosts, and a channel if there is a receiver."""
    tables = place.tables({"hosts": job(**dict(job_keys))})
    if ops:
        tables["notify"] = {"ops": {"channel": "webhook", "url": ops.url, "timeout": "2s", **keys}}
    place.write(toml(tables))


def run(place: Site, status: str = "success") -> None:
    """Have a run of the job end so."""
    ended = len(place.runs("status = %s", status))
    number = place.fault("permission") if status == "failed" else None
    place.client.trigger("hosts", Selection(), "me")
    until(lambda: len(place.runs("status = %s", status)) > ended, SECONDS, f"a run: {status}")
    if number is not None:
        place.emulator.faults.clear()


def queue(place: Site) -> list[tuple[str, str, bool]]:
    """Return channel and event of all messages, and whether they were sent."""
    rows = place.rows("select channel, event, sent_at from syncd.notification order by id")
    return [(row["channel"], row["event"], row["sent_at"] is not None) for row in rows]


def test_a_failure_and_its_recovery_reach_people(place, receivers):
    ops = receivers.open()
    configure(place, ops)
    process = place.up()
    run(place, "failed")
    until(lambda: told(ops) == [("failed", "hosts failed")], SECONDS, "the failure")
    run(place)
    until(lambda: len(ops.received) == 2, SECONDS, "the recovery")
    assert told(ops)[1] == ("recovered", "hosts failed")
    process.await_line("notification sent", 'about="hosts failed"')
    assert process.metric("syncd_notifications_total", channel="ops", outcome="sent") == 2
    assert process.stop() == 0
    assert ops.url not in process.text


def test_kills_at_any_moment_lose_no_message_and_queue_none_twice(place, receivers):
    ops = receivers.open()
    configure(place, ops, on=["success"])
    rounds = 6
    for number in range(rounds):
        process = place.up()
        run(place)
        if number % 2:
            until(lambda n=number: len(ops.received) > n - 1, SECONDS, "a message of before")
        process.kill()
    place.up()
    until(lambda: len(queue(place)) == rounds and all(q[2] for q in queue(place)), 40, "all sent")
    rows = place.rows(
        "select content ->> 'id' as notice, attempts from syncd.notification order by id"
    )
    ids = [one.document["id"] for one in ops.received]
    assert list(dict.fromkeys(ids)) == [row["notice"] for row in rows], "each, in its order"
    for row in rows:
        assert ids.count(row["notice"]) <= row["attempts"], "again only where it was tried again"
    assert place.rows("select count(*) as n from syncd.run where told_at is null")[0]["n"] == 0


def test_what_waits_when_it_is_killed_is_sent_by_the_next(place, receivers):
    ops = receivers.open()
    receivers.status = 503
    configure(place, ops)
    process = place.up()
    run(place, "failed")
    process.await_line("notification not sent")
    process.kill()
    receivers.status = 204
    place.up()
    until(lambda: queue(place) == [("ops", "failed", True)], SECONDS, "sent")


def test_a_reload_changes_the_channels_of_a_running_daemon(place, receivers):
    first, second = receivers.open(), receivers.open()
    configure(place, None)
    process = place.up()
    run(place, "failed")
    configure(place, first)
    place.client.reload("me")
    until(lambda: told(first) == [("failed", "hosts failed")], SECONDS, "what lasts")
    place.write("jobs = 7")
    with pytest.raises(ConfigurationError):
        place.client.reload("me")
    until(lambda: len(first.received) == 2, SECONDS, "that the reload failed")
    assert told(first)[1][0] == "reload_failed"
    configure(place, second)
    place.client.reload("me")
    until(lambda: "recovered" in [e for e, _ in told(second)], SECONDS, "that it is well")
    assert process.lines("notification sent")


@pytest.mark.skipif(times(1) == 1, reason="takes two minutes: SYNCD_TEST_THOROUGH=2")
def test_a_store_that_is_away_is_told_and_that_it_is_back(place, receivers):
    ops = receivers.open()
    with reachable_directory() as directory:
        proxy = StoreProxy(place.dsn, directory, "no-01")
        behind = place.dsn
        place.dsn = proxy.dsn
        configure(place, ops)
        place.dsn = behind
        process = place.up()
        proxy.cut()
        until(lambda: told(ops), 100, "the notice")
        assert told(ops)[0][1].endswith(" store resource")
        proxy.heal()
        until(lambda: len(ops.received) == 2, 60, "that it is back")
        assert told(ops)[1][0] == "recovered"
        assert process.stop() == 0
        proxy.close()


def test_two_daemons_send_once(place, receivers):
    ops = receivers.open()
    configure(place, ops)
    first = place.up()
    with neighbour(place) as beside:
        configure(beside, ops)
        second = beside.start()
        second.await_line("another daemon leads")
        run(place, "failed")
        until(lambda: queue(place) == [("ops", "failed", True)], SECONDS, "sent")
        first.kill()
        second.await_ready()
        run(beside)
        until(lambda: len(queue(place)) == 2 and queue(place)[1][2], SECONDS, "the recovery")
        second.end()
    assert told(ops) == [("failed", "hosts failed"), ("recovered", "hosts failed")]


def test_a_run_of_a_command_line_is_told_by_the_daemon(place, receivers):
    """It has its own state directory, so that nobody hears of its end but from the store."""
    ops = receivers.open()
    configure(place, ops, on=["success"])
    place.up()
    with neighbour(place) as beside:
        configure(beside, None)
        command = [sys.executable, "-m", "syncd", "--config", str(beside.config), "sync", "hosts"]
        kept = {name: each for name, each in os.environ.items() if not name.startswith("SYNCD_")}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=kept
        )
        assert done.returncode == 0, done.stderr
    until(lambda: told(ops) == [("success", "hosts success")], SECONDS, "its success")
