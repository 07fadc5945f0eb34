"""The rights that docs/copies.md grants are enough and needed; the doctor and a run say so."""

import json
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from copy_house import opened

PAGE = (Path(__file__).parents[2] / "docs" / "copies.md").read_text()
ROWS = (
    "create table shop.orders (id int primary key, note varchar(20), updated_at {})",
    "insert into shop.orders values (1, 'a', '2026-01-01'), (2, 'b', '2026-01-02')",
)
COPY = {
    "kind": "table_copy", "mode": "incremental", "watermark": "updated_at", "delete": "hard",
    "retries": [], "max_delete_percent": 100, "max_delete_count": 5,
}  # fmt: skip
MADE = "create table {}.orders (id int {} primary key, note varchar(20), updated_at {})"
IDENTITY = "generated always as identity"


def granted(language):
    """Return the GRANTs of the page, those of the source and of the target."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    source, target = ([each for each in block.split(";\n") if each[:5] == "GRANT"]
                      for block in blocks)  # fmt: skip
    return source, target


CREATE = "GRANT CREATE ON DATABASE warehouse TO syncd_writer"
assert f"`{CREATE}`" in PAGE.replace("\n", " ")


@pytest.fixture
def house(migrated_dsn):
    with opened(migrated_dsn) as made:
        yield made


class Postgres:
    """Two databases of PostgreSQL, with the users of the page."""

    def __init__(self, server, house):
        self.server, self.house = server, house
        self.reader, self.writer, self.source, self.target = map(
            server.unique, ("reader", "writer", "source", "house")
        )
        server.execute(*(f"create role {each} login" for each in (self.reader, self.writer)))
        server.execute(*(f"create database {each}" for each in (self.source, self.target)))
        server.execute(f"revoke temporary on database {self.target} from public")
        self.at_source("create schema shop", *(each.format("timestamptz") for each in ROWS))
        for name, user in ((self.source, self.reader), (self.target, self.writer)):
            house.servers[name] = {
                "engine": "postgresql", "host": server.socket, "port": server.port, "user": user,
                "database": name,
            }  # fmt: skip
        self.configure()

    def configure(self, **changed):
        self.house.configure(copy=COPY | {
            "source": {"server": self.source, "schema": "shop", "tables": ["orders"]},
            "target": {"server": self.target, "schema": "shop"},
        } | changed)  # fmt: skip

    def at_source(self, *statements):
        self.server.execute(*statements, database=self.source)

    def at_target(self, *statements):
        self.server.execute(*statements, database=self.target)

    def grant(self, of_source, of_target):
        self.at_source(*(self._here(each, self.reader) for each in of_source))
        self.at_target(*(self._here(each, self.writer) for each in of_target))

    def _here(self, statement, user):
        renamed = re.sub("syncd_(reader|writer)", user, statement)
        return renamed.replace("SCHEMA public", "SCHEMA shop").replace("warehouse", self.target)

    def change(self):
        self.at_source("delete from shop.orders where id = 2", "update shop.orders set note = 'c',"
                       " updated_at = now() - interval '1 minute' where id = 1")  # fmt: skip

    def close(self):
        for database in (self.source, self.target):
            self.server.execute(f"drop database {database} with (force)")
        self.server.execute(f"drop role {self.reader}", f"drop role {self.writer}")


class Maria:
    """Two databases of MariaDB, with the users of the page; the target is not there."""

    def __init__(self, mariadb, house):
        self.mariadb, self.house = mariadb, house
        mariadb.execute("create database shop", "create user syncd_reader@localhost",
                        "create user syncd_writer@localhost",
                        *(each.format("datetime(6)") for each in ROWS))  # fmt: skip
        for name in ("syncd_reader", "syncd_writer"):
            house.servers[name] = {"engine": "mysql", "host": mariadb.socket, "user": name}
        self.configure()

    def configure(self, **changed):
        self.house.configure(copy=COPY | {
            "source": {"server": "syncd_reader", "database": "shop", "tables": ["orders"]},
            "target": {"server": "syncd_writer", "database": "warehouse"},
        } | changed)  # fmt: skip

    def grant(self, of_source, of_target):
        given = [each.replace("10.0.0.9", "localhost") for each in (*of_source, *of_target)]
        for each in given:
            self.mariadb.execute(each)

    def change(self):
        self.mariadb.execute(
            "delete from shop.orders where id = 2", "update shop.orders set note = 'c',"
            " updated_at = now() - interval 1 minute where id = 1",
        )  # fmt: skip

    def close(self):
        self.mariadb.execute(
            "drop user syncd_reader@localhost", "drop user syncd_writer@localhost",
            "drop database shop", "drop database if exists warehouse",
        )  # fmt: skip


@contextmanager
def closed(made):
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def postgresql(private_servers, house):
    with closed(Postgres(private_servers.of("18"), house)) as made:
        yield made


@pytest.fixture
def mysql(mariadb, house):
    with closed(Maria(mariadb, house)) as made:
        yield made


def doctored(side, state):
    """Ask the doctor about both servers; return the statements that it would have granted."""
    names = [word for name in side.house.servers for word in ("--server", name)]
    lines = side.house.syncd("doctor", *names, "--json", fails=state == "failed")
    report = json.loads("\n".join(lines))
    states = {each["state"] for each in report["checks"]
              if each["name"] in ("servers.sources", "servers.targets")} - {"skipped"}  # fmt: skip
    assert state in states
    return [each for grant in report["grants"] for each in grant["statements"]]


def copied_twice(side, *, bounded=True):
    """Copy, change rows of the source, and copy again."""
    (one,) = side.house.sync("copy")["items"]
    side.change()
    (two,) = side.house.sync("copy")["items"]
    assert (one["added"], one["details"]["pass"]) == (2, "full")
    assert (two["updated"], two["deleted"], two["details"]["pass"]) == (1, 1, "incremental")
    assert one["details"]["bounded"] == two["details"]["bounded"] == bounded


def test_those_of_postgresql(postgresql):
    postgresql.at_target("create schema shop", MADE.format("shop", IDENTITY, "timestamptz"))
    postgresql.grant(*granted("postgresql"))
    assert doctored(postgresql, "ok") == []
    copied_twice(postgresql)
    postgresql.at_target("insert into shop.orders (note) values ('behind them')")


def test_those_of_mysql(mysql):
    mysql.grant(*granted("mysql"))
    assert doctored(mysql, "ok") == []
    copied_twice(mysql)


def test_a_schema_that_is_not_there_takes_another_right(postgresql):
    source, target = granted("postgresql")
    postgresql.grant(source, [each for each in target if "TEMPORARY" in each])
    wanted = f'GRANT CREATE ON DATABASE "{postgresql.target}" TO "{postgresql.writer}"'
    assert wanted in "\n".join(postgresql.house.syncd("sync", "copy", "--plan", fails=True))
    (item,) = postgresql.house.sync("copy", fails=True)["items"]
    assert (item["error_class"], wanted in item["error"]) == ("permission", True)
    postgresql.grant([], [CREATE])
    lines = postgresql.house.syncd("sync", "copy", "--plan")
    assert [line.split() for line in lines if "schema" in line] == [["+", "shop", "schema"]]
    copied_twice(postgresql)


def test_without_the_right_to_see_transactions_nothing_is_bounded(postgresql):
    source, target = granted("postgresql")
    postgresql.grant([each for each in source if "pg_read_all_stats" not in each], [CREATE])
    postgresql.grant([], [each for each in target if "TEMPORARY" in each])
    assert doctored(postgresql, "warning") == [f'GRANT pg_read_all_stats TO "{postgresql.reader}";']
    copied_twice(postgresql, bounded=False)


def test_without_process_nothing_is_bounded(mysql):
    source, target = granted("mysql")
    mysql.grant([each for each in source if "PROCESS" not in each], target)
    assert doctored(mysql, "warning") == ["GRANT PROCESS ON *.* TO 'syncd_reader'@'localhost';"]
    copied_twice(mysql, bounded=False)


@pytest.mark.parametrize("without", ["USAGE", "SELECT ON", "CREATE", "TEMPORARY", "DELETE",
                                     "SEQUENCES"])  # fmt: skip
def test_each_right_is_needed_in_postgresql(postgresql, without):
    source, target = granted("postgresql")
    whole = [source, target]
    postgresql.at_target("create schema shop", MADE.format("shop", IDENTITY, "timestamptz"))
    if without == "CREATE":
        target = [each.replace("USAGE, CREATE", "USAGE") for each in target]
    else:
        source = [each for each in source if f"GRANT {without}" not in each]
        target = [each for each in target if without not in each]
    assert [source, target] != whole
    postgresql.grant(source, target)
    assert doctored(postgresql, "failed")
    (item,) = postgresql.house.sync("copy", fails=True)["items"]
    assert item["error_class"] == "permission"


@pytest.mark.parametrize(
    "without", ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "CREATE TEMPORARY TABLES"]
)
def test_each_right_is_needed_in_mysql(mysql, without):
    source, target = granted("mysql")
    told = [each.replace(f" {without},", "").replace(f"GRANT {without} ON", "") for each in target]
    told = [each for each in told if each.startswith("GRANT")]
    assert told != target
    mysql.grant(source, told)
    assert doctored(mysql, "failed")
    if without == "DELETE":  # which the first copy has no need of
        mysql.house.sync("copy")
        mysql.change()
    (item,) = mysql.house.sync("copy", fails=True)["items"]
    assert item["error_class"] == "permission"


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_soft_deletion_needs_no_right_to_delete(request, engine):
    side = request.getfixturevalue(engine)
    source, target = granted(engine)
    if engine == "postgresql":
        kind = "timestamptz, deleted_at timestamptz"
        side.at_target("create schema shop", MADE.format("shop", "", kind))
    side.configure(delete="soft")
    side.grant(source, [each.replace(", DELETE", "").replace(", ALTER", "") for each in target])
    assert doctored(side, "ok") == []
    copied_twice(side)


def test_new_columns_need_alter_in_mysql(mysql):
    source, target = granted("mysql")
    mysql.configure(new_columns="evolve")
    mysql.grant(source, [each.replace(", ALTER", "") for each in target])
    mysql.house.sync("copy")
    mysql.mariadb.execute("alter table shop.orders add later int")
    assert doctored(mysql, "failed") == [
        "GRANT ALTER ON `warehouse`.`orders` TO 'syncd_writer'@'localhost';"
    ]
    (item,) = mysql.house.sync("copy", fails=True)["items"]
    assert item["error_class"] == "permission"
    mysql.grant([], target)
    mysql.house.sync("copy")


def test_new_columns_need_the_owner_in_postgresql(postgresql):
    postgresql.at_target("create schema shop", MADE.format("shop", "", "timestamptz"))
    postgresql.at_source("alter table shop.orders add later int")
    postgresql.configure(new_columns="evolve")
    postgresql.grant(*granted("postgresql"))
    assert doctored(postgresql, "warning") == []
    (item,) = postgresql.house.sync("copy", fails=True)["items"]
    assert item["error_class"] == "permission"
    postgresql.at_target(f"alter table shop.orders owner to {postgresql.writer}")
    assert doctored(postgresql, "ok") == []
    postgresql.house.sync("copy")


def test_a_database_that_may_not_be_made_is_told(mysql):
    mysql.grant(granted("mysql")[0], [])
    (item,) = mysql.house.sync("copy", fails=True)["items"]
    assert item["error_class"] == "permission"
    assert "GRANT CREATE ON `warehouse`.* TO 'syncd_writer'@'localhost'" in item["error"]


def test_a_plan_says_that_it_would_make_a_database(mysql):
    mysql.grant(*granted("mysql"))
    lines = mysql.house.syncd("sync", "copy", "--plan")
    assert [line.split() for line in lines if "schema" in line] == [["+", "warehouse", "schema"]]
    assert mysql.mariadb.execute("show databases like 'warehouse'") == []
