"""Writers that are at work while their table is copied: what makes incremental copies lose rows.

They commit late and in another order than their stamps tell, leave many rows with the same stamp,
some without one, change keys, delete, and roll back. Each owns the rows that it made.
"""

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import count
from typing import Any, Final

from copy_sides import Kind, Side

COLUMNS: Final[Mapping[str, Kind]] = {
    "id": "integer",
    "note": "text",
    "amount": "decimal",
    "data": "bytes",
    "updated_at": "instant",
}
KEY: Final = ("id",)
_CREATE: Final = {
    "postgresql": "create table {} (id bigint primary key, note text, amount numeric(12,2),"
    " data bytea, updated_at timestamptz)",
    "mysql": "create table {} (id bigint primary key, note varchar(200), amount decimal(12,2),"
    " data blob, updated_at timestamp(6) null)",
}
_NOW: Final = {"postgresql": "now()", "mysql": "now(6)"}
_TIED: Final = {  # later than now, never earlier: no row is stamped before its transaction began
    "postgresql": "to_timestamp(ceil(extract(epoch from now()) * 4) / 4)",
    "mysql": "from_unixtime(ceil(unix_timestamp(now(6)) * 4) / 4)",
}
_NOTES: Final = ("", "plain", "quote ' and \" and `", "back\\slash\ttab\nline", "😀 é ß", "NULL")


def make_table(side: Side, table: str, rows: int = 0) -> None:
    """Make the table that writers write, with some rows of nobody."""
    side.execute(
        _CREATE[side.engine].format(table),
        f"create index {table}_updated on {table} (updated_at, id)",
    )
    if rows:
        numbers = {
            "postgresql": f"generate_series(1, {rows}) seq",
            "mysql": f"seq_1_to_{rows}",
        }
        side.execute(
            f"insert into {table} select -seq, concat('first ', seq), seq / 4, null,"
            f" {_NOW[side.engine]} from {numbers[side.engine]}"
        )


class Writers:
    """Threads that write a table until told to stop."""

    def __init__(
        self, side: Side, table: str, seed: int, late: float, threads: int = 4, early: bool = False
    ) -> None:
        """Let each wait in a transaction be up to `late` seconds.

        `early`: some rows get a stamp from before anything was written, as applications give them
        by their own clock; only a lookback finds those.
        """
        self._side, self._table, self._late, self._early = side, table, late, early
        self._ids = count(1)
        self._stop = threading.Event()
        self.errors: list[BaseException] = []
        self.commits = 0
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed}/{number}"),))
            for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop them, and wait until every transaction has ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join(self._late + 30)
            assert not thread.is_alive()
        if self.errors:
            raise self.errors[0]

    def _work(self, rng: random.Random) -> None:
        try:
            with closing(self._side.connect()) as connection:
                mine: list[int] = []
                while not self._stop.is_set():
                    mine = self._transaction(connection, rng, mine)
        except BaseException as error:
            self.errors.append(error)

    def _transaction(self, connection: Any, rng: random.Random, mine: list[int]) -> list[int]:
        """Do some statements; return the rows that are there once it is over."""
        there = list(mine)
        with closing(connection.cursor()) as cursor:
            stamp = self._noted(cursor, rng) if self._early and rng.random() < 0.3 else None
            for _ in range(rng.choice((1, 1, 2, 5))):
                self._statement(cursor, rng, there, stamp or self._stamp(rng))
                if rng.random() < 0.2:
                    self._stop.wait(rng.uniform(0, self._late))
        if rng.random() < 0.1:
            connection.rollback()
            return mine
        connection.commit()
        self.commits += 1
        self._stop.wait(rng.uniform(0, 0.02))
        return there

    def _noted(self, cursor: Any, rng: random.Random) -> str:
        """Return the present moment, and let time pass before anything is written."""
        cursor.execute(f"select {_NOW[self._side.engine]}")
        (moment,) = cursor.fetchone()
        self._stop.wait(rng.uniform(0, self._late))
        return f"'{moment}'"

    def _statement(self, cursor: Any, rng: random.Random, there: list[int], stamp: str) -> None:
        do = rng.random() if there else 0.0
        if do < 0.35:
            self._insert(cursor, rng, there, stamp)
        elif do < 0.75:
            cursor.execute(
                f"update {self._table} set note = %s, amount = %s, data = %s, updated_at = {stamp}"
                " where id = %s",
                (*_values(rng), rng.choice(there)),
            )
        elif do < 0.85:
            old, new = _taken(rng, there), self._new_id()
            there.append(new)
            cursor.execute(
                f"update {self._table} set id = %s, updated_at = {stamp} where id = %s", (new, old)
            )
        else:
            cursor.execute(f"delete from {self._table} where id = %s", (_taken(rng, there),))

    def _insert(self, cursor: Any, rng: random.Random, there: list[int], stamp: str) -> None:
        """Insert one row or, now and then, more with one stamp than a page has."""
        size = rng.choice((1, 1, 1, 2, 5, 150)) if len(there) < 1500 else 1
        new = [self._new_id() for _ in range(size)]
        there += new
        rows = ", ".join([f"(%s, %s, %s, %s, {stamp})"] * size)
        values = [value for number in new for value in (number, *_values(rng))]
        cursor.execute(f"insert into {self._table} values {rows}", values)

    def _stamp(self, rng: random.Random) -> str:
        forms = (_NOW[self._side.engine], _TIED[self._side.engine], "null")
        return rng.choices(forms, (6, 6, 1))[0]

    def _new_id(self) -> int:
        """Return an id that nobody has had; later ones may be smaller."""
        return next(self._ids) ^ 0b10101


def _taken(rng: random.Random, there: list[int]) -> int:
    return there.pop(rng.randrange(len(there)))


def _values(rng: random.Random) -> tuple[str, str, bytes | None]:
    data = None if rng.random() < 0.2 else rng.randbytes(rng.choice((0, 3, 300)))
    return rng.choice(_NOTES), f"{rng.uniform(-1e6, 1e6):.2f}", data


@contextmanager
def writing(
    side: Side, table: str, seed: int, late: float, threads: int = 4, *, early: bool = False
) -> Iterator[Writers]:
    """Have writers at work in the block; the block's own error counts first."""
    writers = Writers(side, table, seed, late, threads, early)
    writers.start()
    try:
        yield writers
    except BaseException:
        with suppress(Exception):
            writers.stop()
        raise
    writers.stop()


def await_now(side: Side, table: str, seconds: float = 10.0) -> None:
    """Wait until the server's clock is well past every stamp in the table."""
    query = {
        "postgresql": f"select coalesce(max(updated_at) < now() - interval '3.5 s', true)::int"
        f" from {table}",
        "mysql": f"select coalesce(max(updated_at) < now(6) - interval 3500000 microsecond, 1)"
        f" from {table}",
    }[side.engine]
    deadline = time.monotonic() + seconds
    while side.lines(query) != ["1"]:
        assert time.monotonic() < deadline, "stamps are in the future"
        time.sleep(0.1)
