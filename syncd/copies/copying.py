"""The copy of one table, from the look at what was copied before to the last word about it.

What stands in the target decides, at each step: an attempt that is killed leaves nothing that the
next one would take for something else. Before the claim nothing is changed; from then on each step
is a transaction that moves the state on, or one that does no harm when it is made twice.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Final, TypeVar

from syncd.context import Clock, RunContext
from syncd.copies import details, passes, rest
from syncd.copies.layout import Layout, Misfit, lay_out
from syncd.copies.pages import Job, Reject, Rows, Samples, taken
from syncd.copies.values import Values
from syncd.engines.tables import Into, NewColumn, Source, Tables, Target
from syncd.errors import Conflict, SyncdError, told_where
from syncd.model.copy import CopyRules, CopyState
from syncd.model.run import Counts
from syncd.model.table import Relation, Shape

_CLAIMS: Final = 5
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did; `failure` fails it although what was copied stands.

    `made` are the columns that a table was made with, or was given; `places` are the schemas that
    were made for it.
    """

    counts: Counts
    failure: SyncdError | None = None
    created: bool = False
    made: tuple[NewColumn, ...] = ()
    samples: Samples = field(default_factory=Samples)
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of a table in a run; in a plan it changes nothing."""

    ctx: RunContext
    clock: Clock
    rules: CopyRules
    tables: Callable[[str], Tables]
    reject: Reject

    def make(self) -> Copied:
        """Copy what there is to copy; raises Misfit and the errors of the engines."""
        rules = self.rules
        tables = self.tables(rules.target.server)
        with _begun(
            rules.target, tables.target(self.ctx, rules.target, rules.state_schema)
        ) as target:
            return self._into(target)

    def _into(self, target: Target) -> Copied:
        before = target.peek(self.ctx.job_name, self.rules.name)
        state = self._begin(before, target)
        if state.phase == "done":  # an attempt that ended without a word about it
            return self._told(
                state, Copied(state.counts, rest.guarded(state, self.rules.deletions))
            )
        with self._source(state) as (source, bounded):
            layout = self._layout(source, target)
            self._check_key(source, layout)
            target.require_names(each.name for each in (*layout.create, *layout.extend))
            places = tuple(target.absent())
            if target.shape is None and self.ctx.rehearsal:
                return replace(self._not_there(source, layout, bounded), places=places)
            state = self._claimed(target, before, bounded)
            made = self._prepared(source, target, layout)
            copied = self._copied(source, target, state, made, created=bool(layout.create))
            return replace(copied, places=places)

    def _begin(self, before: CopyState | None, target: Target) -> CopyState:
        empty = target.shape is None or target.is_empty()
        return passes.begin(
            self.rules, before, self.ctx.job_name, self.ctx.claim, self.clock.now(), empty=empty
        )

    @contextmanager
    def _source(self, state: CopyState) -> Iterator[tuple[Source, CopyState]]:
        """Open the source; the bound of a full pass is taken before its snapshot is.

        What is written before the bound stands in the snapshot, what comes later is later than it.
        """
        tables, relation = self.tables(self.rules.source.server), self.rules.source
        asks = self.rules.mode == "incremental" and "bounded" not in state.details
        if state.mode == "full":
            if asks:
                with _begun(relation, tables.source(self.ctx, relation, snapshot=False)) as early:
                    state = self._bounded(early, state)
            with _begun(relation, tables.source(self.ctx, relation, snapshot=True)) as source:
                yield source, state
        else:
            with _begun(relation, tables.source(self.ctx, relation, snapshot=False)) as source:
                yield source, self._bounded(source, state) if asks else state

    def _bounded(self, source: Source, state: CopyState) -> CopyState:
        watermark = self.rules.watermark
        if watermark is None:
            raise Misfit("an incremental copy needs a watermark")
        column = passes.watermark_column(source.shape, watermark)
        if not passes.is_time(column):
            return passes.bounded(state, column, None)
        return passes.bounded(state, column, source.bound(column.name, watermark.zone))

    def _layout(self, source: Source, target: Target) -> Layout:
        engine = source.shape.engine
        return lay_out(
            source.shape, target.shape, self.rules, lambda column: target.spelled(column, engine)
        )

    def _check_key(self, source: Source, layout: Layout) -> None:
        """Raise for rows that nothing tells apart: no page would hold them."""
        for name in layout.key:
            column = source.shape.column(name)
            if column and column.nullable and (nulls := source.count(null=name)):
                raise Misfit(f"{nulls} rows have NULL in {name}, which is part of the key")

    def _claimed(self, target: Target, before: CopyState | None, state: CopyState) -> CopyState:
        """Take the copy over; what a page of an earlier attempt committed meanwhile counts."""
        if self.ctx.rehearsal:
            return state
        expected = before
        for _ in range(_CLAIMS):
            found = taken(target, state)
            if _same(found, expected):
                return state
            renewed = self._begin(found, target)
            if renewed.mode != state.mode or renewed.phase == "done":
                break
            known = renewed if "bounded" in renewed.details else passes.like(renewed, state)
            expected, state = state, known
        raise Conflict(f"somebody else copies into {self.rules.target} at this moment")

    def _prepared(self, source: Source, target: Target, layout: Layout) -> tuple[NewColumn, ...]:
        """Make the table, or the columns that it lacks; return them."""
        if self.ctx.rehearsal:
            return layout.extend
        if layout.create:
            target.create(layout.create, layout.target_key, source.shape.engine)
        elif layout.extend:
            target.extend(layout.extend, source.shape.engine)
        return (*layout.create, *layout.extend)

    def _copied(
        self, source: Source, target: Target, state: CopyState, made: tuple[NewColumn, ...],
        *, created: bool,
    ) -> Copied:  # fmt: skip
        layout = self._layout(source, target)
        assert target.shape is not None  # noqa: S101 - it was made, if it was not there
        job, state = self._job(source, target, target.shape, layout, state)
        noted = details.of_columns(state.details, layout, made, created=created)
        state = replace(state, details=noted | self._new_values(source, job, state, made))
        rows, began, already = Rows(job, state), self.clock.monotonic(), state.counts.total
        self.ctx.log.info(
            "table copy began", source=str(self.rules.source), target=str(self.rules.target),
            copy=state.mode, rows=source.shape.rows, already=already, undecoded=bool(job.form),
        )  # fmt: skip
        try:
            for after in rows.copy():
                done = after.counts.total
                self.ctx.report.progress(done, _estimate(source.shape, after, done))
                details.report(
                    self.ctx.report, after, done - already, self.clock.monotonic() - began
                )
                details.stands(self.ctx.report, after)
            state = self._noted(source, rows.state, job)
            state = rest.finish(job, state, rows.samples)
        finally:
            seconds = self.clock.monotonic() - began
            told = state if state.phase == "done" else rows.state
            details.report(self.ctx.report, told, told.counts.total - already, seconds)
            if told.phase != "done" and not self.ctx.rehearsal:
                self.ctx.report.detail("committed", asdict(told.counts))
        self.ctx.log.info(
            "table copied", rows=state.counts.total, seconds=round(seconds, 3),
            rows_per_second=details.rate(state.counts.total - already, seconds),
            megabytes=details.megabytes(state),
        )  # fmt: skip
        return Copied(
            state.counts, rest.guarded(state, self.rules.deletions), created, made, rows.samples
        )

    def _job(
        self, source: Source, target: Target, shape: Shape, layout: Layout, state: CopyState
    ) -> tuple[Job, CopyState]:
        """Return what the pages are made with, and the state in which their order is noted."""
        rules = self.rules
        order = passes.order(rules, state, layout.key)
        if state.position is not None and state.details.get("order") != list(order):
            state = passes.anew(state)
        state = replace(state, details={**state.details, "order": list(order)})
        column = start = None
        if rules.mode == "incremental" and rules.watermark:
            column = passes.watermark_column(source.shape, rules.watermark)
            state = passes.zoned(state, column, rules.watermark)
            start = state.watermark if state.mode == "incremental" else None
            back = passes.lookback(column, rules.watermark)
            start = source.back(column.name, start, back) if start and back else start
        values = Values(
            [(pair.source, pair.target) for pair in layout.pairs],
            (source.shape.engine, shape.engine), rules.columns,
        )  # fmt: skip
        unbounded = column is not None and not passes.is_bounded(state)
        job = Job(
            self.ctx, self.clock, rules, layout, source, target, values,
            self._how(layout, state), order, self.reject, column, unbounded, start,
        )  # fmt: skip
        return replace(job, form=_form(job), signs=values.signs or frozenset()), state

    def _how(self, layout: Layout, state: CopyState) -> Into:
        rules = self.rules
        named = {pair.source.name: pair.target.name for pair in layout.pairs}
        if rules.conflict == "newer" and rules.newer not in named:
            raise Misfit(f"column {rules.newer} decides between rows, and is not copied")
        if rules.delete == "soft" and not layout.soft and not self.ctx.rehearsal:
            raise Misfit(f"the target lacks column {rules.soft_column}")  # none is deleted instead
        return Into(
            columns=layout.columns,
            key=layout.target_key,
            conflict=rules.conflict,
            newer=named.get(rules.newer, "") if rules.conflict == "newer" else "",
            revive=layout.soft,
            fresh=state.fresh,
        )

    def _noted(self, source: Source, state: CopyState, job: Job) -> CopyState:
        """Note what an incremental copy did not read: rows without a watermark, or too new."""
        rules = self.rules
        if rules.mode != "incremental" or rules.watermark is None:
            return state
        column, told = passes.watermark_column(source.shape, rules.watermark), {}
        if column.nullable:
            told["null_watermark"] = source.count(null=column.name)
        if beyond := passes.beyond(job.order, state):
            told["beyond_bound"] = source.count(beyond)
        kept = {name: number for name, number in told.items() if number}
        return replace(state, details={**state.details, **kept})

    def _new_values(
        self, source: Source, job: Job, state: CopyState, made: tuple[NewColumn, ...]
    ) -> dict[str, object]:
        """Count the values of columns that a plan would add: it compares rows without them."""
        if not self.ctx.rehearsal or self.rules.conflict != "update":
            return {}
        span = passes.span(job.order, state, job.start)
        new = [each for each in source.shape.columns if any(one.like is each for one in made)]
        names = [each.name for each in new if self.rules.columns.mask.get(each.name) != "null"]
        rows = source.count(span) if names else 0
        told = {name: rows - source.count(span, null=name) for name in names}
        kept = {name: number for name, number in told.items() if number}
        return {"new_values": kept} if kept else {}

    def _not_there(self, source: Source, layout: Layout, state: CopyState) -> Copied:
        """Say what a plan can of a table that a run would make."""
        rows = source.count()
        noted = details.of_columns(state.details, layout, layout.create, created=True)
        state = replace(state, details=noted, counts=Counts(total=rows, added=rows))
        return self._told(state, Copied(state.counts, created=True, made=layout.create))

    def _told(self, state: CopyState, copied: Copied) -> Copied:
        details.report(self.ctx.report, state, 0, 0.0)
        return copied


@contextmanager
def _begun(relation: Relation, session: AbstractContextManager[S]) -> Iterator[S]:
    """Begin a session; why one does not begin is told with its place."""
    with ExitStack() as stack:
        with told_where(str(relation)):
            begun = stack.enter_context(session)
        yield begun


def _same(found: CopyState | None, expected: CopyState | None) -> bool:
    """Tell whether nothing was kept between two looks."""
    if found is None or expected is None:
        return found is expected
    one, other = found.claim, expected.claim
    return (one.run_id, one.attempt, found.phase, found.position, found.counts) == (
        other.run_id, other.attempt, expected.phase, expected.position, expected.counts,
    )  # fmt: skip


def _form(job: Job) -> str | None:
    """Return the format in which blocks pass undecoded; None where somebody has to look at rows.

    A plan names keys, which blocks don't tell.
    """
    layout, names = job.layout, tuple(pair.source.name for pair in job.layout.pairs)
    looked_at = job.ctx.rehearsal or job.unbounded or job.values.signs is None
    if looked_at or layout.read != names or not _told_apart(job):
        return None
    ours, theirs = job.source.formats(names), job.target.formats(layout.columns)
    return next(
        (form for form, types in ours.items() if list(theirs.get(form, ())) == list(types)), None
    )


def _told_apart(job: Job) -> bool:
    """Tell whether no key comes twice, in which case the order counts, which blocks have not.

    A key that the configuration names may, and so may one that the target is blind to.
    """
    layout = job.layout
    if job.rules.source.key and job.order != layout.key:
        return False
    keys = [pair for pair in layout.pairs if pair.source.name in layout.key]
    return all(pair.fit == "exact" and not pair.target.blind for pair in keys)


def _estimate(source: Shape, state: CopyState, done: int) -> int | None:
    """Return how many rows there may be; of what is new nobody knows."""
    return max(source.rows, done) if state.mode == "full" and source.rows else None
