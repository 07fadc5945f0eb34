"""`syncd backup` and the job of its kind: through the daemon, without it, and back again."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from daemon_helpers import Row, Site, check_records, inventory, job, site, truth, until
from toml_text import toml

import syncd
from syncd.model.run import Selection
from syncd.store.embedded.process import serves

_SYSTEMS = Path(f"/usr/bin/python3.{sys.version_info.minor}")
"""An interpreter that other users may run: the one of the tests can be closed to them."""
_PACKAGES = {str(Path(module.__file__ or "").parents[1]) for module in (syncd, psycopg)}

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not _SYSTEMS.exists(), reason="only root can act as several users"
)


def configure(place: Site, jobs: dict[str, Row], *, keep: int = 7, **backup: Any) -> None:
    """Write a configuration with the job `backup`, due by hand unless `backup` says more."""
    tables = place.tables(jobs)
    tables["backup"] = {"keep": keep}
    tables["jobs"]["backup"] = {"kind": "backup", "retries": [], "schedule": "0 0 1 1 *", **backup}
    place.write(toml(tables))


def command(
    place: Site, *arguments: str, python: str | Path = sys.executable
) -> tuple[int, str, str]:
    """Run a command; return its exit status and what it said."""
    done = subprocess.run(
        [python, "-m", "syncd", "--config", str(place.config), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(_PACKAGES)},
    )
    return done.returncode, done.stdout, done.stderr


def server_processes(place: Site) -> list[int]:
    """Return the embedded server's processes."""
    data = place.state_dir / "postgresql" / "data"
    numbers = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()]
    return [pid for pid in numbers if serves(pid, data)]


def dumps(place: Site) -> list[str]:
    return sorted(path.name for path in (place.state_dir / "backups").iterdir())


def test_the_daemon_dumps_its_store_and_keeps_as_many_as_it_is_told() -> None:
    with site() as place:
        configure(place, {"hosts": job()}, keep=2)
        process = place.up()
        made = []
        for _ in range(3):
            status, out, error = command(place, "backup", "--json")
            assert status == 0, error
            made.append(json.loads(out))
        assert dumps(place) == [Path(one["file"]).name for one in made[1:]]
        assert made[2]["bytes"] == Path(made[2]["file"]).stat().st_size
        last = place.runs("kind = 'backup'")[-1]
        assert str(last["id"]) == made[2]["run"]
        assert (last["total"], last["added"], last["deleted"]) == (1, 1, 1)
        assert process.lines("dump made", made[2]["file"])
        assert process.lines("dump removed", made[0]["file"])
        status, out, _ = command(place, "backup", "list", "--json")
        assert [one["file"] for one in json.loads(out)] == [made[2]["file"], made[1]["file"]]
        assert process.stop() == 0


def test_a_plan_says_what_would_be_and_changes_nothing() -> None:
    with site() as place:
        configure(place, {"hosts": job()}, keep=1)
        place.up()
        status, _, error = command(place, "backup")
        assert status == 0, error
        (made,) = dumps(place)
        status, out, _ = command(place, "sync", "backup", "--plan", "--json")
        assert status == 0
        (item,) = json.loads(out)
        changes = [(one["change"], Path(one["resource_id"]).name) for one in item["changes"]]
        assert changes == [("added", "backups"), ("deleted", made)]
        assert dumps(place) == [made]


def test_a_dump_is_made_in_a_process_of_its_own_too() -> None:
    with site() as place:
        configure(place, {"hosts": job()}, isolation="process")
        place.up()
        status, out, error = command(place, "backup")
        assert status == 0, error
        assert out.startswith(str(place.state_dir / "backups" / "syncd-"))
        assert out.endswith(" bytes\n")


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_stop_in_the_middle_of_a_dump_leaves_nothing_and_it_is_made_again(isolation: str) -> None:
    with site() as place:
        tables = place.tables({"hosts": job()}, shutdown_grace="0s")
        tables["jobs"]["backup"] = {"kind": "backup", "isolation": isolation, "retries": ["1s"]}
        place.write(toml(tables))
        process = place.up()
        with psycopg.connect(place.server.dsn) as holder:
            holder.execute("lock table syncd.resource_change in access exclusive mode")
            run = place.client.trigger("backup", Selection(), "me")
            until(lambda: any("pg_dump" in line for line in place.leftovers()), 20, "a dump")
            until(lambda: dumps(place), 10, "its file")
            assert process.stop() == 0
            holder.close()
        assert dumps(place) == []
        assert place.leftovers() == []
        place.up()
        until(lambda: place.runs("id = %s and status = 'success'", run), 30, "the same run")
        (made,) = dumps(place)
        assert made.startswith("syncd-")


