"""The daemon: signals become events; it starts, reloads, drains. It knows no job kind."""

import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Literal, Protocol

from syncd.alarm import Alarm
from syncd.config.configuration import Config
from syncd.config.reload_diff import difference
from syncd.context import BoundLogger, Clock
from syncd.dispatch.service import Dispatch
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.wanted import Wanted
from syncd.errors import (
    ConfigurationError,
    Conflict,
    StoreError,
    SyncdError,
    TimedOut,
    describe,
)
from syncd.history import History
from syncd.notices.engine import Engine
from syncd.status import StatusLine
from syncd.store import fleet_views, measured, resources, views
from syncd.store.database import Store, Transaction
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.migrate import migrate
from syncd.store.runs import RunEnd
from syncd.systemd import Notifier
from syncd.telemetry.health import Signal
from syncd.telemetry.job_series import MeasuredJob
from syncd.telemetry.metrics import Metrics

Event = Literal["stop", "reload", "lost"]

_SERVER_START: Final = 60.0  # seconds that the embedded server may take
_TURN: Final = 1.0
_COUNTING: Final = 5.0
"""Seconds that counting the inventory may hold up who tells of a run's end."""
_DRAIN_EXTENSION: Final = 15.0
"""How much more time systemd is asked for while runs drain; asked for again each half second."""
_NOTICES_STOP: Final = 2.0  # seconds for each of the parts that send; what waits is in the store
_STORE_STOP: Final = 45.0  # seconds that connections and the embedded server may take after it


class Listener(Protocol):
    """A server that answers from a thread of its own."""

    def start(self) -> None:
        """Answer from now on."""

    def close(self) -> None:
        """Stop answering."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What the daemon reports of its health."""

    timetable: Signal
    configuration: Signal
    store: Signal
    leader: Signal


class Assembly(Protocol):
    """What the composition root makes of a configuration."""

    def load(self) -> Config:
        """Read the configuration files; raises ConfigInvalid."""

    def wanted(self, config: Config) -> Wanted:
        """Return what is to be run."""


