"""The checks that exist: a function and a line here make one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from syncd.doctor import (
    accounts,
    channels,
    clock,
    configuration,
    daemon,
    disk,
    embedded,
    endpoints,
    jobs,
    machine,
    servers,
    store,
    tables,
    tokens,
)
from syncd.doctor.case import Case
from syncd.doctor.finding import Finding

Examine = Callable[[Case, str], Finding | Iterable[Finding]]

_LIMIT: Final = 12.0


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its name, `group.what`; it is made for each of its subjects, by default for one.

    `limit` is in seconds.
    """

    name: str
    examine: Examine
    subjects: Callable[[Case], Sequence[str]]
    limit: float = _LIMIT


def _one(name: str, examine: Callable[[Case], Finding | Iterable[Finding]]) -> Check:
    return Check(name, lambda case, _: examine(case), lambda _: [""])


def _store(name: str, judge: Callable[..., Finding]) -> Check:
    return _one(name, store.of_store(judge))


def _account(name: str, examine: Examine, limit: float = _LIMIT) -> Check:
    return Check(name, examine, lambda case: list(case.accounts), limit)


def _server(name: str, check: servers.OfServer, limit: float = _LIMIT) -> Check:
    return Check(name, servers.of_servers(check), lambda case: list(case.servers), limit)


def _token(name: str, examine: Examine) -> Check:
    return Check(name, examine, lambda case: list(case.tokens))


def _endpoint(name: str, examine: Examine) -> Check:
    return Check(name, examine, endpoints.names)


def _channel(name: str, check: channels.OfChannel) -> Check:
    return Check(name, channels.of_channels(check), channels.names)


CHECKS: Final = (
    _one("configuration.valid", configuration.valid),
    _one("configuration.warnings", configuration.warnings),
    _one("configuration.files", configuration.files),
    _one("configuration.secrets", configuration.references),
    _one("daemon.answers", daemon.answers),
    _one("daemon.version", daemon.version),
    _one("daemon.health", daemon.health),
    _one("daemon.reload", daemon.reload),
    _one("daemon.workers", daemon.workers),
    _one("daemon.watchdog", daemon.watchdog),
    _one("store.reachable", store.reachable),
    _store("store.version", store.version),
    _store("store.encoding", store.encoding),
    _store("store.privileges", store.privileges),
    _store("store.migrations", store.migrations),
    _store("store.latency", store.latency),
    _store("store.connections", store.connections),
    _store("store.clock", store.clock),
    _store("store.size", store.database_size),
    _store("store.transport", store.transport),
    _store("store.checksums", store.checksums),
    _one("store.directory", embedded.directory),
    _one("store.crashes", embedded.crash),
    _one("disk.space", disk.space),
    _one("disk.inodes", disk.inodes),
    _one("disk.writable", disk.writable),
    _one("disk.outbox", disk.outbox),
    _one("disk.backups", disk.backups),
    _one("disk.logs", disk.logs),
    _one("clock.synchronised", clock.synchronised),
    _one("clock.zones", clock.zones),
    _one("clock.boot", clock.boot),
    _one("machine.memory", machine.memory),
    _one("machine.files", machine.files),
    _one("machine.load", machine.load),
    _account("accounts.endpoint", accounts.of_accounts(accounts.endpoint)),
    _account("accounts.clock", accounts.of_accounts(accounts.clock)),
    _account("accounts.credentials", accounts.of_accounts(accounts.credentials)),
    _account("accounts.regions", accounts.of_accounts(accounts.regions)),
    _account(
        "accounts.permissions",
        accounts.of_accounts(accounts.permissions),
        accounts.PERMISSIONS_LIMIT,
    ),
    _account("accounts.held", accounts.held),
    _server("servers.reachable", servers.reachable),
    _server("servers.tls", servers.tls),
    _server("servers.accounts", servers.accounts, servers.LIMIT),
    _server("servers.sizes", servers.sizes, servers.LIMIT),
    _server("servers.sources", tables.sources, tables.LIMIT),
    _server("servers.targets", tables.targets, tables.LIMIT),
    _token("tokens.obtained", tokens.obtained),
    _token("tokens.held", tokens.held),
    _endpoint("endpoints.allowed", endpoints.allowed),
    _endpoint("endpoints.reachable", endpoints.of_endpoints(endpoints.reachable)),
    _endpoint("endpoints.tls", endpoints.of_endpoints(endpoints.tls)),
    _channel("notify.reachable", channels.reachable),
    _channel("notify.encrypted", channels.encrypted),
    _one("jobs.success", jobs.success),
    _one("jobs.paused", jobs.pauses),
    _one("jobs.held", jobs.holds),
)
