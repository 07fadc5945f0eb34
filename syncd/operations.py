"""What people ask of a running daemon over its control socket."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

from syncd import __version__
from syncd.config.configuration import Config
from syncd.context import Clock
from syncd.control.commands import Json
from syncd.daemon import Daemon
from syncd.dispatch.planner import Planned
from syncd.errors import Conflict, describe
from syncd.model.run import FINAL, Priority, RunId, Selection
from syncd.outlook import Outlook, pause_document
from syncd.store import views
from syncd.store.database import Store
from syncd.telemetry.health import Health
from syncd.telemetry.notify import trial

Examine = Callable[[Config, Json, Sequence[str], Sequence[str], bool], Json]
"""Makes the checks: of a configuration, what the daemon says of itself, accounts, servers and
whether nothing is asked over the network."""


class Operations:
    """The daemon's side of `control.Commands`."""

    def __init__(
        self, daemon: Daemon, store: Store, health: Health, clock: Clock, examine: Examine
    ) -> None:
        self._daemon, self._store, self._health = daemon, store, health
        self._examine, self._examining = examine, threading.Lock()
        self._clock, self._outlook = clock, Outlook(daemon.dispatch, clock.now)

    def status(self) -> Json:
        """Return the state of the daemon; answers without the store."""
        daemon, ready = self._daemon, self._health.readyz()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": daemon.started_at,
            "ready": ready.status == 200,
            "checks": ready.body["checks"],
            "status": daemon.status_text(),
            "jobs": len(daemon.dispatch.specs),
            "running": daemon.dispatch.running_jobs(),
            "queue": daemon.dispatch.queue_length(),
            "outbox_records": daemon.dispatch.recorder.owed,
            "config_digest": daemon.config.digest,
            "config_files": [str(file) for file in daemon.config.files],
        }

    def jobs(self) -> Sequence[Json]:
        """Return each enabled job: what it does next, and what keeps it."""
        zones = {name: job.timezone for name, job in self._daemon.config.jobs.items()}
        return self._outlook.jobs(zones)

    def scheduler(self) -> Json:
        """Return the workers, the gates, and the runs that run and wait."""
        return self._outlook.scheduler()

    def progress(self) -> Mapping[str, Json]:
        """Return the progress of the runs under way, by run id."""
        return self._daemon.dispatch.progress()

    def trigger(
        self, job: str, selection: Selection, by: str, priority: Priority | None = None
    ) -> UUID:
        """Queue a run by hand."""
        return self._daemon.dispatch.trigger(job, selection, by, priority)

    def prioritise(self, run_id: UUID, priority: Priority, by: str) -> None:
        """Give a run that waits another priority."""
        self._daemon.dispatch.prioritise(run_id, priority, by)

    def pause(self, job: str, seconds: float | None, by: str) -> Json:
        """Pause a job's schedule, for so many seconds or until it is resumed."""
        until = None if seconds is None else self._clock.now() + timedelta(seconds=seconds)
        pause = self._daemon.dispatch.pause(job, until, by)
        return {"job": job, "paused": pause_document(pause)}

    def resume(self, job: str, by: str) -> Json:
        """Resume a job's schedule, and let its held accounts be tried again."""
        paused, freed = self._daemon.dispatch.resume(job, by)
        return {"job": job, "was_paused": paused, "freed": freed}

    def wait(self, run_id: UUID, seconds: float) -> bool:
        """Wait until a run has a final status; raises NotFound for one that never was."""
        if not self._daemon.dispatch.board.wait_final(RunId(run_id), seconds):
            return False
        with self._store.transaction() as tx:
            return views.run_state(tx, run_id)["status"] in FINAL

    def plan(self, job: str, selection: Selection, by: str) -> Sequence[Json]:
        """Return what a run would change."""
        return planned_documents(self._daemon.dispatch.plan(job, selection, by))

    def cancel(self, run_id: UUID, by: str) -> None:
        """Cancel an active run; NotFound for one that never was, Conflict for an ended one."""
        with self._store.transaction() as tx:
            views.run_state(tx, run_id)
        self._daemon.dispatch.cancel(run_id, by)

    def approve(self, job: str, by: str) -> int:
        """Let the guarded deletions of a job go in its next run."""
        return self._daemon.dispatch.approve(job, by)

    def examine(
        self, accounts: Sequence[str], servers: Sequence[str], version: str, *, offline: bool
    ) -> Json:
        """Make every check there is, one examination at a time."""
        if not self._examining.acquire(blocking=False):
            raise Conflict("another examination is under way")
        try:
            daemon = self._daemon
            told = {
                "status": self.status(),
                "scheduler": self.scheduler(),
                "ailment": daemon.ailment,
                "reload_error": daemon.reload_error,
                "managed": daemon.notifier.managed,
                "watchdog_interval": daemon.notifier.watchdog_interval,
                "command": version,
            }
            return self._examine(daemon.config, told, accounts, servers, offline)
        finally:
            self._examining.release()

    def test_channel(self, channel: str, by: str) -> Json:
        """Send a message to a channel of the configuration that is in force."""
        return trial.send(self._daemon.config.notify, channel, by, self._clock.now())

    def reload(self, by: str) -> Sequence[str]:
        """Take the configuration files over as they are now."""
        return self._daemon.reload(by)


def planned_documents(planned: Sequence[Planned]) -> list[Json]:
    """Return a plan as `sync --plan --json` shows it."""
    return [
        {
            "target": item.target,
            "counts": asdict(item.counts),
            "changes": [asdict(change) for change in item.changes],
            "error_class": item.error.error_class if item.error else None,
            "error": describe(item.error) if item.error else None,
            "details": item.details,
        }
        for item in planned
    ]
