"""Checks of the database servers: whether they let us in, and show all that the jobs read.

Nothing here changes anything: the sessions are read-only, and read what a run reads.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from syncd.config.servers import Server
from syncd.doctor import grants
from syncd.doctor.case import Case, LogIn, ServerCase, context
from syncd.doctor.finding import (
    Finding,
    Lacking,
    Unknown,
    failed,
    many,
    ok,
    size,
    skipped,
    some,
    span,
    warning,
)
from syncd.engines.base import ServerIdentity
from syncd.errors import (
    Authentication,
    BadData,
    ConfigurationError,
    Permission,
    SyncdError,
    Throttled,
    TimedOut,
    describe,
)
from syncd.model.db_account import AccountReading
from syncd.model.db_size import SizeReading

READ_LIMIT: Final = 20.0
"""Seconds for what a run may take many minutes for."""
LIMIT: Final = 35.0
"""Seconds for reading and logging in before."""
_OF_TLS: Final = ("certificate", "private key", "SSL", "TLS")
"""Words by which a refused log-in tells that encryption is what was wrong with it."""
_SLOW: Final = 2.0  # seconds for a log-in
_NAMES: Final = {
    "postgresql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "redis": "Redis",
}

OfServer = Callable[[ServerCase], Iterator[Finding]]


def of_servers(check: OfServer) -> Callable[[Case, str], Iterator[Finding]]:
    """Return a check of one server, by name, that gives each finding the server as subject."""

    def run(case: Case, name: str) -> Iterator[Finding]:
        server = case.servers[name]
        if case.offline:
            raise Unknown("not asked, for --offline")
        if (password := server.server.password) and case.unknowable(password):
            raise Unknown("its password can only be read by the service, and no daemon answers")
        for finding in check(server):
            yield replace(finding, subject=finding.subject or name)

    return run


def reachable(server: ServerCase) -> Iterator[Finding]:
    """Log in, and ask who answers."""
    try:
        yield judge_log_in(server.log_in())
    except SyncdError as error:
        yield refusal(error, server.name)


def judge_log_in(found: LogIn) -> Finding:
    """Judge how long it took to get in."""
    who = found.identity
    told = f"{_NAMES[who.engine]} {who.version} takes {who.user} in {span(found.seconds)}"
    slow = found.seconds > _SLOW
    advice = "see the network's way to it, its load, and its look-up of our name"
    return warning(told, advice) if slow else ok(told)


def refusal(error: SyncdError, name: str) -> Finding:
    """Say what to do about a log-in that failed."""
    table, told = f"[servers.{name}]", describe(error)
    match error:
        case ConfigurationError():
            advice = f"mend the reference in {table}"
        case _ if any(word in told for word in _OF_TLS):
            advice = (
                f"see tls, tls_ca and the client's certificate in {table}, and that the"
                " certificate of the server names its host"
            )
        case Authentication():
            advice = (
                f"see user and password in {table}, and from where the server lets the user in"
                " (pg_hba.conf, the host of user@host, or the ACL of Redis)"
            )
        case Permission():
            advice = "let the user connect to it: fleet.md of the documentation has the statements"
        case BadData():
            advice = (
                f"see engine and database in {table}; syncd reads PostgreSQL 12, MySQL 5.7,"
                " MariaDB 10.5, Redis 4 and later ones"
            )
        case Throttled():
            return warning(told, "it has no connection left: see its max_connections")
        case _:
            advice = f"see host and port in {table}, the firewalls, and where the server listens"
    return failed(told, advice)


def tls(server: ServerCase) -> Iterator[Finding]:
    """Judge whether somebody in between could read, or pretend to be the server."""
    yield judge_tls(server.name, server.server, _logged_in(server).identity)


def judge_tls(name: str, server: Server, who: ServerIdentity) -> Finding:
    """Judge how a connection is encrypted, against how far it goes."""
    if server.local or _loopback(server.host):
        return ok(f"{who.tls or 'none'}, and it does not leave this machine")
    if who.tls is None:
        told = "none: what is read goes over the network unencrypted"
        told += ", and the password may be told to who listens" if server.password else ""
        advice = f'have the server offer TLS, and put tls = "verify-full" into [servers.{name}]'
        return warning(told, advice)
    if server.tls == "verify-full":
        return ok(f"{who.tls}; the server's certificate and name are verified")
    if server.tls == "verify-ca":
        return ok(f"{who.tls}; the server's certificate is verified, its name is not")
    return ok(f'{who.tls}; the server\'s certificate is not verified (tls = "{server.tls}")')


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def accounts(server: ServerCase) -> Iterator[Finding]:
    """Read the accounts as a run of `db_accounts` does."""
    yield from _read(server, "db_accounts", lambda: judge_accounts(
        server.name, _logged_in(server).identity, server.engine().accounts(context(READ_LIMIT))
    ))  # fmt: skip


def sizes(server: ServerCase) -> Iterator[Finding]:
    """Read the sizes as a run of `db_sizes` does."""
    tables = server.largest_tables
    yield from _read(server, "db_sizes", lambda: judge_sizes(
        server.name, _logged_in(server).identity,
        server.engine().sizes(context(READ_LIMIT), tables), tables=tables > 0,
    ))  # fmt: skip


def _read(server: ServerCase, kind: str, judge: Callable[[], Finding]) -> Iterator[Finding]:
    """Read what a kind of job reads, and judge that, or what kept us from it."""
    if not server.server.has_accounts:
        yield skipped("a redis is looked at by consistency checks alone")
        return
    if kind not in server.kinds:
        yield skipped(f"no enabled job of kind {kind} looks at it")
        return
    who, began = _logged_in(server).identity, time.monotonic()
    try:
        finding = judge()
    except TimedOut as error:
        advice = "a run has more time: see its duration in syncd runs"
        yield warning(f"not all within {span(READ_LIMIT)}: {describe(error)}", advice)
    except Permission as error:
        lacking = Lacking(server.name, grants.statements(who, kind))
        yield replace(failed(describe(error), "grant what is below"), lacking=lacking)
    except SyncdError as error:
        yield failed(describe(error), "a run that meets the same fails for this server alone")
    else:
        yield replace(finding, found=f"{finding.found}, in {span(time.monotonic() - began)}")


def _logged_in(server: ServerCase) -> LogIn:
    try:
        return server.log_in()
    except SyncdError as error:
        raise Unknown("it does not let us in") from error


def judge_accounts(name: str, who: ServerIdentity, reading: AccountReading) -> Finding:
    """Judge a reading of accounts by what it lacks."""
    users = sum(account.kind == "user" for account in reading.accounts)
    supers = sum("superuser" in account.capabilities for account in reading.accounts)
    privileges = sum(len(account.privileges) for account in reading.accounts)
    told = (
        f"{many(users, 'user')} and {many(len(reading.accounts) - users, 'role')},"
        f" {supers} of them superusers, with {many(privileges, 'privilege')}"
    )
    unread = [(each.part, each.error) for each in reading.unread]
    denied = [each.database for each in reading.unread if isinstance(each.error, Permission)]
    databases = sorted({database for database in denied if database})
    return _judge_unread(
        told, unread, Lacking(name, grants.statements(who, "db_accounts", databases))
    )


def judge_sizes(name: str, who: ServerIdentity, reading: SizeReading, *, tables: bool) -> Finding:
    """Judge a reading of sizes by what it lacks."""
    total = sum(database.size_bytes for database in reading.databases)
    told = f"{many(len(reading.databases), 'database')} of {size(total)}"
    told += "" if reading.log_bytes is not None else ", its logs not seen"
    unread = [(f"database {database}", error) for database, error in reading.unread]
    denied = [name for name, error in reading.unread if isinstance(error, Permission)]
    databases = denied if tables else []
    return _judge_unread(told, unread, Lacking(name, grants.statements(who, "db_sizes", databases)))


def _judge_unread(told: str, unread: Sequence[tuple[str, SyncdError]], lacking: Lacking) -> Finding:
    """Judge what could not be read; only what is denied can be granted."""
    if not unread:
        return ok(told)
    parts = some([f"{part} ({describe(error)})" for part, error in unread], 3)
    found = f"{told}, without {parts}"
    if not any(isinstance(error, Permission) for _, error in unread):
        return warning(found, "what was known of it stays; see the messages")
    advice = "grant what is below; until then what was known of it stays"
    return replace(warning(found, advice), lacking=lacking)
