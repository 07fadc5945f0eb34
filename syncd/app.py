"""The composition root: puts the parts together for the daemon, and for a command without one."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from syncd import __version__, announcing, assembly, attempt, checkup, state_dir
from syncd.calls.tokens import Tokens
from syncd.config import secrets
from syncd.config.configuration import Config
from syncd.config.load import load
from syncd.config.versions import Versions
from syncd.context import Clock
from syncd.control.commands import Json
from syncd.control.routes import Offer
from syncd.control.run_log import StoreLogs
from syncd.control.server import ControlServer
from syncd.control.store_reads import StoreReads
from syncd.daemon import Daemon, Listener, Signals
from syncd.dispatch.gates import MachineGates
from syncd.dispatch.isolated import Entry
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.service import Dispatch
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.wanted import Wanted
from syncd.doctor import examination
from syncd.doctor.finding import Finding, Unknown
from syncd.errors import ConfigurationError, Conflict, StoreError, SyncdError
from syncd.history import History
from syncd.local import LocalSession
from syncd.notices.engine import Engine
from syncd.operations import Operations
from syncd.outlook import JobGauges
from syncd.store import leader
from syncd.store.backups import Backups
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.migrate import migrate
from syncd.store.outbox import Outbox
from syncd.store.restore import Restored, check_contents, restore
from syncd.systemd import Notifier
from syncd.telemetry import machine
from syncd.telemetry.health import Health, Signal
from syncd.telemetry.logging import LogFormat, LogLevel, configure, get_logger
from syncd.telemetry.metrics import Metrics
from syncd.telemetry.run_lines import keep_runs
from syncd.telemetry.run_logs import RunLogs

_LOOP_STALE: Final = 10.0  # seconds without a turn of the timetable: the daemon is not well
_STORE_STALE: Final = 15.0  # seconds without an answer of the store, which is asked every few
_LOG_LIMIT: Final = 5.0  # seconds for the store's word on a run whose log is asked for
_SERVER_START: Final = 60.0  # seconds
_SERVER_STOP: Final = 30.0


class _Assembly:
    """What the daemon asks of a configuration, for one store."""

    def __init__(
        self,
        file: Path,
        store: Store,
        accounts: assembly.Accounts,
        tokens: Tokens,
        observe: assembly.ApiObserver,
    ) -> None:
        self._file, self._store = file, store
        self._accounts, self._tokens, self._observe = accounts, tokens, observe

    def load(self) -> Config:
        """Read the configuration files; raises ConfigInvalid."""
        return load(self._file, check_secrets=True)

    def wanted(self, config: Config) -> Wanted:
        """Return what is to be run."""
        self._tokens.keep_only(config.tokens)
        return Wanted(
            specs=assembly.job_specs(
                config, self._store, self._accounts, self._tokens, self._observe
            ),
            managed=assembly.managed(config),
            limits=assembly.limits(config),
        )


def run(file: Path, form: LogFormat = "auto", level: LogLevel = "info") -> int:
    """Run the daemon, for root as the owner of the state directory; return its exit status.

    Raises ConfigurationError (ConfigInvalid with all problems), Conflict when another syncd has the
    state directory, StoreError when the store can't be started.
    """
    configure(form, level, secrets.known)
    _take_early_signals()
    config = load(file, check_secrets=True)
    directory = Path(config.daemon.state_dir)
    state_dir.become_owner(directory)
    with _used(config) as (instance, outbox), _served(config, instance) as (store, server):
        entry = attempt.entry(store.dsn, store.session, form, level)
        with History(Versions(directory), store, instance, Clock(), get_logger()) as history:
            return _daemon(
                file, config, store, server, outbox, instance, entry, history=history
            ).run()


def _take_early_signals() -> None:
    """Until the daemon takes the signals: end in order, once; nothing is there to be reloaded."""

    def leave(*_: object) -> NoReturn:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    signal.signal(signal.SIGHUP, lambda *_: None)


@contextmanager
def local_store(config: Config) -> Iterator[Store]:
    """Give the store to a command when no daemon answers; an embedded one is started meanwhile.

    Raises StoreError when it can't be reached, Conflict when another syncd has the directory.
    """
    with ExitStack() as stack:
        if config.store.embedded:
            directory = Path(config.daemon.state_dir)
            state_dir.become_owner(directory)
            stack.enter_context(state_dir.locked(directory))
        store, _ = stack.enter_context(_served(config))
        yield store


def examine(
    config: Config,
    file: Path,
    silence: Finding,
    accounts: Sequence[str],
    servers: Sequence[str],
    *,
    offline: bool,
) -> Json:
    """Make every check there is in this process, since no daemon does; `silence` says why.

    Raises NotFound for an account or a server that is not there.
    """
    only = examination.groups(accounts, servers)
    make = checkup.case(
        config, file, silence=silence, accounts=accounts, servers=servers, offline=offline
    )
    with ExitStack() as stack:
        try:
            _check_opens(config)
            store = stack.enter_context(local_store(config))
        except (SyncdError, Unknown, OSError) as error:
            failed = error if not isinstance(error, OSError) else StoreError(str(error))

            def refuse() -> Store:
                raise failed

            return examination.examine(make(refuse), only)
        return examination.examine(make(lambda: store), only)


def _check_opens(config: Config) -> None:
    """Raise Unknown for a store that only the service can open, or that does not exist yet."""
    dsn, data = config.store.dsn, Path(config.daemon.state_dir) / "postgresql" / "data"
    if config.store.embedded and not data.exists():
        raise Unknown("the store is not made yet: the first start of the daemon makes it")
    if secrets.for_service_alone(dsn):
        raise Unknown("store.dsn can only be read by the service, and no daemon answers")


@contextmanager
def local_session(config: Config) -> Iterator[LocalSession]:
    """Give what runs jobs in this process, for a command when no daemon answers.

    Raises as `local_store` does, and ConfigurationError when the store is not migrated by us.
    """
    directory = Path(config.daemon.state_dir)
    state_dir.become_owner(directory)
    log, metrics = get_logger(), Metrics(__version__, Clock().now())
    with _used(config) as (instance, outbox), _served(config) as (store, _):
        migrate(store)
        key = state_dir.fingerprint_key(directory)
        accounts = assembly.Accounts(store, metrics.observe_api, key)
        tokens = assembly.open_tokens(directory, key, metrics.observe_api)
        session = LocalSession(
            store=store,
            recorder=Recorder(store, outbox, log),
            observer=metrics,
            specs=assembly.job_specs(config, store, accounts, tokens, metrics.observe_api),
            instance=instance,
            clock=Clock(),
            log=log,
        )
        session.clear_up()
        try:
            yield session
        finally:
            session.close()


def restore_dump(config: Config, name: str, tell: Callable[[str], None]) -> Restored:
    """Put a dump in the place of the embedded store's data; `tell` hears of each step.

    Raises ConfigurationError for a store that is not embedded, Conflict while the daemon runs,
    NotFound for a file that is not there, and what `store.restore` does.
    """
    server, directory = own_server(config), Path(config.daemon.state_dir)
    backups = Backups(directory)
    with backups.opened(name) as file:  # as root: the file may be closed to the owner
        state_dir.become_owner(directory)
        check_contents(file)
        with _stopped(directory) as instance:
            try:
                server.start(_SERVER_START)
                local, spare = f"cli:{instance}", config.daemon.min_free_disk
                return restore(server, file, backups, local=local, spare=spare, tell=tell)
            finally:
                server.stop(_SERVER_STOP)


def own_server(config: Config) -> EmbeddedPostgres:
    """Return the embedded server; raises ConfigurationError for a store that is not syncd's own."""
    server = assembly.embedded_server(config)
    if server is None:
        raise ConfigurationError(
            "store.dsn names a PostgreSQL server, which is its owner's to back up:"
            " syncd dumps and restores the embedded store alone"
        )
    return server


