"""A job of the tests' own, and the parts of the dispatch around it, on a real store."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from syncd.context import BoundLogger, CancelSource, Clock, Deadline, RunContext
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.runner import Attempt, Runner
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.work import Items
from syncd.dispatch.work import Work as WayToWork
from syncd.jobs.base import Applied, Change
from syncd.model.run import Claim, Counts, Isolation, Selection, Target, new_run_id
from syncd.store import runs
from syncd.store.database import Store
from syncd.store.outbox import Outbox
from syncd.store.runs import NewRun, RunEnd

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = "daemon:test"
SECONDS = 20.0


def plain_log(least: str | int = 0) -> BoundLogger:
    """Return a log whose tracebacks are cheap, whatever the program's own log is set up to."""
    log: BoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(least),
    )
    return log


Work = Callable[[RunContext], Applied | None]


def minutes(*numbers: float) -> list[timedelta]:
    return [timedelta(minutes=number) for number in numbers]


class HandClock(Clock):
    """A clock that the test moves; the wall can be set apart from the monotonic one."""

    def __init__(self, now: datetime = NOON) -> None:
        self.wall, self.ticked = now, 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticked

    def pass_(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticked += seconds

    def set(self, wall: datetime) -> None:
        self.wall = wall


class Watcher:
    """An `Observer` that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def skipped(self, job: str, reason: str) -> None:
        self.told.append(("skipped", job, reason))

    def run_started(self, job: str, now: datetime, delay: float | None) -> None:
        self.told.append(("started", job, delay))

    def run_retried(self, job: str) -> None:
        self.told.append(("retried", job))

    def run_ended(self, job: str, outcome: str, now: datetime, seconds: float) -> None:
        self.told.append(("ended", job, outcome))

    def item_ended(self, job: str, outcome: str, counts: Counts) -> None:
        self.told.append(("item", job, outcome))

    def item_measured(self, job: str, item: str, measures: Any, at: datetime) -> None:
        self.told.append(("measured", job, item, measures))

    def error_recorded(self, job: str, error_class: str) -> None:
        self.told.append(("error", job, error_class))

    def observe_api(self, provider: str, api: str, outcome: str, seconds: float) -> None:
        self.told.append(("api", provider, api, outcome))

    def observe_statement(self, operation: str, seconds: float) -> None:
        self.told.append(("statement", operation))


class Noted:
    """`Credentials` that keep what they are told of."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self.answered: set[str] = set()

    def fingerprints(self, spec: JobSpec) -> Mapping[str, str]:
        return {}

    def note(
        self,
        claim: Claim,
        fingerprints: Mapping[str, str],
        refused: Mapping[str, str],
        answered: Collection[str],
    ) -> None:
        self.refused |= refused
        self.answered |= set(answered)


class Staged:
    def __init__(self, applied: Applied | None) -> None:
        self.applied, self.discarded = applied, False

    def discard(self) -> None:
        self.discarded = True


@dataclass
class FakeJob:
    """Each target has a work; what it returns is applied to the table `scratch`, one row each."""

    works: Mapping[str, Work]
    made: Mapping[str, Target] = field(default_factory=dict)
    read_targets: list[str] = field(default_factory=list)

    def targets(self, ctx: RunContext) -> Sequence[Target]:
        return [self.made.get(name, Target(name)) for name in self.works]

    def read(self, ctx: RunContext, target: Target) -> Staged:
        self.read_targets.append(target.name)
        return Staged(self.works[target.name](ctx))

    def apply(self, tx: Any, ctx: RunContext, staged: Staged) -> Applied:
        tx.execute("insert into scratch (run_id) values (%s)", (ctx.run_id,))
        return staged.applied or Applied(Counts(total=1, added=1))

    def changes(self, tx: Any, ctx: RunContext, staged: Staged, limit: int | None) -> list[Change]:
        return []


def succeed(ctx: RunContext) -> None:
    """Do nothing; the apply adds a row."""


def fail(error: BaseException) -> Work:
    def work(ctx: RunContext) -> Applied | None:
        raise error

    return work


@dataclass
class Gate:
    """A work that tells that it is under way, and waits to be let go (or cancelled)."""

    entered: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)

    def __call__(self, ctx: RunContext) -> None:
        self.entered.set()
        assert self.open.wait(SECONDS)

    def until_cancelled(self, ctx: RunContext) -> None:
        self.entered.set()
        ctx.pause(SECONDS)


