"""`syncd doctor` on the real store, daemon and emulated clouds, whole and with faults."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from daemon_helpers import Manager, job, site, until
from doctor_report import Report, doctor, found, states
from frozen import frozen
from psycopg.conninfo import conninfo_to_dict
from toml_text import toml

from syncd.demo.emulator import Emulator, World
from syncd.errors import Conflict
from syncd.model.run import Selection
from syncd.store.embedded import EmbeddedPostgres

TENCENT_WINDOW = 300.0


@contextmanager
def silent_endpoint() -> Iterator[str]:
    """Give the URL of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_daemon_under_a_service_manager_is_known_to_be_watched(tmp_path: Path) -> None:
    manager = Manager(tmp_path / "notify")
    try:
        with site() as place:
            place.configure({"hosts": job()})
            place.up(manager.environment)
            watchdog = found(doctor(place, "--offline", status=0), "daemon.watchdog")
            assert watchdog["state"] == "ok", watchdog
            assert "within 4 s" in watchdog["found"]
    finally:
        manager.close()


def test_all_is_well_with_a_daemon_on_the_embedded_store() -> None:
    with site() as place:
        place.configure({"hosts": job(every="1h")})
        place.up()
        until(lambda: place.runs("status = 'success'"), 30, "a run")
        report = doctor(place, status=0)
        assert [row for row in report["checks"] if row["state"] == "failed"] == []
        assert set(states(
            report, "daemon.answers", "daemon.version", "daemon.workers", "store.reachable",
            "store.version", "store.migrations", "store.checksums", "store.directory",
            "store.crashes", "disk.writable", "configuration.valid",
        ).values()) == {"ok"}  # fmt: skip
        for account in place.emulator.world.accounts:
            assert found(report, "accounts.credentials", account)["state"] == "ok"
            assert found(report, "accounts.clock", account)["state"] == "ok"
        assert found(report, "jobs.success", "hosts")["state"] == "ok"
        assert report["policies"] == []


def test_a_fresh_machine_is_looked_at_without_making_anything() -> None:
    with site() as place:
        place.configure({"hosts": job()})
        report = doctor(place, status=0)
        assert found(report, "daemon.answers")["state"] == "warning"
        assert found(report, "store.reachable")["state"] == "skipped"
        assert found(report, "accounts.credentials", "aliyun-demo")["state"] == "ok"
        assert not place.state_dir.exists()


def test_the_store_is_looked_at_without_a_daemon(migrated_dsn: str) -> None:
    with site(migrated_dsn) as place:
        place.configure({"hosts": job()})
        report = doctor(place, status=0)
        assert set(states(report, "store.reachable", "store.migrations").values()) == {"ok"}
        assert found(report, "store.directory")["state"] == "skipped"
        assert found(report, "jobs.success", "hosts")["found"] == "never run; only by hand"


def test_the_embedded_store_is_started_for_a_look_and_stopped_again() -> None:
    with site() as place:
        place.configure({"hosts": job()})
        place.up().stop()
        report = doctor(place, status=0)
        assert found(report, "store.reachable")["state"] == "ok"
        assert place.leftovers() == []


@pytest.mark.parametrize("by_daemon", [True, False])
def test_denied_actions_bring_a_policy_that_grants_them(migrated_dsn: str, by_daemon) -> None:
    with site(migrated_dsn) as place:
        place.configure({"hosts": job()})
        if by_daemon:
            place.up()
        place.fault("denied_empty", provider="aliyun")
        place.fault("permission", provider="tencent", action="DescribeInstancesStatus")
        place.fault("permission", provider="tencent", action="DescribeRegions")
        report = doctor(place, status=1)
        for action in ("ecs:DescribeInstances", "ecs:DescribeDisks"):
            row = found(report, "accounts.permissions", f"aliyun-demo {action}")
            assert row["found"].startswith("denied")
        assert found(report, "accounts.regions", "tencent-demo")["state"] == "failed"
        policies = {each["account"]: json.loads(each["policy"]) for each in report["policies"]}
        (ram,) = policies["aliyun-demo"]["Statement"]
        assert ram["Action"] == ["ecs:DescribeDisks", "ecs:DescribeInstances"]
        (cam,) = policies["tencent-demo"]["statement"]
        assert cam["action"] == ["region:DescribeRegions"]


