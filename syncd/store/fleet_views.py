"""What people and programs read of the database servers: accounts, their changes, sizes.

Bounded as all views are. A row is `unmanaged` when no job of the configuration in force looks at
its server any more; a store that no daemon ever led knows of no configuration, and marks none. Of
sizes and statistics only what stands is told, each database with its newest row, so that one that
could not be read shows a day older than its server's.
"""

from collections.abc import Iterable
from typing import Final, LiteralString

from psycopg.sql import SQL, Composable

from syncd.model.queries import (
    DB_ACCOUNT_KEY,
    DbAccountChangeQuery,
    DbAccountQuery,
    SizeQuery,
    SizeStatQuery,
)
from syncd.store.bounded import MOST, Condition, Rows, select, select_all, table
from syncd.store.database import Transaction

DB_ACCOUNT_COLUMNS: Final = (
    "server", "engine", "account", "kind", "active", "attributes", "capabilities", "read_errors",
    "first_seen_at", "changed_at", "missing_since", "missing_runs", "deleted_at", "run_id",
)  # fmt: skip
_RECKONED: Final = ("privilege_count", "last_seen_at", "unmanaged")
DB_ACCOUNT_CHANGE_COLUMNS: Final = (
    "id", "run_id", "server", "account", "change", "granted", "revoked", "attributes_changed",
    "changed_at",
)  # fmt: skip


def db_accounts(tx: Transaction, query: DbAccountQuery) -> Rows:
    """Return one page of the living accounts, each with its `privilege_count`.

    `last_seen_at` is when its server was last read; `unmanaged`: no job looks at it any more.
    """
    where: list[Condition] = [("deleted_at is null", None), *_named(query)]
    if query.capabilities:
        where.append(("capabilities @> %s", list(query.capabilities)))
    if query.after:
        where.append(("(server, account) > (%s, %s)", query.after))
    privileges = ("privileges",) if query.privileges else ()
    columns = DB_ACCOUNT_COLUMNS + _RECKONED + privileges
    return select(tx, columns, _ACCOUNTS, where, SQL(", ".join(DB_ACCOUNT_KEY)), query.limit)


def db_account_changes(tx: Transaction, query: DbAccountChangeQuery) -> Rows:
    """Return changes of accounts, the newest first."""
    where = _named(query)
    if query.since:
        where.append(("changed_at >= %s", query.since))
    if query.capabilities:
        where.append((_CAPABLE, list(query.capabilities)))
    order, source = SQL("changed_at desc, id desc"), table("db_account_change")
    return select(tx, DB_ACCOUNT_CHANGE_COLUMNS, source, where, order, query.limit)


def sizes(tx: Transaction, query: SizeQuery) -> dict[str, Rows]:
    """Return the newest sizes: {"databases", the largest first; "servers", their sums}.

    Bytes; `newest_on` is the last day on which anything of the server was read, and
    `week_before_bytes` the size seven days before. What was never read whole has null in place of
    size and day. With `database` there are no sums.
    """
    named = {"server": query.server, "database": query.database}
    return {
        "databases": select_all(tx, _SIZES, named | {"limit": query.limit}),
        "servers": select_all(tx, _SERVER_SIZES, named | {"limit": MOST}),
    }


def newest_sizes(tx: Transaction, servers: Iterable[str]) -> dict[tuple[str, str], int]:
    """Return the bytes of the databases of some servers, of the largest, by (server, database)."""
    rows = select_all(tx, _NEWEST_SIZES, {"servers": list(servers), "limit": MOST})
    return {(row["server"], row["database"]): row["size_bytes"] for row in rows}


def size_stats(tx: Transaction, query: SizeStatQuery) -> dict[str, Rows]:
    """Return the statistics of the last period of each: {"databases", "servers"}, as `sizes`.

    `newest_start` is the server's last period of which a database has statistics.
    """
    named = {"server": query.server, "database": query.database, "period": query.period}
    return {
        "databases": select_all(tx, _SIZE_STATS, named | {"limit": query.limit}),
        "servers": select_all(tx, _SERVER_SIZE_STATS, named | {"limit": MOST}),
    }


def _named(query: DbAccountQuery | DbAccountChangeQuery) -> list[Condition]:
    given = {"server": query.server, "account": query.account}
    return [(f"{name} = %s", value) for name, value in given.items() if value is not None]


def _unmanaged(kind: LiteralString) -> LiteralString:
    """Return the condition that no job looks at the server of the row `n` any more."""
    return f"""exists (select from syncd.leader) and not exists (
           select from syncd.managed m where m.account = n.server and m.type = '{kind}')"""  # noqa: S608 - ours


