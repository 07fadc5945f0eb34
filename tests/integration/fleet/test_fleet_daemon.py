"""The daemon with a fleet: killed in the middle, in processes of their own, one server by hand."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from daemon_helpers import Process, Site, check_records, site, until
from fault_servers import FAULTY
from fleet_helpers import JOBS, FleetMariaDb, FleetPostgres
from proxy import Proxy
from raw_server import serving
from toml_text import toml

from syncd.model.run import Selection

SECONDS = 40.0


@pytest.fixture
def place(migrated_dsn) -> Iterator[Site]:
    """Give a site on a store of the shared server, without clouds."""
    with site(migrated_dsn, hosts=1, providers=("aliyun",)) as made:
        yield made
        print(*(process.text for process in made.processes), sep="\n")


@pytest.fixture
def proxies(pg, my) -> Iterator[dict[str, Proxy]]:
    """Give a proxy in front of each server."""
    made = {"pg": Proxy(pg.connect), "my": Proxy(my.connect)}
    yield made
    for proxy in made.values():
        proxy.close()


def configure(place: Site, servers: dict, **job) -> None:
    """Write a configuration with these servers and the three jobs."""
    tables = place.tables({}, shutdown_grace="1s")
    del tables["accounts"]
    tables["servers"] = servers
    tables["jobs"] |= {
        name: table | ({} if name == "rollups" else job) for name, table in JOBS.items()
    }
    place.write(toml(tables))


def run(place: Site, job: str, **selection: frozenset[str]) -> dict:
    """Run a job in the daemon and return its record."""
    number = place.client.trigger(job, Selection(**selection), "me")
    until(lambda: place.client.wait(number, 5), SECONDS, f"the run of {job}")
    (record,) = place.runs("id = %s", number)
    return record


def items(place: Site, run_id) -> dict[str, tuple[str, str | None]]:
    rows = place.rows("select * from syncd.run_item where run_id = %s", run_id)
    return {row["target"]: (row["status"], row["error_class"]) for row in rows}


def check_truth(place: Site, pg: FleetPostgres, my: FleetMariaDb) -> None:
    """Compare the names of all accounts and databases with the servers' own."""
    for table, column, where, truth in [
        ("db_account", "account", "deleted_at", accounts_of(pg, my)),
        ("db_catalog", "database", "gone_at", databases_of(pg, my)),
    ]:
        rows = place.rows(f"select * from syncd.{table} where {where} is null")
        found = {(row["server"], row[column]) for row in rows}
        assert {one for one in found if one[1] != "public"} == truth


def accounts_of(pg: FleetPostgres, my: FleetMariaDb) -> set[tuple[str, str]]:
    roles = pg.rows("select rolname from pg_authid")
    users = my.rows("select if(is_role = 'Y', user, concat(user, '@', host)) from mysql.user")
    return {("pg", name) for (name,) in roles} | {("my", name) for (name,) in users}


def databases_of(pg: FleetPostgres, my: FleetMariaDb) -> set[tuple[str, str]]:
    inside = pg.rows("select datname from pg_database where datallowconn")
    listed = my.rows("show databases")
    return {("pg", name) for (name,) in inside} | {("my", name) for (name,) in listed}


def test_a_daemon_that_is_killed_in_the_middle_ends_all_items_at_the_next_start(
    place, pg, my, proxies
):
    servers = {
        "pg": pg.table(host="127.0.0.1", port=proxies["pg"].port),
        "my": my.table(port=proxies["my"].port),
    }
    configure(place, servers, retries=["1s"])
    process = place.up()
    for job in ("accounts", "sizes"):
        assert run(place, job)["status"] == "success"
    pg.execute("create role killed", "create database killed")
    my.execute("create user killed@localhost", "create database killed")
    try:
        kill_in_the_middle(place, process, proxies)
        place.up()
        open_runs = "select from syncd.run where status in ('pending', 'running')"
        until(lambda: not place.rows(open_runs), SECONDS, "all runs have ended")
        assert {row["status"] for row in place.runs()} == {"success"}
        check_records(place)
        check_truth(place, pg, my)
        changes = place.rows("select * from syncd.db_account_change where account like 'killed%%'")
        assert [row["change"] for row in changes] == ["added", "added"]
    finally:
        pg.execute("drop role killed", "drop database killed")
        my.execute("drop user killed@localhost", "drop database killed")


def kill_in_the_middle(place: Site, process: Process, proxies: dict[str, Proxy]) -> None:
    """Kill the daemon while a run waits for answers that got stuck, and another one for it."""
    texts = {"pg": b"pg_auth_members", "my": b"SHOW GRANTS"}
    asked = [proxies[name].trap(text) for name, text in texts.items()]
    place.client.trigger("accounts", Selection(), "me")
    assert all(one.wait(SECONDS) for one in asked)
    place.client.trigger("sizes", Selection(), "me")
    process.kill()
    for proxy in proxies.values():
        proxy.heal()


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_daemon_stops_in_time_though_servers_hang(place, my, isolation):
    with ExitStack() as stack:
        patient = {"connect_timeout": "1h", "statement_timeout": "1h", "tls": "disable"}
        hanging = {
            f"{engine}-{how}": {
                "engine": engine, "host": "127.0.0.1", "user": "u", **patient,
                "port": stack.enter_context(serving(FAULTY[engine][how].script)).port,
            }
            for engine in ("postgresql", "mysql") for how in ("silent", "mute")
        }  # fmt: skip
        configure(place, {"my": my.table(), **hanging}, isolation=isolation, retries=["1h"])
        process = place.up()
        number = place.client.trigger("accounts", Selection(), "me")
        done = "select from syncd.run_item where run_id = %s and status = 'success'"
        until(lambda: place.rows(done, number), SECONDS, "the good server is done")
        began = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - began < 15
        assert "Traceback" not in process.text
    (record,) = place.runs()
    assert (record["status"], record["error_class"]) == ("pending", "interrupted")
    ended = dict.fromkeys(hanging, ("failed", "interrupted"))
    assert items(place, number) == {"my": ("success", None), **ended}


def test_all_kinds_work_in_processes_of_their_own(place, pg, my):
    servers = {"pg": pg.table(), "my": my.table(), "gone": pg.table(port=1)}
    configure(place, servers, isolation="process")
    process = place.up()
    for job in ("accounts", "sizes"):
        record = run(place, job)
        assert items(place, record["id"]) == {
            "pg": ("success", None),
            "my": ("success", None),
            "gone": ("failed", "network"),
        }
    assert run(place, "rollups")["status"] == "success"
    check_truth(place, pg, my)
    check_records(place)
    assert process.stop() == 0
    assert pg.table()["password"] not in process.text
    assert "Traceback" not in process.text


def test_one_server_is_run_by_hand_without_a_daemon(place, pg, my):
    configure(place, {"one": pg.table(), "other": my.table()})
    words = ["--config", str(place.config), "sync", "accounts", "--server", "one", "--json"]
    command = [sys.executable, "-m", "syncd", *words]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
    assert answer.returncode == 0, answer.stderr
    (told,) = json.loads(answer.stdout)
    assert told["items_total"] == 1
    (record,) = place.runs()
    assert items(place, record["id"]) == {"one": ("success", None)}
    assert {row["server"] for row in place.rows("select server from syncd.db_account")} == {"one"}
