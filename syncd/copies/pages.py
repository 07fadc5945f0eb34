"""The rows of a pass, page by page: each is one transaction in the target, its state in it.

Whatever ends a page early rolls all of it back, so that it can be made again: at once when others
were in the way, by the next attempt otherwise.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, TypeVar

from syncd.context import Clock, Deadline, RunContext
from syncd.copies import passes
from syncd.copies.layout import Layout
from syncd.copies.rejects import Rejects, put, together
from syncd.copies.values import Values
from syncd.engines.tables import Busy, Into, Page, Refused, Source, Target, Written
from syncd.errors import BadData, Conflict, Fenced
from syncd.model.copy import CopyRules, CopyState, Edge, RejectedRow, Span
from syncd.model.run import Counts
from syncd.model.table import Column, Key, Row, Value

PAUSES: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each further try of a page that others were in the way of."""
PATIENCE: Final = 20.0
"""Seconds from the first try on after which none is begun: locks are waited for in each one."""
_FIRST_ROWS: Final = 16
"""Rows of the first page: nobody knows what they weigh."""
_GROWTH: Final = 8
_REFUSED: Final = 3
"""Pages of blocks in a row that are refused before all are gone through by rows at once."""
_PAGE_BYTES: Final = 64 * 1024 * 1024
_ALL: Final = 2**31 - 1
_SAMPLES: Final = 20

T = TypeVar("T")
Reject = Callable[[Sequence[RejectedRow]], None]
"""Puts rejected rows aside, before the page without them is committed."""


