"""The questions of `Reads`, answered by the store itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from syncd.control.reads import Rows
from syncd.model.queries import (
    ChangeQuery,
    DbAccountChangeQuery,
    DbAccountQuery,
    ResourceQuery,
    RunQuery,
    SizeQuery,
    SizeStatQuery,
)
from syncd.store import fleet_views, notice_views, views
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
        """Return a run with its items, errors and calls, read at one moment."""
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

    def db_accounts(self, query: DbAccountQuery) -> Rows:
        """Return one page of the living accounts of database servers."""
        with self._transaction() as tx:
            return fleet_views.db_accounts(tx, query)

    def db_account_changes(self, query: DbAccountChangeQuery) -> Rows:
        """Return changes of accounts, the newest first."""
        with self._transaction() as tx:
            return fleet_views.db_account_changes(tx, query)

    def sizes(self, query: SizeQuery) -> dict[str, Rows]:
        """Return the newest sizes of databases and servers."""
        with self._transaction() as tx:
            return fleet_views.sizes(tx, query)

    def size_stats(self, query: SizeStatQuery) -> dict[str, Rows]:
        """Return the statistics of databases and servers."""
        with self._transaction() as tx:
            return fleet_views.size_stats(tx, query)

    def notifications(self) -> dict[str, Rows]:
        """Return how the channels are, and what lasts."""
        with self._transaction() as tx:
            return {"channels": notice_views.channels(tx), "lasting": notice_views.lasting(tx)}

    def overview(self) -> dict[str, Rows]:
        """Return how the jobs went, what stands, and what is held back."""
        with self._transaction() as tx:
            return {
                "outcomes": views.last_outcomes(tx),
                "resources": views.resource_counts(tx),
                "guarded": views.guarded(tx),
            }
