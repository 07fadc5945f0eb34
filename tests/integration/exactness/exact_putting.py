"""Single values put into columns of the servers, and read again: what servers really do."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg
import pymysql
from exact_pairs import COLUMNS, PG, held
from mariadb_server import MariaDbServer
from mysql_helpers import fresh_database

from syncd.model.table import Column

Put = Callable[[str, Column, Sequence[str]], list[str | None]]
"""Puts values into a column on a server and reads them again; None for those that are refused."""
PutOne = Callable[[str, str, Sequence[str]], list[str | None]]
"""The same on one server, told a type and how it is read."""


@contextmanager
def putting(dsn: str, server: MariaDbServer) -> Iterator[Put]:
    """Give what puts values into columns of both servers."""
    with _into_postgresql(dsn) as into_postgresql, _into_mariadb(server) as into_mariadb:

        def put(engine: str, column: Column, values: Sequence[str]) -> list[str | None]:
            if engine == PG:
                return into_postgresql(column.native, _read_postgresql(column), values)
            return into_mariadb(column.native, _read_mariadb(column), values)

        yield put


def held_by(put: Put, engine: str) -> list[tuple[Column, list[str]]]:
    """Return the columns of an engine, each with the values that it can hold as they are."""
    return [
        (column, held(column, values, put(engine, column, values)))
        for column, values in COLUMNS[engine]
    ]


@contextmanager
def _into_postgresql(dsn: str) -> Iterator[PutOne]:
    """Give what puts values into PostgreSQL; bytes come as such."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(
            "create function attempt(place text, reading text, told text) returns text"
            " language plpgsql as $$ declare found text; begin"
            " execute format('insert into %I values (%L) returning ' || reading, place, told)"
            " into found; return 'is ' || found; exception when others then return null; end $$"
        )
        made: dict[str, str] = {}

        def put(native: str, reading: str, values: Sequence[str]) -> list[str | None]:
            if native not in made:
                made[native] = f"t{len(made)}"
                connection.execute(f"create temporary table {made[native]} (c {native})")
            asked = [
                f"\\x{each.encode().hex()}" if native == "bytea" else None if "\0" in each else each
                for each in values
            ]
            found = connection.execute(
                "select case when told is not null then attempt(%s, %s, told) end"
                " from unnest(%s::text[]) with ordinality as t (told, n) order by n",
                (made[native], reading, asked),
            ).fetchall()
            return [each and each[3:] for (each,) in found]

        yield put


@contextmanager
def _into_mariadb(mariadb: MariaDbServer) -> Iterator[PutOne]:
    """Give what puts values into a strict MariaDB."""
    with fresh_database(mariadb) as name, closing(mariadb.connect(database=name)) as connection:
        cursor = connection.cursor()
        cursor.execute("set names utf8mb4, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,"
                       "NO_BACKSLASH_ESCAPES,ALLOW_INVALID_DATES'")  # fmt: skip
        made: dict[str, str] = {}

        def put(native: str, reading: str, values: Sequence[str]) -> list[str | None]:
            table = made.setdefault(native, f"t{len(made)}")
            cursor.execute(f"create temporary table if not exists {table} (c {native} null)")
            return [_one(cursor, table, reading, _told(native, each)) for each in values]

        yield put


def _one(cursor: "pymysql.cursors.Cursor", table: str, reading: str, told: str) -> str | None:
    cursor.execute(f"delete from {table}")
    try:
        cursor.execute(f"insert into {table} values ({told})")
    except pymysql.Error:
        return None
    cursor.execute(f"select {reading} from {table}")
    return str(cursor.fetchone()[0])


def _told(native: str, value: str) -> str:
    """Return a value as SQL says it: bits and years are no texts to this server."""
    if native.startswith("bit") and value and set(value) <= {"0", "1"}:
        return f"b'{value}'"
    if native.startswith("year") and value.isdigit():
        return value
    if native == "float" and value == "3.4028235e+38":
        return "3.4028234663852886e38"  # rounded to so few digits it is more than the largest one
    if "\0" in value:
        return f"x'{value.encode().hex()}'"
    return "'" + value.replace("'", "''") + "'"


def _read_postgresql(column: Column) -> str:
    how = {
        "instant": "(c at time zone 'UTC')::text",
        "boolean": "c::int::text",
        "bytes": "encode(c, 'hex')",
    }
    return how.get(column.type.kind, "c::text")


def _read_mariadb(column: Column) -> str:
    if column.type.kind == "bits":
        return f"lpad(bin(c + 0), {column.type.size}, '0')"
    if column.type.kind == "bytes":
        return "lower(hex(c))"
    if column.native.startswith("float"):
        return "cast(c as double)"
    return "cast(c + 0 as char)" if column.native.startswith("year") else "cast(c as char)"