class TakenOver(Conflict):
    """Somebody else copies the same, and began later."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Job:
    """What a copy works with.

    `watermark` is the column of an incremental copy, `unbounded` tells whether its latest value is
    to be found, `start` where its pass begins; `form` is the format in which blocks pass undecoded,
    None where rows are looked at, and `signs` are what blocks with such values have.
    """

    ctx: RunContext
    clock: Clock
    rules: CopyRules
    layout: Layout
    source: Source
    target: Target
    values: Values
    into: Into
    order: tuple[str, ...]
    reject: Reject
    watermark: Column | None = None
    unbounded: bool = False
    start: bytes | None = None
    form: str | None = None
    signs: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Samples:
    """Keys of rows that changed, the first ones, for a plan."""

    added: list[Key] = field(default_factory=list)
    updated: list[Key] = field(default_factory=list)
    deleted: list[Key] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)

    def note(self, written: Written, rejected: Iterable[RejectedRow]) -> None:
        """Keep some of what a page wrote."""
        self.added = [*self.added, *written.added_keys][:_SAMPLES]
        self.updated = [*self.updated, *written.updated_keys][:_SAMPLES]
        self.rejected = [*self.rejected, *rejected][:_SAMPLES]


@dataclass(slots=True)
class _Got:
    """What a page read, and what became of it; `position` is the last row, None at the end."""

    rejects: Rejects
    position: Key | None = None
    read: int = 0
    bytes: int = 0
    written: Written = field(default_factory=Written)
    nulled: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    seen: list[Value] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        """Count each row once; one that a later row of its key took the place of is unchanged."""
        done, errors = self.written, len(self.rejects.rows)
        unchanged = done.unchanged + done.duplicates
        return Counts(
            total=done.added + done.updated + unchanged + errors,
            added=done.added,
            updated=done.updated,
            unchanged=unchanged,
            errors=errors,
        )


def tried(ctx: RunContext, page: Callable[[], T]) -> T:
    """Make a page, again when others were in its way; raises Busy where they stay there."""
    patience = Deadline.after(PATIENCE)
    for pause in PAUSES:
        try:
            return page()
        except Busy as error:
            if patience.remaining() <= 0:
                raise
            ctx.log.info("a page is tried again", error=str(error))
            ctx.pause(pause)
    return page()


def keep(page: Page, state: CopyState) -> None:
    """Keep a state with its page; raises TakenOver where another attempt has claimed the copy.

    Whether our own run is ours is another question, which its own records answer.
    """
    try:
        page.save(state)
    except Fenced as error:
        raise TakenOver(f"another copy of it took over: {error}") from error


def taken(target: Target, state: CopyState) -> CopyState | None:
    """Claim a copy; raises TakenOver where a later attempt has it."""
    try:
        return target.claim(state)
    except Fenced as error:
        raise TakenOver(f"a later attempt took over: {error}") from error


@dataclass(slots=True)
class _Blocks:
    """The blocks of a page, read anew each time that they are gone through; `size` is their bytes.

    A target that can't write them as it thought asks for them again. Raises Refused for one with a
    value that somebody has to look at.
    """

    job: Job
    span: Span
    form: str
    size: int = 0

    def __iter__(self) -> Iterator[bytes | memoryview]:
        self.size, good = 0, True
        job, seen = self.job, b""
        seam = max(map(len, job.signs), default=0)  # a block may begin within a sign
        for block in job.source.blocks(job.layout.read, self.span, self.form):
            job.ctx.check()
            self.size += len(block)
            if job.signs:
                seen += block
                good = good and not any(sign in seen for sign in job.signs)
                seen = seen[-seam:]
            if good:
                yield block
        if not good:  # only now: a session of MySQL does not outlive what is left of a result
            raise Refused("values have to be looked at")


class Rows:
    """Copies the rows of a pass; `state` is that of the last page that stands."""

    def __init__(self, job: Job, state: CopyState) -> None:
        self._job, self.state = job, state
        self._limit = min(job.rules.page_rows, _FIRST_ROWS)
        self._form, self._refused = job.form, 0
        self._places = [job.layout.read.index(name) for name in job.order]
        self.samples = Samples()

    def copy(self) -> Iterator[CopyState]:
        """Copy all pages; yield the state after each."""
        while self.state.phase == "rows":
            self._job.ctx.check()
            self.state = tried(self._job.ctx, self._page)
            yield self.state

    def _page(self) -> CopyState:
        job, rehearsal = self._job, self._job.ctx.rehearsal
        span = passes.span(job.order, self.state, job.start)
        rejects = Rejects(job.layout, job.rules.max_rejected, self.state.counts.errors)
        try:
            with job.target.page(job.into, rehearse=rehearsal) as page:
                got = self._moved(page, span, rejects)
                if rejects.rows and not rehearsal:
                    job.reject(rejects.rows)
                after = self._after(got)
                if not rehearsal:
                    keep(page, after)
        except Busy:
            raise  # the page comes again
        except BadData:
            if rejects.rows and not rehearsal:
                job.reject(rejects.rows)  # what made the page fail is to be seen
            raise
        self.samples.note(got.written, rejects.rows)
        self._resize(got)
        return after

    def _moved(self, page: Page, span: Span, rejects: Rejects) -> _Got:
        """Bring a page over; one of blocks that is refused is gone through by rows."""
        if self._form is None:
            got = self._rows(page, span, self._limit, rejects)
            if got.read < self._limit:
                got.position = None
            return got
        end = self._job.source.edge(span, self._limit)
        if end is not None:
            span = replace(span, end=Edge(end, inclusive=True))
        try:
            got = self._blocks(page, span, self._form, rejects)
            self._refused = 0
        except Refused:
            got = self._rows(page, span, _ALL, rejects)
            self._refused += 1
            if self._refused == _REFUSED:
                self._form = None
        got.position = end
        return got

    def _blocks(self, page: Page, span: Span, form: str, rejects: Rejects) -> _Got:
        got, blocks = _Got(rejects), _Blocks(self._job, span, form)
        got.written = page.forward(blocks, form)
        got.read, got.bytes = got.counts.total, blocks.size
        return got

    def _rows(self, page: Page, span: Span, limit: int, rejects: Rejects) -> _Got:
        got = _Got(rejects)
        for part in self._job.source.rows(self._job.layout.read, span, limit):
            if part:
                self._part(page, part, got)
                part.clear()  # a row may be long, and whoever read it still refers to the part
        return got

    def _part(self, page: Page, part: list[Row], got: _Got) -> None:
        """Bring some rows of a page over."""
        job, rejects = self._job, got.rejects
        job.ctx.check()
        got.read += len(part)
        got.bytes += sum(map(len, filter(None, chain.from_iterable(part))))
        got.position = tuple(part[-1][place] or b"" for place in self._places)
        if job.watermark and job.unbounded:
            place = job.layout.read.index(job.watermark.name)
            got.seen += [row[place] for row in part]
        placed = job.values.placed(part)
        for row, why in placed.refused:
            rejects.add(rejects.hide(row), why)
        got.nulled.update(placed.nulled)
        got.mended.update(placed.mended)
        rows = _cut(placed.rows, len(job.layout.pairs))
        got.written = together(got.written, put(page, rows, rejects, job.ctx.check))

    def _after(self, got: _Got) -> CopyState:
        """Return the state with a page more."""
        job, state = self._job, self.state
        if job.watermark and job.rules.watermark:
            now = job.clock.now()
            state = passes.grown(state, job.watermark, job.rules.watermark, got.seen, now)
        figures = _figures(state.details, got)
        state = replace(
            state, position=got.position, counts=state.counts + got.counts, details=figures
        )
        if got.position is None:
            return passes.rows_over(state)
        return passes.moved(state, job.watermark) if job.watermark else state

    def _resize(self, got: _Got) -> None:
        """Let the next page be larger, unless its rows are heavy."""
        most = min(self._job.rules.page_rows, self._limit * _GROWTH)
        if got.bytes and got.read:
            most = min(most, max(_PAGE_BYTES * got.read // got.bytes, 1))
        self._limit = max(most, 1)


def _cut(rows: list[Row], width: int) -> list[Row]:
    """Return rows without what was read only to know where the copy is."""
    return [row[:width] for row in rows] if rows and len(rows[0]) > width else rows


def _figures(before: Mapping[str, object], got: _Got) -> dict[str, object]:
    """Return the details with what a page adds; sums go on over the attempts of a run."""
    after = dict(before)
    for name, more in {
        "bytes": got.bytes,
        "rejected": len(got.rejects.rows),
        "duplicates": got.written.duplicates,
    }.items():
        if more:
            after[name] = int(str(after.get(name, 0))) + more
    for name, counted in {"nulled": got.nulled, "mended": got.mended}.items():
        if counted:
            had = after.get(name)
            after[name] = dict(Counter(had if isinstance(had, dict) else {}) + counted)
    return after
