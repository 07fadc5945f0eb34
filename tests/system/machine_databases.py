"""Debian's database servers on a machine: installed for a while, and purged again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from daemon_helpers import until
from machine import Machine

INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")
PURGE = ("apt-get", "purge", "--yes")


@dataclass(frozen=True)
class Postgres:
    """Debian's PostgreSQL, asked as its superuser."""

    machine: Machine

    def command(self, query: str, database: str) -> list[str]:
        """Return the command that asks something."""
        client = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", database, "-c", query]
        return ["runuser", "-u", "postgres", "--", *client]

    def ask(self, query: str, database: str = "postgres") -> str:
        """Return what a query gives."""
        return self.machine.run(*self.command(query, database)).stdout.strip()


@contextmanager
def debian_postgresql(machine: Machine) -> Iterator[Postgres]:
    """Give the machine's PostgreSQL, running and new."""
    machine.run(*INSTALL, "postgresql")
    machine.run("systemctl", "start", "postgresql")
    ready = ("runuser", "-u", "postgres", "--", "pg_isready")
    until(lambda: machine.run(*ready, check=False).returncode == 0, 30, "the server answers")
    yield Postgres(machine)
    machine.run(*PURGE, "postgresql*", seconds=300)


@dataclass(frozen=True)
class Maria:
    """Debian's MariaDB, asked as its administrator."""

    machine: Machine

    def ask(self, statement: str) -> str:
        """Return what a statement gives, a row a line."""
        command = ("mariadb", "--default-character-set=utf8mb4", "--batch", "--skip-column-names")
        return self.machine.run(*command, "--execute", statement).stdout.strip()


@contextmanager
def debian_mariadb(machine: Machine) -> Iterator[Maria]:
    """Give the machine's MariaDB, running and new."""
    machine.run(*INSTALL, "mariadb-server")
    machine.run("systemctl", "start", "mariadb")
    yield Maria(machine)
    machine.run(*PURGE, "mariadb*", seconds=300)