def test_a_wrong_secret_is_told_once_for_its_account_and_nothing_of_it_shown(dsn: str) -> None:
    with site(dsn) as place:
        tables = place.tables({"hosts": job()})
        tables["accounts"]["aliyun-demo"]["access_key_secret"] = "wrong-s3cr3t"
        place.write(toml(tables))
        report = doctor(place, status=1)
        row = found(report, "accounts.credentials", "aliyun-demo")
        assert (row["state"], "SignatureDoesNotMatch" in row["found"]) == ("failed", True)
        assert "[accounts.aliyun-demo]" in row["advice"]
        assert "wrong-s3cr3t" not in json.dumps(report)
        for name in ("accounts.regions", "accounts.permissions"):
            assert found(report, name, "aliyun-demo")["state"] == "skipped"
        assert found(report, "accounts.credentials", "tencent-demo")["state"] == "ok"


def test_an_endpoint_that_hangs_holds_up_no_other_check(migrated_dsn: str) -> None:
    with site(migrated_dsn) as place, silent_endpoint() as silent:
        tables = place.tables({"hosts": job()})
        tables["accounts"]["aliyun-demo"]["endpoint"] = silent
        place.write(toml(tables))
        began = time.monotonic()
        report = doctor(place, status=1)
        assert time.monotonic() - began < 40
        assert found(report, "accounts.endpoint", "aliyun-demo")["state"] == "failed"
        for name in ("endpoint", "clock", "credentials", "regions"):
            assert found(report, f"accounts.{name}", "tencent-demo")["state"] == "ok"
        assert found(report, "store.reachable")["seconds"] < 5


def test_a_clock_that_is_off_is_told_before_signatures_are_refused() -> None:
    world = World.sized(2, 1)
    with (
        Emulator(world, clock=lambda: time.time() + TENCENT_WINDOW + 60) as ahead,
        site() as place,
    ):
        tables = place.tables({"hosts": job()})
        for account in tables["accounts"].values():
            account["endpoint"] = ahead.url
        place.write(toml(tables))
        report = doctor(place, status=1)
        assert found(report, "accounts.clock", "tencent-demo")["state"] == "failed"
        assert found(report, "accounts.credentials", "tencent-demo")["state"] == "failed"
        assert found(report, "accounts.clock", "aliyun-demo")["state"] == "ok"
        assert found(report, "accounts.credentials", "aliyun-demo")["state"] == "ok"


def test_a_dead_store_is_told_once_and_the_rest_is_looked_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with site(f"host=127.0.0.1 port={port} dbname=x user=x password=pass-s3cr3t") as place:
        place.configure({"hosts": job()})
        report = doctor(place, status=1)
        assert found(report, "store.reachable")["state"] == "failed"
        assert set(
            states(report, "store.version", "store.migrations", "jobs.success").values()
        ) == {"skipped"}
        assert found(report, "disk.space")["state"] == "ok"
        assert "pass-s3cr3t" not in json.dumps(report)


def test_a_store_that_hangs_is_told_once(migrated_dsn: str, postgres: EmbeddedPostgres) -> None:
    with site(migrated_dsn) as place:
        place.configure({"hosts": job()})
        with frozen(postgres):
            report = doctor(place, "--offline", status=1)
        assert found(report, "store.reachable")["state"] == "failed"
        assert found(report, "store.reachable")["seconds"] < 12
        assert states(report, "store.version", "jobs.paused") == {
            "store.version": "skipped", "jobs.paused": "skipped"
        }  # fmt: skip


def test_a_role_without_privileges_is_told_what_it_lacks(migrated_dsn: str) -> None:
    name = conninfo_to_dict(migrated_dsn)["dbname"]
    role = f"limited_{name}"
    with psycopg.connect(migrated_dsn, autocommit=True) as connection:
        connection.execute(f"create role {role}")
        connection.execute(f"alter role syncd in database {name} set role = {role}")
    try:
        with site(migrated_dsn) as place:
            place.configure({"hosts": job()})
            report = doctor(place, "--offline", status=1)
            row = found(report, "store.privileges")
            assert row["found"] == "the role may not use the schema syncd"
            assert states(report, "store.reachable", "store.migrations", "jobs.success") == {
                "store.reachable": "ok", "store.migrations": "skipped", "jobs.success": "skipped"
            }  # fmt: skip
            with psycopg.connect(migrated_dsn, autocommit=True) as connection:
                connection.execute("set role none")
                connection.execute(f"grant usage on schema syncd to {role}")
                connection.execute(f"grant select on all tables in schema syncd to {role}")
            row = found(doctor(place, "--offline", status=1), "store.privileges")
            assert row["found"].startswith("tables that can't be read and written: account_state")
    finally:
        with psycopg.connect(migrated_dsn, autocommit=True) as connection:
            connection.execute("set role none")
            connection.execute(f"alter role syncd in database {name} reset role")
            connection.execute(f"drop owned by {role}")
            connection.execute(f"drop role {role}")


