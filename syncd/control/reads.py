"""What can be read of the records, whoever reads: the daemon for its clients, or a command itself.

The commands of the command line and the paths of the sockets both go through `Reads`, so that the
answer is the same with and without a daemon.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from syncd.store import views
from syncd.store.database import Transaction
from syncd.store.views import ChangeQuery, ResourceQuery, RunQuery

Rows = list[dict[str, Any]]


class Reads(Protocol):
    """The questions about runs and inventory; rows have the columns of their tables.

    All raise StoreError when the store is out of reach.
    """

    def runs(self, query: RunQuery) -> Rows:
        """Return runs, the newest first."""

    def run(self, run: str) -> dict[str, Any]:
        """Return a run, named by its id or the beginning of it, with `items` and `errors`.

        Raises NotFound, and Conflict when several begin so.
        """

    def resources(self, query: ResourceQuery) -> Rows:
        """Return one page of the living resources."""

    def changes(self, query: ChangeQuery) -> Rows:
        """Return changes, the newest first."""

    def overview(self) -> dict[str, Rows]:
        """Return {"outcomes" of each job, "resources" counted, "guarded" deletions}."""


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
