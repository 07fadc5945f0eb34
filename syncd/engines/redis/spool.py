"""The keys of a Redis with the hashes of their rows, put aside in a file without a name.

Redis can neither hash nor sort, and gives keys twice; millions of them do not fit into memory.
SQLite's own temporary database keeps a part of itself there and the rest in a file that nobody else
can open and that is gone with the process.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from syncd.context import RunContext
from syncd.engines.sides import Digest
from syncd.errors import SyncdError

BITS: Final = 32
"""Of a bucket as it is kept: its first bits are those of any smaller depth."""
_MEMORY: Final = 16 << 10  # KiB of pages that are kept
_MODULUS: Final = 2**64
STEPS: Final = 100_000  # of SQLite's machine, some milliseconds


@dataclass(frozen=True, slots=True)
class Kept:
    """A key: its name, its bucket, the hash of its row, and its value's beginning."""

    bucket: int
    name: bytes
    hash: bytes
    value: bytes | None


class Spool:
    """Keeps keys once each, by their buckets; raises what the run is stopped with."""

    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx
        with self._told():
            self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._db.set_progress_handler(self._is_stopped, STEPS)
            for setting in (f"cache_size = -{_MEMORY}", "journal_mode = off", "synchronous = off"):
                self._db.execute(f"pragma {setting}")
            self._db.execute(
                "create table kept (bucket integer, name blob, high integer, low integer,"
                " value blob, primary key (bucket, name)) without rowid"
            )

    def close(self) -> None:
        """Forget all."""
        self._db.close()

    def add(self, keys: Iterable[Kept]) -> None:
        """Keep keys; one that is kept already stays as it was first seen."""
        rows = (
            (k.bucket, k.name, int.from_bytes(k.hash[:4]), int.from_bytes(k.hash[4:]), k.value)
            for k in keys
        )
        with self._told():
            self._db.execute("begin")
            self._db.executemany("insert or ignore into kept values (?, ?, ?, ?, ?)", rows)
            self._db.execute("commit")

    def digests(self, depth: int) -> dict[int, Digest]:
        """Return the digests of buckets of 2**depth."""
        query = "select bucket >> ?, count(*), sum(high), sum(low) from kept group by 1"
        with self._told():
            return {
                bucket: Digest(rows, ((high << BITS) + low) % _MODULUS)
                for bucket, rows, high, low in self._db.execute(query, (BITS - depth,))
            }

    def read(self, buckets: Collection[int] | None = None, depth: int = 0) -> Iterator[Kept]:
        """Yield the keys of some buckets of 2**depth, or all."""
        shift = BITS - depth
        query = "select bucket, name, high, low, value from kept"
        parts = [(0, 1 << BITS)] if buckets is None else [(b, b + 1) for b in sorted(buckets)]
        for low, high in parts:
            ends = (low, high) if buckets is None else (low << shift, high << shift)
            with self._told():
                found = self._db.execute(f"{query} where bucket >= ? and bucket < ?", ends)
                for bucket, name, first, last, value in found:
                    hashed = first.to_bytes(4) + last.to_bytes(4)
                    yield Kept(bucket, name, hashed, value)

    def _is_stopped(self) -> bool:
        """Tell SQLite whether to end what it is at: a statement over millions of keys is long."""
        return self._ctx.cancel.is_set() or self._ctx.deadline.remaining() <= 0

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what SQLite says, such as that the disk is full, as an error of syncd."""
        try:
            yield
        except sqlite3.Error as error:
            self._ctx.check()
            raise SyncdError(f"the keys can't be put aside in a temporary file: {error}") from error
