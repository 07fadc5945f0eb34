"""Runs and their items: what they are, how they count, and which moves between states exist."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, Literal, NewType
from uuid import UUID

from syncd.errors import ErrorClass, SyncdError

RunId = NewType("RunId", UUID)
Status = Literal["pending", "running", "success", "failed", "cancelled"]
TriggerName = Literal["schedule", "manual", "catch_up", "event"]
RunOutcome = Literal["success", "failed", "cancelled", "interrupted"]
ItemOutcome = Literal["success", "failed", "cancelled"]
Priority = Literal["urgent", "high", "normal", "low"]
Overlap = Literal["skip", "queue", "replace"]
Isolation = Literal["thread", "process"]
Gate = Literal["load", "disk", "store", "paused", "held", "window"]
"""What holds a run back although a worker is free."""
Wait = Literal[Gate, "retry", "overlap", "elsewhere", "account", "server", "worker"]
"""Why a run waits: for a gate, its next attempt, another run of its job (here or in another
process), an account or a server that is in use, or a worker."""
SkipReason = Literal[Gate, "overlap", "already_made", "stuck", "busy"]
"""Why a due time got no run that was started; busy: what it needs was in use for too long."""

RUN_MOVES: Final[Mapping[Status, frozenset[Status]]] = {
    "pending": frozenset({"running", "cancelled"}),
    "running": frozenset({"success", "failed", "cancelled", "pending"}),
    "success": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""From a state to those it may move to; back to pending is a further attempt of the same run."""
FINAL: Final = frozenset(status for status, moves in RUN_MOVES.items() if not moves)
"""The states in which a run has ended."""

ITEM_MOVES: Final[Mapping[Status, frozenset[Status]]] = {
    **RUN_MOVES,
    "pending": frozenset({"running", "failed", "cancelled"}),
    "failed": frozenset({"pending"}),
}
"""As for runs; a retry moves an item from failed to pending, and one may fail before it starts."""


def new_run_id(now: datetime) -> RunId:
    """Return a time-ordered UUID, version 7 of RFC 9562, for the moment `now`."""
    milliseconds = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    return RunId(UUID(int=value | 0b10 << 62 | secrets.randbits(62)))


@dataclass(frozen=True, slots=True)
class Due:
    """A due time of a job; one that was missed has the trigger `catch_up`."""

    job: str
    at: datetime
    trigger: TriggerName


@dataclass(frozen=True, slots=True)
class Counts:
    """What an item did; a run's counts are the sums of its items'.

    `total` is what the source listed; of it some were added (or restored), updated, unchanged, and
    some had errors: total = added + updated + unchanged + errors. `deleted` counts apart.
    """

    total: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    errors: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.total + other.total,
            self.added + other.added,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.unchanged + other.unchanged,
            self.errors + other.errors,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that a run works on; becomes an item.

    `problem` is set where the target is known to be out of reach before it is tried (the regions of
    an account could not be listed): its item fails with it, and the others go on.
    """

    name: str
    account: str | None = None
    provider: str | None = None
    region: str | None = None
    resource_type: str | None = None
    server: str | None = None
    table: str | None = None
    problem: SyncdError | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write the records of one attempt; every commit checks it in the store."""

    run_id: RunId
    owner: str
    epoch: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a job's targets a run is for; an empty set means all."""

    PARTS: ClassVar = ("accounts", "regions", "servers", "tables")

    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Return what is selected: `regions cn-a; servers orders-db, stock-db`, or `all`."""
        parts = {name: sorted(getattr(self, name)) for name in self.PARTS}
        told = [f"{name} {', '.join(chosen)}" for name, chosen in parts.items() if chosen]
        return "; ".join(told) or "all"

    def wants(self, target: Target) -> bool:
        """Tell whether the selection holds a target.

        One of an account and of no region counts for each of the account's regions.
        """
        everywhere = target.account is not None and target.region is None
        return (
            (not self.accounts or target.account in self.accounts)
            and (not self.regions or everywhere or target.region in self.regions)
            and (not self.servers or target.server in self.servers)
            and (not self.tables or target.table in self.tables)
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt of a run, or one of its items, ended."""

    status: Status
    error_class: ErrorClass | None = None
    error: str | None = None
