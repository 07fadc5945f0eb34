"""What the doctor says of servers whose tables are copied, of users with too few rights."""

from collections.abc import Iterator

import pytest

from syncd.config.configuration import Config, Tables
from syncd.doctor import tables
from syncd.doctor.case import ServerCase, server_cases
from syncd.doctor.finding import Finding
from syncd.engines import registry
from syncd.engines.base import ServerAccess

HEAVY = "insert into shop.{} select n, now(), repeat('x', 900) from {} limit 10000"
COPY = {
    "kind": "table_copy", "mode": "incremental", "watermark": "at", "delete": "hard",
    "source": {"server": "db", "schema": "shop", "tables": ["orders"]},
    "target": {"server": "db", "schema": "house"},
}  # fmt: skip


class Examined:
    """A server with a user of few rights, as the doctor looks at it."""

    def __init__(self, server, execute, rows, user, quoted) -> None:
        self.server, self.execute, self.rows = server, execute, rows
        self.user, self.quoted = user, quoted

    def case(self, job) -> ServerCase:
        told = {"engine": self.server.engine, "host": self.server.host, "port": self.server.port,
                "user": "syncd"}  # fmt: skip
        if self.server.engine == "postgresql":
            told["database"] = self.server.database
        jobs = {"copy": job, "other": COPY | {"enabled": False}}
        config = Config.of(Tables.model_validate({"servers": {"db": told}, "jobs": jobs}))
        made = server_cases(
            config,
            [],
            lambda _: registry.build(self.server),
            lambda _: registry.rights(self.server),
        )
        return made["db"]

    def sources(self, **changed) -> list[Finding]:
        job = COPY | changed
        return list(tables.sources(self.case(job)))

    def targets(self, **changed) -> list[Finding]:
        return list(tables.targets(self.case(COPY | changed)))

    def grant(self, findings) -> list[str]:
        """Grant all that is said to be missing; return it."""
        statements = [s for each in findings if each.lacking for s in each.lacking.statements]
        if statements:
            self.execute(*statements)
        return [s.replace(self.user, "USER") for s in statements]


@pytest.fixture
def postgresql(private_servers) -> Iterator[Examined]:
    server = private_servers.of("18")
    with server.database() as name, server.roles(server.unique("few"), options="login") as (role,):

        def execute(*statements):
            server.execute(*statements, database=name)

        execute("create schema shop", "create table shop.orders (id int primary key, at"
                " timestamptz, note text)", HEAVY.format("orders", "generate_series(1, 10000) n"),
                f"revoke temporary on database {name} from public")  # fmt: skip
        access = server.access(user=role, database=name)
        yield Examined(access, execute, lambda q: server.rows(q, name), f'"{role}"', f'"{name}"')
        execute(f"drop owned by {role}")


@pytest.fixture
def mysql(mariadb) -> Iterator[Examined]:
    mariadb.execute(
        "create database shop", "create user few@'127.0.0.1'",
        "create table shop.orders (id int primary key, at datetime, note text)",
        HEAVY.format("orders", "(select seq as n from shop.seq_1_to_10000) s"),
        "analyze table shop.orders",
    )  # fmt: skip
    access = ServerAccess(
        name="db", engine="mysql", host="127.0.0.1", port=mariadb.port, user="few",
        password=lambda: None,
    )  # fmt: skip
    yield Examined(access, mariadb.execute, mariadb.execute, "'few'@'127.0.0.1'", "")
    mariadb.execute("drop user few@'127.0.0.1'", "drop database shop",
                    "drop database if exists house")  # fmt: skip


@pytest.fixture(params=["postgresql", "mysql"])
def examined(request) -> Examined:
    return request.getfixturevalue(request.param)


def said(findings) -> list[tuple[str, str]]:
    return [(each.state, each.found) for each in findings]