def test_migrations_that_differ_are_told(migrated_dsn: str) -> None:
    def after(statement: str) -> Report:
        with psycopg.connect(migrated_dsn) as connection:
            connection.execute(statement)
        report = doctor(place, "--offline", status=status)
        return found(report, "store.migrations")

    with site(migrated_dsn) as place:
        place.configure({"hosts": job()})
        status = 0
        row = after(
            "insert into syncd.migration (number, name, digest, requires, applied_by)"
            " values (9998, 'later', 'x', '0.1.0', '0.1.1')"
        )
        assert (row["state"], row["found"]) == ("warning", "applied by a newer program: 9998 later")
        row = after("delete from syncd.migration where number = 3")
        assert (row["state"], "0003" in row["found"]) == ("warning", True)
        status = 1
        row = after("update syncd.migration set digest = 'y' where number = 1")
        assert (row["state"], "0001" in row["found"]) == ("failed", True)
        row = after("update syncd.migration set requires = '99.0' where number = 9998")
        assert (row["state"], "99.0" in row["found"]) == ("failed", True)


def test_an_unknown_account_is_refused_with_and_without_a_daemon(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        command = [sys.executable, "-m", "syncd", "--config", str(place.config), "doctor",
                   "--account", "x"]  # fmt: skip
        for start in (lambda: None, place.up):
            start()
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (result.returncode, result.stdout) == (1, "")
            assert result.stderr == "syncd: there is no enabled account 'x'\n"


def test_a_daemon_that_hangs_is_told_and_the_checks_are_made_without_it(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        process = place.up()
        process.send(signal.SIGSTOP)
        try:
            report = doctor(place, "--offline", status=1)
        finally:
            process.send(signal.SIGCONT)
        row = found(report, "daemon.answers")
        assert (row["state"], "does not answer" in row["found"]) == ("failed", True)
        assert states(report, "store.reachable", "disk.writable") == {
            "store.reachable": "ok", "disk.writable": "ok"
        }  # fmt: skip


def test_jobs_that_do_nothing_are_told_with_the_reason(dsn: str) -> None:
    with site(dsn, providers=["aliyun"]) as place:
        tables = place.tables({"hosts": job(every="1h"), "other": job()})
        tables["accounts"]["aliyun-demo"]["access_key_secret"] = "wrong-s3cr3t"
        place.write(toml(tables))
        place.up()
        until(lambda: place.runs("status = 'failed'"), 30, "a run that is refused")
        place.client.pause("other", None, "somebody")
        report = doctor(place, status=1)
        held = found(report, "accounts.held", "aliyun-demo")
        assert (held["state"], "SignatureDoesNotMatch" in held["found"]) == ("warning", True)
        assert found(report, "jobs.held", "hosts")["state"] == "warning"
        assert "never succeeded" in found(report, "jobs.success", "hosts")["found"]
        paused = found(report, "jobs.paused", "other")
        assert (paused["state"], paused["advice"]) == ("warning", "syncd resume other")


def test_one_examination_is_made_at_a_time_and_runs_go_on_beside_it(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        place.up()
        place.fault("hang", provider="aliyun")
        with ThreadPoolExecutor() as pool:
            first = pool.submit(doctor, place, status=1)
            until(lambda: place.emulator.log.calls("GetCallerIdentity"), 20, "the first asks")
            with pytest.raises(Conflict, match="another examination"):
                place.client.examine((), (), "", offline=True)
            tencent = Selection(frozenset({"tencent-demo"}))
            (planned,) = place.client.plan("hosts", tencent, "somebody")
            assert planned["error"] is None
            report = first.result()
        assert found(report, "accounts.credentials", "aliyun-demo")["state"] == "failed"
        assert found(report, "accounts.credentials", "tencent-demo")["state"] == "ok"


def test_one_account_is_looked_at_alone(dsn: str) -> None:
    with site(dsn) as place:
        place.configure({"hosts": job()})
        report = doctor(place, "--account", "tencent-demo", status=0)
        assert {row["name"].partition(".")[0] for row in report["checks"]} == {"accounts"}
        assert all(row["subject"].startswith("tencent-demo") for row in report["checks"])
        offline = doctor(place, "--account", "tencent-demo", "--offline", status=0)
        assert found(offline, "accounts.credentials")["found"] == "not asked, for --offline"
