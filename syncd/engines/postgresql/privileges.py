"""Who may do what in one database, as its catalogues say."""

from collections.abc import Iterator, Mapping
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
_COLUMNS: Final = """
    select 'column', array[nspname, relname, attname]::text[], a.grantee, a.privilege_type,
           bool_or(a.is_grantable)
    from pg_attribute
    join pg_class c on c.oid = attrelid
    join pg_namespace n on n.oid = relnamespace and nspname !~ '^pg_(toast|temp_|toast_temp_)'
    left join pg_init_privs
        on objoid = attrelid and classoid = 'pg_class'::regclass and objsubid = attnum
    cross join aclexplode(attacl) a
    where attacl is not null and not attisdropped and attacl is distinct from initprivs
    group by 1, 2, 3, 4
"""
_LARGE_OBJECTS: Final = """
    select 'large_object', array[oid::text], a.grantee, a.privilege_type, bool_or(a.is_grantable)
    from pg_largeobject_metadata, aclexplode(lomacl) a where a.grantee <> lomowner
    group by 1, 2, 3, 4
    limit %s + 1
"""
_DEFAULTS: Final = """
    select defaclobjtype, defaclrole, coalesce(nspname, ''), a.grantee, a.privilege_type,
           bool_or(a.is_grantable)
    from pg_default_acl left join pg_namespace n on n.oid = defaclnamespace,
         aclexplode(defaclacl) a
    group by 1, 2, 3, 4, 5
"""
_DEFAULT_KINDS: Final[Mapping[str, On]] = {
    "r": "default_tables",
    "S": "default_sequences",
    "f": "default_functions",
    "T": "default_types",
    "n": "default_schemas",
    "L": "default_large_objects",
}

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
        for query in (_OBJECTS, _COLUMNS):
            _take(found, database, _bounded(connection, query))
        found.privileges += _defaults(connection, database, roles)
        _read_large_objects(connection, database, found)
    return found


def _bounded(connection: Session, query: LiteralString) -> list[tuple[Any, ...]]:
    """Return the rows of a query; raises BadData when they are too many."""
    rows = connection.execute(SQL(query) + SQL(" limit {}").format(MOST + 1)).fetchall()
    if len(rows) > MOST:
        raise BadData(f"there are more than {MOST:,} privileges in it, table by table")
    return rows


def _take(found: Found, database: str, rows: list[tuple[Any, ...]]) -> None:
    """Take rows as `objects.sql` gives them."""
    for kind, path, grantee, privilege, grantable in rows:
        if grantee is None:
            found.objects[database, path[0], kind] = tuple(path[1:])
        else:
            found.privileges.append(
                (grantee, Privilege(kind, (database, *path), privilege, grantable))
            )


def _defaults(connection: Session, database: str, roles: Mapping[int, str]) -> Iterator[Granted]:
    """Yield what will be granted on what the roles create."""
    for kind, creator, schema, grantee, privilege, grantable in connection.execute(_DEFAULTS):
        if creator in roles and kind in _DEFAULT_KINDS:
            name = (database, roles[creator], schema)
            yield grantee, Privilege(_DEFAULT_KINDS[kind], name, privilege, grantable)


def _read_large_objects(connection: Session, database: str, found: Found) -> None:
    """Take the privileges on large objects, or say that there are too many."""
    rows = connection.execute(_LARGE_OBJECTS, (LARGE_OBJECTS,)).fetchall()
    if len(rows) <= LARGE_OBJECTS:
        _take(found, database, rows)
        return
    error = BadData(f"there are more than {LARGE_OBJECTS} privileges on large objects")
    part = f"large objects of database {database}"
    found.unread.append(Unread(part, error, database=database, on="large_object"))
