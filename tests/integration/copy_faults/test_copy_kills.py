"""kill -9 at random moments of copies of a table that is being written: nothing lost or twice."""

import os
import random
import signal
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from copy_site import CopySite
from copy_writers import await_now, make_table, writing
from daemon_helpers import Process, check_records, until
from thorough import times

from syncd.model.run import Selection

CASES = [
    ("other-pg to pg", "thread", 14),
    ("maria to pg", "thread", 14),
    ("other-pg to maria", "thread", 14),
    ("maria to pg", "process", 6),
    ("other-pg to maria", "process", 6),
]
"""With how many kills each: more than fifty."""
JOB = {
    "mode": "incremental",
    "watermark": "updated_at",
    "lookback": "0s",
    "delete": "hard",
    "max_delete_percent": 100,
    "page_rows": 100,
    "retries": ["1s"] * 20,
}


@pytest.mark.parametrize(("pair", "isolation", "kills"), CASES)
def test_kills_at_random_moments_lose_no_row(between, pair, isolation, kills, seed):
    rng = random.Random(seed)
    copy = between(pair)
    make_table(copy.source, "orders", 3000)
    # An attempt that dies alone is tried again only where no due time comes before; a run that
    # fails has no counts, whatever stands of it.
    every = "1s" if isolation == "thread" else "1h"
    copy.copies("orders", "orders", every=every, isolation=isolation, **JOB)
    copy.configure()
    middle = 0
    with writing(copy.source, "orders", seed, late=0.3):
        for number in range(times(kills)):
            process = copy.place.start()
            if isolation == "process":
                begin(copy, process)
            if number == times(kills) // 2:  # from here on there is a watermark
                process.await_line("run ended", "status=success")
            elif number == 0:  # all rows are to be copied yet: this one is in the middle
                await_copying(process)
            elif rng.random() < 0.9:
                await_copying(process)
                time.sleep(rng.uniform(0, 0.2))  # the moment is what is random here
            else:
                time.sleep(rng.uniform(0, 2))
            if isolation == "process" and rng.random() < 0.5:
                kill_attempts(process)
                copy.check_watermark("orders", "orders")
            process.kill()
            middle += copy.is_under_way("orders")
            copy.check_watermark("orders", "orders")
    print(f"{middle} of {times(kills)} kills in the middle of a copy")
    assert middle
    assert copy.checked
    check_the_last_runs(copy)


def test_a_copy_that_is_killed_for_good_tells_what_stands(between):
    """It stands at a row that somebody else has not committed, so that it is in the middle."""
    copy = between("maria to pg")
    make_table(copy.source, "orders", 3000)
    make_table(copy.target, "orders")
    copy.copies("orders", "orders", isolation="process", page_rows=100)
    copy.configure()
    process = copy.place.up()
    committed = "select details -> 'committed' as told from syncd.run_item"
    with closing(copy.target.connect()) as other:
        other.execute("insert into orders (id) values (-1000)")
        number = copy.place.client.trigger("orders", Selection(), "me")
        until(lambda: copy.target.lines(_AT_THE_ROW) == ["1"], 20, "the copy stands at the row")
        kill_attempts(process)
        until(lambda: copy.place.client.wait(number, 5), 30, "the run ended")
    (run,), (item,) = copy.place.runs("id = %s", number), copy.place.rows(committed)
    assert (run["status"], run["total"]) == ("failed", 0)
    assert item["told"]["added"] == item["told"]["total"]
    assert 0 < item["told"]["added"] <= copy.count("orders") <= 2000


_AT_THE_ROW = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"


def begin(copy: CopySite, process: Process) -> None:
    """Have a run begin where none is to go on."""
    process.await_ready()
    if not copy.place.runs("status in ('running', 'pending')"):
        copy.place.client.trigger("orders", Selection(), "me")


def await_copying(process: Process) -> None:
    """Wait until a copy began; of one that was done but for its record, only the end is told."""
    until(lambda: process.lines("table copy began") or process.lines("run ended"), 20, process.text)


def kill_attempts(process: Process) -> None:
    """Kill the processes of the attempts under way, if there are any."""
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        for pid in (task / "children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def check_the_last_runs(copy: CopySite) -> None:
    """Check that runs after the last write make both sides equal, and that counts tell it."""
    copy.place.start().await_ready()
    await_now(copy.source, "orders")
    copy.succeed("orders")
    assert copy.difference("orders", "updated_at is not null")[0] == [], "by the watermark"
    copy.change_to_full("orders", every="1h")
    copy.succeed("orders")
    assert copy.equal("orders")
    until(lambda: not copy.place.runs("status in ('running', 'pending')"), 30, "all runs ended")
    check_records(copy.place)
    (sums,) = copy.place.rows("select sum(added) - sum(deleted) as living from syncd.run")
    assert sums["living"] == copy.count("orders")
