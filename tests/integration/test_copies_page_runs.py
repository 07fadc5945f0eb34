"""What docs/copies.md tells of types, details and questions is what real servers show."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row
from table_runs import TableRuns

PAGE = (Path(__file__).parents[2] / "docs" / "copies.md").read_text()
QUESTIONS = re.findall(r"```sql\n(.+?)```", PAGE, re.DOTALL)

into_postgresql = pytest.mark.parametrize(
    "table_copies", [("mysql", "postgresql")], indirect=True
)  # fmt: skip

TO_POSTGRESQL = {
    "`tinyint`, `smallint`, `year`": {
        "tinyint": "smallint", "tinyint(1)": "smallint", "tinyint unsigned": "smallint",
        "smallint": "smallint", "smallint unsigned": "integer", "year": "smallint",
    },
    "`mediumint`, `int`": {
        "mediumint": "integer", "mediumint unsigned": "integer", "int": "integer",
        "int unsigned": "bigint",
    },
    "`bigint`": {"bigint": "bigint", "bigint unsigned": "numeric(20,0)"},
    "`decimal(p,s)`": {"decimal(12,3)": "numeric(12,3)", "decimal(65,30)": "numeric(65,30)"},
    "`float`, `double`": {"float": "real", "double": "double precision"},
    "`bit(n)`": {"bit(13)": "bit(13)"},
    "`char(n)`, `varchar(n)`": {
        "char(7)": "character varying(7)", "varchar(77)": "character varying(77)",
    },
    "`text` and its sizes, `enum`, `set`": {
        "tinytext": "text", "longtext": "text", "enum('a','b')": "text", "set('a','b')": "text",
    },
    "`binary`, `varbinary`, `blob` and its sizes, geometries": {
        "binary(4)": "bytea", "varbinary(9)": "bytea", "tinyblob": "bytea", "longblob": "bytea",
        "point": "bytea", "geometry": "bytea",
    },
    "`json`": {"json": "json"},
    "`date`, `datetime(p)`, `timestamp(p)`": {
        "date": "date", "datetime": "timestamp(0) without time zone",
        "datetime(3)": "timestamp(3) without time zone",
        "timestamp(3) null": "timestamp(3) with time zone",
    },
    "`time(p)`": {"time(3)": "interval(3)"},
    "`uuid`, `inet4`, `inet6`": {"uuid": "uuid", "inet4": "inet", "inet6": "inet"},
}  # fmt: skip
TO_MYSQL = {
    "`smallint`, `integer`, `bigint`, `boolean`": {
        "smallint": "smallint(6)", "integer": "int(11)", "bigint": "bigint(20)",
        "boolean": "tinyint(1)",
    },
    "`numeric(p,s)` of at most 65 and 30 digits; `money`": {
        "numeric(65,30)": "decimal(65,30)", "money": "decimal(19,2)",
    },
    "`numeric` without limits, or with more digits": {
        "numeric": "longtext", "numeric(66,2)": "longtext", "numeric(40,31)": "longtext",
    },
    "`real`, `double precision`": {"real": "float", "double precision": "double"},
    "`text`, `varchar(n)`": {
        "text": "longtext", "varchar(16)": "varchar(16)", "varchar(16384)": "longtext",
    },
    "`bytea`": {"bytea": "longblob"},
    "`date`, `timestamp`, `time`": {
        "date": "date", "timestamp": "datetime(6)", "timestamp(2)": "datetime(2)",
        "time": "time(6)",
    },
    "`timestamptz`": {"timestamptz": "datetime(6)"},
    "`json`, `jsonb`": {"json": "longtext", "jsonb": "longtext"},
    "`uuid`": {"uuid": "char(36)"},
    "`bit(n)` up to 64": {"bit(64)": "bit(64)"},
    "`interval`, arrays, ranges, enums, `inet`, `xml` and all others": {
        "interval": "longtext", "int[]": "longtext", "int4range": "longtext", "inet": "longtext",
        "xml": "longtext", "mood": "longtext", "bit(65)": "longtext", "bit varying(8)": "longtext",
        "timetz": "longtext", "tsvector": "longtext",
    },
}  # fmt: skip


def rows_of(head):
    """Return the rows of the page's table with this head, by their first cells."""
    body = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| (.+?) \| (.+) \|$", body, re.MULTILINE)[1:])


