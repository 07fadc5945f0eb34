"""What the checks of database servers make of what they read."""

from dataclasses import replace

import pytest
from doctor_helpers import case

from syncd.config.configuration import Config, Tables
from syncd.config.secrets import parse_secret
from syncd.config.servers import Server
from syncd.context import RunContext
from syncd.doctor import grants, servers
from syncd.doctor.case import Case, LogIn, ServerCase, server_cases
from syncd.doctor.finding import Finding, Lacking, Unknown
from syncd.doctor.side_by_side import Once
from syncd.engines.base import ServerIdentity
from syncd.engines.rights import Rights
from syncd.errors import (
    Authentication,
    BadData,
    ConfigurationError,
    Network,
    Permission,
    SyncdError,
    Throttled,
    TimedOut,
)
from syncd.model.db_account import AccountReading, DbAccount, Unread
from syncd.model.db_size import DatabaseSize, SizeReading
from syncd.model.privilege import Privilege

POSTGRESQL = ServerIdentity("postgresql", "18.1 (Debian 18.1-1)", 'Odd "user"', None)
MARIADB = ServerIdentity("mariadb", "10.11.14-MariaDB-0+deb12u2", "it's@10.0.%", "TLSv1.3")
DENIED = Permission("denied")
READING = AccountReading(
    "postgresql",
    (
        DbAccount("root", "user", True, {}, ("superuser",),
                  (Privilege("server", (), "A"), Privilege("server", (), "B"))),
        DbAccount("app", "user", True, {}, (), ()),
        DbAccount("readers", "role", False, {}, (), ()),
    ),
)  # fmt: skip
SIZES = SizeReading(
    "postgresql", (DatabaseSize("shop", 3 * 2**30), DatabaseSize("b", 2**30)), log_bytes=1
)


class FakeEngine:
    """Answers what it is told, or raises it."""

    def __init__(self, **answers: object) -> None:
        self.answers = {"identify": POSTGRESQL, "accounts": READING, "sizes": SIZES} | answers

    def _answer(self, name: str):
        if isinstance(answer := self.answers[name], Exception):
            raise answer
        return answer

    def identify(self, ctx: RunContext) -> ServerIdentity:
        return self._answer("identify")

    def accounts(self, ctx: RunContext) -> AccountReading:
        return self._answer("accounts")

    def sizes(self, ctx: RunContext, largest_tables: int) -> SizeReading:
        assert largest_tables == 7
        return self._answer("sizes")


def no_rights(name: str) -> Rights:
    raise AssertionError(f"nobody asks for the rights on {name}")


def server(**keys: object) -> Server:
    return Server.model_validate(
        {"engine": "postgresql", "host": "10.0.0.5", "user": "syncd"} | keys
    )


def server_case(config: Server | None = None, **answers: object) -> ServerCase:
    jobs = {"a": {"kind": "db_accounts"}, "s": {"kind": "db_sizes", "largest_tables": 7},
            "off": {"kind": "db_sizes", "largest_tables": 9, "enabled": False}}  # fmt: skip
    tables = Tables.model_validate({"servers": {"db": config or server()}, "jobs": jobs})
    engine = FakeEngine(**answers)
    (made,) = server_cases(Config.of(tables), (), lambda name: engine, no_rights).values()
    return made


def judged(check, **answers: object) -> Finding:
    (finding,) = check(server_case(**answers))
    return finding


def test_who_answers_is_told():
    (finding,) = servers.reachable(server_case(identify=MARIADB))
    assert finding.state == "ok"
    assert finding.found.startswith("MariaDB 10.11.14-MariaDB-0+deb12u2 takes it's@10.0.% in ")


def test_a_slow_log_in_is_told():
    finding = servers.judge_log_in(LogIn(POSTGRESQL, 3.5))
    assert (finding.state, "in 3.5 s" in finding.found) == ("warning", True)