class Daemon:
    """One run of the daemon, from start to stop."""

    def __init__(  # noqa: PLR0913 - the parts that the composition root puts together
        self,
        *,
        config: Config,
        assembly: Assembly,
        store: Store,
        server: EmbeddedPostgres | None,
        make_notices: Callable[["Daemon"], Engine],
        make_dispatch: Callable[["Daemon"], Dispatch],
        make_listeners: Callable[["Daemon"], Sequence[Listener]],
        metrics: Metrics,
        signals: Signals,
        notifier: Notifier,
        history: History,
        clock: Clock,
        log: BoundLogger,
    ) -> None:
        self.config = config
        self.started_at = clock.now()
        self._assembly, self._store, self._server = assembly, store, server
        self._metrics, self._signals, self.notifier = metrics, signals, notifier
        self._history, self._clock, self._log = history, clock, log
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._reloading = threading.Lock()
        self._hurry, self._stopping = Alarm(), Alarm()
        self._status = StatusLine(clock)
        self.ailment: str | None = None
        self.reload_error = ""
        self._waited = False
        self.notices = make_notices(self)
        self.dispatch = make_dispatch(self)
        self._listeners = make_listeners(self)

    def run(self) -> int:
        """Run until a signal says stop; return the exit status."""
        self._take_signals()
        listening: list[Listener] = []
        self._signals.configuration.report(detail="read")
        try:
            for listener in self._listeners:
                listener.start()
                listening.append(listener)
            self.notices.configure(self.config)
            self.notices.start()
            if self._come_up():
                self.dispatch.timetable.start()
                self.notifier.ready(self.status_text())
                self._log.info("ready")
                return self._serve()
            return 0
        finally:
            self.notices.stop(_NOTICES_STOP)
            for listener in listening:
                listener.close()

    def _take_signals(self) -> None:
        """Turn signals into events; a second signal to stop hurries the first."""

        def stop(*_: object) -> None:
            if self._stopping.is_set():
                self._hurry.set()
            self._stopping.set()
            self._events.put("stop")

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, lambda *_: self._events.put("reload"))

    def _come_up(self) -> bool:
        """Migrate the store and take the schedule over; False when told to stop meanwhile."""
        if not self._patiently(self._prepare_store):
            return False
        if not self._patiently(
            lambda: self.dispatch.take_over(self._wanted), "standing by: another daemon leads"
        ):
            return False
        self._signals.leader.report(detail="leader")
        self._metrics.leads(leader=True)
        specs = self.dispatch.specs
        self._took_over(self.config, specs, specs)
        self._history.accepted(self.config, "the start")
        return True

    def _wanted(self) -> Wanted:
        """Return what is to be run; who stood by reads the files again, which may be others now.

        What the store remembers of jobs that an old configuration does not have would be lost.
        """
        if self._waited:
            try:
                self.config = self._assembly.load()
                self._store.resize(self.config.store.pool_min, self.config.store.pool_max)
            except ConfigurationError as error:
                for line in str(error).splitlines():
                    self._log.error("the configuration stays as it was read", error=line)
        return self._assembly.wanted(self.config)

    def _prepare_store(self) -> bool:
        for migration in migrate(self._store):
            self._log.info("migrated", number=migration.number, name=migration.name)
        return True

    def _patiently(self, act: Callable[[], bool], waiting: str = "") -> bool:
        """Do an act again until it is done; False when told to stop meanwhile."""
        told = ""
        while not self._stopping.is_set():
            try:
                done = act()
                self._signals.store.report()
                if done:
                    self._status.problem = ""
                    return True
                reason = waiting
            except (StoreError, TimedOut) as error:
                reason = f"the store is out of reach: {describe(error)}"
                self.store_lost(StoreError(describe(error)))
            if reason != told:
                self._log.warning("waiting", reason=reason)
                told = reason
            self._status.problem, self._waited = reason, True
            self._signals.leader.report(ok=False, detail=reason)
            self._signals.timetable.report(detail="waiting to begin")
            self.notifier.status(reason)
            self.notifier.extend(_DRAIN_EXTENSION)
            self._stopping.wait(_TURN)
        return False

    def _took_over(self, config: Config, specs: Mapping[str, JobSpec], told: Iterable[str]) -> None:
        """Say which jobs are in force; the log names those of `told`."""
        self._signals.configuration.report(detail=f"{len(specs)} jobs")
        self._status.keep(specs)
        self.notices.configure(config)
        self._metrics.reloaded(self._clock.now(), successful=True)
        self._metrics.set_jobs(
            MeasuredJob(s.name, s.kind, s.timeout.total_seconds(), s.upkeep, tuple(s.tables))
            for s in specs.values()
        )
        with suppress(StoreError, TimedOut), self._store.transaction() as tx:
            self._measure(tx)
            for last in views.last_outcomes(tx):
                self._metrics.preload(
                    last["job"], last["last_success_at"], last["last_completion_at"]
                )
            tables = [(s.name, table) for s in specs.values() for table in s.tables]
            for each in measured.last_measured(tx, tables):
                self._metrics.preload_item(each.job, each.item, each.measures, each.equal_at)
        for warning in config.warnings:
            self._log.warning(warning)
        self._log.info("jobs enabled", count=len(specs))
        for name in told:
            spec, due = specs[name], self.dispatch.first_due.get(name)
            more = {"next_run": max(due, self._clock.now()).isoformat()} if due else {}
            self._log.info(
                "job enabled", job=name, kind=spec.kind, schedule=spec.schedule or "by hand",
                **more,
            )  # fmt: skip

    def _serve(self) -> int:
        """Take events until one says stop."""
        while True:
            try:
                event = self._events.get(timeout=_TURN)
            except Empty:
                self.notifier.status(self.status_text())
                continue
            if event == "reload" and not self._stopping.is_set():
                self._reload_quietly()
            elif event != "reload":
                return self._drain(lost=event == "lost")

    def status_text(self) -> str:
        """Return the line that `systemctl status` shows."""
        return self._status.text(
            jobs=len(self.dispatch.specs),
            soonest=self.dispatch.timetable.soonest,
            progress=self.dispatch.progress(),
            running=self.dispatch.running_jobs(),
        )

    def _reload_quietly(self) -> None:
        """Reload for a signal, whose sender can't be answered: the log tells."""
        try:
            self.reload("a signal")
        except SyncdError:
            return  # told, line by line
        except Exception:  # noqa: BLE001 - a bug here must not end the daemon
            self._log.exception("the reload failed")

    def reload(self, by: str) -> tuple[str, ...]:
        """Read the configuration again and take it over as a whole; return what needs a restart.

        Raises ConfigInvalid, with the old one still in force, or StoreError; Conflict while the
        daemon stops, of which the service manager was told already.
        """
        with self._reloading:
            if self._stopping.is_set():
                raise Conflict("the daemon stops: its next start reads the configuration")
            self.dispatch.check_leads()  # who stands by must not tell the service manager READY
            self._log.info("reloading", by=by)
            self.notifier.reloading()
            try:
                return self._reload(by)
            except BaseException as error:
                self._metrics.reloaded(self._clock.now(), successful=False)
                self.reload_error = describe(error)
                self._status.problem = "the last reload failed"
                for line in str(error).splitlines():
                    self._log.error("reload failed", error=line)
                raise
            finally:
                self.notifier.ready(self.status_text())

    def _reload(self, by: str) -> tuple[str, ...]:
        config = self._assembly.load()
        if config.defines_nothing and not self.config.defines_nothing:
            raise ConfigurationError(  # most likely a file that is just being written
                "the files define no account, no server and no job any more; to run nothing, stop"
                " the daemon"
            )
        change = difference(self.config, config)
        want = self._assembly.wanted(config)
        self.dispatch.change(want, set(change.unchanged))
        self._store.resize(config.store.pool_min, config.store.pool_max)
        self.config = config
        self._history.accepted(config, by)
        self._status.problem = self.reload_error = ""
        self._took_over(config, want.specs, change.added + change.changed)
        for key in change.restart_needed:
            self._log.warning("needs a restart", key=key)
        self._log.info(
            "reloaded",
            added=", ".join(change.added),
            changed=", ".join(change.changed),
            removed=", ".join(change.removed),
        )
        return change.restart_needed

    def _drain(self, *, lost: bool) -> int:
        """Stop in order: no new run, those under way, the threads, the connections, the server."""
        self._log.info("stopping")
        self._stopping.set()
        self.notifier.stopping("draining")
        self._signals.leader.report(ok=False, detail="stopping")
        grace = 0.0 if lost else self.config.daemon.shutdown_grace.total_seconds()
        self.dispatch.drain(grace, self._hurry, self._note_draining)
        self.dispatch.stop()
        self.notifier.extend(_STORE_STOP)
        self._log.info("stopped")
        return 1 if lost else 0

    def _note_draining(self) -> None:
        """Ask for more time, and show life in place of the timetable, which has ended."""
        self.notifier.extend(_DRAIN_EXTENSION)
        self.notifier.watchdog()
        self._signals.timetable.report(detail="stopping")

    # What the dispatcher tells (in its thread, and the workers')

    def store_lost(self, error: StoreError) -> None:
        """Start the embedded server again; an external one comes back by itself."""
        self._signals.store.report(ok=False, detail=describe(error))
        if self._server is None or self._stopping.is_set():
            return
        try:
            self._server.start(_SERVER_START)
        except Exception as problem:  # noqa: BLE001 - tried again in a second
            self._log.error("the embedded store does not start", error=describe(problem))

    def store_back(self) -> None:
        """Note that the store answers, as it is asked to every few seconds."""
        self._signals.store.report()
        if self._server is not None:
            self._server.trim_logs()

    def leadership_lost(self) -> None:
        """Stop: another daemon leads, and this one is to stand by after its restart."""
        self._signals.leader.report(ok=False, detail="leadership lost")
        self._metrics.leads(leader=False)
        self._events.put("lost")

    def run_ended(self, job: str, end: RunEnd | None) -> None:
        """Note a failure for the status line, and measure the inventory."""
        if end is not None and end.outcome.status in ("success", "failed"):
            self._status.ended(job, failed=end.outcome.status == "failed")
        self.notices.ended()
        if self._stopping.is_set():
            return
        with suppress(StoreError, TimedOut), self._store.transaction(limit=_COUNTING) as tx:
            self._measure(tx)

    def _measure(self, tx: Transaction) -> None:
        """Show what stands, of databases where it is asked for."""
        self._metrics.set_resources(resources.counts_by_state(tx))
        config = self.config
        servers = [name for name, server in config.servers.items() if server.enabled]
        sizes = fleet_views.newest_sizes(tx, servers) if config.metrics.database_sizes else {}
        self._metrics.set_database_sizes(sizes)

    def ticked(self, ailment: str | None = None) -> None:
        """Tell that the timetable turned: the sign of life of the whole.

        The service manager does not hear of it while there is an ailment that only a restart cures.
        """
        self._metrics.ticked(self._clock.now())
        self._signals.timetable.report()
        if ailment and not self.ailment:
            self._log.error("the watchdog is not fed", reason=ailment)
        elif self.ailment and not ailment:
            self._log.info("the watchdog is fed again")
        self.ailment = ailment
        if ailment is None:
            self.notifier.watchdog()