def of_types(made, groups):
    """Return the types that columns were made after, with those they were made as, and wanted."""
    pairs = [each for group in groups.values() for each in group.items()]
    return [(like, made[f"c{n}"]) for n, (like, _) in enumerate(pairs)], pairs


@into_postgresql
def test_types_that_are_made_in_postgresql(table_copies: TableRuns):
    types = [each for group in TO_POSTGRESQL.values() for each in group]
    table_copies.source.execute(
        "create table orders (id int primary key, "
        + ", ".join(f"c{n} {each}" for n, each in enumerate(types)) + ")"
    )  # fmt: skip
    table_copies.copied()
    made = dict(table_copies.target.rows(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = 'orders'::regclass and attnum > 0"
    ))  # fmt: skip
    told = rows_of("MySQL, MariaDB | PostgreSQL, when it is made")
    assert list(told) == list(TO_POSTGRESQL)
    found, wanted = of_types(made, TO_POSTGRESQL)
    assert found == wanted


@pytest.mark.parametrize("table_copies", [("postgresql", "mysql")], indirect=True)
def test_types_that_are_made_in_mysql(table_copies: TableRuns):
    types = [each for group in TO_MYSQL.values() for each in group]
    table_copies.source.execute(
        "create type mood as enum ('sad', 'glad')",
        "create table orders (id text, raw bytea, "
        + ", ".join(f"c{n} {each}" for n, each in enumerate(types)) + ", primary key (id, raw))",
    )  # fmt: skip
    table_copies.copied()
    made = dict(table_copies.target.rows(
        "select column_name, column_type from information_schema.columns"
        " where table_schema = database() and table_name = 'orders'"
    ))  # fmt: skip
    told = rows_of("PostgreSQL | MySQL, MariaDB, when it is made")
    assert list(told) == list(TO_MYSQL)
    found, wanted = of_types(made, TO_MYSQL)
    assert found == wanted
    assert (made["id"][:8], made["raw"][:10]) == ("varchar(", "varbinary(")
    (row,) = table_copies.target.rows(
        "select engine, table_collation from information_schema.tables"
        " where table_schema = database() and table_name = 'orders'"
    )
    assert row == ("InnoDB", "utf8mb4_nopad_bin")


@into_postgresql
def test_details_and_questions(table_copies: TableRuns):
    table_copies.configure(
        mode="incremental", watermark="changed", watermark_zone="UTC", max_rejected=3,
        delete="soft", exclude=["name"], values={"changed": "null"},
    )  # fmt: skip
    table_copies.fill(1, 5)
    table_copies.source.execute(
        "insert into orders values (6, null, '', 1), (7, now() + interval 1 year, '', 1)"
    )
    table_copies.copied()
    first = set(table_copies.copied().items["orders"]["details"])
    table_copies.target.execute("alter table orders add check (price < 100)")
    table_copies.source.execute(
        "insert into orders values (8, '2026-01-02', '', 1000)",
        "alter table orders add later int",
        "update orders set price = 3 where id < 3",
    )
    table_copies.configure(max_rejected=3)
    second = table_copies.copied()
    assert second.items["orders"]["details"]["ignored_columns"] == ["name", "later"]
    told = set(re.findall(r"`([a-z_]+)`", "".join(rows_of("detail of an item | meaning"))))
    produced = first | set(second.items["orders"]["details"])
    assert produced <= told
    assert len(produced) > 12
    with psycopg.connect(table_copies.store.dsn, row_factory=dict_row) as connection:
        rejected, copied = (connection.execute(q.encode()).fetchall() for q in QUESTIONS)
    (row,) = rejected
    assert (row["job"], row["item"], row["key"]) == ("copy", "orders", '["8"]')
    assert '"price"' in row["row"]
    assert "check constraint" in row["error"]
    assert [(each["table"], each["status"]) for each in copied] == [("orders", "success")] * 3
    assert copied[-1]["watermark"] is not None
