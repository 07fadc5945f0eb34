"""The statements that bring staged rows into a table: what differs is found once, then written.

Rows are the same when their images are: by `=` where that says the same, else by `*<>`. So types
without equality are compared, 1.0 differs from 1.00, and a text from one that a collation takes for
it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Composable, Composed, Identifier

from syncd.engines.postgresql.literals import columns_of, literal
from syncd.engines.postgresql.reading import as_text
from syncd.engines.postgresql.shapes import Look
from syncd.engines.tables import Into
from syncd.model.table import Column

STAGE: Final = Identifier("pg_temp", "syncd_stage")
DIFF: Final = Identifier("pg_temp", "syncd_diff")
KEYS: Final = Identifier("pg_temp", "syncd_keys")
SAMPLES: Final = 10
_PLAIN: Final = ("integer", "boolean", "bytes", "date", "timestamp", "instant", "time", "uuid")
_RANGED: Final = ("integer", "decimal", "float", "text", "date", "timestamp", "instant", "time")
"""Kinds that have min and max in every version."""


@dataclass(frozen=True, slots=True)
class Merge:
    """The SQL for one way of writing into one table."""

    into: Into
    looked: Look

    @property
    def columns(self) -> list[Column]:
        """Return the columns that come, in their order."""
        return columns_of(self.looked.shape, self.into.columns)

    @property
    def keys(self) -> list[Column]:
        """Return the columns of the key."""
        return columns_of(self.looked.shape, self.into.key)

    @property
    def money(self) -> bool:
        """Tell whether amounts come, which are staged as numbers."""
        return any(_is_money(column) for column in self.columns)

    def create(self) -> list[Composable]:
        """Return what makes the tables of the session, which each transaction leaves empty."""
        staged = SQL(", ").join(
            _number(column, Identifier(column.name)) + SQL(" as ") + self._staged(column)
            for column in self.columns
        )
        noted = SQL(", ").join(
            SQL("{} as {}").format(Identifier(column.name), Identifier(f"k{at}"))
            for at, column in enumerate(self.keys, 1)
        )
        return [
            SQL("drop table if exists {}, {}").format(STAGE, DIFF),
            SQL("create temp table syncd_stage on commit delete rows as"
                " select {} from {} with no data").format(staged, self.looked.name),
            SQL("create temp table syncd_diff on commit delete rows as"
                " select *, false as is_new from {} with no data").format(STAGE),
            SQL("drop table if exists {}").format(KEYS),
            SQL("create temp table syncd_keys as select {} from {} with no data").format(
                noted, self.looked.name),
        ]  # fmt: skip

    def copy(self, table: Composable, form: str) -> Composable:
        """Return what rows are sent to: the stage, or the table itself."""
        names = [
            Identifier(column.name) if table is self.looked.name else self._staged(column)
            for column in self.columns
        ]
        return SQL("copy {} ({}) from stdin (format {})").format(
            table, SQL(", ").join(names), SQL(form)
        )

    def has_duplicates(self, table: Composable) -> Composable:
        """Return the question whether a key is in a table of the session twice."""
        return SQL("select exists (select from {} group by {} having count(*) > 1)").format(
            table, self._key_names()
        )

    def drop_duplicates(self, table: Composable) -> Composable:
        """Return what leaves the last one of each key in a table of the session."""
        return SQL(
            "delete from {0} where ctid in (select ctid from (select ctid, row_number() over"
            " (partition by {1} order by ctid desc) as nth from {0}) as s where nth > 1)"
        ).format(table, self._key_names())

    def range(self) -> Composable:
        """Return the question for the smallest and the largest staged value of the first key."""
        key = self.keys[0]
        if key.type.kind not in _RANGED:
            return SQL("select null::bytea, null::bytea")
        name = self._staged(key)
        least, most = SQL("min({})").format(name), SQL("max({})").format(name)
        return SQL("select {}, {} from {}").format(as_text(key, least), as_text(key, most), STAGE)

    def differ(self, ends: Sequence[bytes | None]) -> Composable:
        """Return what finds the staged rows that are new or have to be written.

        The ends of the page's first key, as literals, let the planner know how small a part of the
        table is asked for.
        """
        key, within = self.keys[0], Composed([])
        for sign, end in zip((">=", "<="), ends, strict=True):
            if end is not None:
                name = Identifier("t", key.name)
                within = within + SQL(f" and {{}} {sign} ").format(name) + literal(key, end)
        where = Composed([SQL("t.tableoid is null")])
        if self.into.conflict != "skip":
            where = where + SQL(" or ") + self._differs()
        return SQL(
            "insert into {} select s.*, t.tableoid is null from {} as s left join {} as t"
            " on {}{} where {}"
        ).format(DIFF, STAGE, self.looked.name, self._same_key("s"), within, where)

    def update(self) -> Composable | None:
        """Return what writes over rows, None where there is nothing but their keys."""
        sets = [
            SQL("{} = ").format(Identifier(column.name)) + self._money(column, "d")
            for column in self._written()
        ]
        if self.into.revive:
            sets.append(SQL("{} = null").format(Identifier(self.into.revive)))
        if not sets:
            return None
        return SQL("update {} as t set {} from {} as d where not d.is_new and {}").format(
            self.looked.name, SQL(", ").join(sets), DIFF, self._same_key("d")
        ) + self._returning("t")

    def insert(self) -> Composable:
        """Return what adds rows; numbers that the server would give are ours to tell."""
        ours = any(column.identity for column in self.columns)
        return SQL("insert into {} as t ({}){} select {} from {} as d where d.is_new").format(
            self.looked.name,
            SQL(", ").join(Identifier(column.name) for column in self.columns),
            SQL(" overriding system value" if ours else ""),
            SQL(", ").join(self._money(column, "d") for column in self.columns),
            DIFF,
        ) + self._returning("t")

    def revive(self) -> Composable:
        """Return what takes the mark of a deletion off all rows that came."""
        mark = Identifier(self.into.revive)
        return SQL(
            "update {} as t set {} = null from {} as s where {} and t.{} is not null"
        ).format(self.looked.name, mark, STAGE, self._same_key("s"), mark) + self._returning("t")

    def existing(self) -> Composable:
        """Return the keys of some rows that are there and differ."""
        return SQL("select {} from {} as d where not is_new limit {}").format(
            self._texts("d", staged=True), DIFF, SQL(str(SAMPLES))
        )

    def missing(self, limit: int) -> Composable:
        """Return the question for rows whose keys were not noted: their number, and some."""
        same = SQL(" and ").join(
            SQL("k.{} = t.{}").format(Identifier(f"k{at}"), Identifier(column.name))
            for at, column in enumerate(self.keys, 1)
        )
        alive = Composed([
            SQL(" and t.{} is not null").format(Identifier(column.name))
            for column in self.keys if column.nullable
        ])  # fmt: skip
        if self.into.revive:
            alive += SQL(" and t.{} is null").format(Identifier(self.into.revive))
        return SQL(
            "with gone as materialized (select {} from {} as t"
            " where not exists (select from {} as k where {}){})"
            " select (select count(*) from gone), g.* from (select) as one"
            " left join (select * from gone limit {}) as g on true"
        ).format(self._texts("t"), self.looked.name, KEYS, same, alive, SQL(str(limit)))

    def counted(self, statement: Composable) -> Composable:
        """Return a statement that tells how many rows another one returns, and some of them."""
        return SQL("with w as ({}) select count(*) over (), w.* from w limit {}").format(
            statement, SQL(str(SAMPLES))
        )

    def _written(self) -> list[Column]:
        """Return the columns that an update sets: not the key, nor what only the server numbers."""
        fixed = {*self.into.key, *self.looked.marks.always}
        return [column for column in self.columns if column.name not in fixed]

    def _differs(self) -> Composable:
        """Return the condition by which a row is written over one that is there."""
        columns = self._written()
        if self.into.revive and self.into.conflict != "newer":
            revived = SQL(" or t.{} is not null").format(Identifier(self.into.revive))
        else:
            revived = Composed([])
        if not columns:
            return SQL("(false") + revived + SQL(")")
        pairs = [
            (_number(c, Identifier("t", c.name)), SQL("s.{}").format(self._staged(c)))
            for c in sorted(columns, key=_is_plain, reverse=True)
        ]
        plain = sum(map(_is_plain, columns))
        compared = [SQL("{} is distinct from {}").format(*pair) for pair in pairs[:plain]]
        if images := pairs[plain:]:
            there, comes = (SQL(", ").join(side) for side in zip(*images, strict=True))
            image = SQL("row({})::record operator(pg_catalog.*<>) row({})::record")
            compared.append(image.format(there, comes))
        differs = SQL("({}{})").format(SQL(" or ").join(compared), revived)
        return SQL("({}{})").format(differs, self._is_newer())

    def _is_newer(self) -> Composable:
        """Return the condition on the column that decides, in a copy where one does."""
        if self.into.conflict != "newer":
            return SQL("")
        [column] = columns_of(self.looked.shape, [self.into.newer])
        there = _number(column, Identifier("t", column.name))
        return SQL(" and ({0} > {1} or {1} is null and {0} is not null)").format(
            SQL("s.{}").format(self._staged(column)), there
        )

    def _same_key(self, alias: str) -> Composable:
        return SQL(" and ").join(
            SQL("{} = ").format(Identifier("t", column.name)) + self._money(column, alias)
            for column in self.keys
        )

    def _key_names(self) -> Composable:
        return SQL(", ").join(self._staged(column) for column in self.keys)

    def _staged(self, column: Column) -> Identifier:
        return Identifier(f"c{self.into.columns.index(column.name)}")

    def _money(self, column: Column, alias: str) -> Composable:
        """Return a staged value as one of its column."""
        name = SQL("{}.{}").format(Identifier(alias), self._staged(column))
        return name + SQL(f"::{column.native}") if _is_money(column) else name

    def _texts(self, alias: str, *, staged: bool = False) -> Composable:
        return SQL(", ").join(
            as_text(
                column,
                SQL("{}.{}").format(
                    Identifier(alias), self._staged(column) if staged else Identifier(column.name)
                ),
            )
            + SQL(f" as k{at}")
            for at, column in enumerate(self.keys, 1)
        )

    def _returning(self, alias: str) -> Composable:
        return SQL(" returning ") + self._texts(alias)


def _is_plain(column: Column) -> bool:
    """Tell whether values of a column are the same when they are equal: then `=` is faster."""
    if column.type.kind == "text":
        return not column.blind and column.native.startswith(("text", "character varying"))
    return column.type.kind in _PLAIN


def _is_money(column: Column) -> bool:
    """Tell whether a column holds amounts, whose text depends on the server's locale."""
    return column.native == "money"


def _number(column: Column, name: Composable) -> Composable:
    """Return a column as it is staged."""
    return name + SQL("::pg_catalog.numeric") if _is_money(column) else name
