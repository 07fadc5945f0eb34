"""Old records, and the job that removes them, on a real store."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dispatch_helpers import Bench

from syncd.context import Clock
from syncd.jobs.retention import RetentionJob, RetentionSettings
from syncd.model.run import new_run_id
from syncd.telemetry.run_logs import RunLogs

KEEP = {"runs": 90, "changes": 400, "deleted_resources": 30, "run_logs": 30, "sizes": 800}
"""Days, as the configuration has them by default."""


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def retention(
    bench: Bench,
    logs: RunLogs,
    *,
    jobs: Collection[str] = (),
    clock: Clock | None = None,
    **keep: float,
) -> RetentionJob:
    """Return the job; `keep` are days, of the targets that are not meant to be as by default."""
    limits = {name: timedelta(days=days) for name, days in (KEEP | keep).items()}
    return RetentionJob(bench.store, RetentionSettings(limits, jobs, logs), clock or Clock())


def insert(bench: Bench, table: str, **values: Any) -> None:
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    bench.execute(f"insert into syncd.{table} ({names}) values ({places})", *values.values())


def add_run(
    bench: Bench,
    days: float,
    job: str = "hosts",
    status: str = "success",
    *,
    finished: float | None = None,
    items: int = 1,
    errors: int = 1,
) -> UUID:
    """Record a run created so many days ago, with its items and errors."""
    run = new_run_id(ago(days))
    ended = (
        None if status in ("pending", "running") else ago(days if finished is None else finished)
    )
    insert(
        bench, "run", id=run, job=job, kind="cloud", trigger="manual", status=status,
        max_attempts=1, scheduled_for=ago(days), created_at=ago(days), finished_at=ended,
        items_total=items, errors=errors, config_digest="d",
    )  # fmt: skip
    bench.execute(
        """insert into syncd.run_item (run_id, target, status, attempt)
           select %s, n::text, 'success', 1 from generate_series(1, %s) n""",
        run, items,
    )  # fmt: skip
    bench.execute(
        """insert into syncd.run_error (run_id, item_id, attempt, error_class, error, occurred_at)
           select %s, (select min(id) from syncd.run_item where run_id = %s), 1, 'bad_data', 'x',
                  now() from generate_series(1, %s)""",
        run, run, errors,
    )  # fmt: skip
    return run


def add_runs(bench: Bench, count: int, days: float, job: str = "many") -> None:
    """Record many runs without items, all of them older than so many days."""
    bench.execute(
        """insert into syncd.run (id, job, kind, trigger, status, max_attempts, scheduled_for,
                                  created_at, started_at, finished_at, duration_seconds,
                                  config_digest)
           select gen_random_uuid(), %s, 'cloud', 'manual', 'success', 1, at, at, at, at, 1.5, 'd'
           from (select now() - make_interval(days => %s, secs => n) as at
                 from generate_series(1, %s) n) t""",
        job, days, count,
    )  # fmt: skip


def add_changes(bench: Bench, count: int, days: float, key: str = "i-1") -> None:
    """Record changes of one resource, all of them older than so many days."""
    bench.execute(
        """insert into syncd.resource_change
               (run_id, account, region, type, resource_id, change, changed_at, fields)
           select gen_random_uuid(), 'prod', 'cn-a', 'host', %s, 'updated',
                  now() - make_interval(days => %s, secs => n), '{"name": ["a", "b"]}'
           from generate_series(1, %s) n""",
        key, days, count,
    )  # fmt: skip


def add_resource(bench: Bench, key: str, deleted: float | None = None, **values: Any) -> None:
    """Record a host, deleted so many days ago."""
    at = None if deleted is None else ago(deleted)
    insert(
        bench, "resource", provider="aliyun", account="prod", region="cn-a", type="host",
        resource_id=key, name=key, status="Running", state="running", public_ips=[],
        private_ips=[], security_groups=[], tags="{}", attributes="{}", first_seen_at=ago(999),
        changed_at=ago(999), deleted_at=at, digest=b"", **values,
    )  # fmt: skip


def guard(bench: Bench, key: str, run: UUID | None = None) -> None:
    """Hold the deletion of a host back."""
    insert(
        bench, "guarded_deletion", job="hosts", account="prod", region="cn-a", type="host",
        resource_id=key, run_id=run or UUID(int=9), guarded_at=ago(500),
    )  # fmt: skip


def ids(bench: Bench, table: str, column: str = "id") -> set[Any]:
    return {row[0] for row in bench.execute(f"select {column} from syncd.{table}")}


def steady(bench: Bench) -> Iterator[UUID]:
    """Record what a daemon that was at work all the time has: a run on each day of two weeks."""
    for day in range(1, 15):
        yield add_run(bench, day, "daily")
