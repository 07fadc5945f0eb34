"""The job kinds that exist: from a job of the configuration to what the dispatch runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from syncd.calls.clients import Clients
from syncd.calls.sending import Means
from syncd.calls.tokens import JobTokens
from syncd.config import job as config_job
from syncd.config import jobs as config
from syncd.config.consistency_check import ConsistencyCheckJob as ConsistencyCheckKeys
from syncd.config.copy_rules import check_rules, copy_rules
from syncd.config.job import Sources
from syncd.config.table_copy import TableCopyJob as TableCopyKeys
from syncd.context import Clock
from syncd.engines.base import Engine
from syncd.engines.sides import Sides
from syncd.engines.tables import Tables
from syncd.errors import ConfigurationError
from syncd.jobs.accounts import CloudAccount
from syncd.jobs.backup import BackupJob, BackupSettings
from syncd.jobs.base import Job
from syncd.jobs.cloud import CloudJob, CloudSettings
from syncd.jobs.consistency_check import ConsistencyCheckJob, ConsistencyCheckSettings
from syncd.jobs.db_accounts import DbAccountsJob, DbAccountsSettings
from syncd.jobs.db_sizes import DbSizesJob, DbSizesSettings
from syncd.jobs.http import HttpJob, HttpSettings
from syncd.jobs.retention import RetentionJob, RetentionSettings
from syncd.jobs.size_rollups import SizeRollupsJob, SizeRollupsSettings
from syncd.jobs.table_copy import TableCopyJob, TableCopySettings
from syncd.model.deletion import DeletionPolicy
from syncd.store.database import Store


@dataclass(frozen=True, slots=True)
class Services:
    """What jobs are built with.

    `account` opens an enabled account of the configuration; raises ConfigurationError when one of
    its secrets can't be read. `engine`, `tables` and `side` give an enabled server's, which read
    its secret when they connect. `tokens` logs in where a call needs a token, `clients` are those
    of HTTP calls, and `called` hears of each: its outcome and its seconds.
    """

    store: Store
    configured: Sources
    account: Callable[[str], CloudAccount]
    engine: Callable[[str], Engine]
    tables: Callable[[str], Tables]
    side: Callable[[str], Sides]
    retention: RetentionSettings
    backup: BackupSettings
    tokens: JobTokens
    clients: Clients
    called: Callable[[str, float], None]


def build(job: config_job.Job, services: Services) -> Job[Any]:
    """Build what runs a job of the configuration."""
    if job.kind not in _KINDS:
        raise ConfigurationError(f"jobs of kind {job.kind} can't be run by this version")
    return _KINDS[job.kind](job, services)


def _cloud(job: config_job.Job, services: Services) -> CloudJob:
    """Build a `cloud` job; an account that can't be opened does not stop the others."""
    of_job = cast(config.CloudJob, job)
    accounts: dict[str, CloudAccount] = {}
    problems: dict[str, ConfigurationError] = {}
    for name in of_job.enabled_accounts(services.configured.accounts):
        try:
            accounts[name] = services.account(name)
        except ConfigurationError as error:
            problems[name] = error
    policy = DeletionPolicy(
        after_runs=of_job.delete_after_runs,
        after=of_job.delete_after,
        max_percent=of_job.max_delete_percent,
        max_count=of_job.max_delete_count,
    )
    settings = CloudSettings(
        accounts, problems, of_job.resources, of_job.group or None, policy, of_job.max_errors
    )
    return CloudJob(services.store, settings)


def _db_accounts(job: config_job.Job, services: Services) -> DbAccountsJob:
    """Build a `db_accounts` job."""
    of_job = cast(config.DbAccountsJob, job)
    servers = {
        name: services.configured.servers[name]
        for name in of_job.enabled_servers(services.configured.servers)
    }
    policy = DeletionPolicy(
        max_percent=of_job.max_delete_percent, max_count=of_job.max_delete_count
    )
    settings = DbAccountsSettings(
        {name: partial(services.engine, name) for name in servers},
        {name: frozenset(server.exclude_databases) for name, server in servers.items()},
        policy,
    )
    return DbAccountsJob(services.store, settings)


def _db_sizes(job: config_job.Job, services: Services) -> DbSizesJob:
    """Build a `db_sizes` job."""
    of_job = cast(config.DbSizesJob, job)
    servers = services.configured.servers
    settings = DbSizesSettings(
        servers={name: servers[name].exclude_databases for name in of_job.enabled_servers(servers)},
        engine=services.engine,
        largest_tables=of_job.largest_tables,
        zone=ZoneInfo(of_job.timezone),
    )
    return DbSizesJob(services.store, settings, Clock())


def _size_rollups(job: config_job.Job, services: Services) -> SizeRollupsJob:
    """Build a `size_rollups` job; a server that is disabled keeps its capacity."""
    servers = services.configured.servers.items()
    capacities = {name: server.capacity for name, server in servers if server.capacity}
    return SizeRollupsJob(SizeRollupsSettings(ZoneInfo(job.timezone), capacities), Clock())


def _http(job: config_job.Job, services: Services) -> HttpJob:
    """Build a `http` job."""
    of_job, tokens = cast(config.HttpJob, job), services.tokens
    means = Means(
        services.clients, tokens, tokens.allow_hosts, tokens.request_timeout, services.called
    )
    settings = HttpSettings(of_job.steps, means, ZoneInfo(of_job.timezone))
    return HttpJob(services.store, settings, Clock())


def _table_copy(job: config_job.Job, services: Services) -> TableCopyJob:
    """Build a `table_copy` job; with one of its servers disabled it copies nothing."""
    of_job, configured = cast(TableCopyKeys, job), services.configured
    rules = copy_rules(of_job, configured.servers) if of_job.has_targets(configured) else ()
    return TableCopyJob(services.store, TableCopySettings(rules, services.tables), Clock())


def _consistency_check(job: config_job.Job, services: Services) -> ConsistencyCheckJob:
    """Build a `consistency_check` job; with one of its servers disabled it compares nothing."""
    of_job, configured = cast(ConsistencyCheckKeys, job), services.configured
    rules = check_rules(of_job, configured.servers) if of_job.has_targets(configured) else ()
    copied = copy_rules(of_job.copied, configured.servers) if of_job.copied else ()
    settings = ConsistencyCheckSettings(
        rules, services.side, {each.name: each for each in copied}, services.tables
    )
    return ConsistencyCheckJob(services.store, settings, Clock())


def _retention(job: config_job.Job, services: Services) -> RetentionJob:  # noqa: ARG001 - has no keys
    """Build a `retention` job."""
    return RetentionJob(services.store, services.retention, Clock())


def _backup(job: config_job.Job, services: Services) -> BackupJob:  # noqa: ARG001 - has no keys
    """Build a `backup` job."""
    return BackupJob(services.store, services.backup, Clock())


_KINDS: Final[Mapping[str, Callable[[config_job.Job, Services], Job[Any]]]] = {
    "cloud": _cloud,
    "db_accounts": _db_accounts,
    "db_sizes": _db_sizes,
    "size_rollups": _size_rollups,
    "http": _http,
    "table_copy": _table_copy,
    "consistency_check": _consistency_check,
    "retention": _retention,
    "backup": _backup,
}
