"""The disk of the state directory fills up under the daemon: told, survived, nothing lost."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from daemon_helpers import Process, Site, check_records, inventory, job, site, truth, until

from syncd.errors import StoreError
from syncd.model.run import Selection

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")

_PIECE = bytes(1 << 16)


@contextmanager
def small_disk(place: Site, size: str) -> Iterator[Path]:
    """Put the state directory on a small disk; give a file there that can fill it."""
    place.state_dir.mkdir()
    options = f"size={size},mode=0711"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place.state_dir]
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("this root may not mount")
    try:
        yield place.state_dir / "ballast"
    finally:
        place.put_away()
        subprocess.run(["umount", "-l", place.state_dir], check=True)


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(_PIECE)
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0")


def use_up_wal(place: Site) -> None:
    """Have the server write WAL until it finds no room for a new segment."""
    with suppress(psycopg.Error), psycopg.connect(place.server.dsn, autocommit=True) as connection:
        for _ in range(200):
            connection.execute("select pg_logical_emit_message(false, 'x', repeat('x', 1000))")
            connection.execute("select pg_switch_wal()")


def runs_again(place: Site, process: Process) -> None:
    until(lambda: process.ready_answer()[0] == 200, 60, "ready again")
    run = place.client.trigger("hosts", Selection(), "me")
    until(lambda: place.client.wait(run, 5), 40, "a run")
    (row,) = place.runs("id = %s", run)
    assert row["status"] == "success", row


def test_a_server_that_finds_no_room_for_its_log_is_back_when_there_is_room() -> None:
    with site() as place, small_disk(place, "220m") as ballast:
        place.configure({"hosts": job(every="1s")}, min_free_disk="0B")
        process = place.up()
        until(lambda: place.runs("status = 'success'"), 20, "a run")
        ended = {row["id"] for row in place.runs("status = 'success'")}
        fill(ballast)
        use_up_wal(place)
        process.await_line("No space left on device", seconds=60)
        until(lambda: process.ready_answer()[0] == 503, 30, "not ready")
        assert process.get("/healthz")[0] == 200
        ballast.unlink()
        runs_again(place, process)
        assert ended <= {row["id"] for row in place.runs("status = 'success'")}
        assert inventory(place) == truth(place.emulator)
        assert process.stop() == 0
        place.server.start(60)
        check_records(place)
        assert "Traceback" not in process.text


def test_a_run_that_finds_the_disk_full_is_recorded_when_there_is_room_again() -> None:
    with site(hosts=400) as place, small_disk(place, "220m") as ballast:
        place.configure({"hosts": job(timeout="10s")}, min_free_disk="0B")
        process = place.up()
        number = place.fault("hang", action="DescribeInstances")
        run = place.client.trigger("hosts", Selection(), "me")
        waiting = "select from syncd.run_item where status = 'running'"
        until(lambda: len(place.rows(waiting)) == 2, 15, "items")
        fill(ballast)
        place.emulator.faults.clear(number)
        process.await_line("the disk of the store is full")
        with pytest.raises(StoreError, match="disk of the store is full"):
            fill_table(place)
        ballast.unlink()
        until(lambda: place.client.wait(run, 5), 60, "the end of the run")
        (row,) = place.runs("id = %s", run)
        assert row["status"] == "failed"
        until(lambda: process.metric("syncd_outbox_records") == 0, 10, "an empty outbox")
        runs_again(place, process)
        assert inventory(place) == truth(place.emulator)
        assert process.stop() == 0
        place.server.start(60)
        check_records(place)
        assert "Traceback" not in process.text


def fill_table(place: Site) -> None:
    """Ask for runs, each of which has to be recorded first."""
    for _ in range(1000):
        run = place.client.trigger("hosts", Selection(), "me")
        place.client.cancel(run, "me")
