"""Where tables are, as far as it depends on the engine of their server."""

from collections.abc import Iterable, Iterator

from syncd.config.problems import KeyPath
from syncd.config.servers import Server
from syncd.config.spelling import quoted
from syncd.config.table_copy import Located
from syncd.model.table import POSTGRESQL_NAME

Told = Iterator[tuple[KeyPath, str]]
"""Keys inside a job that don't fit, and why."""


def of_place(side: str, place: Located, server: Server) -> Told:
    """Yield what is wrong with where tables are, which depends on the engine."""
    if server.engine not in ("postgresql", "mysql"):
        yield (side, "server"), f"is of engine {server.engine}, which has no tables"
    elif server.engine == "mysql" and place.database is None and place.schema_ is None:
        yield (side,), "needs database: the server is of engine mysql"
    elif server.engine == "mysql" and len({place.database, place.schema_} - {None}) > 1:
        yield (side, "schema"), "is what database is with engine mysql: one of them is enough"


def too_long(names: Iterable[tuple[KeyPath, str | None]]) -> Told:
    """Yield the names that PostgreSQL would cut."""
    for path, name in names:
        if name is not None and len(name.encode()) > POSTGRESQL_NAME:
            yield path, f"{quoted(name)} is longer than the {POSTGRESQL_NAME} bytes of postgresql"
