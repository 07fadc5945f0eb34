"""Copies among writers that commit late, with ties and NULLs, and processes that die anywhere.

After each step: nothing below the watermark is missing in the target, or another. After each run
that nobody disturbed: the counts are the difference that it made. At last both sides are the same.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from memory_copies import Copies, Died, at

from syncd.copies.order import place
from syncd.model.copy import Watermark
from syncd.model.table import Key, Row

KEYS = st.integers(1, 30)
CRASHES = st.lists(st.integers(0, 80), max_size=3)
DISTURBANCES = st.lists(st.integers(0, 5), max_size=12)


@dataclass
class Writer:
    """A transaction of a client: it stamps rows with its begin, and commits when it likes."""

    began: float
    writes: dict[Key, Row | None] = field(default_factory=dict)


class CopyMachine(RuleBasedStateMachine):
    """A source that is written, and a copy that is made of it again and again."""

    @initialize(undecoded=st.booleans(), mode=st.sampled_from(["full", "incremental"]),
                page_rows=st.integers(1, 7), bounded=st.booleans())  # fmt: skip
    def begin(self, undecoded: bool, mode: str, page_rows: int, bounded: bool) -> None:
        self.mode, self.bounded = mode, bounded
        self.copies = Copies(mode=mode, page_rows=page_rows, delete="hard")
        if mode == "incremental":
            self.copies.configure(
                mode=mode, page_rows=page_rows, delete="hard",
                watermark=Watermark("changed", timedelta(0)), full_every=timedelta(days=365),
            )  # fmt: skip
        self.copies.target.undecoded = undecoded
        self.copies.source.bound = lambda: at(self.bound()) if bounded else None
        self.copies.clock.at += timedelta(days=30)
        self.now, self.notes = 1.0, 0
        self.writers: list[Writer] = []

    def bound(self) -> float:
        return min([self.now, *(writer.began for writer in self.writers)])

    # what others do

    @rule(seconds=st.sampled_from([0.5, 1.0, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(keys=st.lists(KEYS, min_size=1, max_size=8), blank=st.booleans())
    def write(self, keys: list[int], blank: bool) -> None:
        """Write rows at once, all with the same watermark, or with none."""
        self._commit(Writer(self.now, {k: self._row(k, None if blank else self.now)
                                       for k in map(_key, keys)}))  # fmt: skip

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4))
    def delete(self, keys: list[int]) -> None:
        self._commit(Writer(self.now, dict.fromkeys(map(_key, keys))))

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4))
    def begin_late(self, keys: list[int]) -> None:
        """Begin a transaction that commits later; without a bound nobody can wait for it."""
        if self.bounded or self.mode == "full":
            moment = self.now
            self.writers.append(Writer(moment, {k: self._row(k, moment) for k in map(_key, keys)}))

    @rule()
    def commit_late(self) -> None:
        if self.writers:
            self._commit(self.writers.pop(0))

    def _row(self, key: Key, moment: float | None) -> Row:
        self.notes += 1
        return (*key, None if moment is None else at(moment), f"note {self.notes}".encode())

    def _commit(self, writer: Writer) -> None:
        """Commit: of a row that somebody else wrote meanwhile, the later stamp stays."""
        rows = self.copies.orders.rows
        for key, row in writer.writes.items():
            if row is None:
                rows.pop(key, None)
            elif key not in rows or (rows[key][1] or b"") <= (row[1] or b"") or row[1] is None:
                rows[key] = row
        self.now += 0.25

    # copies

    @rule(crashes=CRASHES)
    def run_undisturbed(self, crashes: list[int]) -> None:
        before = self._target()
        copied = self._run(crashes, None)
        after = self._target()
        counts = copied.counts
        assert counts.added == len(after.keys() - before.keys())
        gone = before.keys() - after.keys()
        assert counts.deleted == len(gone)
        assert counts.updated == sum(
            before[key] != after[key] for key in before.keys() & after.keys()
        )
        if self.mode == "full":
            assert counts.total == len(self.copies.orders.rows)

    @rule(crashes=CRASHES, disturbances=DISTURBANCES)
    def run_disturbed(self, crashes: list[int], disturbances: list[int]) -> None:
        left = list(disturbances)

        def disturb(name: str) -> None:
            if left and name in ("part", "rows", "blocks", "committed", "bound", "source", "edge"):
                self._disturb(left.pop())

        self._run(crashes, disturb)

    @rule(crash=st.integers(0, 80), disturbances=DISTURBANCES)
    def die_for_good(self, crash: int, disturbances: list[int]) -> None:
        """Let a run end in the middle; the next one is another run."""
        left = list(disturbances)
        with suppress(Died):
            self.copies.run(die_at=crash, step=lambda _: left and self._disturb(left.pop()))

    def _disturb(self, what: int) -> None:
        if what == 0:
            self.write([self.notes % 30 + 1, 31 + self.notes % 5], False)
        elif what == 1:
            self.delete([self.notes % 30 + 1])
        elif what == 2:
            self.begin_late([self.notes * 7 % 30 + 1])
        elif what == 3:
            self.commit_late()
        elif what == 4:
            self.write([self.notes % 30 + 1], True)

    def _run(self, crashes: list[int], step: Callable[[str], None] | None):
        self.copies.run_id, self.copies.attempts = self.copies._new_run()
        for crash in crashes:
            try:
                return self.copies.attempt(die_at=crash, step=step)
            except Died:
                self.no_row_below_the_watermark_is_missing()
        return self.copies.attempt(step=step)

    def _target(self) -> dict[Key, Row]:
        there = self.copies.target.tables.get("copied")
        return dict(there.rows) if there else {}

    # what holds

    @invariant()
    def no_row_below_the_watermark_is_missing(self) -> None:
        if not hasattr(self, "copies"):
            return
        state = self.copies.state
        if state is None or state.watermark is None:
            return
        limit, target = place("timestamp", state.watermark), self._target()
        for key, row in self.copies.orders.rows.items():
            if row[1] is not None and place("timestamp", row[1]) < limit:
                assert target.get(key) == row

    def teardown(self) -> None:
        """Let all commit, and copy once more: what has a watermark is the same, then everything."""
        if not hasattr(self, "copies"):
            return
        while self.writers:
            self._commit(self.writers.pop())
        self.now += 1
        self.copies.run()
        source, target = self.copies.orders.rows, self._target()
        assert {key: row for key, row in source.items() if row[1] is not None} == {
            key: row for key, row in target.items() if key in source and source[key][1] is not None
        }
        self.copies.clock.at += timedelta(days=366)
        self.copies.run()
        if source:
            assert self._target() == source


def _key(number: int) -> Key:
    return (str(number).encode(),)


TestCopyMachine = CopyMachine.TestCase
TestCopyMachine.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
