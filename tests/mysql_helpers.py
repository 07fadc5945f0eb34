"""How the tests look at the private MariaDB: users of its, and what the server itself says."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mariadb_server import HOST, MariaDbServer

from syncd.engines.base import ServerAccess

WATCHER = "watcher"
PASSWORD = "pä'ss\\w;ord"
EVERYTHING = "SELECT, PROCESS, BINLOG MONITOR"
"""What a user needs who may read everything."""


def access(server: MariaDbServer, user: str = WATCHER, **changed: Any) -> ServerAccess:
    """Return the way in of a user with the password of all; the watcher is made if need be."""
    if user == WATCHER:
        make_user(server, WATCHER, EVERYTHING)
    told = {
        "name": "mariadb", "engine": "mysql", "host": HOST, "port": server.port, "user": user,
        "password": lambda: PASSWORD,
    }  # fmt: skip
    return ServerAccess(**told | changed)


def make_user(server: MariaDbServer, name: str, *privileges: str) -> str:
    """Make a user with privileges on everything, `PROCESS`, or `SELECT ON shop.*`."""
    server.execute(f"create user if not exists {name}@'%' identified by {text(PASSWORD)}")
    for each in privileges:
        on = "" if " ON " in each else " ON *.*"
        server.execute(f"grant {each}{on} to {name}@'%'")
    return name


@contextmanager
def fresh_user(server: MariaDbServer, *privileges: str) -> Iterator[str]:
    """Give a user that is dropped after the block."""
    name = make_user(server, unique("user"), *privileges)
    try:
        yield name
    finally:
        server.execute(f"drop user {name}@'%'")


@contextmanager
def fresh_database(server: MariaDbServer, name: str | None = None) -> Iterator[str]:
    """Give a database that is dropped after the block."""
    name = name or unique("db")
    server.execute(f"create database {ident(name)}")
    try:
        yield name
    finally:
        server.execute(f"drop database if exists {ident(name)}")


def unique(prefix: str) -> str:
    """Return a name that nothing has."""
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


def ident(name: str) -> str:
    """Return a name as SQL has it."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """Return a text as SQL has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def bytes_on_disk(server: MariaDbServer) -> dict[str, int]:
    """Return the bytes of the files of all tables, by the directory of their database."""
    server.execute("flush tables")  # what Aria still holds in memory
    kinds = {".ibd", ".MAD", ".MAI", ".MYD", ".MYI"}
    return {
        directory.name: sum(f.stat().st_size for f in directory.iterdir() if f.suffix in kinds)
        for directory in Path(server.data).iterdir()
        if directory.is_dir()
    }
