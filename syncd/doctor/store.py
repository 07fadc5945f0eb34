"""Checks of the store, by what was found there."""

import ipaddress
from collections.abc import Callable
from typing import Final

from syncd import __version__
from syncd.config.configuration import Config
from syncd.doctor.case import Case
from syncd.doctor.finding import Finding, Unknown, failed, ok, size, some, span, warning
from syncd.errors import SyncdError
from syncd.store.inspection import Schema, StoreFacts

OLDEST, NEWEST = 15, 18
"""Major versions of PostgreSQL that are tested."""

_SLOW: Final = 0.05  # seconds for a round trip
_VERY_SLOW: Final = 1.0
_SAME: Final = 0.05  # seconds
_APART: Final = 2.0  # seconds between two clocks
_FAR_APART: Final = 60.0
_SPARE: Final = 3  # connections for a person


def of_store(judge: Callable[[StoreFacts, Config], Finding]) -> Callable[[Case], Finding]:
    """Return a check that judges what was found in the store."""

    def check(case: Case) -> Finding:
        try:
            facts = case.store()
        except SyncdError as error:
            raise Unknown("the store can't be reached") from error
        return judge(facts, case.config)

    return check


def reachable(case: Case) -> Finding:
    """Connect and ask."""
    try:
        facts = case.store()
    except SyncdError as error:
        advice = (
            "see state_dir/postgresql/log and journalctl -u syncd"
            if case.config.store.embedded
            else "see that the server runs, and that store.dsn names it, its user and its database"
        )
        return failed(str(error), advice)
    return ok(f"connected in {span(facts.connected)}")


def version(facts: StoreFacts, _: Config) -> Finding:
    """Judge the server's version."""
    major, minor = divmod(facts.server.version, 10_000)
    found = f"PostgreSQL {major}.{minor}"
    if major < OLDEST:
        return failed(found, f"upgrade the server to PostgreSQL {OLDEST} to {NEWEST}")
    if major > NEWEST:
        return warning(f"{found}: newer than any that syncd was tested with", "upgrade syncd")
    return ok(found)


def encoding(facts: StoreFacts, _: Config) -> Finding:
    """Judge the encoding of the database."""
    if facts.server.encoding != "UTF8":
        return failed(facts.server.encoding, "use a database made with encoding 'UTF8'")
    return ok("UTF8")


def privileges(facts: StoreFacts, _: Config) -> Finding:
    """Judge what the role may do."""
    server = facts.server
    if not server.usable:
        return failed("the role may not use the schema syncd", "grant usage on schema syncd to it")
    if server.lacking:
        return failed(
            f"tables that can't be read and written: {some(server.lacking)}",
            "grant select, insert, update, delete on all tables in schema syncd to the role",
        )
    if facts.schema and facts.schema.applied == 0 and not server.can_create:
        return failed("the role may not make the schema", "grant create on database to the role")
    if server.foreign:
        return warning(
            f"the next migration can't alter tables of another owner: {some(server.foreign)}",
            "run syncd migrate as their owner when you upgrade, or change their owner",
        )
    return ok("the role may do all that is needed")


def migrations(facts: StoreFacts, _: Config) -> Finding:
    """Judge the schema."""
    schema = facts.schema
    if schema is None:
        raise Unknown("the role may not look at them")
    if schema.too_new:
        return failed(
            f"the store needs syncd {schema.too_new} or later, and this is {__version__}",
            "install the newer version again, or restore a backup from before its migration",
        )
    if schema.changed:
        return failed(
            f"applied, but not as this program has them: {some(schema.changed)}",
            "the schema can't be trusted: restore a backup, or find out who changed it",
        )
    return _state(schema)


def _state(schema: Schema) -> Finding:
    if schema.pending:
        advice = "restart the daemon, which applies them, or run syncd migrate"
        return warning(f"not applied yet: {some(schema.pending)}", advice)
    if schema.unknown:
        advice = "install the newer version again when you can; this one works with them"
        return warning(f"applied by a newer program: {some(schema.unknown)}", advice)
    return ok(f"all {schema.applied} applied")


def latency(facts: StoreFacts, _: Config) -> Finding:
    """Judge how long a round trip takes."""
    took = "less than 1 ms" if facts.latency < 0.001 else span(facts.latency)
    found = f"{took} for a round trip"
    if facts.latency > _SLOW:
        grave = "; runs will be slow" if facts.latency > _VERY_SLOW else ""
        return warning(found + grave, "move the store closer, or look for what keeps it busy")
    return ok(found)


def connections(facts: StoreFacts, config: Config) -> Finding:
    """Judge whether there is room for our pool."""
    server = facts.server
    left = server.max_connections - server.reserved - server.used
    found = f"{server.used} of {server.max_connections} in use, {max(left, 0)} left"
    advice = "raise max_connections of the server, lower store.pool_max, or end other clients"
    if left < _SPARE:
        return failed(found, advice)
    if left < config.store.pool_max and server.used + left < 2 * config.store.pool_max:
        return warning(f"{found}, and store.pool_max is {config.store.pool_max}", advice)
    return ok(found)


def clock(facts: StoreFacts, _: Config) -> Finding:
    """Judge how far the store's clock is from ours."""
    apart = abs(facts.clock_ahead)
    way = "before" if facts.clock_ahead > 0 else "behind"
    found = f"the store's is {span(apart)} {way} this machine's"
    if apart < _SAME:
        return ok("the store's shows the same")
    advice = "synchronise both machines (systemd-timesyncd, chrony)"
    if apart > _FAR_APART:
        return failed(found, advice)
    return warning(found, advice) if apart > _APART else ok(found)


def database_size(facts: StoreFacts, _: Config) -> Finding:
    """Tell how large the database is."""
    return ok(size(facts.server.size))


def transport(facts: StoreFacts, _: Config) -> Finding:
    """Judge who could listen to what the store is told."""
    link = facts.link
    if link.socket:
        return ok("a Unix socket")
    if link.tls:
        return ok(f"{link.tls} to {link.host}")
    if _is_loopback(link.host):
        return ok(f"{link.host}, this machine itself")
    return warning(
        f"not encrypted on its way to {link.host}",
        "let the server offer TLS, and add sslmode=verify-full to store.dsn",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checksums(facts: StoreFacts, _: Config) -> Finding:
    """Judge whether damage on the disk would be noticed."""
    if facts.server.checksums != "on":
        return warning("off: damage on the disk is not noticed", "pg_checksums --enable, stopped")
    return ok("on")