@contextmanager
def _stopped(directory: Path) -> Iterator[str]:
    """Hold the state directory of a daemon that must not run; give the instance's name."""
    with ExitStack() as stack:
        try:
            instance = stack.enter_context(state_dir.locked(directory))
        except Conflict as error:
            raise Conflict(f"{error}: stop it first (systemctl stop syncd)") from error
        yield instance


@contextmanager
def _used(config: Config) -> Iterator[tuple[str, Outbox]]:
    """Hold the state directory, alone, and keep the logs of runs in it.

    Gives the instance's name and the outbox.
    """
    directory = Path(config.daemon.state_dir)
    with state_dir.locked(directory) as instance:
        keep_runs(RunLogs(directory), secrets.known)
        outbox = Outbox(directory / "outbox")
        try:
            yield instance, outbox
        finally:
            outbox.close()


@contextmanager
def _served(
    config: Config, instance: str | None = None
) -> Iterator[tuple[Store, EmbeddedPostgres | None]]:
    """Give the store, of a daemon with its instance's name; an embedded server runs as long."""
    server = assembly.embedded_server(config)
    try:
        if server:
            dsn = server.start(_SERVER_START)
        else:
            dsn = secrets.resolve(config.store.dsn).get_secret_value()
        session = leader.session_of(f"daemon:{instance}") if instance else ""
        store = assembly.open_store(config, dsn, session)
        try:
            yield store, server
        finally:
            store.close()
    finally:
        if server:
            server.stop(_SERVER_STOP)


