"""The engines that exist. A line here and a package beside it add one.

A driver is imported when the first of its servers is looked at.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from syncd.engines.base import Engine, ServerAccess
from syncd.engines.rights import Rights
from syncd.engines.sides import Sides
from syncd.engines.tables import Tables
from syncd.errors import ConfigurationError

ENGINES: Final = {
    "postgresql": ("syncd.engines.postgresql.engine", "PostgreSQL"),
    "mysql": ("syncd.engines.mysql.engine", "MySQL"),
    "redis": ("syncd.engines.redis.engine", "Redis"),
}
"""Name in the configuration → module and class."""

TABLES: Final = {
    "postgresql": ("syncd.engines.postgresql.tables", "PostgreSQLTables"),
    "mysql": ("syncd.engines.mysql.tables", "MySQLTables"),
}
"""Of those whose tables can be copied."""

RIGHTS: Final = {
    "postgresql": ("syncd.engines.postgresql.rights", "PostgreSQLRights"),
    "mysql": ("syncd.engines.mysql.rights", "MySQLRights"),
}
"""Of those whose tables can be copied, too."""

SIDES: Final = {
    "postgresql": ("syncd.engines.postgresql.sides", "PostgreSQLSides"),
    "mysql": ("syncd.engines.mysql.sides", "MySQLSides"),
    "redis": ("syncd.engines.redis.sides", "RedisSides"),
}
"""Of those that can be a side of a comparison."""


def build(access: ServerAccess) -> Engine:
    """Return the engine of a server, which any number of threads may use.

    Raises ConfigurationError for an engine that does not exist.
    """
    if access.engine not in ENGINES:
        raise ConfigurationError(f"server {access.name}: no engine {access.engine!r}")
    return cast(Engine, _made(ENGINES, access, "engine"))


def tables(access: ServerAccess) -> Tables:
    """Return the tables of a server, for any number of threads.

    Raises ConfigurationError for an engine that has none.
    """
    return cast(Tables, _made(TABLES, access, "tables"))


def rights(access: ServerAccess) -> Rights:
    """Return what tells of the rights of our login on a server, for any number of threads.

    Raises ConfigurationError for an engine that has no tables.
    """
    return cast(Rights, _made(RIGHTS, access, "tables"))


def sides(access: ServerAccess) -> Sides:
    """Return what can be compared of a server, for any number of threads.

    Raises ConfigurationError for an engine of which nothing can.
    """
    return cast(Sides, _made(SIDES, access, "sides"))


def _made(kinds: Mapping[str, tuple[str, str]], access: ServerAccess, what: str) -> object:
    """Import what a server's engine has of a kind, and make it."""
    if access.engine not in kinds:
        raise ConfigurationError(f"server {access.name}: engine {access.engine!r} has no {what}")
    module, name = kinds[access.engine]
    return getattr(import_module(module), name)(access)
