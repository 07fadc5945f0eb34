"""Moments of the server as values of a column: below which of them no row can come any more."""

from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Composable, Literal

from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.literals import literal
from syncd.errors import BadData
from syncd.model.table import Column

FOLLOWS: Final = """(
    pg_is_in_recovery() or exists (select from pg_subscription s join pg_database d
        on d.oid = s.subdbid where d.datname = current_database())
)"""
"""Whether rows come from another server, whose transactions nobody here knows: of a replica, and of
a database that subscribes to another one."""
_OLDEST: Final = f"""
    select case when {FOLLOWS} or not pg_has_role('pg_read_all_stats', 'usage')
        then null
        else least(
            now(),  -- of this statement: taken before it looks at the others
            (select min(xact_start) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()
               and (backend_xid is not null or xact_start > now() - interval '1 minute')),
            (select min(prepared) - interval '10 minutes' from pg_prepared_xacts
             where database = current_database())
        )
    end::text
"""  # noqa: S608 - made of constants
"""A transaction has no number before it writes; a young one may yet. Of a prepared one the server
does not tell when it began: some time before it was prepared."""
_SERVERS_ZONE: Final = "select reset_val from pg_settings where name = 'TimeZone'"
_LOCAL: Final = (
    "least({0} at time zone {1}, ({0} + interval '1h') at time zone {1} - interval '1h')"
)
"""In the hour before clocks are set back by one, what comes again of it counts."""
_VALUES: Final = {
    "instant": "{0} at time zone 'UTC'",
    "timestamp": _LOCAL,
    "date": _LOCAL + "::date",
}
_NUMBERS: Final = ("integer", "decimal", "float")


@dataclass(frozen=True, slots=True)
class Oldest:
    """When the oldest transaction began that may write; None where that can't be known."""

    at: str | None


def oldest(connection: Session) -> Oldest:
    """Ask when the oldest open transaction began that may have written, or may yet."""
    return Oldest((connection.execute(_OLDEST).fetchone() or (None,))[0])


def as_value(connection: Session, moment: Oldest, column: Column, zone: str) -> bytes | None:
    """Return a moment as a value of a column, None of one that holds no moments."""
    if moment.at is None or column.type.kind not in _VALUES:
        return None
    if not zone:
        zone = (connection.execute(_SERVERS_ZONE).fetchone() or ("UTC",))[0]
    at = SQL("{}::timestamptz").format(Literal(moment.at))
    if (column.type.scale or 0) < 6:  # the column rounds: what is written later may seem earlier
        at = SQL("date_trunc('second', {})").format(at)
    return _asked(connection, SQL(_VALUES[column.type.kind]).format(at, Literal(zone)))


def back(connection: Session, column: Column, value: bytes, lookback: str) -> bytes:
    """Return what lies before a value, by so many seconds, or by a number."""
    at, less = literal(column, value), Literal(lookback)
    kind = column.type.kind
    if kind in _NUMBERS:
        kept = SQL("greatest({}, {})").format(
            SQL("{}::numeric - {}::numeric").format(at, less), Literal(_least(column))
        )
        shown = kept if kind != "float" else SQL("{} - {}::float8").format(at, less)
        return _asked(connection, shown)
    if kind not in _VALUES:
        raise BadData(f"column {column.name}: values of {column.native} can't be looked back from")
    shown = SQL("{} - make_interval(secs => {}::float8)").format(at, less)
    ends = {"instant": "({}) at time zone 'UTC'", "date": "({})::date", "timestamp": "{}"}
    return _asked(connection, SQL(ends[kind]).format(shown))


def _least(column: Column) -> str:
    """Return the least number that a column can hold."""
    if column.type.kind != "integer" or column.type.size is None:
        return "-Infinity" if column.type.kind == "float" else "-1e1000"
    return str(column.type.integers[0])


def _asked(connection: Session, expression: Composable) -> bytes:
    row = connection.execute(SQL("select ({})::text").format(expression)).fetchone()
    return str(row[0]).encode() if row else b""
