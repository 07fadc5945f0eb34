"""Databases for tests on a real server, and directories that this server can use."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
"""Bytes that must be free in memory for files to be there."""


class Databases:
    """Makes and drops databases on one server."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._templates: set[str] = set()

    def create(self, template: str = "template1") -> str:
        """Make a database and return its DSN."""
        name = f"test_{uuid.uuid4().hex}"
        self._copy(name, template)
        return make_conninfo(self._dsn, dbname=name)

    def drop(self, dsn: str) -> None:
        """Drop a database, whoever is connected to it."""
        name = conninfo_to_dict(dsn)["dbname"]
        self._execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))

    def template(self, name: str, prepare: Callable[[str], object]) -> str:
        """Return a template's name; `prepare` fills it, given its DSN, when it is first asked for.

        `prepare` must leave no connection open.
        """
        if name not in self._templates:
            self._copy(name, "template1")
            prepare(make_conninfo(self._dsn, dbname=name))
            self._templates.add(name)
        return name

    def _copy(self, name: str, template: str) -> None:
        query = sql.SQL("create database {} template {} strategy file_copy")
        self._execute(query.format(sql.Identifier(name), sql.Identifier(template)))

    def _execute(self, query: sql.Composed) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(query)


@contextmanager
def reachable_directory() -> Iterator[Path]:
    """Give a directory that other accounts can enter: root's own temporary ones are closed.

    The embedded PostgreSQL runs under an unprivileged account when the tests run as root. It is in
    memory if there is room: servers and databases are made there several times as fast.
    """
    directory = Path(tempfile.mkdtemp(prefix="syncd-", dir=_MEMORY if _is_roomy() else None))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _is_roomy() -> bool:
    """Tell whether there is room in memory for files, of which some are programs."""
    if not _MEMORY.is_dir():
        return False
    found = os.statvfs(_MEMORY)
    return found.f_bavail * found.f_frsize > _ROOM and not found.f_flag & os.ST_NOEXEC
