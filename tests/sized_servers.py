"""Servers that answer with the sizes they are told, one reading after the other."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dispatch_helpers import Bench, HandClock, spec

from syncd.context import RunContext
from syncd.errors import SyncdError
from syncd.jobs.db_sizes import DbSizesJob, DbSizesSettings
from syncd.model.db_account import AccountReading
from syncd.model.db_size import DatabaseSize, SizeReading, TableSize

Reading = SizeReading | SyncdError


def reading(
    sizes: Mapping[str, int | SyncdError | DatabaseSize],
    tables: Mapping[tuple[str, str], int] | None = None,
    **rest: Any,
) -> SizeReading:
    """Return a reading of databases by name: their bytes, all that is known, or why not."""
    found = {name: size for name, size in sizes.items() if not isinstance(size, SyncdError)}
    looked_into = 0 if tables is not None else None
    return SizeReading(
        engine="postgresql",
        databases=tuple(
            replace(size, database=name)
            if isinstance(size, DatabaseSize)
            else DatabaseSize(name, size, tables=looked_into)
            for name, size in found.items()
        ),
        unread=tuple(
            (name, error) for name, error in sizes.items() if isinstance(error, SyncdError)
        ),
        tables=tuple(
            TableSize(database, "public", table, size, size, 0, None)
            for (database, table), size in (tables or {}).items()
        ),
        **rest,
    )


class ScriptedEngine:
    """An engine of the tests' own; it can do something while it is asked."""

    def __init__(self, answer: Reading, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.answer, self.meanwhile, self.asked = answer, meanwhile, 0

    def identify(self, ctx: RunContext) -> Any:
        raise AssertionError("nobody asks this")

    def accounts(self, ctx: RunContext) -> AccountReading:
        raise AssertionError("nobody asks this")

    def sizes(self, ctx: RunContext, largest_tables: int) -> SizeReading:
        self.asked = largest_tables
        self.meanwhile()
        if isinstance(self.answer, SyncdError):
            raise self.answer
        return self.answer


class Fleet:
    """The job over scripted servers, on a real store."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.clock = HandClock()
        self.zone = "UTC"
        self.largest_tables = 0
        self.excluded: tuple[str, ...] = ()
        self.engines: dict[str, ScriptedEngine] = {}

    def job(self) -> DbSizesJob:
        servers = dict.fromkeys(self.engines, self.excluded)
        settings = DbSizesSettings(
            servers, self.engines.__getitem__, self.largest_tables, ZoneInfo(self.zone)
        )
        return DbSizesJob(self.bench.store, settings, self.clock)

    def run(self, **servers: Reading) -> dict[str, tuple[Any, ...]]:
        """Have servers answer; return status, class and counts of each one's item.

        The counts are total, added, updated, deleted, unchanged, errors.
        """
        self.engines = {name: ScriptedEngine(answer) for name, answer in servers.items()}
        return self.again()

    def again(self, job: str = "j") -> dict[str, tuple[Any, ...]]:
        claim = self.bench.begun(job, scheduled_for=self.clock.now())
        self.clock.wall += timedelta(seconds=1)
        self.bench.runner.run(self.bench.attempt(spec(job, self.job()), claim))
        rows = self.bench.execute(
            """select target, status, error_class, total, added, updated, deleted, unchanged, errors
               from syncd.run_item where run_id = %s and server = target""",
            claim.run_id,
        )
        return {row[0]: (row[1], row[2], row[3:]) for row in rows}
