"""Rows that the target refuses: found by halving, put aside up to a limit, never in the log."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from syncd.copies.layout import Layout
from syncd.copies.values import masked
from syncd.engines.tables import Page, Refused, Written
from syncd.errors import BadData, describe, storable
from syncd.model.copy import RejectedRow
from syncd.model.table import Key, Row, Value

_KEY_LIMIT: Final = 1_000
_ROW_LIMIT: Final = 64 * 1024
_VALUE_LIMIT: Final = 16 * 1024


class TooManyRefused(BadData):
    """More rows were refused than may be: the item fails, and would fail again."""

    retryable = False


@dataclass(slots=True)
class Rejects:
    """What was refused of one page; `before` of the pages before it."""

    layout: Layout
    limit: int
    before: int
    rows: list[RejectedRow] = field(default_factory=list)

    def add(self, row: Row, why: str) -> None:
        """Put a row aside, as the target would have got it; raises TooManyRefused."""
        columns = [pair.source.name for pair in self.layout.pairs]
        values = dict(zip(columns, row, strict=False))
        key = tuple(values[name] or b"" for name in self.layout.key)
        self.rows.append(RejectedRow(key_json(key), storable(why)[:2_000], _row_json(values)))
        if self.before + len(self.rows) > self.limit:
            told = f"{self.before + len(self.rows)} rows were refused"
            if self.limit == 0:
                told = f"the row with the key {shown_key(key)} was refused"
            raise TooManyRefused(f"{told}, more than max_rejected = {self.limit}: {why}")

    def hide(self, row: Row) -> Row:
        """Return a row as the source has it with what the copy masks masked."""
        return tuple(
            masked(value, pair.mask) if pair.mask else value
            for value, pair in zip(row, self.layout.pairs, strict=False)
        )


def put(page: Page, rows: Sequence[Row], rejects: Rejects, check: Callable[[], None]) -> Written:
    """Write rows, without those that the target refuses; these are found by halving.

    The halves keep their order: of rows with one key the last one counts.
    """
    if not rows:
        return Written()
    check()
    try:
        return page.put(rows)
    except Refused as error:
        if len(rows) == 1:
            rejects.add(rows[0], describe(error))
            return Written()
    middle = len(rows) // 2
    return together(
        put(page, rows[:middle], rejects, check), put(page, rows[middle:], rejects, check)
    )


def together(one: Written, other: Written) -> Written:
    """Return what became of all of some rows."""
    return Written(
        one.added + other.added,
        one.updated + other.updated,
        one.unchanged + other.unchanged,
        one.added_keys + other.added_keys,
        one.updated_keys + other.updated_keys,
        one.duplicates + other.duplicates,
    )


def shown_key(key: Key) -> str:
    """Return a key as people read it, cut."""
    text = ", ".join(value[:200].decode("utf-8", "backslashreplace") for value in key)
    return text if len(text) <= 200 else f"{text[:200]}..."


def key_json(key: Key) -> str:
    """Return a key as JSON; a long one is cut and gets a hash, by which it is still told apart."""
    text = json.dumps([_text(value) for value in key], ensure_ascii=False)
    if len(text) <= _KEY_LIMIT:
        return text
    return f"{text[: _KEY_LIMIT - 70]}... {sha256(text.encode()).hexdigest()}"


def _row_json(values: dict[str, Value]) -> str:
    told = {name: None if value is None else _text(value) for name, value in values.items()}
    text = json.dumps(told, ensure_ascii=False)
    return text if len(text.encode()) <= _ROW_LIMIT else _cut(text)


def _cut(text: str) -> str:
    return text.encode()[: _ROW_LIMIT - 3].decode("utf-8", "ignore") + "..."


def _text(value: bytes) -> str:
    """Return a value as a text that PostgreSQL takes, cut."""
    text = storable(value[: _VALUE_LIMIT * 4].decode("utf-8", "backslashreplace"))
    return text if len(text) <= _VALUE_LIMIT else f"{text[:_VALUE_LIMIT]}..."
