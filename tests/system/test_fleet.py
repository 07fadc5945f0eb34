"""The fleet's job kinds under the unit: the store's own PostgreSQL, and Debian's MariaDB."""

import json
from collections.abc import Iterator

import pytest
from daemon_helpers import until
from machine import Machine
from service import STATE, Service

PASSWORD = "what syncd says to MariaDB"
FILE = "/etc/syncd/maria-password"
KINDS = ("db_accounts", "db_sizes", "size_rollups")
SERVERS = {
    "own": {"engine": "postgresql", "host": f"{STATE}/postgresql/run", "user": "syncd"},
    "maria": {
        "engine": "mysql",
        "host": "127.0.0.1",
        "user": "syncd",
        "password": {"file": FILE},
        "tags": ["debian"],
    },
}


@pytest.fixture(scope="module")
def mariadb(machine: Machine) -> Iterator[Machine]:
    """Give the machine with Debian's MariaDB on it, and a user with no more rights than needed."""
    machine.run("apt-get", "install", "--yes", "--no-install-recommends", "mariadb-server")
    machine.run("systemctl", "start", "mariadb")
    said(machine, f"create user syncd@127.0.0.1 identified by '{PASSWORD}'")
    said(machine, "grant process, references, show databases on *.* to syncd@127.0.0.1")
    said(machine, "grant select on mysql.* to syncd@127.0.0.1")
    said(machine, "create database shop")
    said(machine, "create table shop.orders (id int primary key, price int, note text)")
    said(machine, "create user clerk@localhost")
    said(machine, "grant select (id, price) on shop.orders to clerk@localhost")
    secret = machine.path(FILE)
    secret.write_text(f"{PASSWORD}\n")
    machine.run("chown", "root:syncd", FILE)
    secret.chmod(0o640)
    yield machine
    machine.run("apt-get", "purge", "--yes", "mariadb*", seconds=300)


def said(machine: Machine, statement: str) -> None:
    """Have MariaDB's administrator say something."""
    machine.run("mariadb", "--execute", statement)


def test_the_fleet_is_looked_at_under_the_unit(service: Service, mariadb: Machine) -> None:
    def configure(isolation: str) -> None:
        service.configure(
            {kind: {"kind": kind, "isolation": isolation, "retries": []} for kind in KINDS},
            servers=SERVERS,
        )

    configure("thread")
    service.start()
    for kind in KINDS:
        run = service.sync(kind)
        assert (run["status"], run["errors"]) == ("success", 0), run
    said(mariadb, "revoke select (price) on shop.orders from clerk@localhost")
    configure("process")
    mariadb.run("systemctl", "reload", "syncd")
    assert service.sync("db_accounts")["updated"] == 1
    (change,) = service.ask("db-accounts", "--changed-since", "1h", "--server", "maria")[:1]
    assert (change["account"], change["change"]) == ("clerk@localhost", "updated")
    assert change["granted"] == []
    assert [grant["name"] for grant in change["revoked"]] == [["shop", "orders", "price"]]
    assert service.sync("db_sizes")["total"] >= 5
    service.syncd("doctor")


def test_a_server_that_is_down_fails_its_own_item_alone(service: Service, mariadb: Machine) -> None:
    service.configure({"accounts": {"kind": "db_accounts", "retries": []}}, servers=SERVERS)
    service.start()
    assert service.sync("accounts")["status"] == "success"
    known = len(service.ask("db-accounts", "--server", "maria"))
    mariadb.run("systemctl", "stop", "mariadb")
    try:
        done = mariadb.run("syncd", "sync", "accounts", "--json", check=False)
    finally:
        mariadb.run("systemctl", "start", "mariadb")
    assert done.returncode == 1
    (run,) = json.loads(done.stdout)
    items = {item["server"]: item for item in service.ask("show", run["id"])["items"]}
    assert (items["own"]["status"], items["maria"]["status"]) == ("success", "failed")
    assert items["maria"]["error_class"] == "network"
    assert len(service.ask("db-accounts", "--server", "maria")) == known > 1
    until(lambda: service.sync("accounts")["status"] == "success", 30, "the server is back")