@pytest.mark.parametrize(
    ("error", "state", "advice"),
    [
        (Authentication("password authentication failed"), "failed", "see user and password"),
        (ConfigurationError("file /x is empty"), "failed", "mend the reference in [servers.db]"),
        (Network("SSL error: certificate verify failed"), "failed", "see tls, tls_ca"),
        (Network("could not load private key file"), "failed", "see tls, tls_ca"),
        (Network("connection refused"), "failed", "see host and port in [servers.db]"),
        (TimedOut("no answer within 5 s"), "failed", "see host and port in [servers.db]"),
        (BadData("PostgreSQL 11 is too old"), "failed", "syncd reads PostgreSQL 12"),
        (Throttled("too many connections"), "warning", "see its max_connections"),
        (Permission("no CONNECT"), "failed", "fleet.md"),
    ],
)  # fmt: skip
def test_a_log_in_that_fails_says_what_to_look_at(error, state, advice):
    finding = judged(servers.reachable, identify=error)
    assert (finding.state, finding.found) == (state, str(error))
    assert advice in finding.advice
    for check in (servers.tls, servers.accounts, servers.sizes):
        with pytest.raises(Unknown, match="it does not let us in"):
            judged(check, identify=error)


@pytest.mark.parametrize(
    ("keys", "protocol", "state", "found"),
    [
        ({}, None, "warning", "unencrypted"),
        ({}, None, "warning", "over the network unencrypted"),
        ({"password": "x"}, None, "warning", "unencrypted, and the password may be told to"),
        ({"tls": "disable"}, None, "warning", "unencrypted"),
        ({"host": "127.0.0.1"}, None, "ok", "does not leave this machine"),
        ({"host": "::1", "password": "x"}, None, "ok", "does not leave this machine"),
        ({"host": "localhost"}, None, "ok", "does not leave this machine"),
        ({"host": "/run"}, None, "ok", "does not leave this machine"),
        ({}, "TLSv1.3", "ok", 'certificate is not verified (tls = "prefer")'),
        ({"tls": "verify-ca", "tls_ca": "/ca"}, "TLSv1.2", "ok", "its name is not"),
        ({"tls": "verify-full"}, "TLSv1.3", "ok", "TLSv1.3; the server's certificate and name"),
    ],
)
def test_what_goes_over_the_network_unencrypted_is_told(keys, protocol, state, found):
    who = replace(POSTGRESQL, tls=protocol)
    finding = servers.judge_tls("db", server(**keys), who)
    assert (finding.state, found in finding.found) == (state, True), finding
    assert ("the password" in finding.found) == ("the password" in found)


def test_readings_are_told_in_short():
    accounts, sizes = judged(servers.accounts), judged(servers.sizes)
    assert accounts.state == sizes.state == "ok"
    assert accounts.found.startswith(
        "2 users and 1 role, 1 of them superusers, with 2 privileges, in "
    )
    assert sizes.found.startswith("2 databases of 4.0 GiB, in ")
    blind = judged(servers.sizes, sizes=replace(SIZES, log_bytes=None))
    assert (blind.state, "its logs not seen" in blind.found) == ("ok", True)


def test_what_is_denied_brings_the_statements_that_grant_it():
    unread = tuple(Unread(f"database {n}", DENIED, database=n) for n in ("shop", "a", 'o"dd', "z"))
    finding = judged(servers.accounts, accounts=replace(READING, unread=unread))
    assert finding.state == "warning"
    assert "without database shop (denied)" in finding.found
    assert finding.found.count("denied") == 3
    assert "and 1 more" in finding.found
    user = '"Odd ""user"""'
    assert finding.lacking == Lacking("db", (
        f'GRANT CONNECT ON DATABASE "a" TO {user};',
        f'GRANT CONNECT ON DATABASE "o""dd" TO {user};',
        f'GRANT CONNECT ON DATABASE "shop" TO {user};',
        f'GRANT CONNECT ON DATABASE "z" TO {user};',
    ))  # fmt: skip
    finding = judged(servers.sizes, sizes=replace(SIZES, unread=(("z", DENIED),)))
    assert finding.state == "warning"
    assert finding.lacking.statements == (
        f'GRANT CONNECT ON DATABASE "z" TO {user};', f"GRANT pg_monitor TO {user};"
    )  # fmt: skip


def test_what_is_denied_in_no_database_takes_no_right_to_enter_one():
    unread = (Unread("large objects", DENIED), Unread("database a", DENIED, database="a"))
    finding = judged(servers.accounts, accounts=replace(READING, unread=unread))
    (statement,) = finding.lacking.statements
    assert statement.startswith('GRANT CONNECT ON DATABASE "a" TO ')
    reading = replace(SIZES, unread=(("z", DENIED), ("y", Network("gone"))))
    whole = servers.judge_sizes("db", POSTGRESQL, reading, tables=False)
    assert whole.lacking.statements == ('GRANT pg_monitor TO "Odd ""user""";',)


