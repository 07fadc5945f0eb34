"""The sizes of databases, once a day: a later reading of a day takes the place of an earlier one.

All is set-based: ten thousand databases are a few statements.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

from syncd.errors import Conflict
from syncd.model.db_size import DatabaseSize, SizeReading, TableSize
from syncd.model.run import RunId
from syncd.store import size_partitions
from syncd.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Sample:
    """Whose sizes were read, when, on which day of the configured zone, and by which run."""

    server: str
    day: date
    moment: datetime
    run_id: RunId


class Seen(NamedTuple):
    """A database that differs from what was known of it: `added`, `updated` or `deleted`.

    Sizes are in bytes; None where they were or are unknown.
    """

    change: str
    database: str
    before: int | None
    now: int | None


def begin(tx: Transaction, sample: Sample) -> None:
    """Have the server's sizes alone until the transaction ends, with room for the day's.

    Raises Conflict when a later reading is written already: this one would undo what it found.
    """
    tx.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))",
        (f"syncd: sizes of {sample.server}",),
    )
    later = tx.execute(_LATER, {"server": sample.server, "moment": sample.moment}).fetchone()
    if later is not None:
        raise Conflict("another run has read the sizes of the same server later")
    size_partitions.make(tx, sample.day, sample.day)


def note_databases(
    tx: Transaction, sample: Sample, reading: SizeReading, excluded: Collection[str]
) -> list[Seen]:
    """Keep which databases stand; those that are not among them are gone, but the excluded ones.

    Returns what differs: a database that is there for the first time or again was added, one whose
    size is another than at the last reading updated. One that could not be read stands.
    """
    unread = [database for database, _ in reading.unread]
    rows = tx.execute(
        _CATALOG,
        {
            "server": sample.server,
            "engine": reading.engine,
            "moment": sample.moment,
            "database": [each.database for each in reading.databases] + unread,
            "system": [each.system for each in reading.databases] + [None] * len(unread),
            "size": [each.size_bytes for each in reading.databases] + [None] * len(unread),
            "excluded": list(excluded),
        },
    )
    return [Seen(*row) for row in rows]


def write_databases(tx: Transaction, sample: Sample, databases: Sequence[DatabaseSize]) -> None:
    """Write the day's size of each database."""
    columns = ("database", "size_bytes", "data_bytes", "index_bytes", "log_bytes", "tables")
    tx.execute(_SIZES, _key(sample) | {name: _column(databases, name) for name in columns})


def write_server(
    tx: Transaction, sample: Sample, databases: Sequence[DatabaseSize], log_bytes: int | None
) -> None:
    """Write the day's size of the server: what its databases are together."""
    tx.execute(
        _SERVER,
        _key(sample)
        | {
            "size_bytes": _sum(each.size_bytes for each in databases),
            "data_bytes": _sum(each.data_bytes for each in databases),
            "index_bytes": _sum(each.index_bytes for each in databases),
            "tables": _sum(each.tables for each in databases),
            "log_bytes": log_bytes,
            "database_count": len(databases),
        },
    )


def write_tables(
    tx: Transaction, sample: Sample, databases: Collection[str], tables: Sequence[TableSize]
) -> None:
    """Write the day's largest tables of these databases in place of those of an earlier reading."""
    tx.execute(
        """delete from syncd.db_table_size
           where server = %s and collected_on = %s and database = any (%s)""",
        (sample.server, sample.day, list(databases)),
    )
    columns = (
        "database", "schema", "table", "total_bytes", "heap_bytes", "index_bytes", "row_estimate"
    )  # fmt: skip
    tx.execute(_TABLE_SIZES, _key(sample) | {name: _column(tables, name) for name in columns})


def _key(sample: Sample) -> dict[str, object]:
    return {
        "server": sample.server,
        "day": sample.day,
        "moment": sample.moment,
        "run_id": sample.run_id,
    }


def _column(rows: Sequence[object], name: str) -> list[object]:
    return [getattr(row, name) for row in rows]