def test_a_source_is_granted_what_it_lacks_until_nothing_is(examined):
    granted, findings = [], examined.sources()
    while statements := examined.grant(findings):
        granted += statements
        assert findings[0].state in ("failed", "warning")
        assert findings[0].subject == "db shop.orders"
        findings = examined.sources()
    assert granted == {
        "postgresql": [
            'GRANT USAGE ON SCHEMA "shop" TO USER;', 'GRANT SELECT ON "shop"."orders" TO USER;',
            "GRANT pg_read_all_stats TO USER;",
        ],
        "mysql": [
            "GRANT SELECT ON `shop`.`orders` TO USER;", "GRANT PROCESS ON *.* TO USER;",
        ],
    }[examined.server.engine]  # fmt: skip
    assert [(each.state, each.advice) for each in findings] == [
        ("warning", {
            "postgresql": 'CREATE INDEX CONCURRENTLY ON "shop"."orders" ("at", "id");',
            "mysql": "CREATE INDEX `by_at` ON `shop`.`orders` (`at`);",
        }[examined.server.engine]),
    ]  # fmt: skip
    examined.execute(findings[0].advice)
    assert said(examined.sources()) == [("ok", "1 table can be read")]


def test_a_target_is_granted_what_it_lacks_until_nothing_is(examined):
    granted, findings = [], examined.targets()
    while statements := examined.grant(findings):
        granted += statements
        assert (findings[0].state, findings[0].subject) == ("failed", "db house.orders")
        findings = examined.targets()
    assert [each.replace(examined.quoted or "-", "-") for each in granted] == {
        "postgresql": [
            "GRANT TEMPORARY ON DATABASE - TO USER;", "GRANT CREATE ON DATABASE - TO USER;",
        ],
        "mysql": [
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `house`.* TO USER;",
            "GRANT CREATE TEMPORARY TABLES ON `house`.* TO USER;",
        ],
    }[examined.server.engine]  # fmt: skip
    what = {"postgresql": "the schema house", "mysql": "the database house"}
    assert said(findings) == [
        ("ok", f"1 table can be written; a run makes {what[examined.server.engine]},"
               " house.orders, house.syncd_watermark"),
    ]  # fmt: skip
    assert not examined.rows("select 1 from information_schema.schemata"
                             " where schema_name = 'house'")  # fmt: skip


def test_a_table_that_stands_is_looked_at_itself(postgresql):
    postgresql.execute(
        "create schema house", "create table house.orders (id int generated always as identity)",
        "create table house.syncd_watermark (job text)",
    )  # fmt: skip
    findings = postgresql.targets(new_columns="evolve", delete="none")
    assert postgresql.grant(findings)[1:] == ['GRANT USAGE ON SCHEMA "house" TO USER;']
    findings = postgresql.targets(new_columns="evolve", delete="none")
    assert postgresql.grant(findings) == [
        'GRANT SELECT, INSERT, UPDATE ON "house"."orders" TO USER;',
        'GRANT SELECT, UPDATE ON SEQUENCE "house"."orders_id_seq" TO USER;',
        'GRANT SELECT, INSERT, UPDATE ON "house"."syncd_watermark" TO USER;',
    ]
    assert said(postgresql.targets(new_columns="evolve", delete="none")) == [
        ("warning", "our user may not add columns to house.orders, which its owner alone may"),
    ]  # fmt: skip
    assert said(postgresql.targets(delete="none")) == [("ok", "1 table can be written")]


def test_a_table_without_transactions_is_none_to_write(mysql):
    mysql.execute("create database house", "create table house.orders (id int) engine = MyISAM",
                  "grant all on house.* to few@'127.0.0.1'")  # fmt: skip
    (finding,) = mysql.targets()
    assert (finding.state, "MyISAM has no transactions" in finding.found) == ("failed", True)
    assert "InnoDB" in finding.advice


