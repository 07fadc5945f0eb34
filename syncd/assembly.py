"""From a configuration to the parts it asks for: the store, the accounts, the jobs to be run."""

import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from syncd.calls.clients import Clients
from syncd.calls.login import Login
from syncd.calls.tokens import JobTokens, Tokens
from syncd.config import jobs as config_jobs
from syncd.config import secrets
from syncd.config.configuration import Config, digest
from syncd.config.job import Sources
from syncd.config.schema import Account
from syncd.config.servers import Server
from syncd.context import Clock
from syncd.dispatch.gates import Limits
from syncd.dispatch.spec import JobSpec
from syncd.engines import registry as engines
from syncd.engines.base import ServerAccess, Tls
from syncd.errors import ConfigurationError
from syncd.http_client import HttpClient
from syncd.jobs import registry
from syncd.jobs.accounts import CloudAccount
from syncd.jobs.backup import BackupSettings
from syncd.jobs.base import Job
from syncd.jobs.retention import RetentionSettings
from syncd.model.holder import token_holder
from syncd.providers import registry as providers
from syncd.providers.base import AccountAccess, Provider
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.resources import Managed
from syncd.telemetry.logging import get_logger
from syncd.telemetry.run_logs import RunLogs

ApiObserver = Callable[[str, str, str, float], None]
"""Hears of each call: provider, API, outcome, seconds."""


def unobserved(provider: str, api: str, outcome: str, seconds: float) -> None:
    """Hear of a call and keep it to oneself."""


class Accounts:
    """The accounts' providers: kept from run to run, with their connections and limiters."""

    def __init__(self, store: Store, observe: ApiObserver, fingerprint_key: bytes) -> None:
        self._store, self._observe, self._key = store, observe, fingerprint_key
        self._providers: dict[tuple[str, str, str, float], Provider] = {}
        self._lock = threading.Lock()  # two runs that begin at once must share one limiter

    def open(self, name: str, account: Account, api_timeout: float) -> CloudAccount:
        """Return an account, its provider made anew only when its configuration or key differ."""
        key_id = secrets.resolve(account.access_key_id).get_secret_value()
        key = (name, digest(account), key_id, api_timeout)
        with self._lock:
            if key not in self._providers:
                self._providers = {
                    k: p for k, p in self._providers.items() if k[0] != name or k[3] != api_timeout
                }
                self._providers[key] = self._build(name, account, key_id, api_timeout)
            provider = self._providers[key]
        return CloudAccount(
            name=name,
            provider_name=account.provider,
            provider=provider,
            key_id=key_id,
            regions=None if account.regions == "all" else account.regions,
            excluded=account.exclude_regions,
            store=self._store,
        )

    def fingerprints(self, accounts: Mapping[str, Account]) -> dict[str, str]:
        """Return what tells the accounts' credentials apart, as they can be read now.

        It is a hash under the key of this state directory, so that it gives nothing away where it
        is stored. An account whose secrets can't be read is left out.
        """
        found: dict[str, str] = {}
        for name, account in accounts.items():
            try:
                key_id, secret = map(
                    secrets.resolve, (account.access_key_id, account.access_key_secret)
                )
            except ConfigurationError:
                continue
            text = f"{key_id.get_secret_value()}\0{secret.get_secret_value()}"
            found[name] = hmac.digest(self._key, text.encode(), hashlib.sha256).hex()[:16]
        return found

    def _build(self, name: str, account: Account, key_id: str, api_timeout: float) -> Provider:
        return providers.build(
            access_of(name, account, key_id, api_timeout),
            HttpClient(account.proxy),
            observe=lambda api, outcome, seconds: self._observe(
                account.provider, api, outcome, seconds
            ),
        )


def access_of(name: str, account: Account, key_id: str, api_timeout: float) -> AccountAccess:
    """Return how an account is reached; its secret is read at each call."""
    return AccountAccess(
        name=name,
        provider=account.provider,
        key_id=key_id,
        key_secret=lambda: secrets.resolve(account.access_key_secret).get_secret_value(),
        endpoint=account.endpoint,
        proxy=account.proxy,
        requests_per_second=account.requests_per_second,
        api_timeout=api_timeout,
    )


def server_access(name: str, server: Server) -> ServerAccess:
    """Return how a database server is reached; its password is read at each connect."""
    password = server.password
    return ServerAccess(
        name=name,
        engine=server.engine,
        host=server.host,
        port=server.port_number,
        user=server.user or "",
        password=lambda: secrets.resolve(password).get_secret_value() if password else None,
        database=server.database,
        tls=Tls(server.tls, server.tls_ca, server.tls_cert, server.tls_key),
        connect_timeout=server.connect_timeout.total_seconds(),
        statement_timeout=server.statement_timeout.total_seconds(),
        options=server.options,
        excluded=frozenset(server.exclude_databases),
        commands_per_second=server.commands_per_second,
    )


@dataclass(frozen=True, slots=True)
class Recipe:
    """Makes a job anew for each attempt, of a configuration that another process can have too."""

    config: Config
    name: str
    services: registry.Services

    def __call__(self) -> Job[Any]:
        """Make the job."""
        return registry.build(self.config.jobs[self.name], self.services)


def open_tokens(state_dir: Path | None, fingerprint_key: bytes, observe: ApiObserver) -> Tokens:
    """Return the tokens of this process; without a state directory they are in memory alone."""
    folder = state_dir / "tokens" if state_dir else None
    fetch = Login(Clients(), Clock())
    return Tokens(folder, fingerprint_key, fetch, observe, Clock(), get_logger())


