"""The composition root: puts the parts together for the daemon, and for a command without one."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from syncd import __version__, assembly, state_dir
from syncd.config import secrets
from syncd.config.configuration import Config
from syncd.config.load import load
from syncd.context import Clock
from syncd.daemon import Daemon, Listener, Signals
from syncd.dispatch.service import Dispatch
from syncd.dispatch.spec import JobSpec
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.outbox import Outbox
from syncd.store.resources import Managed
from syncd.systemd import Notifier
from syncd.telemetry import machine
from syncd.telemetry.health import Health, Signal
from syncd.telemetry.logging import LogFormat, LogLevel, configure, get_logger
from syncd.telemetry.metrics import Metrics

_LOOP_STALE = 10.0  # seconds without a turn of the timetable, after which the daemon is not well
_SERVER_START, _SERVER_STOP = 60.0, 30.0


class _Assembly:
    """What the daemon asks of a configuration, for one store."""

    def __init__(self, file: Path, store: Store, metrics: Metrics) -> None:
        self._file, self._store = file, store
        self._accounts = assembly.Accounts(store, metrics.observe_api)

    def load(self) -> Config:
        """Read the configuration files; raises ConfigInvalid."""
        return load(self._file, check_secrets=True)

    def specs(self, config: Config) -> Mapping[str, JobSpec]:
        """Return the enabled jobs."""
        return assembly.job_specs(config, self._store, self._accounts)

    def managed(self, config: Config) -> Sequence[Managed]:
        """Return what the jobs look after."""
        return assembly.managed(config)


def run(file: Path, form: LogFormat = "auto", level: LogLevel = "info") -> int:
    """Run the daemon; return its exit status.

    Raises ConfigurationError (ConfigInvalid with all problems), Conflict when another syncd has the
    state directory, StoreError when the store can't be started.
    """
    configure(form, level, secrets.known)
    config = load(file, check_secrets=True)
    directory = Path(config.daemon.state_dir)
    with ExitStack() as stack:
        instance = stack.enter_context(state_dir.locked(directory))
        outbox = Outbox(directory / "outbox")
        stack.callback(outbox.close)
        server = assembly.embedded_server(config)
        if server:
            stack.callback(server.stop, _SERVER_STOP)
            server.start(_SERVER_START)
        dsn = server.dsn if server else secrets.resolve(config.store.dsn).get_secret_value()
        store = assembly.open_store(config, dsn)
        stack.callback(store.close)
        return _daemon(file, config, store, server, outbox, instance).run()


def _daemon(
    file: Path,
    config: Config,
    store: Store,
    server: EmbeddedPostgres | None,
    outbox: Outbox,
    instance: str,
) -> Daemon:
    """Put the daemon together."""
    clock, log = Clock(), get_logger()
    metrics = Metrics(__version__, clock.now())
    signals = Signals(
        Signal("timetable", clock, _LOOP_STALE),
        Signal("configuration", clock),
        Signal("store", clock),
        Signal("leader", clock),
    )
    health = Health(
        [signals.timetable.check],
        [signals.configuration.check, signals.store.check, signals.leader.check],
    )

    def make_dispatch(daemon: Daemon) -> Dispatch:
        dispatch = Dispatch(
            store=store, outbox=outbox, instance=instance,
            workers=config.daemon.max_concurrent_runs, observer=metrics, keeper=daemon,
            tick=daemon.ticked, clock=clock, log=log,
        )  # fmt: skip
        _watch(metrics, health, store, dispatch, Path(config.daemon.state_dir))
        return dispatch

    def make_listeners(daemon: Daemon) -> Sequence[Listener]:
        return []

    return Daemon(
        config=config,
        assembly=_Assembly(file, store, metrics),
        store=store,
        server=server,
        make_dispatch=make_dispatch,
        make_listeners=make_listeners,
        metrics=metrics,
        signals=signals,
        notifier=Notifier(),
        clock=clock,
        log=log,
    )


def _watch(
    metrics: Metrics, health: Health, store: Store, dispatch: Dispatch, directory: Path
) -> None:
    """Have the gauges of other parts' state read at each scrape."""
    pool = dispatch.pool
    metrics.watch("ready", lambda: health.readyz().status == 200)
    metrics.watch("store_pool_connections", store.connections)
    metrics.watch("workers", lambda: {"busy": pool.busy, "idle": pool.idle, "stuck": 0})
    metrics.watch("queue_length", dispatch.queue_length)
    metrics.watch("disk_free_bytes", lambda: machine.disk_free_bytes([directory]))
    metrics.watch("load_per_cpu", machine.load_per_cpu)
    metrics.watch("memory_available_bytes", machine.memory_available_bytes)
    metrics.watch("records_incomplete", lambda: dispatch.recorder.incomplete_runs)
    metrics.watch("outbox_records", lambda: dispatch.recorder.owed)