def _sum(values: Iterable[int | None]) -> int | None:
    """Return the sum, None when one of the values is unknown."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


# What a clock that was ahead has left, to come still, keeps no reading out.
_LATER: Final = """
select from syncd.db_catalog
where server = %(server)s and last_seen_at > %(moment)s and last_seen_at <= clock_timestamp()
limit 1"""

# Whatever its parts see is as it was before: what `known` compares is what stood.
_CATALOG: Final = """
with listed as (
    select * from unnest(%(database)s::text[], %(system)s::boolean[], %(size)s::bigint[])
                  as l (database, system, size_bytes)
), known as (
    select l.*, c.database is null or c.gone_at is not null as is_new, c.size_bytes as before
    from listed l left join syncd.db_catalog c on (c.server, c.database) = (%(server)s, l.database)
), noted as (
    insert into syncd.db_catalog as c
        (server, database, engine, system, size_bytes, first_seen_at, last_seen_at)
    select %(server)s, database, %(engine)s, coalesce(system, false), size_bytes,
           %(moment)s, %(moment)s
    from listed
    on conflict (server, database) do update
    set engine = excluded.engine, last_seen_at = excluded.last_seen_at, gone_at = null,
        system = case when excluded.size_bytes is null then c.system else excluded.system end,
        size_bytes = coalesce(excluded.size_bytes, c.size_bytes)
), gone as (
    update syncd.db_catalog c set gone_at = %(moment)s
    where c.server = %(server)s and c.gone_at is null and c.database <> all (%(excluded)s)
      and not exists (select from listed l where l.database = c.database)
    returning c.database, c.size_bytes
)
select case when is_new then 'added' else 'updated' end, database, before, size_bytes
from known where size_bytes is not null and (is_new or size_bytes is distinct from before)
union all
select 'deleted', database, size_bytes, null from gone
order by 2"""

_SIZES: Final = """
insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes, data_bytes,
                           index_bytes, log_bytes, tables, run_id)
select %(server)s, database, %(day)s, %(moment)s, size_bytes, data_bytes, index_bytes, log_bytes,
       tables, %(run_id)s
from unnest(%(database)s::text[], %(size_bytes)s::bigint[], %(data_bytes)s::bigint[],
            %(index_bytes)s::bigint[], %(log_bytes)s::bigint[], %(tables)s::integer[])
     as r (database, size_bytes, data_bytes, index_bytes, log_bytes, tables)
on conflict (server, database, collected_on) do update
set (collected_at, size_bytes, data_bytes, index_bytes, log_bytes, tables, run_id) = (
        excluded.collected_at, excluded.size_bytes, excluded.data_bytes, excluded.index_bytes,
        excluded.log_bytes, excluded.tables, excluded.run_id)"""

_SERVER: Final = """
insert into syncd.server_size (server, collected_on, collected_at, size_bytes, data_bytes,
                               index_bytes, log_bytes, tables, database_count, run_id)
values (%(server)s, %(day)s, %(moment)s, %(size_bytes)s, %(data_bytes)s, %(index_bytes)s,
        %(log_bytes)s, %(tables)s, %(database_count)s, %(run_id)s)
on conflict (server, collected_on) do update
set (collected_at, size_bytes, data_bytes, index_bytes, log_bytes, tables, database_count, run_id)
    = (excluded.collected_at, excluded.size_bytes, excluded.data_bytes, excluded.index_bytes,
       excluded.log_bytes, excluded.tables, excluded.database_count, excluded.run_id)"""

_TABLE_SIZES: Final = """
insert into syncd.db_table_size (server, database, schema, table_name, collected_on, total_bytes,
                                 heap_bytes, index_bytes, row_estimate)
select %(server)s, database, schema, table_name, %(day)s, total_bytes, heap_bytes, index_bytes,
       row_estimate
from unnest(%(database)s::text[], %(schema)s::text[], %(table)s::text[], %(total_bytes)s::bigint[],
            %(heap_bytes)s::bigint[], %(index_bytes)s::bigint[], %(row_estimate)s::bigint[])
     as r (database, schema, table_name, total_bytes, heap_bytes, index_bytes, row_estimate)"""
