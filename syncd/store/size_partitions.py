"""The months of the tables of sizes: partitions made ahead, and dropped when they are over.

Both wait for a lock for moments only: whoever reads the tables for long, such as a dump, makes them
fail, to be tried again, and is not disturbed.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from psycopg.sql import SQL, Composed, Identifier

from syncd.store.database import Transaction
from syncd.store.retention import Gone

_WAIT: Final = "800ms"
"""How long a drop waits for each table: less than a deadlock takes to be found (deadlock_timeout,
1 s by default), so that it is never a reader of several tables that is given up for it."""
_TABLES: Final = ("db_size", "server_size", "db_table_size")


def make(tx: Transaction, first: date, last: date) -> int:
    """Make room for samples of the days from `first` to `last`; return the partitions made.

    Where all is there it costs one look. Raises StoreError when somebody locks a table for longer
    than a moment.
    """
    row = tx.execute("select syncd.make_size_partitions(%s, %s)", (first, last)).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True)
class OldMonths:
    """The months of samples that lie entirely before a day."""

    before: date

    def count(self, tx: Transaction) -> int:
        """Return how many samples they hold."""
        return sum(_rows(tx, name) for _, name in self._partitions(tx))

    def remove(self, tx: Transaction, start: datetime) -> Gone | None:  # noqa: ARG002 - they are few
        """Drop the oldest one of every table; None when none is left.

        From then on statistics count from where it ended. Its rows are counted before the tables
        are locked, since there may be many. Raises StoreError when somebody uses a table for longer
        than a moment.
        """
        tx.execute("select pg_advisory_xact_lock(hashtextextended('syncd: months of sizes', 0))")
        partitions = self._partitions(tx)
        if not partitions:
            return None
        until = partitions[0][0]
        oldest = [name for end, name in partitions if end == until]
        rows = sum(_rows(tx, name) for name in oldest)
        tx.execute("select set_config('lock_timeout', %s, true)", (_WAIT,))
        tx.execute(_lock())
        for name in oldest:
            tx.execute(SQL("drop table {}").format(Identifier("syncd", name)))
        tx.execute(_MOVE_HORIZON, (until,))
        return Gone(rows, datetime.combine(until, time(), UTC))

    def _partitions(self, tx: Transaction) -> list[tuple[date, str]]:
        """Return where they end and their names, the oldest first."""
        return tx.execute(
            """select until_day, name from syncd.size_partition where until_day <= %s
               order by until_day, name""",
            (self.before,),
        ).fetchall()


def _rows(tx: Transaction, name: str) -> int:
    row = tx.execute(SQL("select count(*) from {}").format(Identifier("syncd", name))).fetchone()
    return int(row[0]) if row else 0


def _lock() -> Composed:
    """Return the statement that locks the tables, in the one order in which all do."""
    tables = SQL(", ").join(Identifier("syncd", table) for table in _TABLES)
    return SQL("lock table {} in access exclusive mode").format(tables)


_MOVE_HORIZON: Final = """
insert into syncd.size_horizon as h (kept_from) values (%s)
on conflict (only_row) do update set kept_from = greatest(h.kept_from, excluded.kept_from)"""
