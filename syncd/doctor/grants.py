"""The SQL statements that let our user of a database server read what the jobs read.

They are those of docs/fleet.md: as little as shows everything, and no right to change anything.
"""

from collections.abc import Iterator, Sequence

from syncd.engines.base import ServerIdentity


def statements(who: ServerIdentity, kind: str, databases: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what is to be granted for jobs of a kind; `databases` are those that kept us out."""
    make = _postgresql if who.engine == "postgresql" else _mysql
    return tuple(f"{each};" for each in make(who, kind, databases))


def _postgresql(who: ServerIdentity, kind: str, databases: Sequence[str]) -> Iterator[str]:
    """Yield those of PostgreSQL: its catalogues are open to everybody who may connect."""
    user = _quoted(who.user)
    for database in databases:
        yield f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {user}"
    if kind == "db_sizes":
        yield f"GRANT pg_monitor TO {user}"


def _mysql(who: ServerIdentity, kind: str, databases: Sequence[str]) -> Iterator[str]:  # noqa: ARG001
    """Yield those of MySQL and MariaDB."""
    name, _, host = who.user.rpartition("@")
    user = f"{_literal(name)}@{_literal(host)}"
    if kind == "db_accounts":
        yield f"GRANT SELECT ON mysql.* TO {user}"
    else:
        yield f"GRANT PROCESS, REPLICATION CLIENT, REFERENCES, SHOW DATABASES ON *.* TO {user}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