def test_what_no_grant_mends_brings_none():
    for error in (Network("gone"), TimedOut("late"), BadData("odd")):
        finding = judged(servers.sizes, sizes=replace(SIZES, unread=(("z", error),)))
        assert (finding.state, finding.lacking) == ("warning", None)


def test_statements_are_only_of_the_databases_that_are_denied():
    unread = (
        Unread("database shop", DENIED, database="shop"),
        Unread("database full", Throttled("too many connections"), database="full"),
    )
    finding = judged(servers.accounts, accounts=replace(READING, unread=unread))
    assert [each.split()[4] for each in finding.lacking.statements] == ['"shop"']
    sizes = replace(SIZES, unread=(("z", DENIED), ("full", Throttled("too many connections"))))
    finding = judged(servers.sizes, sizes=sizes)
    assert [each.split()[1] for each in finding.lacking.statements] == ["CONNECT", "pg_monitor"]


def test_users_of_mysql_are_named_with_their_hosts():
    denied = judged(servers.accounts, identify=MARIADB, accounts=DENIED)
    assert (denied.state, denied.found) == ("failed", "denied")
    assert denied.lacking.statements == ("GRANT SELECT ON mysql.* TO 'it''s'@'10.0.%';",)
    assert all(
        each.endswith("TO 'it''s'@'10.0.%';") for each in grants.statements(MARIADB, "db_sizes")
    )


@pytest.mark.parametrize(
    ("error", "state"), [(TimedOut("deadline"), "warning"), (Network("gone"), "failed")]
)
def test_a_reading_that_breaks_off_is_told(error: SyncdError, state):
    for name in ("accounts", "sizes"):
        finding = judged(getattr(servers, name), **{name: error})
        assert (finding.state, str(error) in finding.found) == (state, True)


def test_what_no_job_reads_is_not_read():
    config = Config.of(Tables(servers={"db": server()}))
    (unused,) = server_cases(config, (), lambda name: FakeEngine(), no_rights).values()
    for check in (servers.accounts, servers.sizes):
        (finding,) = check(unused)
        assert finding.state == "skipped"


def test_disabled_servers_and_others_than_asked_for_are_left_out():
    config = Config.of(Tables(servers={"a": server(), "b": server(), "off": server(enabled=False)}))
    assert list(server_cases(config, (), lambda name: FakeEngine(), no_rights)) == ["a", "b"]
    assert list(server_cases(config, ["b"], lambda name: FakeEngine(), no_rights)) == ["b"]


def of(check, made: Case) -> list[Finding]:
    return list(servers.of_servers(check)(made, "db"))


def test_findings_have_their_server_and_nothing_is_asked_offline():
    asked = replace(case(), servers={"db": server_case()})
    assert [finding.subject for finding in of(servers.reachable, asked)] == ["db"]
    own = replace(servers.judge_log_in(LogIn(POSTGRESQL, 0.1)), subject="db: shop")
    assert of(lambda _: iter([own]), asked) == [own]
    with pytest.raises(Unknown, match="--offline"):
        of(servers.reachable, replace(asked, offline=True))


def test_a_password_that_only_the_service_has_is_not_missed():
    secret = parse_secret({"credential": "orders"})
    config = server().model_copy(update={"password": secret})
    held = replace(case(), servers={"db": replace(server_case(), server=config)})
    with pytest.raises(Unknown, match="only be read by the service"):
        of(servers.reachable, held)
    inside = replace(held, environ={"CREDENTIALS_DIRECTORY": "/x"})
    assert [finding.state for finding in of(servers.reachable, inside)] == ["ok"]


def test_a_server_is_logged_in_to_once_for_all_checks():
    made = server_case()
    counted = []
    once = Once(lambda: counted.append(1) or LogIn(POSTGRESQL, 0.1))
    made = replace(made, log_in=once)
    for check in (servers.reachable, servers.tls, servers.accounts, servers.sizes):
        assert list(check(made))
    assert counted == [1]
