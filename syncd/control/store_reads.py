"""The questions of `Reads`, answered by the store itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from syncd.control.reads import Rows
from syncd.model.queries import ChangeQuery, ResourceQuery, RunQuery
from syncd.store import views
from syncd.store.database import Transaction


class StoreReads:
    """Reads from the store, each time in a transaction of its own."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Transaction]]) -> None:
        self._transaction = transaction

    def runs(self, query: RunQuery) -> Rows:
        """Return runs, the newest first."""
        with self._transaction() as tx:
            return views.runs(tx, query)

    def run(self, run: str) -> dict[str, Any]:
        """Return a run with its items and errors, read at one moment."""
        with self._transaction() as tx:
            return views.run(tx, views.find_run(tx, run))

    def resources(self, query: ResourceQuery) -> Rows:
        """Return one page of the living resources."""
        with self._transaction() as tx:
            return views.resources(tx, query)

    def changes(self, query: ChangeQuery) -> Rows:
        """Return changes, the newest first."""
        with self._transaction() as tx:
            return views.changes(tx, query)

    def overview(self) -> dict[str, Rows]:
        """Return how the jobs went, what stands, and what is held back."""
        with self._transaction() as tx:
            return {
                "outcomes": views.last_outcomes(tx),
                "resources": views.resource_counts(tx),
                "guarded": views.guarded(tx),
            }
