"""The private MariaDB as the contract of the engines sees it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mariadb_server import MariaDbServer
from mysql_helpers import PASSWORD, WATCHER, access, bytes_on_disk, fresh_database, make_user

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.mysql.connection import connected

ORDINARY = "ordinary"


class MariaDbSubject:
    """A private server. That databases exist is told to everybody in PostgreSQL, so here too."""

    engine = "mariadb"
    password = PASSWORD

    def __init__(self, server: MariaDbServer) -> None:
        self.server = server
        make_user(server, ORDINARY, "SHOW DATABASES")

    def access(self, **changed: Any) -> ServerAccess:
        return access(self.server, **changed)

    def ordinary(self, **changed: Any) -> ServerAccess:
        return access(self.server, ORDINARY, **changed)

    def version(self) -> str:
        return str(self.server.execute("select version()")[0][0])

    def accounts(self) -> set[str]:
        rows = self.server.execute("select User, Host, is_role from mysql.user")
        return {user if role == "Y" else f"{user}@{host}" for user, host, role in rows} | {
            user for user, host in self.server.execute("select User, Host from mysql.global_priv")
            if user == "PUBLIC"
        }  # fmt: skip

    def sizes(self) -> Mapping[str, int]:
        on_disk = bytes_on_disk(self.server)
        names = (name for (name,) in self.server.execute("show databases"))
        return {name: on_disk.get(name, 0) for name in names}

    @contextmanager
    def filled(self) -> Iterator[str]:
        with fresh_database(self.server) as name:
            for rows in (10, 3000, 300):
                self.server.execute(
                    f"use {name}",
                    f"create table t{rows} (id int primary key, text text, key (text(50)))",
                    f"insert into t{rows} select seq, repeat(seq, 200) from seq_1_to_{rows}",
                )
            yield name

    def sessions(self) -> int:
        """Return how many there are; one that was ended may need a moment to be gone."""
        query = (
            "select count(*) from information_schema.processlist"
            f" where user in ('{WATCHER}', '{ORDINARY}')"
        )
        for _ in range(1000):
            if not self.server.execute(query)[0][0]:
                return 0
            self.server.execute("select sleep(0.01)")
        return int(self.server.execute(query)[0][0])

    @contextmanager
    def stalled(self) -> Iterator[None]:
        connection = self.server.connect()
        try:
            connection.cursor().execute("lock tables mysql.roles_mapping write")
            yield
        finally:
            connection.close()

    def write(self, ctx: RunContext) -> None:
        with connected(self.access(), ctx) as session:
            session.rows("create database written")
