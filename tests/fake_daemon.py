"""A daemon in memory, behind real listeners."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

from click.testing import CliRunner, Result

from syncd.cli.main import cli
from syncd.context import Clock
from syncd.control.reads import Rows
from syncd.control.routes import Offer
from syncd.control.server import ControlServer
from syncd.errors import Conflict, NotFound, StoreError
from syncd.model.queries import (
    ChangeQuery,
    DbAccountChangeQuery,
    DbAccountQuery,
    ResourceQuery,
    RunQuery,
    SizeQuery,
    SizeStatQuery,
)
from syncd.model.run import Priority, Selection
from syncd.telemetry.health import Check, Health
from syncd.telemetry.logging import get_logger
from syncd.telemetry.metrics import Metrics

RUN = UUID("01890000-0000-7000-8000-000000000001")
MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Json = dict[str, Any]


def run_row(**changed: Any) -> Json:
    """Return a row of syncd.run."""
    counts = {"total": 10, "added": 1, "updated": 2, "deleted": 3, "unchanged": 7}
    return {
        "id": RUN, "job": "hosts", "kind": "cloud", "trigger": "manual", "status": "success",
        "attempt": 1, "max_attempts": 4, "scheduled_for": MOMENT, "created_at": MOMENT,
        "started_at": MOMENT, "finished_at": MOMENT, "next_attempt_at": None,
        "duration_seconds": 1.5, "items_total": 1, "items_failed": 0, **counts, "errors": 0,
        "error_class": None, "error": None, "requested_by": "root", "priority": "normal",
        "selection": {},
    } | changed  # fmt: skip


def item_row(**changed: Any) -> Json:
    """Return a row of syncd.run_item."""
    return {
        "id": 1, "run_id": RUN, "target": "prod/cn-hangzhou/host", "status": "success", "total": 10,
        "added": 1, "updated": 2, "deleted": 3, "unchanged": 7, "errors": 0, "error_class": None,
        "error": None, "duration_seconds": 1.5, "details": {},
    } | changed  # fmt: skip


def log_piece(*events: str, **changed: Any) -> Json:
    """Return a piece of a run's log."""
    lines = [
        {"timestamp": MOMENT.isoformat(), "level": "info", "event": event, "job": "hosts",
         "run": str(RUN)}
        for event in events
    ]  # fmt: skip
    return {
        "id": RUN, "job": "hosts", "status": "success", "owner": "daemon:h", "kept": True,
        "lines": lines, "next": 0, "more": False, "ended": True,
    } | changed  # fmt: skip


def job_row(**changed: Any) -> Json:
    """Return a job as the daemon tells of it."""
    return {
        "name": "hosts", "kind": "cloud", "schedule": "*/5 * * * *", "timezone": "UTC",
        "next_run": MOMENT, "window_until": None, "running": None, "priority": "normal",
        "overlap": "skip",
        "paused": None, "held": [], "waiting": [], "last_skip": None, "interval_seconds": None,
        "stuck": None, "delayed_seconds": 0,
    } | changed  # fmt: skip


def waiting_row(reason: str, **changed: Any) -> Json:
    """Return a run that waits, as it stands in the row of its job."""
    return {
        "run": RUN, "trigger": "manual", "priority": "normal", "attempt": 1,
        "scheduled_for": MOMENT, "since": MOMENT, "reason": reason, "until": None,
    } | changed  # fmt: skip


def gates(*closed: str) -> Json:
    """Return the gates of a scheduler."""
    return {
        "load": {"closed": "load" in closed, "value": 0.92, "limit": 0.8},
        "disk": {"closed": "disk" in closed, "free_bytes": 50 << 20, "limit_bytes": 100 << 20},
        "store": {"closed": "store" in closed},
    }


