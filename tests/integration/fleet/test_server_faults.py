"""A server that dies, hangs, refuses or changes its password under a run, and what is kept."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pymysql
import pytest
from daemon_helpers import until
from fault_servers import FAULTY, deaf_port
from fleet_helpers import PASSWORD, WATCHER, Fleet, FleetServer, known
from job_runs import Result
from proxy import Proxy
from raw_server import serving

from syncd.context import CancelSource
from syncd.errors import Cancelled
from syncd.model.run import Selection

SECONDS = 30.0


@pytest.fixture(params=["pg", "my"])
def server(request) -> FleetServer:
    """Give a real server of each protocol."""
    made: FleetServer = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def proxy(server) -> Iterator[Proxy]:
    """Give a proxy in front of the server."""
    made = Proxy(server.connect)
    yield made
    made.close()


def behind(server: FleetServer, proxy: Proxy) -> dict:
    """Return the table of the server behind its proxy, without TLS so that texts are seen."""
    return server.table(host="127.0.0.1", port=proxy.port, tls="disable")


@contextmanager
def a_new_account(server: FleetServer) -> Iterator[str]:
    """Give an account and a database that no reading has seen yet."""
    if server.engine == "postgresql":
        server.execute("create role late login", "create database late")
        undo, account = ("drop database late", "drop role late"), "late"
    else:
        server.execute("create user late@localhost", "create database late")
        undo, account = ("drop database late", "drop user late@localhost"), "late@localhost"
    try:
        yield account
    finally:
        server.execute(*undo)


@pytest.mark.parametrize("job", ["accounts", "sizes"])
def test_a_server_that_dies_in_the_middle_changes_nothing(fleet, server, proxy, job):
    fleet.configure({"one": behind(server, proxy)})
    for each in "accounts", "sizes":
        assert fleet.run(each).run["status"] == "success"
    before = known(fleet, "one")
    with a_new_account(server):
        size, broken = 1, 0
        while True:  # a little more of the answer passes each time
            proxy.allow(size)
            result = fleet.run(job)
            if result.run["status"] == "success":
                break
            assert result.of("one")[1] in ("network", "timeout"), result.items
            assert result.counts["total"] == 0
            assert known(fleet, "one") == before
            proxy.heal()
            size, broken = size * 3, broken + 1
        assert broken >= 5
        assert known(fleet, "one") != before
        proxy.heal()


def test_what_came_before_the_death_is_read_again(fleet, server, proxy):
    fleet.configure({"one": behind(server, proxy)})
    text = b"pg_auth_members" if server.engine == "postgresql" else b"SHOW GRANTS"
    with a_new_account(server) as account:
        proxy.trap(text, proxy.cut)
        assert fleet.run().of("one") == ("failed", "network")
        assert fleet.accounts("one") == {}
        proxy.heal()
        result = fleet.run()
        assert result.of("one") == ("success", None)
        assert account in fleet.accounts("one")


@pytest.mark.parametrize("how", ["silent", "mute", "dripping_answer", "deaf"])
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_cancelled_run_ends_at_once_though_a_server_hangs(fleet, engine, how, pg):
    script = FAULTY[engine]["silent" if how == "deaf" else how].script
    with deaf_port() as deaf, serving(script) as hanging:
        port = deaf if how == "deaf" else hanging.port
        access = {"engine": engine, "host": "127.0.0.1", "user": "u", "tls": "disable"}
        patient = {"connect_timeout": "1h", "statement_timeout": "1h"}
        fleet.configure({"hangs": access | patient | {"port": port}, "good": pg.table()})
        for job in "accounts", "sizes":
            result, seconds = cancelled(fleet, job)
            assert seconds < 3
            assert result.run["status"] == "cancelled"
            assert result.of("hangs")[0] == "cancelled"
            assert result.of("good") == ("success", None)


def cancelled(fleet: Fleet, job: str) -> tuple[Result, float]:
    """Cancel a run once its good server is done; return how it went, and how long the end took."""
    source, ends = CancelSource(), list[Result]()
    run = fleet.record(job)
    thread = threading.Thread(target=lambda: ends.append(fleet.attempt(run, job, source=source)))
    thread.start()
    done = "select from syncd.run_item where run_id = %s and status = 'success'"
    until(lambda: fleet.rows(done, run), SECONDS, "the good server is done")
    began = time.monotonic()
    source.cancel(Cancelled("cancelled by a test"))
    thread.join(SECONDS)
    return ends[0], time.monotonic() - began


def test_a_real_server_with_too_many_connections_is_throttled(fleet, server):
    with full(server) as user:
        fleet.configure({"one": server.table(), "other": server.table(user=user)})
        for job in "accounts", "sizes":
            result = fleet.run(job)
            assert result.of("one") == ("success", None)
            assert result.of("other") == ("failed", "throttled")
            assert user in result.items["other"]["error"]
            assert PASSWORD not in str(result)


@contextmanager
def full(server: FleetServer) -> Iterator[str]:
    """Give a user that has all the connections it may have."""
    if server.engine == "postgresql":
        server.execute(
            f"create role narrow login connection limit 1 password '{PASSWORD}'",
        )
        table = server.table()
        holder = psycopg.connect(
            host=table["host"], port=table["port"], user="narrow", password=PASSWORD,
            dbname="postgres",
        )  # fmt: skip
        undo = "drop role narrow"
    else:
        server.execute(
            f"create user narrow@'%' identified by '{PASSWORD}' with max_user_connections 1"
        )
        holder = pymysql.connect(
            host="127.0.0.1", port=server.server.port, user="narrow", password=PASSWORD
        )
        undo = "drop user narrow@'%'"
    try:
        with closing(holder):
            yield "narrow"
    finally:
        server.execute(undo)


def test_a_password_that_is_changed_in_its_file_is_used_by_the_next_run(fleet, server, tmp_path):
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    fleet.configure({"one": server.table(password={"file": str(file)})})
    assert fleet.run().of("one") == ("success", None)
    try:
        change_password(server, "an0ther-s3cret")
        result = fleet.run()
        assert result.of("one") == ("failed", "authentication")
        assert WATCHER in result.items["one"]["error"]
        assert PASSWORD not in str(result)
        file.write_text("an0ther-s3cret\n")
        assert fleet.run().of("one") == ("success", None)
        file.unlink()
        result = fleet.run()
        assert result.of("one") == ("failed", "configuration")
        assert str(file) in result.items["one"]["error"]
    finally:
        change_password(server, PASSWORD)


def change_password(server: FleetServer, password: str) -> None:
    if server.engine == "postgresql":
        server.execute(f"alter role {WATCHER} password '{password}'")
    else:
        server.execute(f"alter user {WATCHER}@'%' identified by '{password}'")


def test_a_run_for_one_server_leaves_the_others_untouched(fleet, pg, my):
    fleet.configure({"one": pg.table(), "other": my.table()})
    only = Selection(servers=frozenset({"other"}))
    for job in "accounts", "sizes":
        result = fleet.run(job, selection=only)
        assert {name: item["status"] for name, item in result.items.items()} == {"other": "success"}
    assert known(fleet, "one") == {name: [] for name in known(fleet, "one")}
    assert fleet.accounts("other")
    assert fleet.sizes("other")
