"""Jobs as they really run, without a daemon: configuration, store and Runner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import psycopg
import structlog
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from syncd.context import CancelSource, Clock, Deadline
from syncd.dispatch.holds import Holds
from syncd.dispatch.planner import Planned, plan
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.runner import Attempt, Runner
from syncd.dispatch.service import rehearsal
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.work import Items
from syncd.model.run import RunId, Selection, new_run_id
from syncd.store import runs
from syncd.store.database import Store
from syncd.store.outbox import Outbox
from syncd.telemetry.metrics import Metrics

COUNTS = ("total", "added", "updated", "deleted", "unchanged", "errors")
Row = dict[str, Any]
_CHANGES = {"cloud": "resource_change", "db_accounts": "db_account_change"}
"""Where the changes stand that the runs of a kind count."""


@dataclass(frozen=True)
class Result:
    """What the store says of a run once an attempt of it is over."""

    run: Row
    items: Mapping[str, Row]
    errors: Sequence[Row]

    @property
    def counts(self) -> dict[str, int]:
        return {name: self.run[name] for name in COUNTS}

    def of(self, target: str) -> tuple[str, str | None]:
        """Return how an item ended: its status and its class of error."""
        return self.items[target]["status"], self.items[target]["error_class"]


class JobRuns:
    """A store and jobs that run when they are told to; `main` is meant where no job is named."""

    main: ClassVar[str]
    specs: Mapping[str, JobSpec]

    def __init__(self, dsn: str, directory: Path) -> None:
        self.dsn, self.directory = dsn, directory
        self.store = Store(dsn, pool_min=1)
        self.outbox = Outbox(directory / "outbox")
        log = _warnings()
        self.recorder = Recorder(self.store, self.outbox, log)
        observer = Metrics("0", datetime.now(UTC))
        work = Items(self.store, self.recorder, observer, Clock())
        self.runner = Runner(
            {"thread": work}, self.recorder, observer, Holds(self.store, Clock(), log), Clock(), log
        )

    def record(self, job: str | None = None) -> RunId:
        """Record a run that waits."""
        spec, now = self.specs[job or self.main], datetime.now(UTC)
        new = runs.NewRun(
            new_run_id(now),
            spec.name,
            spec.kind,
            "manual",
            now,
            len(spec.retries) + 1,
            "test",
            spec.priority,
        )
        with self.store.transaction() as tx:
            runs.insert(tx, [new], now)
        return new.id

    def attempt(
        self,
        run_id: RunId,
        job: str | None = None,
        selection: Selection | None = None,
        source: CancelSource | None = None,
        seconds: float = 60.0,
        held: Mapping[str, str] | None = None,
    ) -> Result:
        """Make the next attempt of a run in this thread."""
        spec, now = self.specs[job or self.main], datetime.now(UTC)
        with self.store.transaction() as tx:
            claim = runs.start(tx, run_id, "test", 1, now)
        assert claim is not None
        self.runner.run(
            Attempt(
                spec=spec,
                claim=claim,
                scheduled_for=now,
                max_attempts=len(spec.retries) + 1,
                selection=selection or Selection(),
                source=source or CancelSource(),
                deadline=Deadline.after(seconds),
                next_due=lambda: None,
                progress=RunProgress(),
                held=held or {},
            )
        )
        return self.result(run_id)

    def run(self, job: str | None = None, **rest: Any) -> Result:
        """Record a run and make its first attempt."""
        return self.attempt(self.record(job), job, **rest)

    def plan(self, job: str | None = None) -> list[Planned]:
        """Find out what a run would change."""
        spec = self.specs[job or self.main]
        context = rehearsal(spec, Selection(), Clock(), _warnings())
        return plan(self.store, spec, context, RunProgress())

    def result(self, run_id: RunId) -> Result:
        """Return what the store says of a run; its counts have to add up to the tables."""
        (run,) = self.rows("select * from syncd.run where id = %s", run_id)
        items = self.rows("select * from syncd.run_item where run_id = %s order by id", run_id)
        errors = self.rows("select * from syncd.run_error where run_id = %s order by id", run_id)
        result = Result(run, {item["target"]: item for item in items}, errors)
        self.check(result)
        return result

    def check(self, result: Result) -> None:
        """Compare the counts of a run with each other, and with the changes and errors it left."""
        for counts in (result.run, *result.items.values()):
            parts = (counts[name] for name in ("added", "updated", "unchanged", "errors"))
            assert counts["total"] == sum(parts)
        for name in COUNTS:
            assert result.run[name] == sum(item[name] for item in result.items.values())
        if result.run["kind"] not in _CHANGES:
            return
        query = "select change, count(*) n from syncd.{} where run_id = %s group by change"
        rows = self.rows(query.format(_CHANGES[result.run["kind"]]), result.run["id"])
        changes = {row["change"]: row["n"] for row in rows}
        assert result.run["added"] == changes.get("added", 0) + changes.get("restored", 0)
        assert result.run["updated"] == changes.get("updated", 0)
        assert result.run["deleted"] == changes.get("deleted", 0)

    def rows(self, query: str, *arguments: object) -> list[Row]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            set_json_loads(msgspec.json.decode, connection)
            return connection.execute(query.encode(), arguments or None).fetchall()

    def execute(self, query: str, *arguments: object) -> int:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode(), arguments or None).rowcount

    def dump(self) -> dict[str, list[Any]]:
        """Return every row of every table of the schema, with where it lies and who wrote it."""
        with psycopg.connect(self.dsn) as connection:
            tables = connection.execute(
                "select tablename from pg_tables where schemaname = 'syncd' order by 1"
            ).fetchall()
            select = sql.SQL("select ctid::text, xmin::text, t.* from syncd.{} t order by ctid")
            return {
                name: connection.execute(select.format(sql.Identifier(name))).fetchall()
                for (name,) in tables
            }

    def close(self) -> None:
        self.store.close()
        self.outbox.close()


def _warnings() -> Any:
    """Return a logger that leaves out the thousands of lines that name each added host.

    It is the same whatever the commands under test make of all others.
    """
    return structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
    )