@dataclass
class FakeCommands:
    """Does what it is told, and remembers it."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    ended: Event = field(default_factory=Event)
    raises: Exception | None = None
    planned: Sequence[Json] = ()
    ready: bool = True
    leads: bool = True
    active: bool = True
    job_rows: list[Json] = field(default_factory=lambda: [job_row()])
    running_rows: list[Json] = field(default_factory=list)
    closed: tuple[str, ...] = ()
    was_paused: bool = True
    report: Json = field(default_factory=lambda: {"checks": [], "policies": [], "worst": "skipped"})
    held: Sequence[str] = ()
    channels: Sequence[str] = ("oncall",)
    came: Json = field(
        default_factory=lambda: {"sent": True, "seconds": 0.31, "error_class": None, "error": None,
                                 "retry_after": None}
    )  # fmt: skip

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.raises:
            raise self.raises

    def status(self) -> Json:
        return {"version": "0.1.0", "pid": 1, "started_at": MOMENT, "ready": self.ready,
                "checks": [{"name": "store", "ok": self.ready, "age_seconds": 0.1, "detail": ""}],
                "status": "1 job, 1 running", "jobs": 1, "running": {"hosts": str(RUN)},
                "queue": {"normal": 0}, "outbox_records": 0, "config_digest": "abc",
                "config_files": ["/etc/syncd/syncd.toml"]}  # fmt: skip

    def jobs(self) -> Sequence[Json]:
        self._note("jobs")
        if not self.leads:
            raise StoreError("this daemon does not lead the schedule yet: it stands by")
        return self.job_rows

    def scheduler(self) -> Json:
        return {
            "leader": self.leads, "now": MOMENT, "gates": gates(*self.closed),
            "workers": {"size": 3, "busy": 0, "idle": 3, "stuck": 0},
            "running": self.running_rows, "waiting": self.waiting(),
        }  # fmt: skip

    def waiting(self) -> list[Json]:
        return [
            {"job": job["name"], "effective_priority": run["priority"]} | run
            for job in self.job_rows
            for run in job["waiting"]
        ]

    def progress(self) -> Mapping[str, Json]:
        targets = {"prod/cn-hangzhou/host": {"state": "running", "done": 5, "of": 10}}
        if not self.active:
            return {}
        return {str(RUN): {"items": 1, "items_done": 0, "targets": targets}}

    def trigger(
        self, job: str, selection: Selection, by: str, priority: Priority | None = None
    ) -> UUID:
        self._note("trigger", job, selection, by, priority)
        self._find(job)
        return RUN

    def _find(self, job: str) -> None:
        if job not in [row["name"] for row in self.job_rows]:
            raise NotFound(f"there is no enabled job {job!r}")

    def wait(self, run_id: UUID, seconds: float) -> bool:
        return self.ended.wait(seconds)

    def plan(self, job: str, selection: Selection, by: str) -> Sequence[Json]:
        self._note("plan", job, selection, by)
        return self.planned

    def cancel(self, run_id: UUID, by: str) -> None:
        self._note("cancel", run_id, by)
        if self.ended.is_set():
            raise Conflict("the run has ended: success")

    def prioritise(self, run_id: UUID, priority: Priority, by: str) -> None:
        self._note("prioritise", run_id, priority, by)
        if self.ended.is_set():
            raise Conflict("the run does not wait: success")

    def pause(self, job: str, seconds: float | None, by: str) -> Json:
        self._note("pause", job, seconds, by)
        self._find(job)
        until = None if seconds is None else MOMENT + timedelta(seconds=seconds)
        return {"job": job, "paused": {"since": MOMENT, "until": until, "by": by}}

    def resume(self, job: str, by: str) -> Json:
        self._note("resume", job, by)
        self._find(job)
        return {"job": job, "was_paused": self.was_paused, "freed": list(self.held)}

    def approve(self, job: str, by: str) -> int:
        self._note("approve", job, by)
        return 12

    def examine(
        self, accounts: Sequence[str], servers: Sequence[str], version: str, *, offline: bool
    ) -> Json:
        self._note("examine", tuple(accounts), tuple(servers), version, offline)
        return self.report

    def test_channel(self, channel: str, by: str) -> Json:
        self._note("test_channel", channel, by)
        if channel not in self.channels:
            raise NotFound(f"there is no channel {channel!r}")
        return {"channel": channel, "kind": "slack", **self.came}

    def reload(self, by: str) -> Sequence[str]:
        self._note("reload", by)
        return ["store.dsn"]


def notified_row(**changes: Any) -> Json:
    """Return how a channel is."""
    return {"channel": "oncall", "waiting": 2, "waiting_since": MOMENT, "last_sent_at": MOMENT,
            "last_error": "reset by peer", "last_error_at": MOMENT, "given_up": 0,
            **changes}  # fmt: skip


def lasting_row(**changes: Any) -> Json:
    """Return something that lasts."""
    return {"key": "hosts failed", "event": "failed", "job": "hosts", "since": MOMENT, "times": 3,
            "told": {"oncall": {"times": 1, "next_at": MOMENT}},
            "detail": {"error": "down"}, **changes}  # fmt: skip


@dataclass
class FakeReads:
    """Answers from lists, and remembers the questions."""

    asked: list[Any] = field(default_factory=list)
    run_answer: Json = field(
        default_factory=lambda: run_row() | {"error_count": 0, "items": [item_row()], "errors": []}
    )
    resource_rows: Rows = field(default_factory=list)
    change_rows: Rows = field(default_factory=list)
    db_account_rows: Rows = field(default_factory=list)
    db_change_rows: Rows = field(default_factory=list)
    size_rows: dict[str, Rows] = field(default_factory=lambda: {"databases": [], "servers": []})
    store_is_gone: bool = False

    def _note(self, question: Any) -> None:
        self.asked.append(question)
        if self.store_is_gone:
            raise StoreError("the store can't be reached")

    def runs(self, query: RunQuery) -> Rows:
        self._note(query)
        return [run_row()]

    def run(self, run: str) -> Json:
        self._note(run)
        if not str(RUN).startswith(run):
            raise NotFound(f"there is no run {run!r}")
        return self.run_answer

    def resources(self, query: ResourceQuery) -> Rows:
        self._note(query)
        keys = ("account", "region", "type", "resource_id")
        later = [r for r in self.resource_rows if tuple(r[k] for k in keys) > (query.after or ())]
        return later[: query.limit]

    def changes(self, query: ChangeQuery) -> Rows:
        self._note(query)
        return self.change_rows[: query.limit]

    def db_accounts(self, query: DbAccountQuery) -> Rows:
        self._note(query)
        rows = [
            r for r in self.db_account_rows if (r["server"], r["account"]) > (query.after or ())
        ]
        return rows[: query.limit]

    def db_account_changes(self, query: DbAccountChangeQuery) -> Rows:
        self._note(query)
        return self.db_change_rows[: query.limit]

    def sizes(self, query: SizeQuery) -> dict[str, Rows]:
        self._note(query)
        return self.size_rows

    def size_stats(self, query: SizeStatQuery) -> dict[str, Rows]:
        self._note(query)
        return self.size_rows

    def notifications(self) -> dict[str, Rows]:
        self._note("notifications")
        return {"channels": [notified_row()], "lasting": [lasting_row()]}

    def overview(self) -> dict[str, Rows]:
        self._note("overview")
        return {
            "outcomes": [{"job": "hosts", "status": "failed", "finished_at": MOMENT,
                          "error_class": "network", "error": "down", "last_success_at": None}],
            "resources": [{"account": "prod", "type": "host", "state": "running", "count": 3}],
            "guarded": [{"job": "hosts", "account": "prod", "region": "r", "type": "host",
                         "count": 12, "guarded_at": MOMENT, "approved": False}],
        }  # fmt: skip


@dataclass
class FakeLogs:
    """Answers with one piece after the other; the last one again and again."""

    pieces: list[Json] = field(default_factory=lambda: [log_piece()])
    asked: list[tuple[str, int]] = field(default_factory=list)

    def log(self, run: str, offset: int) -> Json:
        self.asked.append((run, offset))
        return self.pieces.pop(0) if len(self.pieces) > 1 else self.pieces[0]


def syncd(daemon: "FakeDaemon", *arguments: str) -> Result:
    """Run a command of the command line."""
    return CliRunner().invoke(cli, ["--config", str(daemon.file), *arguments])


@dataclass
class FakeDaemon:
    """What stands behind the listeners; tests change it while they answer."""

    path: Path
    commands: FakeCommands = field(default_factory=FakeCommands)
    reads: FakeReads = field(default_factory=FakeReads)
    logs: FakeLogs = field(default_factory=FakeLogs)
    alive: bool = True
    file: Path | None = None  # the configuration of its clients

    def offer(self) -> Offer:
        check = lambda: Check("loop", self.alive, 0.1, "" if self.alive else "it hangs")  # noqa: E731
        health = Health(live=[check], ready=[])
        metrics = Metrics("0.1.0", Clock().now())
        return Offer(self.commands, self.reads, metrics, health, self.logs)

    def server(self, http: tuple[str, int] | None = ("127.0.0.1", 0)) -> ControlServer:
        return ControlServer(self.offer(), socket=self.path, http=http, log=get_logger())


@contextmanager
def serving() -> Iterator[tuple[FakeDaemon, ControlServer]]:
    """Give a daemon in memory that answers on a socket, whose path is short, and on a port."""
    with tempfile.TemporaryDirectory(prefix="syncd-") as directory:
        daemon = FakeDaemon(Path(directory, "control.sock"))
        server = daemon.server()
        server.start()
        try:
            yield daemon, server
        finally:
            server.close()
