"""kill -9 at random moments of copies of a table that is being written: nothing lost or twice."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from copy_site import CopySite
from copy_writers import await_now, make_table, writing
from daemon_helpers import Process, check_records, until
from thorough import times

KILLS = 9
"""Times six combinations, they are more than fifty."""
JOB = {
    "mode": "incremental",
    "watermark": "updated_at",
    "lookback": "0s",
    "delete": "hard",
    "max_delete_percent": 100,
    "page_rows": 100,
    "retries": ["1s"] * 20,
}


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize("pair", ["other-pg to pg", "maria to pg", "other-pg to maria"])
def test_kills_at_random_moments_lose_no_row(between, pair, isolation, seed):
    rng = random.Random(seed)
    copy = between(pair)
    make_table(copy.source, "orders", 3000)
    copy.copies("orders", "orders", every="1s", isolation=isolation, **JOB)
    copy.configure()
    with writing(copy.source, "orders", seed, late=0.3):
        for _ in range(times(KILLS)):
            process = copy.place.start()
            if rng.random() < 0.8:
                process.await_line("run started")
            time.sleep(rng.uniform(0, 0.7))  # the moment is what is random here
            if isolation == "process" and rng.random() < 0.5:
                kill_attempts(process)
                copy.check_watermark("orders", "orders")
            process.kill()
            copy.check_watermark("orders", "orders")
    check_the_last_runs(copy)


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
