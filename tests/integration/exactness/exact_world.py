"""Two servers with tables that hold a column of every type, and copies between them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import psycopg
from engine_run import Silent, context
from exact_columns import MARIADB, POSTGRESQL, POSTGRESQL_PREPARED, Typed
from mariadb_server import MariaDbServer
from mysql_helpers import access, fresh_database, ident, make_user, text
from plain_readers import (
    Query,
    Table,
    mariadb,
    mariadb_table,
    mariadb_types,
    postgresql_table,
    postgresql_types,
    psql,
)
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from syncd.context import Clock
from syncd.copies.copying import Copied, Copy
from syncd.engines.base import ServerAccess
from syncd.engines.registry import tables
from syncd.engines.tables import Tables
from syncd.model.copy import CopyRules, RejectedRow
from syncd.model.table import Relation

PG, MARIA = "postgresql", "mariadb"
COLUMNS: Mapping[str, Sequence[Typed]] = {PG: POSTGRESQL, MARIA: MARIADB}
DIRECTIONS = [(one, other) for one in (PG, MARIA) for other in (PG, MARIA)]


class Told(Silent):
    """A reporter that keeps details."""

    def __init__(self) -> None:
        self.details: dict[str, Any] = {}

    def detail(self, name: str, value: object) -> None:
        self.details[name] = value


@dataclass
class Outcome:
    """What a copy did, and the rows that it put aside."""

    copied: Copied
    details: dict[str, Any]
    rejected: list[RejectedRow] = field(default_factory=list)


class World:
    """The servers; on each there are two places for tables, `source` and `target`."""

    def __init__(self, dsn: str, server: MariaDbServer, places: Mapping[str, str]) -> None:
        self._dsn, self._server, self._places = dsn, server, places
        self._ask: dict[str, Query] = {PG: psql(dsn), MARIA: mariadb(server.socket)}
        self._tables: dict[str, Tables] = {
            PG: tables(_postgresql_access(dsn)),
            MARIA: tables(access(server, make_user(server, "copier", "ALL PRIVILEGES"))),
        }
        self._made = 0

    def unique(self) -> str:
        """Return a name for a table."""
        self._made += 1
        return f"t{self._made}"

    def relation(self, engine: str, place: str, table: str, **more: Any) -> Relation:
        """Return a table in one of the two places of a server."""
        if engine == PG:
            database = str(conninfo_to_dict(self._dsn)["dbname"])
            return Relation(PG, database, place, table, **more)
        return Relation(MARIA, self._places[place], self._places[place], table, **more)

    def fill(self, engine: str, columns: Sequence[Typed], rows: Sequence[Mapping[str, str]],
             place: str = "source") -> str:  # fmt: skip
        """Make a table with an id and these columns, put rows in, numbered from 1; return its name.

        A value is the text that its type reads, or `expr:` and an expression.
        """
        name = self.unique()
        if engine == PG:
            self._fill_postgresql(place, name, columns, rows)
        else:
            self._fill_mariadb(self._places[place], name, columns, rows)
        return name

    def copy(self, source: Relation, target: Relation, **rules: Any) -> Outcome:
        """Copy a table, with the rules of a copy."""
        state = "state" if target.server == PG else self._places["target"]
        told, rejected = Told(), list[RejectedRow]()
        ctx = replace(context(), report=told)
        asked = CopyRules(target.table, source, target, state, **rules)
        copied = Copy(ctx, Clock(), asked, self._tables.__getitem__, rejected.extend).make()
        return Outcome(copied, told.details, rejected)

    def execute(self, engine: str, *statements: str) -> None:
        """Execute statements as somebody who may do everything."""
        if engine == MARIA:
            self._server.execute(*statements)
            return
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            for each in statements:
                connection.execute(each)

    def forget(self, relation: Relation) -> None:
        """Let all values of a table be NULL, but for its ids."""
        quote = '"{}"' if relation.server == PG else "`{}`"
        names = [quote.format(name) for name in self.types(relation) if name != "id"]
        told = ", ".join(f"{name} = null" for name in names)
        self.execute(
            relation.server, f"update {relation.schema}.{quote.format(relation.table)} set {told}"
        )

    def set_zone(self, zone: str) -> None:
        """Let sessions of MariaDB begin in a zone."""
        self._server.execute(f"set global time_zone = '{zone}'")

    def read(self, relation: Relation) -> Table:
        """Return a table as a reader of another make sees it."""
        look = postgresql_table if relation.server == PG else mariadb_table
        return look(self._ask[relation.server], relation.schema, relation.table)

    def types(self, relation: Relation) -> dict[str, str]:
        """Return the types of a table's columns."""
        look = postgresql_types if relation.server == PG else mariadb_types
        return look(self._ask[relation.server], relation.schema, relation.table)

    def _fill_postgresql(
        self, place: str, table: str, columns: Sequence[Typed], rows: Sequence[Mapping[str, str]]
    ) -> None:
        name = sql.Identifier(place, table)
        types = {each.name: each.native for each in columns}
        told = [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in types.items()]
        key = sql.SQL("id integer primary key")
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(
                sql.SQL("create table {} ({})").format(name, sql.SQL(", ").join([key, *told]))
            )
            for number, row in enumerate(rows, 1):
                names = sql.SQL(", ").join(map(sql.Identifier, ["id", *row]))
                values = [
                    sql.Literal(number),
                    *(sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(types[column]))
                      for column, value in row.items()),
                ]  # fmt: skip
                connection.execute(
                    sql.SQL("insert into {} ({}) values ({})").format(
                        name, names, sql.SQL(", ").join(values)
                    )
                )

    def _fill_mariadb(
        self, place: str, table: str, columns: Sequence[Typed], rows: Sequence[Mapping[str, str]]
    ) -> None:
        told = ", ".join(
            ["id int primary key", *(f"{ident(each.name)} {each.native} null" for each in columns)]
        )
        with closing(self._server.connect(charset="utf8mb4")) as connection:
            cursor = connection.cursor()
            cursor.execute("set sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
            cursor.execute(f"create table {place}.{table} ({told}) charset utf8mb4")
            for number, row in enumerate(rows, 1):
                names = ", ".join(map(ident, ["id", *row]))
                values = ", ".join([str(number), *map(_expression, row.values())])
                cursor.execute(f"insert into {place}.{table} ({names}) values ({values})")


def _expression(value: str) -> str:
    return value[5:] if value.startswith("expr:") else text(value)


def side_by_side(columns: Sequence[Typed], *, odd: bool) -> list[dict[str, str]]:
    """Return rows that hold all values of all columns, and a last one of NULL alone."""
    values = {each.name: (*each.values, *(each.odd if odd else ())) for each in columns}
    longest = max(map(len, values.values()))
    rows = [
        {name: held[number] for name, held in values.items() if number < len(held)}
        for number in range(longest)
    ]
    return [*rows, {}]


def odd_ones(columns: Sequence[Typed]) -> list[dict[str, str]]:
    """Return a row for each value without a place on the other engine."""
    return [{each.name: value} for each in columns for value in each.odd]


def differences(source: Table, target: Table) -> list[str]:
    """Return what differs, named."""
    told = [f"row {n} only in one" for n in source.keys() ^ target.keys()]
    for number in sorted(source.keys() & target.keys()):
        for name, value in source[number].items():
            there = target[number].get(name, "<no column>")
            if value != there and not (name == "inet6" and _same_address(value, there)):
                told.append(f"row {number}, {name}: {_cut(value)} became {_cut(there)}")
    return told


def _same_address(one: str | None, other: str | None) -> bool:
    """Tell whether two texts are one address: MariaDB shortens a single group of zeros."""
    return None not in (one, other) and ip_address(str(one)) == ip_address(str(other))


def _cut(value: str | None) -> str:
    shown = repr(value)
    return shown if len(shown) < 90 else f"{shown[:90]}... of {len(shown)}"


def _postgresql_access(dsn: str) -> ServerAccess:
    told = conninfo_to_dict(dsn)
    return ServerAccess(
        PG, PG, str(told["host"]), int(str(told["port"])), str(told["user"]),
        lambda: None, database=str(told["dbname"]),
    )  # fmt: skip


@contextmanager
def world(dsn: str, server: MariaDbServer) -> Iterator[World]:
    """Give the servers with places for tables, in a database of PostgreSQL that is all theirs."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in (*POSTGRESQL_PREPARED, "create schema source", "create schema target",
                          "create schema state"):  # fmt: skip
            connection.execute(statement)
    with fresh_database(server) as source, fresh_database(server) as target:
        yield World(dsn, server, {"source": source, "target": target})