def job_specs(
    config: Config,
    store: Store,
    accounts: Accounts,
    tokens: Tokens,
    observe: ApiObserver = unobserved,
) -> dict[str, JobSpec]:
    """Return the enabled jobs of a configuration; `observe` hears of the HTTP calls of jobs."""
    clients = Clients()
    return {
        name: _spec(config, name, store, accounts, tokens, clients, observe)
        for name in config.enabled_jobs()
    }


def _spec(
    config: Config, name: str, store: Store, accounts: Accounts, tokens: Tokens, clients: Clients,
    observe: ApiObserver,
) -> JobSpec:  # fmt: skip
    """Return one job; it is built from this configuration at each attempt."""
    job = config.jobs[name]
    services = registry.Services(
        store,
        Sources(config.accounts, config.servers, config.tokens),
        lambda account: accounts.open(
            account, config.account(account), job.api_timeout.total_seconds()
        ),
        engine=lambda server: engines.build(server_access(server, config.server(server))),
        tables=lambda server: engines.tables(server_access(server, config.server(server))),
        side=lambda server: engines.sides(server_access(server, config.server(server))),
        retention=retention_settings(config),
        backup=backup_settings(config),
        tokens=JobTokens(
            tokens, config.tokens, config.http.allow_hosts, job.api_timeout.total_seconds()
        ),
        clients=clients,
        called=partial(observe, "http", name),
    )
    used = {each: config.account(each) for each in job.enabled_accounts(config.accounts)}
    carried = {each: config.token(each) for each in job.enabled_tokens()}
    return JobSpec(
        name=name,
        kind=job.kind,
        schedule=job.schedule_text,
        rhythm=job.rhythm,
        fixed_rate=job.fixed_rate,
        trigger_from=partial(job.trigger, name) if job.schedule_text else None,
        catch_up=job.catch_up,
        catch_up_window=job.catch_up_window,
        timeout=job.timeout,
        retries=job.retries,
        parallel=job.max_concurrent_items,
        config_digest=config.digest,
        build=Recipe(config, name, services),
        priority=job.priority,
        overlap=job.overlap,
        start_deadline=job.start_deadline,
        interruptible=job.gives_way,
        isolation=job.isolation,
        accounts=tuple(used),
        servers=job.enabled_servers(config.servers),
        closed_until=job.closed_until,
        adaptive=job.change_rate,
        fingerprints=lambda: accounts.fingerprints(used) | tokens.fingerprints(carried),
        upkeep=job.upkeep,
        tokens=tuple(map(token_holder, carried)),
        tables=job.items,
        logged_in=partial(tokens.logged_in, tuple(carried)),
    )


def retention_settings(config: Config) -> RetentionSettings:
    """Return how long records are kept: the keys of [retention] are the targets of the job."""
    return RetentionSettings(
        keep=dict(config.retention),
        jobs=tuple(config.jobs),
        logs=RunLogs(Path(config.daemon.state_dir)),
    )


def backup_settings(config: Config) -> BackupSettings:
    """Return where dumps of the embedded store go, and how many are kept."""
    return BackupSettings(
        state_dir=Path(config.daemon.state_dir),
        keep=config.backup.keep,
        spare=config.daemon.min_free_disk,
    )


def limits(config: Config) -> Limits:
    """Return how much may happen at once."""
    daemon = config.daemon
    return Limits(
        runs=daemon.max_concurrent_runs,
        per_account=daemon.max_per_account,
        per_server=daemon.max_per_server,
        load=daemon.load_limit,
        free_disk=daemon.min_free_disk,
    )


def managed(config: Config) -> list[Managed]:
    """Return what the enabled jobs look after."""
    return [each for name in config.enabled_jobs() for each in _managed_by(config, name)]


def _managed_by(config: Config, name: str) -> list[Managed]:
    """Return what a job looks after: resources of accounts, or accounts or sizes of servers."""
    job = config.jobs[name]
    if isinstance(job, config_jobs.DbAccountsJob | config_jobs.DbSizesJob):
        kind = "db_account" if isinstance(job, config_jobs.DbAccountsJob) else "db_size"
        servers = job.enabled_servers(config.servers)
        return [Managed(name, server, kind, None, []) for server in servers]
    if not isinstance(job, config_jobs.CloudJob):
        return []
    return [
        Managed(
            name, account, kind,
            None if (of := config.account(account)).regions == "all" else list(of.regions),
            list(of.exclude_regions),
        )
        for account in job.enabled_accounts(config.accounts)
        for kind in job.resources
    ]  # fmt: skip


def embedded_server(config: Config) -> EmbeddedPostgres | None:
    """Return the embedded server of a configuration that asks for one."""
    if not config.store.embedded:
        return None
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # systemd.exec(5)
    return EmbeddedPostgres(Path(config.daemon.state_dir), Path(runtime) if runtime else None)


def open_store(config: Config, dsn: str, session: str = "") -> Store:
    """Return the store behind a DSN, its pool started; its connections have the session's name."""
    settings = config.store
    store = Store(
        dsn,
        pool_min=settings.pool_min,
        pool_max=settings.pool_max,
        pool_idle=settings.pool_idle,
        connect_timeout=settings.connect_timeout,
        session=session,
    )
    store.open()
    return store
