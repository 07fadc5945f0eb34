"""What a relation looks like: asked of the catalogues; a query's result of a look at no row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.generators import execute
from psycopg.sql import SQL, Composable

from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.types import held, quoted
from syncd.errors import BadData
from syncd.model.table import Column, Relation, Shape

_COLUMNS: Final = Path(__file__).with_name("shape.sql").read_text()
_MONEY: Final = "select scale('0'::money::numeric)"  # the digits of lc_monetary
_TABLE: Final = """
    select c.oid, c.relkind::text, greatest(c.reltuples, 0)::bigint,
           pg_table_size(c.oid)::bigint, row_security_active(c.oid), c.relhasrules,
           coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) > 0 or c.relkind <> 'r',
           exists (select from pg_trigger where not tgisinternal and tgrelid in (
               select c.oid union select relid from pg_partition_tree(c.oid)))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""
_PARTITIONS: Final = """
    select sum(greatest(reltuples, 0))::bigint, sum(pg_table_size(c.oid))::bigint
    from pg_partition_tree(%s) p join pg_class c on c.oid = p.relid where isleaf
"""
_KEYS: Final = """
    select i.indisprimary,
           array(select a.attname::text from unnest(i.indkey) with ordinality as k (attnum, place)
                 join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                 where place <= i.indnkeyatts order by place)
    from pg_index i join pg_class c on c.oid = i.indexrelid
    where i.indrelid = %s and i.indisunique and i.indisvalid
      and i.indpred is null and i.indexprs is null
    order by i.indisprimary desc, c.relname
"""
_KINDS: Final = {
    "v": "it is a view",
    "m": "it is a materialized view",
    "f": "it is a foreign table, which takes no part in a transaction",
}


@dataclass(frozen=True, slots=True)
class Marks:
    """The columns of which something is to be known, by name.

    `always` are identities GENERATED ALWAYS, `portable` those whose binary form means the same on
    every server, `long` those whose values may be of any length.
    """

    always: frozenset[str]
    portable: frozenset[str]
    long: frozenset[str]


@dataclass(frozen=True, slots=True)
class Look:
    """A relation as it was looked at; `name` is what stands for it in a FROM clause.

    `may_be_long` tells whether rows may be longer than a page of a table is, `triggers` whether
    something is done for rows that are written.
    """

    shape: Shape
    name: Composable
    oid: int
    marks: Marks
    may_be_long: bool = True
    triggers: bool = False


def look(connection: Session, relation: Relation) -> Look | None:
    """Return what a relation looks like, None where there is no such table."""
    return of_query(connection, relation) if relation.query else of_table(connection, relation)


def of_table(connection: Session, relation: Relation) -> Look | None:
    """Return what a table or a view looks like, None where there is none."""
    place = {"schema": relation.schema or "public", "table": relation.table}
    found = connection.execute(_TABLE, (place["schema"], place["table"])).fetchone()
    if found is None:
        return None
    oid, kind, rows, size, hidden, rules, toasted, triggers = found
    keys = connection.execute(_KEYS, (oid,)).fetchall()
    if kind == "p":
        counted = connection.execute(_PARTITIONS, (oid,)).fetchone() or (0, 0)
        rows, size = counted[0] or 0, counted[1] or 0
    trouble = _KINDS.get(kind, "")
    if hidden:
        trouble = trouble or "row-level security hides rows of it from this user"
    if rules and not trouble:
        trouble = "it has rules, which write something else"
    primary = next((tuple(names) for is_primary, names in keys if is_primary), ())
    unique = tuple(tuple(names) for is_primary, names in keys if not is_primary)
    columns, marks = _columns(connection, {**place, "names": [], "types": [], "typmods": []})
    key = relation.key or primary
    shape = Shape("postgresql", columns, key, _unique(key, primary, unique), rows, size, trouble)
    return Look(shape, quoted(place["schema"], place["table"]), oid, marks, toasted, triggers)


def _unique(
    key: tuple[str, ...], primary: tuple[str, ...], unique: tuple[tuple[str, ...], ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the keys beside the one that tells rows apart."""
    return unique if key == primary or not primary else (primary, *unique)


def of_query(connection: Session, relation: Relation) -> Look:
    """Return what a query's result looks like."""
    name = SQL("(" + relation.query.strip().rstrip(";") + "\n)")
    names, types, typmods = _described(connection, name)
    if len(set(names)) < len(names):
        raise BadData(f"{relation}: two columns of the query have the same name")
    place = {"schema": "", "table": "", "names": names, "types": types, "typmods": typmods}
    connection.execute("select set_config('search_path', '', false)")
    columns, marks = _columns(connection, place)
    lacking = [name for name in relation.key if name not in names]
    if lacking:
        raise BadData(f"{relation}: the query has no column {lacking[0]!r}")
    return Look(Shape("postgresql", columns, relation.key, trouble="it is a query"), name, 0, marks)


def _described(connection: Session, name: Composable) -> tuple[list[str], list[int], list[int]]:
    """Return the columns of a query, with the OIDs of their types and their typmods."""
    query = SQL("select * from {} as r limit 0").format(name)
    connection.pgconn.send_query_params(query.as_bytes(connection), None)
    [result] = connection.wait(execute(connection.pgconn))
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    places = range(result.nfields)
    names = [(result.fname(place) or b"").decode() for place in places]
    types, typmods = [result.ftype(p) for p in places], [result.fmod(p) for p in places]
    return names, types, typmods


def _columns(connection: Session, place: dict[str, Any]) -> tuple[tuple[Column, ...], Marks]:
    """Return the columns, and what is to be known of some."""
    rows: Sequence[tuple[Any, ...]] = connection.execute(_COLUMNS.encode(), place).fetchall()
    money = 2
    if any(row[2] == "money" for row in rows):
        money = (connection.execute(_MONEY).fetchone() or (2,))[0]
    columns, always, portable, long = [], set(), set(), set()
    for name, native, base, typmod, nullable, generated, identity, numbered, blind, *sets in rows:
        kind = held(base, typmod, money)
        columns.append(Column(name, kind, native, nullable, generated, numbered, blind))
        always |= {name} if identity == "a" else set()
        portable |= {name} if sets[0] else set()
        long |= {name} if sets[1] else set()
    return tuple(columns), Marks(frozenset(always), frozenset(portable), frozenset(long))
