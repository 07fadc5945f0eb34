"""What comes after the rows of a pass: numbers go on behind them, rows that are gone are deleted.

All keys of the source are compared with those of the target. A row is deleted only when a second
look by its key finds nothing in the source, and when not too many go at once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Final

from syncd.copies import details
from syncd.copies.pages import Job, Samples, keep, tried
from syncd.engines.sides import number_in
from syncd.engines.tables import Busy, Page, Refused
from syncd.errors import BadData, Guarded
from syncd.model.copy import CopyState, Edge, Span
from syncd.model.deletion import DeletionPolicy, is_too_many
from syncd.model.table import Column, Key, Row

_KEYS: Final = 50_000
"""Keys that are looked up and deleted at once."""
_SAMPLES: Final = 20
_ALL: Final = 2**31 - 1

Opened = Callable[[], AbstractContextManager[Page]]
"""Gives the transaction in which a step is made: one of its own, or in a plan the only one."""


def finish(job: Job, state: CopyState, samples: Samples) -> CopyState:
    """Do what is left of a pass; return its last state, which is kept."""
    if not job.ctx.rehearsal:
        job.target.settle()
    if job.rules.delete != "none":
        state = _Deletions(job, state, samples).make()
    state = replace(state, phase="done")
    if not job.ctx.rehearsal:
        tried(job.ctx, partial(_keep, job, state))
    return state


def _note(page: Page, keys: Sequence[Row]) -> None:
    """Note keys; the target has no row with one that it refuses."""
    try:
        page.keep_keys(keys)
    except Refused:
        if len(keys) > 1:
            middle = len(keys) // 2
            _note(page, keys[:middle])
            _note(page, keys[middle:])


def _keep(job: Job, state: CopyState) -> None:
    """Keep a state in a transaction of its own."""
    with job.target.page(job.into) as page:
        keep(page, state)


def guarded(state: CopyState, policy: DeletionPolicy) -> Guarded | None:
    """Return the error of a copy whose deletions were not made."""
    told = state.details.get("guarded")
    if told is None:
        return None
    rows = "1 row" if told == 1 else f"{told} rows"
    if state.details.get("emptied"):
        return Guarded(
            f"the source is empty: {rows} of the target stay; delete them there if that is right"
        )
    return Guarded(
        f"{rows} that the source lacks were not deleted: more than max_delete_percent ="
        f" {policy.max_percent:g} and max_delete_count = {policy.max_count} let go; raise one of"
        " them for a run if that is right"
    )


class _Deletions:
    """Deletes what the source no longer has."""

    def __init__(self, job: Job, state: CopyState, samples: Samples) -> None:
        self._job, self._state, self._samples = job, state, samples

    def make(self) -> CopyState:
        """Compare all keys, and delete unless the guard says no.

        In a plan all of it is one transaction: what is noted in one is gone with it.
        """
        job = self._job
        if job.ctx.rehearsal:
            with job.target.page(job.into, rehearse=True) as page:
                self._compare(lambda: nullcontext(page))
        else:
            self._compare(self._opened)
        return self._state

    @contextmanager
    def _opened(self) -> Iterator[Page]:
        with self._job.target.page(self._job.into) as page:
            yield page
            keep(page, self._state)

    def _compare(self, opened: Opened) -> None:
        ctx = self._job.ctx
        standing = self._note_all(opened)
        with opened() as page:
            missing, _ = page.missing(1)
        too_many = is_too_many(missing, standing + missing, self._job.rules.deletions)
        if missing and (too_many or not standing):
            told = {"guarded": missing, "emptied": not standing}
            self._state = replace(self._state, details={**self._state.details, **told})
            return
        gone: list[Key] | None = []
        while gone is not None:
            ctx.check()
            gone = tried(ctx, partial(self._delete_some, opened))
            details.stands(ctx.report, self._state)
            self._samples.deleted = [*self._samples.deleted, *(gone or ())][:_SAMPLES]

    def _note_all(self, opened: Opened) -> int:
        """Note all keys of the source in the target; return how many."""
        standing, read, at, limit = 0, _ALL, None, self._job.rules.page_rows
        while read >= limit:
            self._job.ctx.check()
            read, at = tried(self._job.ctx, partial(self._note_page, opened, at, limit))
            standing += read
            details.stands(self._job.ctx.report, self._state)
        return standing

    def _note_page(self, opened: Opened, at: Edge | None, limit: int) -> tuple[int, Edge | None]:
        """Note a page of keys; return how many, and where the next ones begin."""
        key, read = self._job.layout.key, 0
        with opened() as page:
            for part in self._job.source.rows(key, Span(key, at), limit):
                if part:
                    _note(page, part)
                    read += len(part)
                    at = Edge(tuple(value or b"" for value in part[-1]))
        return read, at

    def _delete_some(self, opened: Opened) -> list[Key] | None:
        """Delete some rows that are gone, and return their keys; None once there are no more.

        Those that the source has by now are noted like all others.
        """
        job, before = self._job, self._state
        try:
            with opened() as page:
                _, keys = page.missing(_KEYS)
                if not keys:
                    return None
                there = self._there(keys)
                if there:
                    page.keep_keys([key for key in keys if key in there])
                gone = [key for key in keys if key not in there]
                deleted = page.delete(gone, job.into.revive) if gone else 0
                if deleted < len(gone):
                    raise BadData(f"{len(gone) - deleted} rows could not be deleted")
                counts = replace(before.counts, deleted=before.counts.deleted + deleted)
                self._state = replace(before, counts=counts)
        except Busy:
            self._state = before
            raise
        return gone

    def _there(self, keys: Sequence[Key]) -> set[Key]:
        """Return those keys of the target of which the source has a row now."""
        source, names = self._job.source, self._job.layout.key
        columns = {column.name: column for column in source.shape.columns}
        asked: dict[Key, Key] = {}
        for key in keys:
            spelled = [_spelled(columns[name], each) for name, each in zip(names, key, strict=True)]
            if None not in spelled:
                asked[key] = tuple(each for each in spelled if each is not None)
        found = source.existing(names, list(asked.values()))
        return {key for key, spelled in asked.items() if spelled in found}


def _spelled(column: Column, value: bytes) -> bytes | None:
    """Return a value of the target's key as the source has it, None where it can't have it.

    A whole number is `1.00` in a numeric(10,2); of 1.50, or of more than its type holds, the source
    has no row, and its server takes no such number to look for.
    """
    if column.type.kind != "integer":
        return value
    number = number_in(value)
    if number is None or not number.is_finite():
        return None
    whole = int(number)
    return b"%d" % whole if whole == number and whole in column.type.integers else None