def test_what_a_killed_restore_left_in_the_server_goes_with_the_next_dump() -> None:
    with site() as place:
        configure(place, {"hosts": job()})
        place.up()
        with psycopg.connect(place.server.dsn, autocommit=True) as connection:
            connection.execute("create database syncd_restoring")
            connection.execute("create database syncd_replaced")
        status, _, error = command(place, "backup")
        assert status == 0, error
        names = {row["datname"] for row in place.rows("select datname from pg_database")}
        assert names == {"postgres", "syncd", "template0", "template1"}


def test_a_dump_that_fails_is_a_failed_run_that_leaves_the_older_ones() -> None:
    with site() as place:
        configure(place, {"hosts": job()})
        place.up()
        assert command(place, "backup")[0] == 0
        before = dumps(place)
        tables = place.tables({"hosts": job()}, min_free_disk="900000GiB")
        tables["jobs"]["backup"] = {"kind": "backup", "retries": [], "priority": "urgent"}
        place.write(toml(tables))
        assert command(place, "sync", "backup", "--plan")[0] == 0  # the old one is in force
        assert command(place, "reload")[0] == 0
        status, _, error = command(place, "sync", "backup", "--plan")
        assert status == 1
        assert "daemon.min_free_disk" in error
        assert dumps(place) == before


def test_a_dump_is_restored_and_the_daemon_goes_on_from_there() -> None:
    with site() as place:
        configure(place, {"hosts": job(every="1s")})
        process = place.up()
        until(lambda: place.runs("job = 'hosts' and status = 'success'"), 20, "a run")
        status, out, error = command(place, "backup", "--json")
        assert status == 0, error
        dump = json.loads(out)
        until(lambda: len(place.runs("job = 'hosts' and status = 'success'")) > 2, 20, "runs")
        status, _, error = command(place, "backup", "restore", "latest", "--yes")
        assert status == 1
        assert f"pid {process.pid}: stop it first" in error
        assert process.stop() == 0
        status, _, error = command(place, "backup", "restore", "latest")
        assert status == 2
        assert "say --yes" in error
        status, out, error = command(place, "backup", "restore", "latest", "--yes", "--json")
        assert status == 0, error
        assert Path(json.loads(out)["replaced"]).name in dumps(place)
        assert place.leftovers() == []
        place.up()
        (made,) = place.runs("id = %s", dump["run"])  # it was under way in the dump
        assert made["status"] == "cancelled"
        assert made["error"] == "its end is not in the dump that was restored"
        latest = place.runs("job = 'hosts'")[-1]["scheduled_for"]
        later = "job = 'hosts' and status = 'success' and scheduled_for > %s"
        until(lambda: place.runs(later, latest), 20, "a run of after the restore")
        assert inventory(place) == truth(place.emulator)
        assert place.processes[-1].stop() == 0
        place.server.start(30)
        place.rows("delete from syncd.run where kind = 'backup' returning id")
        check_records(place)


def test_what_a_later_store_was_owed_is_told_and_does_not_hold_up_the_older_one() -> None:
    with site() as place:
        configure(place, {"hosts": job()}, schedule="0 0 1 1 *")
        process = place.up()
        assert command(place, "backup")[0] == 0
        number = place.fault("hang", action="DescribeInstances")
        run = place.client.trigger("hosts", Selection(), "me")
        waiting = "select from syncd.run_item where status = 'running'"
        until(lambda: len(place.rows(waiting)) == 2, 15, "items")
        frozen = server_processes(place)
        try:
            for pid in frozen:
                with suppress(ProcessLookupError):  # a passing one
                    os.kill(pid, signal.SIGSTOP)
            place.emulator.faults.clear(number)
            until(lambda: process.lines("kept in the outbox"), 60, "records in the outbox")
            process.kill()
        finally:
            for pid in frozen:
                with suppress(ProcessLookupError):  # told to end meanwhile
                    os.kill(pid, signal.SIGCONT)
        status, _, error = command(place, "backup", "restore", "latest", "--yes")
        assert status == 0, error
        fresh = place.up()
        assert fresh.lines("a record was refused", str(run))
        assert fresh.metric("syncd_outbox_records") == 0
        run = place.client.trigger("hosts", Selection(), "me")
        until(lambda: place.client.wait(run, 5), 20, "a run")
        assert inventory(place) == truth(place.emulator)


