"""The service on a PostgreSQL of the machine's own, over TLS: Debian's 15, under the same unit."""

from collections.abc import Iterator

import pytest
from daemon_helpers import until
from machine import Machine
from machine_databases import Postgres, debian_postgresql
from service import Service

CERTIFICATE = "/etc/ssl/certs/ssl-cert-snakeoil.pem"  # Debian makes one for each machine
PASSWORD = "a password in the DSN"
DSN = (
    f"host=127.0.0.1 user=keeper dbname=inventory password='{PASSWORD}' "
    f"sslmode=verify-ca sslrootcert={CERTIFICATE}"
)
SECRET = "/etc/syncd/store-dsn"


@pytest.fixture(scope="module")
def postgresql(machine: Machine) -> Iterator[Postgres]:
    """Give the machine's PostgreSQL, with an empty database."""
    with debian_postgresql(machine) as server:
        server.ask(f"create role keeper login password '{PASSWORD}'")
        server.ask("create database inventory owner keeper")
        machine.path(SECRET).write_text(DSN)
        machine.path(SECRET).chmod(0o600)
        yield server


def asked(server: Postgres, query: str) -> str:
    """Ask the inventory."""
    return server.ask(query, "inventory")


def test_a_store_over_tls_serves_the_service_and_comes_back_after_its_restart(
    service: Service, postgresql: Postgres
) -> None:
    service.drop_in(LoadCredential=f"store-dsn:{SECRET}")
    service.configure({"hosts": {}}, store={"dsn": {"credential": "store-dsn"}})
    after = service.machine.cursor()
    service.start()
    assert service.sync("hosts")["added"] == 2 * service.clouds.hosts
    assert int(asked(postgresql, "select count(*) from syncd.hosts")) == 2 * service.clouds.hosts
    encrypted = asked(
        postgresql,
        "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) "
        "where usename = 'keeper'",
    )
    assert encrypted == "t"
    assert service.sync("retention")["status"] == "success"
    assert service.machine.run("syncd", "backup", check=False).returncode == 78
    before = service.pid
    service.machine.run("systemctl", "stop", "postgresql")
    until(lambda: not service.ask("status")["ready"], 40, "the store is missed")
    assert service.state == "active (running)"
    service.machine.run("systemctl", "start", "postgresql")
    until(lambda: service.ask("status")["ready"], 40, "the store is back")
    assert service.pid == before
    assert service.sync("hosts")["unchanged"] == 2 * service.clouds.hosts
    service.syncd("doctor")
    lines = [str(entry["MESSAGE"]) for entry in service.machine.journal(after=after)]
    assert not [line for line in lines if PASSWORD in line]
