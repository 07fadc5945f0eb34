"""The `size_rollups` kind: statistics of the sizes of databases and servers, by whole periods.

The store computes them, from its own samples: there is nothing to read, and `apply` does the work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from zoneinfo import ZoneInfo

from syncd.context import Clock, RunContext
from syncd.jobs.base import Applied, Change
from syncd.model.queries import Period
from syncd.model.run import Target
from syncd.store import size_rollups
from syncd.store.database import Transaction
from syncd.store.size_rollups import PERIODS


@dataclass(frozen=True, slots=True)
class SizeRollupsSettings:
    """What a job of this kind is told: the zone of its days, and the bytes that servers can take.

    A server without a capacity is not among them.
    """

    zone: ZoneInfo
    capacities: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Due:
    """The kind of periods to be computed."""

    period: Period

    def discard(self) -> None:
        """Do nothing: nothing is put aside."""


class SizeRollupsJob:
    """Computes the statistics of all periods that are over."""

    def __init__(self, settings: SizeRollupsSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    def targets(self, ctx: RunContext) -> list[Target]:  # noqa: ARG002
        """Return the kinds of periods."""
        return [Target(period) for period in PERIODS]

    def read(self, ctx: RunContext, target: Target) -> Due:  # noqa: ARG002
        """Return the kind of periods."""
        return Due(cast(Period, target.name))

    def apply(self, tx: Transaction, ctx: RunContext, staged: Due) -> Applied:  # noqa: ARG002
        """Compute, and write what differs."""
        today = self._clock.now().astimezone(self._settings.zone).date()
        return Applied(size_rollups.compute(tx, staged.period, today, self._settings.capacities))

    def changes(
        self,
        tx: Transaction,  # noqa: ARG002
        ctx: RunContext,  # noqa: ARG002
        staged: Due,  # noqa: ARG002
        limit: int | None,  # noqa: ARG002
    ) -> list[Change]:
        """Return nothing: statistics are no resources."""
        return []
