"""Copies rows by their keys, as a copy would: what a check found to differ."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from syncd.context import RunContext
from syncd.copies.layout import Layout, Misfit, lay_out
from syncd.copies.pages import Reject, tried
from syncd.copies.rejects import Rejects, put
from syncd.copies.values import Values
from syncd.engines.tables import Into, Source, Tables, Target
from syncd.model.copy import CopyRules, Edge, Span
from syncd.model.deletion import is_too_many
from syncd.model.table import Key, Row

_PAGE: Final = 500
_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Mend:
    """The repair of some rows of a copy; it keeps no state, and never makes a table.

    A page is a transaction. Rows go through the same masks, policies and conflict rule as those of
    a copy, but that a target row is never newer: its difference is what is mended.
    """

    ctx: RunContext
    rules: CopyRules
    tables: Callable[[str], Tables]
    reject: Reject

    def rows(self, keys: Sequence[Key], gone: Sequence[Key], standing: int) -> int:
        """Copy the rows of `keys`, delete those of `gone` if the copy deletes; return how many.

        Keys are those of the source, in the order of its key. Of `standing` rows of the target too
        many are not deleted: they stay, and differ. Raises Misfit and the errors of the engines.
        """
        rules, ctx = self.rules, self.ctx
        with (
            self.tables(rules.source.server).source(ctx, rules.source, snapshot=False) as source,
            self.tables(rules.target.server).target(
                ctx, rules.target, rules.state_schema
            ) as target,
        ):
            if target.shape is None:
                raise Misfit(f"{rules.target}: there is no such table")
            engine = source.shape.engine
            layout = lay_out(
                source.shape, target.shape, rules, lambda column: target.spelled(column, engine)
            )
            if rules.delete == "soft" and not layout.soft:
                raise Misfit(f"{rules.target} lacks column {rules.soft_column}")
            rows = self._read(source, layout, keys)
            done = sum(self._copied(source, target, layout, page) for page in _parts(rows))
            if rules.delete != "none" and not is_too_many(len(gone), standing, rules.deletions):
                done += sum(self._deleted(source, target, layout, page) for page in _pages(gone))
            return done

    def _copied(
        self, source: Source, target: Target, layout: Layout, rows: list[Row]
    ) -> int:  # fmt: skip
        def page() -> int:
            rejects = Rejects(layout, self.rules.max_rejected, 0)
            with target.page(_into(layout)) as opened:
                placed = self._values(source, target, layout).placed(rows)
                for row, why in placed.refused:
                    rejects.add(rejects.hide(row), why)
                written = put(opened, placed.rows, rejects, self.ctx.check)
                if rejects.rows:
                    self.reject(rejects.rows)
            return written.added + written.updated

        return tried(self.ctx, page)

    def _deleted(
        self, source: Source, target: Target, layout: Layout, keys: Sequence[Key]
    ) -> int:  # fmt: skip
        """Delete rows that the source still does not have."""
        there = source.existing(layout.key, keys)
        gone = [key for key in keys if key not in there]

        def page() -> int:
            with target.page(_into(layout)) as opened:
                return opened.delete(gone, layout.soft)

        return tried(self.ctx, page) if gone else 0

    def _read(self, source: Source, layout: Layout, keys: Sequence[Key]) -> Iterator[Row]:
        """Yield the rows of keys, each asked for by itself."""
        names = tuple(pair.source.name for pair in layout.pairs)
        for key in keys:
            self.ctx.check()
            at = Edge(key, inclusive=True)
            for part in source.rows(names, Span(layout.key, at, at), 1):
                yield from part

    def _values(self, source: Source, target: Target, layout: Layout) -> Values:
        assert target.shape is not None  # noqa: S101 - looked at before
        engines = source.shape.engine, target.shape.engine
        pairs = [(pair.source, pair.target) for pair in layout.pairs]
        return Values(pairs, engines, self.rules.columns)


def _into(layout: Layout) -> Into:
    return Into(layout.columns, layout.target_key, "update", revive=layout.soft)


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield rows in parts of some MiB at most, or of one row."""
    part, size = list[Row](), 0
    for row in rows:
        weight = sum(len(value) for value in row if value is not None)
        if part and (len(part) == _PAGE or size + weight > _BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += weight
    if part:
        yield part


def _pages(keys: Sequence[Key]) -> Iterator[list[Key]]:
    rest = iter(keys)
    while page := list(islice(rest, _PAGE)):
        yield page
