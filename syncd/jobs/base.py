"""What every job kind offers the runner; `registry.py` names the kinds that exist."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from syncd.context import RunContext
from syncd.errors import SyncdError
from syncd.model.run import Counts, Target
from syncd.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Change:
    """A change that an apply made, for a plan and for the log: what, of which resource, how.

    `thing` is what the log calls it, where it is no resource of a cloud.
    """

    change: str
    resource_id: str
    name: str
    fields: dict[str, object]
    thing: str = "resource"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did; `failure` fails the item although what was applied is kept (a guard)."""

    counts: Counts
    failure: SyncdError | None = None


class Staged(Protocol):
    """What `read` found and `apply` needs; of the job's own making."""

    def discard(self) -> None:
        """Drop what was put aside, when it is not applied after all."""


S = TypeVar("S", bound=Staged)


class Job(Protocol[S]):
    """One job kind, built from one job of the configuration."""

    def targets(self, ctx: RunContext) -> Sequence[Target]:
        """Return all that the run works on, each becoming an item."""

    def read(self, ctx: RunContext, target: Target) -> S:
        """Fetch one target over the network; holds no transaction meanwhile."""

    def apply(self, tx: Transaction, ctx: RunContext, staged: S) -> Applied:
        """Write what was staged, in the runner's transaction (a plan rolls it back)."""

    def changes(
        self, tx: Transaction, ctx: RunContext, staged: S, limit: int | None
    ) -> Sequence[Change]:
        """Return the changes that `apply` just wrote, at most `limit`."""