def _daemon(  # noqa: PLR0913 - the parts that `run` holds
    file: Path,
    config: Config,
    store: Store,
    server: EmbeddedPostgres | None,
    outbox: Outbox,
    instance: str,
    entry: Callable[[JobSpec], Entry],
    *,
    history: History,
) -> Daemon:
    """Put the daemon together."""
    clock, log, directory = Clock(), get_logger(), Path(config.daemon.state_dir)
    metrics = Metrics(__version__, clock.now())
    store.observe = metrics.observe_statement
    key = state_dir.fingerprint_key(directory)
    accounts = assembly.Accounts(store, metrics.observe_api, key)
    tokens = assembly.open_tokens(directory, key, metrics.observe_api)
    signals = Signals(
        Signal("timetable", clock, _LOOP_STALE),
        Signal("configuration", clock),
        Signal("store", clock, _STORE_STALE),
        Signal("leader", clock),
    )
    health = Health(
        [signals.timetable.check],
        [signals.configuration.check, signals.store.check, signals.leader.check],
    )

    def make_notices(daemon: Daemon) -> Engine:
        return announcing.engine(daemon, store, instance, signals.store, metrics, clock)

    def make_dispatch(daemon: Daemon) -> Dispatch:
        dispatch = Dispatch(
            store=store, outbox=outbox, instance=instance,
            limits=assembly.limits(config), gates=MachineGates(directory, log),
            observer=metrics, keeper=daemon, entry=entry, tick=daemon.ticked, clock=clock, log=log,
            announcer=daemon.notices,
        )  # fmt: skip
        _watch(metrics, health, store, dispatch, directory)
        metrics.watch("notifications_pending", daemon.notices.pending)
        return dispatch

    def examine_inside(
        config: Config,
        daemon: Json,
        accounts: Sequence[str],
        servers: Sequence[str],
        offline: bool,  # noqa: FBT001
    ) -> Json:
        make = checkup.case(
            config, file, daemon=daemon, accounts=accounts, servers=servers, tokens=tokens,
            offline=offline,
        )  # fmt: skip
        return examination.examine(make(lambda: store), examination.groups(accounts, servers))

    def make_listeners(daemon: Daemon) -> Sequence[Listener]:
        operations = Operations(daemon, store, health, clock, examine_inside)
        return [_listener(config, operations, store, metrics, health)]

    return Daemon(
        config=config,
        assembly=_Assembly(file, store, accounts, tokens, metrics.observe_api),
        store=store,
        server=server,
        make_notices=make_notices,
        make_dispatch=make_dispatch,
        make_listeners=make_listeners,
        metrics=metrics,
        signals=signals,
        notifier=Notifier(),
        history=history,
        clock=clock,
        log=log,
    )


def _listener(
    config: Config, operations: Operations, store: Store, metrics: Metrics, health: Health
) -> ControlServer:
    """Bind the listeners, and say where they are."""
    log, read = get_logger(), partial(store.transaction, operation="read")
    logs = StoreLogs(partial(read, limit=_LOG_LIMIT), RunLogs(Path(config.daemon.state_dir)))
    offer = Offer(operations, StoreReads(read), metrics, health, logs)
    listen = config.listen
    server = ControlServer(offer, socket=listen.control, http=listen.http, log=log)
    host, port = server.http_address or ("off", 0)
    http = f"{host}:{port}" if port else host
    log.info("listening", control=str(listen.control), http=http)
    return server


def _watch(
    metrics: Metrics, health: Health, store: Store, dispatch: Dispatch, directory: Path
) -> None:
    """Have the gauges of other parts' state read at each scrape."""
    pool, jobs = dispatch.pool, JobGauges(dispatch, Clock().now)
    metrics.watch("ready", lambda: health.readyz().status == 200)
    metrics.watch("store_pool_connections", store.connections)
    metrics.watch("workers", lambda: {"busy": pool.busy, "idle": pool.idle, "stuck": pool.stuck})
    metrics.watch("queue_length", dispatch.queue_length)
    metrics.watch("queue_waiting", dispatch.waits)
    metrics.watch("job_next_run_timestamp_seconds", jobs.next_runs)
    metrics.watch("job_paused", jobs.paused)
    metrics.watch("job_held", jobs.held)
    metrics.watch("job_stuck", jobs.stuck)
    metrics.watch("job_adaptive_interval_seconds", jobs.intervals)
    metrics.watch("job_expected_interval_seconds", jobs.expected_intervals)
    metrics.watch("disk_free_bytes", lambda: {str(directory): machine.disk_free_bytes(directory)})
    metrics.watch("load_per_cpu", machine.load_per_cpu)
    metrics.watch("memory_available_bytes", machine.memory_available_bytes)
    metrics.watch("records_incomplete", lambda: dispatch.recorder.incomplete_runs)
    metrics.watch("outbox_records", lambda: dispatch.recorder.owed)
