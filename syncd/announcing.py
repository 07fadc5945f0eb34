"""What a daemon lets its notifications know of itself: its schedule, its machine, its ailments."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from syncd.context import Clock
from syncd.daemon import Daemon
from syncd.dispatch.service import Dispatch
from syncd.notices.engine import Engine
from syncd.notices.machine import Machine, rules
from syncd.notices.post import Observer
from syncd.outlook import JobGauges
from syncd.store.database import Store
from syncd.store.leader import Lease
from syncd.telemetry.health import Signal
from syncd.telemetry.logging import get_logger


def engine(
    daemon: Daemon, store: Store, instance: str, signal: Signal, observer: Observer, clock: Clock
) -> Engine:
    """Return what tells people of a daemon and its runs; `signal` is that of the store."""
    return Engine(
        store=store,
        instance=instance,
        schedule=_Schedule(lambda: daemon.dispatch, clock.now),
        rules=rules(_machine(daemon, signal)),
        observer=observer,
        clock=clock,
        log=get_logger(),
    )


class _Schedule:
    """What notifications ask of the schedule, of which the dispatch may not be made yet."""

    def __init__(self, dispatch: Callable[[], Dispatch], now: Callable[[], datetime]) -> None:
        self._dispatch, self._now = dispatch, now
        self._gauges: JobGauges | None = None

    def lease(self) -> Lease | None:
        """Return the right to lead, None for who stands by."""
        return self._dispatch().lease

    def gaps(self) -> Mapping[str, float]:
        """Return of each job with due times the longest time between two, in seconds."""
        return self._jobs().expected_intervals()

    def paused(self) -> Mapping[str, bool]:
        """Tell of each job whether somebody has paused it."""
        return self._jobs().paused()

    def _jobs(self) -> JobGauges:
        if self._gauges is None:
            self._gauges = JobGauges(self._dispatch(), self._now)
        return self._gauges


def _machine(daemon: Daemon, store: Signal) -> Machine:
    """Return where the readings come from; the limits are those of the configuration in force."""

    def unreachable() -> str:
        check = store.check()
        return "" if check.ok else check.detail

    return Machine(
        directory=Path(daemon.config.daemon.state_dir),
        free_disk=lambda: daemon.config.daemon.min_free_disk,
        load_limit=lambda: daemon.config.daemon.load_limit,
        stuck=lambda: daemon.dispatch.pool.stuck,
        store=unreachable,
        reload=lambda: daemon.reload_error,
    )
