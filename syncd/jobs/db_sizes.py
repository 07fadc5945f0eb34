"""The `db_sizes` kind: keeps a daily record of the sizes of databases and servers.

A database that could not be read is no database that is gone, and a total that lacks one is none.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from syncd.context import Clock, RunContext
from syncd.engines.base import Engine
from syncd.errors import BadData, SyncdError, storable
from syncd.jobs.base import Applied, Change
from syncd.model.db_size import DatabaseSize, SizeReading, TableSize
from syncd.model.run import Counts, Target
from syncd.store import size_partitions, sizes
from syncd.store.database import Store, Transaction
from syncd.store.sizes import Sample, Seen

_MOST: Final = 2**63 - 1  # bytes that a column holds
_Measured = TypeVar("_Measured", DatabaseSize, TableSize)


@dataclass(frozen=True, slots=True)
class DbSizesSettings:
    """What a job of this kind is told: the servers, each with the databases left out of it.

    `engine` gives a server's. Days are those of `zone`.
    """

    servers: Mapping[str, Collection[str]]
    engine: Callable[[str], Engine]
    largest_tables: int
    zone: ZoneInfo


@dataclass(slots=True)
class Measured:
    """What a server's reading found that the store can hold, and what could not be read.

    An error may be of a database whose size is known, and only its tables are not. `complete` tells
    whether all sizes are known. `seen` is what differed, once applied.
    """

    sample: Sample
    reading: SizeReading
    errors: Mapping[str, SyncdError]
    complete: bool
    seen: list[Seen] = field(default_factory=list)

    def discard(self) -> None:
        """Do nothing: nothing is put aside."""


class DbSizesJob:
    """Asks each server for the sizes of its databases."""

    def __init__(self, store: Store, settings: DbSizesSettings, clock: Clock) -> None:
        self._store, self._settings, self._clock = store, settings, clock

    def targets(self, ctx: RunContext) -> list[Target]:  # noqa: ARG002
        """Return the servers."""
        return [Target(server, server=server) for server in self._settings.servers]

    def read(self, ctx: RunContext, target: Target) -> Measured:
        """Ask a server; raises BadData when it names no database at all.

        The day is that on which the reading began.
        """
        now = self._clock.now()
        day = now.astimezone(self._settings.zone).date()
        reading = self._settings.engine(target.name).sizes(ctx, self._settings.largest_tables)
        if not (reading.databases or reading.unread):
            raise BadData("the server names no database")
        staged = _staged(ctx, Sample(target.name, day, now, ctx.run_id), reading)
        if not ctx.rehearsal:
            with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
                size_partitions.make(tx, day, day)  # by itself, to lock for a moment only
        return staged

    def apply(self, tx: Transaction, ctx: RunContext, staged: Measured) -> Applied:  # noqa: ARG002
        """Write the day's sizes, and which databases stand.

        There is no total of a server of which a database could not be read; one that was written
        earlier on the same day stays. The item fails when not one could be read.
        """
        sample, reading = staged.sample, staged.reading
        sizes.begin(tx, sample)
        excluded = self._settings.servers[sample.server]
        staged.seen = sizes.note_databases(tx, sample, reading, excluded)
        sizes.write_databases(tx, sample, reading.databases)
        if self._settings.largest_tables:
            looked_into = [each.database for each in reading.databases if each.tables is not None]
            sizes.write_tables(tx, sample, looked_into, reading.tables)
        if staged.complete:
            sizes.write_server(tx, sample, reading.databases, reading.log_bytes)
        failure = None if reading.databases else next(iter(staged.errors.values()))
        return Applied(_counts(staged), failure)

    def changes(
        self,
        tx: Transaction,  # noqa: ARG002 - apply has told
        ctx: RunContext,  # noqa: ARG002
        staged: Measured,
        limit: int | None,
    ) -> list[Change]:
        """Return the databases that are new, gone, or of another size than at the last reading."""
        return [
            Change(
                each.change, each.database, "", {"size_bytes": [each.before, each.now]}, "database"
            )
            for each in staged.seen[:limit]
        ]  # fmt: skip


def _counts(staged: Measured) -> Counts:
    """Count each database once: one with an error as that, whatever else is known of it."""
    errors = staged.errors
    whole = sum(each.database not in errors for each in staged.reading.databases)
    kinds = [each.change for each in staged.seen if each.database not in errors]
    added, updated = kinds.count("added"), kinds.count("updated")
    return Counts(
        total=whole + len(errors),
        added=added,
        updated=updated,
        deleted=kinds.count("deleted"),
        unchanged=whole - added - updated,
        errors=len(errors),
    )


def _staged(ctx: RunContext, sample: Sample, reading: SizeReading) -> Measured:
    """Return what of a reading the store can hold; report what it can't, and what was not read.

    A database whose name is no text is not known to stand: nobody could tell it from another.
    """
    errors, bad_tables = list(reading.unread), list[tuple[str, SyncdError]]()
    databases = tuple(_good(reading.databases, errors))
    tables = tuple(_good(reading.tables, bad_tables))
    for name, error in [*errors, *bad_tables]:
        ctx.report.error(storable(name), error)
    ctx.report.detail("collected_on", sample.day.isoformat())
    known = {each.database for each in databases}
    without_size = [(name, error) for name, error in errors if name not in known]
    if without_size:
        noun = "database" if len(without_size) == 1 else "databases"
        ctx.report.detail("incomplete", f"{len(without_size)} {noun} without a size")
        ctx.log.warning("no total of the server", databases_without_size=len(without_size))
    held = replace(
        reading,
        databases=databases,
        unread=tuple(each for each in without_size if storable(each[0]) == each[0]),
        tables=tuple(each for each in tables if each.database in known),
    )
    return Measured(sample, held, dict(errors), complete=not without_size)


def _good(
    measured: tuple[_Measured, ...], bad: list[tuple[str, SyncdError]]
) -> Iterator[_Measured]:
    """Yield what the store can hold; keep the rest aside, each with the reason."""
    for each in measured:
        values = {name: getattr(each, name) for name in each.__slots__}
        if any(isinstance(text, str) and storable(text) != text for text in values.values()):
            bad.append((each.database, BadData("a name that no text can hold")))
        elif any(
            name.endswith("_bytes") and number is not None and not 0 <= number <= _MOST
            for name, number in values.items()
        ):
            bad.append((each.database, BadData("a number of bytes that can't be")))
        else:
            yield each