def spec(name: str, job: Any = None, **changes: Any) -> JobSpec:
    """Return a job that runs by hand, with the ladder 1, 5, 15 minutes."""
    made = JobSpec(
        name=name, kind="fake", schedule="", rhythm="", fixed_rate=False, trigger_from=None,
        catch_up="latest", catch_up_window=timedelta(days=1), timeout=timedelta(minutes=1),
        retries=minutes(1, 5, 15), parallel=3, config_digest="d", build=lambda: job,
        priority="normal", overlap="skip", start_deadline=None, interruptible=True,
        isolation="thread", accounts=(), servers=(), closed_until=lambda _: None,
        adaptive=None, fingerprints=dict,
    )  # fmt: skip
    return replace(made, **changes)


class Bench:
    """A store with the parts that run attempts, without a dispatcher."""

    def __init__(self, dsn: str, directory: Path, clock: Clock | None = None) -> None:
        self.store = Store(dsn, connect_timeout=timedelta(seconds=1))
        self.store.open()
        self.clock = clock or HandClock()
        self.outbox = Outbox(directory / "outbox")
        self.log = plain_log()
        self.watcher = Watcher()
        self.recorder = Recorder(self.store, self.outbox, self.log)
        self.credentials = Noted()
        self.works: dict[Isolation, WayToWork] = {
            "thread": Items(self.store, self.recorder, self.watcher, self.clock)
        }
        self.runner = Runner(
            self.works, self.recorder, self.watcher, self.credentials, self.clock, self.log
        )
        self.next_due: datetime | None = None

    def close(self) -> None:
        self.store.close()
        self.outbox.close()

    def execute(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.store.transaction() as tx:
            cursor = tx.execute(text, values)  # type: ignore[call-overload]  # tests' own text
            return list(cursor.fetchall()) if cursor.description else []

    def one(self, text: str, *values: Any) -> Any:
        rows = self.execute(text, *values)
        assert len(rows) == 1
        return rows[0][0] if len(rows[0]) == 1 else rows[0]

    def new_run(self, job: str = "j", **changes: Any) -> NewRun:
        now = self.clock.now()
        new = NewRun(new_run_id(now), job, "fake", "schedule", now, 4, "d", "normal")
        return replace(new, **changes)

    def insert(self, new: NewRun) -> bool:
        with self.store.transaction() as tx:
            return bool(runs.insert(tx, [new], self.clock.now()))

    def start(self, run_id: UUID, owner: str = OWNER, epoch: int = 1) -> Claim:
        with self.store.transaction() as tx:
            claim = runs.start(tx, run_id, owner, epoch, self.clock.now())  # type: ignore[arg-type]
        assert claim is not None
        return claim

    def begun(self, job: str = "j", **changes: Any) -> Claim:
        new = self.new_run(job, **changes)
        assert self.insert(new)
        return self.start(new.id)

    def attempt(self, of: JobSpec, claim: Claim, **changes: Any) -> Attempt:
        made = Attempt(
            spec=of, claim=claim, scheduled_for=self.clock.now(), max_attempts=len(of.retries) + 1,
            selection=Selection(), source=CancelSource(), deadline=Deadline.after(SECONDS),
            next_due=lambda: self.next_due, progress=RunProgress(), held={},
        )  # fmt: skip
        return replace(made, **changes)

    def run(self, job: Any, claim: Claim | None = None, **changes: Any) -> RunEnd:
        """Run one attempt of a job, of a new run if no claim is given."""
        end = self.runner.run(self.attempt(spec("j", job), claim or self.begun(), **changes))
        assert end is not None
        return end

    def items(self) -> dict[str, tuple[Any, ...]]:
        """Return status, error class and attempt of each item, by target."""
        rows = self.execute("select target, status, error_class, attempt from syncd.run_item")
        return {row[0]: row[1:] for row in rows}

    def scratch(self) -> int:
        count: int = self.one("select count(*) from scratch")
        return count


def current_holder(store: Store) -> str | None:
    """Return who holds an unexpired lease."""
    with store.transaction() as tx:
        row = tx.execute("select holder from syncd.leader where expires_at >= now()").fetchone()
    return row[0] if row else None
