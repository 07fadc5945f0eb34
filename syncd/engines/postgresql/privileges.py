"""Who may do what in one database, as its catalogues say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final, LiteralString

from psycopg.sql import SQL

from syncd.engines.postgresql.connection import Session, snapshot
from syncd.errors import BadData
from syncd.model.db_account import Unread
from syncd.model.privilege import On, Privilege

MOST: Final = 300_000
"""More privileges in one database are not read: ten thousand tables that are alike have few, but
each by itself, for hundreds of roles, would take gigabytes of memory."""
LARGE_OBJECTS: Final = 10_000
"""So many privileges on large objects are read; more are told as unread."""

_OBJECTS: Final = (resources.files(__package__) / "objects.sql").read_text("utf-8")
_LARGE_OBJECTS: Final = """
    select 'large_object', array[oid::text], a.grantee, a.privilege_type, bool_or(a.is_grantable),
           false
    from pg_largeobject_metadata, aclexplode(lomacl) a where a.grantee <> lomowner
    group by 1, 2, 3, 4
    limit %s + 1
"""

Granted = tuple[int, Privilege]
"""A grantee's object identifier and what it may do."""


@dataclass(slots=True)
class Found:
    """What was found in one database."""

    privileges: list[Granted] = field(default_factory=list)
    objects: dict[tuple[str, str, On], tuple[str, ...]] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)


def read_database(connection: Session, database: str, roles: Mapping[int, str]) -> Found:
    """Return all that is granted in a database, as it was at one moment.

    `roles` are names by object identifier. Of large objects, of which there may be millions, only
    what others than their owners may do is told. Raises BadData when it is too much altogether.
    """
    found = Found()
    with snapshot(connection):
        _take(found, database, _bounded(connection, _OBJECTS), roles)
        _read_large_objects(connection, database, found)
    return found


def _bounded(connection: Session, query: LiteralString) -> list[tuple[Any, ...]]:
    """Return the rows of a query; raises BadData when they are too many."""
    rows = connection.execute(SQL(query) + SQL(" limit {}").format(MOST + 1)).fetchall()
    if len(rows) > MOST:
        raise BadData(f"there are more than {MOST:,} privileges in it, table by table")
    return rows


def _take(
    found: Found, database: str, rows: list[tuple[Any, ...]], roles: Mapping[int, str]
) -> None:
    """Take rows as `objects.sql` gives them."""
    for kind, path, grantee, privilege, grantable, restricts in rows:
        if grantee is None:
            found.objects[database, path[0], kind] = tuple(path[1:])
        elif (name := _name(kind, path, roles)) is not None:
            made = Privilege(kind, (database, *name), privilege, grantable, restricts=restricts)
            found.privileges.append((grantee, made))


def _name(kind: str, path: list[str], roles: Mapping[int, str]) -> list[str] | None:
    """Return a path, of default privileges with the creator's name; None if there is no such."""
    if not kind.startswith("default_"):
        return path
    creator = roles.get(int(path[0]))
    return None if creator is None else [creator, *path[1:]]


def _read_large_objects(connection: Session, database: str, found: Found) -> None:
    """Take the privileges on large objects, or say that there are too many."""
    rows = connection.execute(_LARGE_OBJECTS, (LARGE_OBJECTS,)).fetchall()
    if len(rows) <= LARGE_OBJECTS:
        _take(found, database, rows, {})
        return
    error = BadData(f"there are more than {LARGE_OBJECTS} privileges on large objects")
    part = f"large objects of database {database}"
    found.unread.append(Unread(part, error, database=database, on="large_object"))
