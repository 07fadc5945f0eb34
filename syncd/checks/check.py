"""One comparison from its beginning to its result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from syncd.checks import sums
from syncd.checks.findings import MOST, Result
from syncd.checks.forms import Pairing, paired
from syncd.checks.looking import Looker
from syncd.checks.ranges import Sizes, Walk, differing
from syncd.checks.together import Both, Place, both
from syncd.context import RunContext
from syncd.errors import BadData
from syncd.model.check import CheckRules
from syncd.model.table import Shape

Repair = Callable[[Result], int]
"""Mends the rows that were found to differ; tells how many it changed."""


@dataclass(frozen=True, slots=True)
class Check:
    """The comparison of two sides.

    Each statement stands by itself: no snapshot is held on either side, since two servers have no
    moment in common, and a snapshot that lasts as long as a large comparison hinders cleaning up.
    Whatever differs is looked at again by its key after `recheck`, which lets pass what was on its
    way. `most`: differing rows that are kept.
    """

    ctx: RunContext
    rules: CheckRules
    left: Place
    right: Place
    now: datetime
    sizes: Sizes = field(default_factory=Sizes)
    most: int = MOST

    def run(self, repair: Repair | None = None) -> tuple[Result, tuple[str, ...]]:
        """Compare; return what was found, and the names of the key's columns.

        With `repair`, rows that differ are given to it, and looked at once more.
        """
        with both(self.ctx, self.left, self.right) as sides:
            pairing = paired(self.rules, sides.left.shape, sides.right.shape, self.now)
            if repair is not None:
                _require_own_key(pairing, sides.left.shape)
            _require_keys(sides, pairing)
            result = self._compare(sides, pairing)
            looker = Looker(sides, pairing)
            if repair is not None and result.found:
                result.repaired = repair(result)
                result.found = looker.again(result.found)
            result.differences = looker.tell(result.found, self.rules.report_limit)
            result.received = sides.left.received + sides.right.received
        return result, pairing.names[: len(pairing.left.key)]

    def _compare(self, sides: Both, pairing: Pairing) -> Result:
        """Compare in all the ways that are asked for, and look again at what differs."""
        result, wanted = Result(alone=pairing.alone), self.rules.compare
        if "count" in wanted:
            result.left_rows, result.right_rows = sums.counts(sides, pairing)
            result.counts = _unequal(result.left_rows, result.right_rows)
        if "aggregate" in wanted:
            result.aggregates = sums.unequal(sides, pairing, self.rules.masked)
        if "checksum" in wanted:
            self._find(sides, pairing, result)
        if not result.equal:
            self.ctx.pause(self.rules.recheck.total_seconds())
            self._look_again(sides, pairing, result)
        return result

    def _find(self, sides: Both, pairing: Pairing, result: Result) -> None:
        """Find the rows that differ, as they are now."""
        found, looker = result.found, Looker(sides, pairing)
        walk = Walk(enough=lambda: len(found) >= self.most)
        about = max(sides.left.shape.rows, sides.right.shape.rows)

        def told() -> None:
            self.ctx.check()
            self.ctx.report.progress(walk.left_rows, max(about, walk.left_rows) or None)

        for leaf in differing(sides, pairing, walk, told, self.sizes):
            looker.sift(leaf, found)
        result.left_rows, result.right_rows = walk.left_rows, walk.right_rows
        result.parts, result.skipped = walk.parts, walk.skipped

    def _look_again(self, sides: Both, pairing: Pairing, result: Result) -> None:
        """Keep of what differed only what still does."""
        if result.counts:
            result.counts = _unequal(*sums.counts(sides, pairing))
        if result.aggregates:
            result.aggregates = sums.unequal(sides, pairing, self.rules.masked)
        before = len(result.found)
        result.found = Looker(sides, pairing).again(result.found)
        result.settled = before - len(result.found)


def _unequal(left: int, right: int) -> tuple[int, int] | None:
    return None if left == right else (left, right)


def _require_own_key(pairing: Pairing, source: Shape) -> None:
    """Raise BadData where rows are told apart by other columns than those by which they are copied.

    By the values of the one key, rows of another would be copied, and deleted.
    """
    key = pairing.names[: len(pairing.left.key)]
    if key != source.key:
        ours, theirs = (", ".join(names) for names in (key, source.key))
        raise BadData(f"repair goes by the copy's key ({theirs}); that of the check is ({ours})")


def _require_keys(sides: Both, pairing: Pairing) -> None:
    """Raise BadData where rows have NULL in their key, which then tells nothing apart."""
    nullable = any(
        column is None or column.nullable
        for side, view in ((sides.left, pairing.left), (sides.right, pairing.right))
        for column in (side.shape.column(each.name) for each in view.key)
    )
    if nullable and any(nulls := sums.null_keys(sides, pairing)):
        raise BadData("NULL in the key of {} rows on the left, {} on the right".format(*nulls))
