"""Puts a dump in the place of the embedded store's database.

It is restored into a database beside and checked there; then both are renamed in one transaction,
so that whatever happens at whatever moment, the store is wholly the old one or wholly the new one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Final

from syncd.context import CancelToken, Deadline
from syncd.errors import BadData, StoreError, SyncdError, describe
from syncd.store import leader, notices, recovery
from syncd.store.backups import Backups, Dump, database_bytes
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres, tools
from syncd.store.embedded.databases import (
    BESIDE,
    REPLACED,
    administered,
    create_beside,
    drop_leftovers,
    swap,
)
from syncd.store.migrate import Migration, migrate

_KEPT: Final = "syncd_kept_%Y%m%d_%H%M%S"
_LIMIT: Final = 86_400.0  # seconds for a step: a person watches, and may break it off


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the old data: dumped, or else kept as a database; neither if there were none.

    `migrations` are those that the restored data lacked.
    """

    safety: Dump | None
    kept: str | None
    migrations: list[Migration]


def check_contents(file: IO[bytes]) -> None:
    """Raise BadData, before anything is started or changed, for what is no dump of a store."""
    listed = tools.contents(file, *_unhurried())
    if " TABLE DATA syncd migration " not in listed:
        raise BadData(f"{file.name} is a dump of something else: it has no table syncd.migration")


def restore(
    server: EmbeddedPostgres,
    file: IO[bytes],
    backups: Backups,
    *,
    local: str,
    spare: int,
    tell: Callable[[str], None],
) -> Restored:
    """Put a dump in the place of the database of a running server that nobody else uses.

    `local` owns the runs of this state directory's command line, `spare` bytes of the disk are left
    free, `tell` hears of each step. Raises BadData for a dump that can't be restored,
    ConfigurationError for one that needs a newer program, StoreError: then nothing is changed.
    """
    now, dsn, beside = datetime.now(UTC), server.dsn, server.conninfo(BESIDE)
    safety = kept = None
    with _beside(dsn):
        tell(f"restoring {file.name} beside the present data")
        tools.restore(file, beside, *_unhurried())
        tell("checking what was restored")
        migrations = _settle(beside, local, now)
        if _has_data(dsn):
            tell("dumping the present data, as a safety copy")
            safety = _save(dsn, backups, spare, now, tell)
            kept = None if safety else now.strftime(_KEPT)
        swap(dsn, kept or REPLACED)
    return Restored(safety, kept, migrations)


@contextmanager
def _beside(dsn: str) -> Iterator[None]:
    """Give an empty database beside the store's; what is left in the end is dropped.

    Where even that fails, the next restore or backup does it.
    """
    drop_leftovers(dsn)
    try:
        create_beside(dsn)
        yield
    finally:
        with suppress(StoreError):
            drop_leftovers(dsn)


def _settle(dsn: str, local: str, now: datetime) -> list[Migration]:
    """Check the restored data, bring them up to this program, and end what dead processes held."""
    store = Store(dsn, pool_min=1, pool_max=2)
    store.open()
    try:
        with store.transaction() as tx:
            if tx.execute("select from syncd.migration limit 1").fetchone() is None:
                raise BadData("the dump has an empty table syncd.migration: it is of no store")
        migrations = migrate(store)
        with store.transaction() as tx:
            recovery.end_backups(tx, now)
            recovery.close_foreign(tx, local=local, now=now)
            notices.settle_restored(tx, now)
            leader.expire(tx)
    except StoreError as error:
        raise BadData(f"what was restored is no store of syncd: {error}") from error
    finally:
        store.close()
    with administered(dsn) as connection:
        connection.execute("analyze")  # a dump has no statistics
    return migrations


def _has_data(dsn: str) -> bool:
    """Tell whether there is a store that is worth a safety copy; one that is broken may be."""
    try:
        with administered(dsn) as connection:
            row = connection.execute("select to_regnamespace('syncd') is not null").fetchone()
    except StoreError:
        return True
    return row == (True,)


def _save(
    dsn: str, backups: Backups, spare: int, now: datetime, tell: Callable[[str], None]
) -> Dump | None:
    """Dump the present data; None where that can't be done, which must not stop a restore."""
    try:
        with administered(dsn) as connection:
            room = backups.room(database_bytes(connection), spare)
        return backups.make(dsn, "before-restore", now, room, *_unhurried())
    except SyncdError as error:
        tell(f"no safety copy can be made, so the present database is kept: {describe(error)}")
        return None


def _unhurried() -> tuple[Deadline, CancelToken]:
    """Return how a step is bounded: nobody cancels it but who ends the process."""
    return Deadline.after(_LIMIT), CancelToken()
