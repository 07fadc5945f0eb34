"""What the contracts of the tables have in common; each engine's test classes inherit them.

A class gives `subject`, a `TableSubject`, as a fixture.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from engine_run import context
from table_subjects import TableSubject

from syncd.context import RunContext
from syncd.engines.tables import Source, Target
from syncd.model.copy import CopyState, Span
from syncd.model.table import Row


class TablesContract:
    """What sources and targets need in tests."""

    @pytest.fixture
    def ctx(self) -> RunContext:
        return context()

    @contextmanager
    def source(
        self, subject: TableSubject, ctx: RunContext, table: str, *,
        snapshot: bool = False, **changed: Any,
    ) -> Iterator[Source]:  # fmt: skip
        relation = subject.relation(table, **changed)
        with subject.tables().source(ctx, relation, snapshot=snapshot) as source:
            yield source

    @contextmanager
    def target(self, subject: TableSubject, ctx: RunContext, table: str) -> Iterator[Target]:
        relation = subject.relation(table)
        with subject.tables().target(ctx, relation, relation.schema) as target:
            yield target

    def read(self, source: Source, names: str, span: Span, limit: int = 10_000) -> list[Row]:
        return [row for part in source.rows(names.split(), span, limit) for row in part]


def a_state(**changed: Any) -> CopyState:
    """Return a state of a copy, of a run of its own."""
    told: dict[str, Any] = {"job": "orders", "item": "shop.orders", "claim": context().claim,
                            "mode": "full"}  # fmt: skip
    return CopyState(**told | changed)