_ACCOUNTS: Final[Composable] = SQL(f"""
(select n.*, jsonb_array_length(n.privileges) as privilege_count,
        s.last_complete_at as last_seen_at, {_unmanaged("db_account")} as unmanaged
 from syncd.db_account n
 left join syncd.scope s on (s.account, s.region, s.type) = (n.server, '', 'db_account')) a""")  # noqa: S608 - texts of this module
_CAPABLE: Final = """
exists (select from syncd.db_account a
        where (a.server, a.account) = (db_account_change.server, db_account_change.account)
          and a.capabilities @> %s)"""

_SIZES: Final = f"""
with standing as (
    select c.server, c.database, c.engine, c.system, s.collected_on, s.collected_at, s.size_bytes,
           s.data_bytes, s.index_bytes, s.log_bytes, s.tables,
           max(s.collected_on) over (partition by c.server) as newest_on
    from syncd.db_catalog c
    left join lateral (
        select * from syncd.db_size d
        where d.server = c.server and d.database = c.database
        order by d.collected_on desc limit 1
    ) s on true
    where c.gone_at is null and c.server = coalesce(%(server)s, c.server)
)
select n.*, w.size_bytes as week_before_bytes,
       {_unmanaged("db_size")} as unmanaged
from standing n
left join syncd.db_size w
    on w.server = n.server and w.database = n.database and w.collected_on = n.collected_on - 7
where n.database = coalesce(%(database)s, n.database)
order by n.size_bytes desc nulls last, n.server, n.database
limit %(limit)s"""  # noqa: S608 - texts of this module

_SERVER_SIZES: Final = f"""
with standing as (
    select c.server, max(s.collected_on) as newest_on
    from syncd.db_catalog c
    left join lateral (
        select d.collected_on from syncd.db_size d
        where d.server = c.server and d.database = c.database
        order by d.collected_on desc limit 1
    ) s on true
    where c.gone_at is null and c.server = coalesce(%(server)s, c.server)
    group by c.server
)
select n.server, s.collected_on, s.collected_at, s.size_bytes, s.data_bytes, s.index_bytes,
       s.log_bytes, s.tables, s.database_count, n.newest_on, w.size_bytes as week_before_bytes,
       {_unmanaged("db_size")} as unmanaged
from standing n
left join lateral (
    select * from syncd.server_size d where d.server = n.server order by d.collected_on desc limit 1
) s on true
left join syncd.server_size w on w.server = n.server and w.collected_on = s.collected_on - 7
where %(database)s::text is null
order by s.size_bytes desc nulls last, n.server
limit %(limit)s"""  # noqa: S608 - texts of this module

_NEWEST_SIZES: Final = """
select c.server, c.database, s.size_bytes
from syncd.db_catalog c
cross join lateral (
    select d.size_bytes from syncd.db_size d
    where d.server = c.server and d.database = c.database
    order by d.collected_on desc limit 1
) s
where c.gone_at is null and c.server = any(%(servers)s)
order by s.size_bytes desc, c.server, c.database
limit %(limit)s"""

_SIZE_STATS: Final = """
with newest as (
    select s.*, max(s.period_start) over (partition by c.server) as newest_start
    from syncd.db_catalog c
    cross join lateral (
        select * from syncd.db_size_stat d
        where d.server = c.server and d.database = c.database and d.period = %(period)s
        order by d.period_start desc limit 1
    ) s
    where c.gone_at is null and c.server = coalesce(%(server)s, c.server)
)
select server, database, period, period_start, samples, gaps,
       avg_bytes::double precision as avg_bytes, min_bytes, max_bytes, first_bytes, last_bytes,
       change_bytes, change_percent, growth_per_day, trend, forecast_on, computed_at, newest_start
from newest
where database = coalesce(%(database)s, database)
order by last_bytes desc, server, database
limit %(limit)s"""

_SERVER_SIZE_STATS: Final = """
select s.server, s.period, s.period_start, s.samples, s.gaps,
       s.avg_bytes::double precision as avg_bytes, s.min_bytes, s.max_bytes, s.first_bytes,
       s.last_bytes, s.change_bytes, s.change_percent, s.growth_per_day, s.trend, s.forecast_on,
       s.computed_at
from (select distinct server from syncd.db_catalog where gone_at is null) c
cross join lateral (
    select * from syncd.server_size_stat d
    where d.server = c.server and d.period = %(period)s
    order by d.period_start desc limit 1
) s
where c.server = coalesce(%(server)s, c.server) and %(database)s::text is null
order by s.last_bytes desc, s.server
limit %(limit)s"""
