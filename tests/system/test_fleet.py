"""The fleet's job kinds under the unit: the store's own PostgreSQL, and Debian's MariaDB."""

import json
from collections.abc import Iterator

import pytest
from daemon_helpers import until
from machine import Machine
from machine_databases import Maria, debian_mariadb
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
def mariadb(machine: Machine) -> Iterator[Maria]:
    """Give the machine's MariaDB, and a user with no more rights than needed."""
    with debian_mariadb(machine) as server:
        server.ask(f"create user syncd@127.0.0.1 identified by '{PASSWORD}'")
        server.ask("grant process, references, show databases on *.* to syncd@127.0.0.1")
        server.ask("grant select on mysql.* to syncd@127.0.0.1")
        server.ask("create database shop")
        server.ask("create table shop.orders (id int primary key, price int, note text)")
        server.ask("create user clerk@localhost")
        server.ask("grant select (id, price) on shop.orders to clerk@localhost")
        secret = machine.path(FILE)
        secret.write_text(f"{PASSWORD}\n")
        machine.run("chown", "root:syncd", FILE)
        secret.chmod(0o640)
        yield server


def test_the_fleet_is_looked_at_under_the_unit(service: Service, mariadb: Maria) -> None:
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
    mariadb.ask("revoke select (price) on shop.orders from clerk@localhost")
    configure("process")
    service.machine.run("systemctl", "reload", "syncd")
    assert service.sync("db_accounts")["updated"] == 1
    (change,) = service.ask("db-accounts", "--changed-since", "1h", "--server", "maria")[:1]
    assert (change["account"], change["change"]) == ("clerk@localhost", "updated")
    assert change["granted"] == []
    assert [grant["name"] for grant in change["revoked"]] == [["shop", "orders", "price"]]
    assert service.sync("db_sizes")["total"] >= 5
    service.syncd("doctor")


def test_a_server_that_is_down_fails_its_own_item_alone(service: Service, mariadb: Maria) -> None:
    service.configure({"accounts": {"kind": "db_accounts", "retries": []}}, servers=SERVERS)
    service.start()
    assert service.sync("accounts")["status"] == "success"
    known = len(service.ask("db-accounts", "--server", "maria"))
    service.machine.run("systemctl", "stop", "mariadb")
    try:
        done = service.machine.run("syncd", "sync", "accounts", "--json", check=False)
    finally:
        service.machine.run("systemctl", "start", "mariadb")
    assert done.returncode == 1
    (run,) = json.loads(done.stdout)
    items = {item["server"]: item for item in service.ask("show", run["id"])["items"]}
    assert (items["own"]["status"], items["maria"]["status"]) == ("success", "failed")
    assert items["maria"]["error_class"] == "network"
    assert len(service.ask("db-accounts", "--server", "maria")) == known > 1
    until(lambda: service.sync("accounts")["status"] == "success", 30, "the server is back")