def test_without_a_daemon_the_command_dumps_itself() -> None:
    with site() as place:
        configure(place, {"hosts": job()})
        status, _, error = command(place, "backup")
        assert status == 0, error
        assert len(dumps(place)) == 1
        assert place.leftovers() == []


def test_a_dump_moves_to_another_machine() -> None:
    with site() as place:
        configure(place, {"hosts": job()})
        assert command(place, "sync", "hosts")[0] == 0
        status, out, _ = command(place, "backup", "--json")
        assert status == 0
        carried = place.directory / "carried.dump"
        Path(json.loads(out)["file"]).rename(carried)
        (place.state_dir).rename(place.directory / "old")
        status, _, error = command(place, "backup", "restore", str(carried), "--yes")
        assert status == 0, error
        assert "safety copy" not in error
        place.server.start(30)
        assert inventory(place) == truth(place.emulator)


@as_root
def test_root_makes_and_restores_dumps_as_the_owner_of_the_state_directory() -> None:
    with site() as place:
        configure(place, {"hosts": job()})
        place.state_dir.mkdir(mode=0o711)
        os.chown(place.state_dir, 1, 1)
        status, out, error = command(place, "backup", "--json", python=_SYSTEMS)
        assert status == 0, error
        closed = place.directory / "closed"
        closed.mkdir(mode=0o700)
        moved = closed / "moved.dump"
        Path(json.loads(out)["file"]).rename(moved)
        os.chown(moved, 0, 0)
        status, _, error = command(place, "backup", "restore", str(moved), "--yes", python=_SYSTEMS)
        assert status == 0, error
        owners = {path.stat().st_uid for path in (place.state_dir / "backups").rglob("*")}
        assert owners == {1}


def test_an_external_store_is_its_owners_to_back_up(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        for words in (["backup"], ["backup", "restore", "latest", "--yes"]):
            status, _, error = command(place, *words)
            assert status == 78
            assert "its owner's to back up" in error


def test_what_is_asked_for_in_vain_says_why() -> None:
    with site() as place:
        place.configure({"hosts": job()})
        assert command(place, "backup", "list") == (0, "", "no dumps\n")
        status, _, error = command(place, "backup")
        assert (status, "no enabled job of kind backup" in error) == (78, True)
        status, _, error = command(place, "backup", "restore", "latest", "--yes")
        assert (status, "has no dump yet" in error) == (1, True)
        status, _, error = command(place, "backup", "restore", "nowhere.dump", "--yes")
        assert (status, error) == (1, "syncd: nowhere.dump: No such file or directory\n")
        rubbish = place.directory / "rubbish"
        rubbish.write_text("hello")
        status, _, error = command(place, "backup", "restore", str(rubbish), "--yes")
        assert (status, f"{rubbish} can't be restored" in error) == (1, True)
        status, _, error = command(place, "backup", "restore", str(rubbish))
        assert (status, "say --yes" in error) == (2, True)
        status, _, error = command(place, "backup", "restore", str(place.directory), "--yes")
        assert (status, error) == (1, f"syncd: {place.directory} is no plain file\n")
        assert not place.state_dir.exists()


@as_root
def test_a_daemon_that_root_starts_by_hand_leaves_nothing_that_the_service_could_not_use() -> None:
    with site() as place:
        place.configure({"hosts": job()})
        place.state_dir.mkdir(mode=0o711)
        os.chown(place.state_dir, 1, 1)
        with patch.object(sys, "executable", str(_SYSTEMS)):
            process = place.start({"PYTHONPATH": os.pathsep.join(_PACKAGES)}).await_ready()
        run = place.client.trigger("hosts", Selection(), "me")
        until(lambda: place.client.wait(run, 5), 20, "a run")
        until((place.state_dir / "config").exists, 20, "a version of the configuration")
        assert process.stop() == 0
        assert {path.lstat().st_uid for path in place.state_dir.rglob("*")} == {1}
