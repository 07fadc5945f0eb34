"""The rights that docs/copies.md grants are enough, and without one it is said what is missing."""

import re
from pathlib import Path

import pytest
from copy_house import opened

PAGE = (Path(__file__).parents[2] / "docs" / "copies.md").read_text()
ROWS = (
    "create table shop.orders (id int primary key, note varchar(20), updated_at {})",
    "insert into shop.orders values (1, 'a', '2026-01-01'), (2, 'b', '2026-01-02')",
)
COPY = {
    "kind": "table_copy", "mode": "incremental", "watermark": "updated_at", "delete": "soft",
    "retries": [],
}  # fmt: skip


@pytest.fixture
def house(migrated_dsn):
    with opened(migrated_dsn) as made:
        yield made


def granted(language):
    """Return the GRANTs of the page, those of the source and of the target."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    source, target = ([each for each in block.split(";\n") if each[:5] == "GRANT"]
                      for block in blocks)  # fmt: skip
    return source, target


def first_and_second_run(house, change):
    """Copy, change a row of the source, and copy again; return the items of both runs."""
    first = house.sync("copy")["items"]
    change()
    return [*first, *house.sync("copy")["items"]]


def test_those_of_postgresql(house, server):
    reader, writer, source, target = map(server.unique, ("reader", "writer", "source", "house"))
    server.execute(f"create role {reader} login", f"create role {writer} login")
    server.execute(f"create database {source}")
    server.execute(f"create database {target}")
    server.execute("create schema shop", *(each.format("timestamptz") for each in ROWS),
                   database=source)  # fmt: skip
    server.execute("create schema shop", database=target)
    of_source, of_target = granted("postgresql")
    both = ((of_source, source, reader), (of_target, target, writer))
    for statements, database, user in both:
        for statement in statements:
            renamed = re.sub("syncd_(reader|writer)", user, statement)
            renamed = renamed.replace("SCHEMA public", "SCHEMA shop").replace("warehouse", target)
            server.execute(renamed, database=database)
    for _, name, user in both:
        house.servers[name] = {
            "engine": "postgresql", "host": server.socket, "port": server.port, "user": user,
            "database": name,
        }  # fmt: skip
    house.configure(copy=COPY | {
        "source": {"server": source, "schema": "shop", "tables": ["orders"]},
        "target": {"server": target, "schema": "shop"},
    })  # fmt: skip
    server.execute("create table shop.other (id int)", database=target)
    one, two = first_and_second_run(
        house,
        lambda: server.execute("update shop.orders set note = 'c', updated_at = now() - "
                               "interval '1 minute' where id = 1", database=source),
    )  # fmt: skip
    assert (one["added"], one["details"]["pass"], one["details"]["bounded"]) == (2, "full", True)
    assert (two["updated"], two["details"]["pass"]) == (1, "incremental")


def test_those_of_mysql(house, mariadb):
    users = ("syncd_reader", "syncd_writer")
    mariadb.execute("create database shop", "create database warehouse",
                    *(f"create user '{name}'@'localhost'" for name in users),
                    *(each.format("datetime(6)") for each in ROWS))  # fmt: skip
    try:
        for statement in (each for part in granted("mysql") for each in part):
            mariadb.execute(statement.replace("10.0.0.9", "localhost"))
        for name in users:
            house.servers[name] = {"engine": "mysql", "host": mariadb.socket, "user": name}
        house.configure(copy=COPY | {
            "source": {"server": "syncd_reader", "database": "shop", "tables": ["orders"]},
            "target": {"server": "syncd_writer", "database": "warehouse"},
        })  # fmt: skip
        one, two = first_and_second_run(
            house,
            lambda: mariadb.execute("update shop.orders set note = 'c', updated_at = now() - "
                                    "interval 1 minute where id = 1"),
        )  # fmt: skip
    finally:
        mariadb.execute(*(f"drop user '{name}'@'localhost'" for name in users),
                        "drop database shop", "drop database warehouse")  # fmt: skip
    assert (one["added"], one["details"]["pass"], one["details"]["bounded"]) == (2, "full", True)
    assert (two["updated"], two["details"]["pass"]) == (1, "incremental")
