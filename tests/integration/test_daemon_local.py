"""Jobs without a daemon: a command does their work itself, and what it leaves is cleared up."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from daemon_helpers import Site, check_records, inventory, job, site, truth, until

from syncd import app
from syncd.config.load import load
from syncd.errors import Conflict
from syncd.model.run import Selection


@contextmanager
def sync(place: Site, *jobs: str) -> Iterator[subprocess.Popen[str]]:
    """Start `syncd sync`; it is ended when the block is left."""
    command = [sys.executable, "-m", "syncd", "--config", str(place.config), "sync", *jobs]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_command_does_the_work_where_no_daemon_runs() -> None:
    with site() as place:
        place.configure({"hosts": job(every="1s")})
        with sync(place, "hosts") as command:
            _, errors = command.communicate(timeout=40)
            assert command.returncode == 0, errors
        assert place.leftovers() == []
        place.server.start(30)
        assert inventory(place) == truth(place.emulator)
        (run,) = place.runs()
        assert (run["status"], run["trigger"], run["attempt"]) == ("success", "manual", 1)
        place.server.stop(20)
        place.up()
        until(lambda: place.runs("trigger = 'schedule' and status = 'success'"), 20, "the daemon's")
        check_records(place)


def test_a_command_asks_the_daemon_that_runs(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        process = place.up()
        with sync(place, "hosts") as command:
            _, errors = command.communicate(timeout=40)
            assert command.returncode == 0, errors
        assert process.lines("run started")
        assert inventory(place) == truth(place.emulator)


def test_a_session_is_refused_while_a_daemon_has_the_state_directory(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        process = place.up()
        config = load(place.config, check_secrets=True)
        with pytest.raises(Conflict, match=f"pid {process.pid}"), app.local_session(config):
            pass
        assert process.stop() == 0


def test_a_daemon_is_refused_while_a_command_works_there(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        number = place.fault("hang", action="DescribeInstances")
        with sync(place, "hosts") as command:
            until(lambda: place.state_dir.exists() and _items(place), 30, "items")
            process = place.start()
            assert process.wait() == 1
            assert f"pid {command.pid}" in process.text
            place.emulator.faults.clear(number)
            command.communicate(timeout=40)
            assert command.returncode == 0
        assert inventory(place) == truth(place.emulator)


@pytest.mark.parametrize("after", ["a daemon", "a command"])
def test_the_run_of_a_killed_command_is_closed_and_not_repeated(dsn: str, after: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job(retries=["1s"]), "other": job()})
        number = place.fault("hang", action="DescribeInstances")
        with sync(place, "hosts") as command:
            until(lambda: _items(place), 30, "items")
            command.kill()
            command.wait(10)
        place.emulator.faults.clear(number)
        (left,) = place.runs()
        assert left["status"] == "running"
        if after == "a daemon":
            place.up()
        else:
            with app.local_session(load(place.config, check_secrets=True)):
                pass
        (closed,) = place.runs("id = %s", left["id"])
        assert (closed["status"], closed["error_class"]) == ("failed", "interrupted")
        assert closed["attempt"] == 1
        check_records(place)
        if after == "a daemon":
            run = place.client.trigger("hosts", Selection(), "me")
            until(lambda: place.client.wait(run, 5), 20, "a run")
            assert len(place.runs()) == 2


def _items(place: Site) -> bool:
    """Tell whether a run has come to its items."""
    made = place.rows("select to_regclass('syncd.run_item') is not null as made")[0]["made"]
    return made and bool(place.rows("select from syncd.run_item where status = 'running'"))


def test_a_command_works_where_a_daemon_was_killed_under_a_run() -> None:
    with site() as place:
        place.configure({"hosts": job(every="1s")})
        number = place.fault("hang", action="DescribeInstances")
        process = place.up()
        until(lambda: _items(place), 30, "items")
        process.kill()
        place.emulator.faults.clear(number)
        with sync(place, "hosts") as command:
            _, errors = command.communicate(timeout=40)
            assert command.returncode == 0, errors
