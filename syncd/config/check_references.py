"""What the keys of consistency checks refer to, and how they fit each other."""

from collections.abc import Collection, Mapping

from syncd.config.configuration import Tables
from syncd.config.consistency_check import ConsistencyCheckJob, Side
from syncd.config.servers import Server
from syncd.config.spelling import hint, quoted
from syncd.config.table_copy import TableCopyJob, where_is
from syncd.config.table_places import Told, of_place


def of_check(job: ConsistencyCheckJob, tables: Tables) -> Told:
    """Yield what does not fit in a check; a side that names an unknown server is passed over."""
    if job.copy_ is not None:
        yield from _of_checked_copy(job, tables.jobs.get(job.copy_))
        return
    if job.left is None or job.right is None:
        yield (), "needs copy, or left and right"
        return
    for key in ("tables", "repair"):
        if key in job.model_fields_set and getattr(job, key) != "none":
            yield (key,), "goes with copy"
    servers = tables.servers
    if {job.left.server, job.right.server} <= servers.keys():
        yield from _of_side("left", job.left, servers[job.left.server])
        yield from _of_side("right", job.right, servers[job.right.server])
        yield from _of_sides(job.left, job.right, servers)
    yield from _of_compared(job)


def _of_checked_copy(job: ConsistencyCheckJob, copied: object) -> Told:
    for key in ("left", "right"):
        if getattr(job, key) is not None:
            yield (key,), "stands beside copy: only one may"
    if job.rename:
        yield ("rename",), "stands beside copy, whose renames count"
    if isinstance(copied, TableCopyJob):
        for number, table in enumerate(job.tables):
            if table not in copied.items:
                yield ("tables", number), f"is no table of the copy{hint(table, copied.items)}"
    yield from _of_compared(job)


def _of_side(name: str, side: Side, server: Server) -> Told:
    if side.pattern is not None:
        if server.engine in ("postgresql", "mysql"):
            yield (name, "pattern"), f"is of engine redis; the server is of {server.engine}"
        if isinstance(side.database, str):
            yield (name, "database"), "must be a number of redis, such as 0"
        if side.schema_ is not None:
            yield (name, "schema"), "is not of redis"
        return
    if isinstance(side.database, int):
        yield (name, "database"), "must be the name of a database"
        return
    if server.engine not in ("postgresql", "mysql"):
        yield (name,), f"needs pattern: the server is of engine {server.engine}"
        return
    yield from of_place(name, side, server)


def _of_sides(left: Side, right: Side, servers: Mapping[str, Server]) -> Told:
    if left.pattern is not None and right.pattern is not None:
        yield ("right", "pattern"), "is of redis as the left side is: one must be a table"
    if left.is_open:
        yield ("left",), "needs table, tables, query or pattern: one of them"
    elif right.is_open and not left.names:
        yield ("right",), "needs table, tables, query or pattern: one of them"
    elif not right.is_open and len(left.names or " ") != len(right.names or " "):
        yield ("right",), "must name as many tables as the left side"
    elif left.names and _tables(left, left, servers) == _tables(right, left, servers):
        yield ("right",), "is the same as left"


def _tables(side: Side, left: Side, servers: Mapping[str, Server]) -> tuple[object, ...]:
    """Return where the tables of a side are, and which; without names those of the left side."""
    names = side.names or (() if side.query else left.names)
    return (side.server, *where_is(side, servers[side.server]), names)


def _of_compared(job: ConsistencyCheckJob) -> Told:
    if job.repair == "copy" and "checksum" not in job.compare:
        yield ("repair",), "needs checksum in compare, which tells the rows that differ"
    yield from _both(job.exclude, job.columns, "exclude", "columns")
    yield from _both(job.exclude, job.key, "exclude", "key")
    for column in job.tolerance:
        if column in job.exclude or column in job.key:
            yield ("tolerance", column), "is of the key or left out"
    if job.min_age and job.age_column is None:
        yield ("min_age",), "needs age_column"
    if job.age_column is not None and not job.min_age:
        yield ("age_column",), "needs min_age"


def _both(names: Collection[str], others: Collection[str], key: str, other: str) -> Told:
    for name in names:
        if name in others:
            yield (key,), f"{quoted(name)} stands in {other} too"
