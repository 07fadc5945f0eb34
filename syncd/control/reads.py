"""What can be read of the records, whoever reads: the daemon for its clients, or a command itself.

The commands of the command line and the paths of the sockets both go through `Reads`, so that the
answer is the same with and without a daemon.
"""

from typing import Any, Protocol

from syncd.model.queries import (
    ChangeQuery,
    DbAccountChangeQuery,
    DbAccountQuery,
    ResourceQuery,
    RunQuery,
    SizeQuery,
    SizeStatQuery,
)

Rows = list[dict[str, Any]]


class Reads(Protocol):
    """The questions about runs, inventory and fleet; rows have the columns of their tables.

    All raise StoreError when the store is out of reach.
    """

    def runs(self, query: RunQuery) -> Rows:
        """Return runs, the newest first."""

    def run(self, run: str) -> dict[str, Any]:
        """Return a run, named by its id or the beginning of it, with its parts.

        Raises NotFound, and Conflict when several begin so.
        """

    def resources(self, query: ResourceQuery) -> Rows:
        """Return one page of the living resources."""

    def changes(self, query: ChangeQuery) -> Rows:
        """Return changes, the newest first."""

    def db_accounts(self, query: DbAccountQuery) -> Rows:
        """Return one page of the living accounts of database servers."""

    def db_account_changes(self, query: DbAccountChangeQuery) -> Rows:
        """Return changes of accounts, the newest first."""

    def sizes(self, query: SizeQuery) -> dict[str, Rows]:
        """Return the newest sizes: {"databases", the largest first, "servers"}."""

    def size_stats(self, query: SizeStatQuery) -> dict[str, Rows]:
        """Return the statistics of the last completed period: {"databases", "servers"}."""

    def notifications(self) -> dict[str, Rows]:
        """Return {"channels", how each is that ever had a message, "lasting", what is told of}."""

    def overview(self) -> dict[str, Rows]:
        """Return {"outcomes" of each job, "resources" counted, "guarded" deletions}."""