def test_what_is_wrong_with_a_table_itself_is_told(examined):
    examined.execute("create table shop.bare (at int)", "create table shop.named (id int)")
    examined.execute({
        "postgresql": f"grant usage on schema shop to {examined.user}",
        "mysql": f"grant select on shop.* to {examined.user}",
    }[examined.server.engine])  # fmt: skip
    if examined.server.engine == "postgresql":
        examined.execute(f"grant select on all tables in schema shop to {examined.user}")
    found = examined.sources(source=COPY["source"] | {"tables": ["bare", "named", "gone"]})
    assert [(each.subject, each.state, each.found) for each in found] == [
        ("db shop.bare", "failed", "it has no primary key"),
        ("db shop.named", "failed", "it has no primary key"),
        ("db shop.named", "failed", "it has no column at"),
        ("db shop.gone", "failed", "there is no such table"),
    ]  # a watermark of numbers is bounded by nobody


def test_columns_that_are_left_out_need_not_be_read(examined):
    examined.execute({
        "postgresql": f"grant usage on schema shop to {examined.user}",
        "mysql": f"grant select (id, at) on shop.orders to {examined.user}",
    }[examined.server.engine])  # fmt: skip
    if examined.server.engine == "postgresql":
        examined.execute(f"grant select (id, at) on shop.orders to {examined.user}")
    found = examined.sources(exclude=["note"], mode="full", watermark=None)
    assert said(found) == [("ok", "1 table can be read")]


def test_rows_that_are_hidden_are_told(postgresql):
    postgresql.execute(
        f"grant usage on schema shop to {postgresql.user}",
        f"grant select on shop.orders to {postgresql.user}",
        "alter table shop.orders enable row level security",
    )
    found = postgresql.sources(mode="full", watermark=None)
    assert [each.state for each in found] == ["failed"]
    assert "row-level security" in found[0].found


def test_a_query_is_asked_for_no_row(examined):
    source = {"server": "db", "schema": "shop", "query": "select id, at from orders", "key": ["id"]}
    job = {"source": source, "target": COPY["target"] | {"table": "orders"}, "mode": "full",
           "watermark": None}  # fmt: skip
    (found,) = examined.sources(**job)
    assert (found.state, found.subject) == ("failed", "db (query)")
    examined.execute(f"grant select on shop.orders to {examined.user}")
    if examined.server.engine == "postgresql":
        examined.execute(f"grant usage on schema shop to {examined.user}")
    assert said(examined.sources(**job)) == [("ok", "1 table can be read")]


def test_names_of_any_characters_are_granted(examined):
    odd, is_mysql = "a \"b\" `c` 'd' %s {e}", examined.server.engine == "mysql"
    mark, text = ("`", "varchar(1000)") if is_mysql else ('"', "text")
    name = f"{mark}{odd.replace(mark, mark * 2)}{mark}"
    examined.execute(f"create table shop.{name} (id int primary key, {name} timestamp, t {text})")
    examined.execute(f"insert into shop.{name} select id, null, note from shop.orders")
    if is_mysql:
        examined.execute(f"analyze table shop.{name}")
    job = {"source": COPY["source"] | {"tables": [odd]}, "watermark": odd}
    findings = examined.sources(**job)
    while examined.grant(findings):
        findings = examined.sources(**job)
    (finding,) = findings
    assert finding.advice.startswith("CREATE INDEX")
    examined.execute(finding.advice)
    assert said(examined.sources(**job)) == [("ok", "1 table can be read")]
    examined.execute(f"create schema {name}")
    job |= {"target": {"server": "db", "schema": odd}}
    findings = examined.targets(**job)
    while examined.grant(findings):
        findings = examined.targets(**job)
    examined.execute(f"drop schema {name}")
    (finding,) = findings
    assert finding.state == "ok"


def test_a_check_reads_both_sides_and_its_repair_writes(examined):
    check = {"kind": "consistency_check", "copy": "other", "repair": "copy"}
    case = examined.case(check)
    assert [(each.relation.schema, each.keyed) for each in case.reads] == [
        ("shop", True), ("house", False)
    ]  # fmt: skip
    assert [each.relation.schema for each in case.writes] == ["house"]
    assert examined.case(check | {"repair": "none"}).writes == []
