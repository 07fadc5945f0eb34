"""Checks of the tables that are copied and compared: whether our login may do what the jobs do.

Nothing here changes anything: the sessions are read-only, and no row is asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final, TypeVar

from syncd.copies.passes import is_time
from syncd.doctor.case import ServerCase, context
from syncd.doctor.finding import (
    Finding,
    Lacking,
    Unknown,
    failed,
    many,
    ok,
    skipped,
    some,
    span,
    warning,
)
from syncd.doctor.used import Read
from syncd.engines.rights import Lack, Looker, Readable, Writable, Writing
from syncd.errors import BadData, Permission, SyncdError, TimedOut, describe
from syncd.model.table import Relation, Shape

READ_LIMIT: Final = 20.0
"""Seconds for all tables of a server."""
LIMIT: Final = 35.0
_GRANT: Final = "grant what is below"

T = TypeVar("T", Read, Writing)


def sources(server: ServerCase) -> Iterator[Finding]:
    """Look at what copies and checks read."""
    if not server.reads:
        yield skipped("no enabled job copies or compares tables of it")
        return

    def judge(looker: Looker, read: Read) -> list[Finding]:
        found = looker.readable(read.relation, read.columns, tuple(read.without), read.watermark)
        return list(judge_readable(server.name, read, found))

    yield from _judged(server, server.reads, judge, "can be read")


def targets(server: ServerCase) -> Iterator[Finding]:
    """Look at what copies write."""
    if not server.writes:
        yield skipped("no enabled job copies tables into it")
        return
    made = dict[str, None]()

    def judge(looker: Looker, writing: Writing) -> list[Finding]:
        found = looker.writable(writing)
        made.update(dict.fromkeys(found.makes))
        return list(judge_writable(server.name, writing, found))

    for finding in _judged(server, server.writes, judge, "can be written"):
        told = f"{finding.found}; a run makes {some(list(made))}" if made else finding.found
        yield replace(finding, found=told) if finding.state == "ok" else finding


def _judged(
    server: ServerCase,
    wanted: Sequence[T],
    judge: Callable[[Looker, T], list[Finding]],
    can: str,
) -> Iterator[Finding]:
    """Yield what is wrong with each, and how many are well."""
    try:
        server.log_in()
    except SyncdError as error:
        raise Unknown("it does not let us in") from error
    well, looked, ctx = 0, 0, context(READ_LIMIT)
    try:
        for database, group in groupby(sorted(wanted, key=_database), key=_database):
            with server.rights().looking(ctx, database) as looker:
                for each in group:
                    found = _tried(judge, looker, each)
                    subject = f"{server.name} {_name(each.relation)}"
                    yield from (replace(finding, subject=subject) for finding in found)
                    well, looked = well + (not found), looked + 1
    except TimedOut as error:
        told = f"{looked} of {many(len(wanted), 'table')} within {span(READ_LIMIT)}"
        yield warning(
            f"{told}: {describe(error)}", "see the load of the server; the rest is unknown"
        )
    if well:
        yield ok(f"{many(well, 'table')} {can}")


def _tried(judge: Callable[[Looker, T], list[Finding]], looker: Looker, each: T) -> list[Finding]:
    """Judge one; what is wrong with it alone keeps nobody from the others."""
    try:
        return judge(looker, each)
    except (BadData, Permission) as error:
        return [failed(describe(error), "see the message, and the job that names it")]


def _database(each: Read | Writing) -> str:
    return each.relation.database


def _name(relation: Relation) -> str:
    return "(query)" if relation.query else f"{relation.schema}.{relation.table}"


def judge_readable(server: str, read: Read, found: Readable) -> Iterator[Finding]:
    """Judge what was found of a relation that is read."""
    if found.shape is None:
        told = "there is no such table" + (", or none that our user sees" if found.lacks else "")
        denied = _denied(server, told, found.lacks, "")
        see = "see the job that names it"
        yield replace(denied, advice=f"{see}, or {denied.advice}" if denied.advice else see)
        return
    for lack in found.lacks:
        yield _denied(server, f"our user may not {lack.what}", [lack], "see its policies")
    yield from _of_columns(read, found.shape)
    column = found.shape.column(read.watermark) if read.watermark else None
    if column is None:
        return
    if found.unseen and is_time(column):
        told = f"{found.unseen.what}: rows that are committed late are found by lookback alone"
        advice = "have lookback cover the longest transaction"
        advice = f"{_GRANT}, or {advice}" if found.unseen.statement else advice
        yield replace(warning(told, advice), lacking=_lacking(server, [found.unseen]))
    if found.index:
        told = f"no index begins with {read.watermark}: each run looks through the whole table"
        yield warning(told, f"{found.index};")


def _of_columns(read: Read, shape: Shape) -> Iterator[Finding]:
    """Yield what the relation lacks, whatever our user may."""
    if read.keyed and not shape.key:
        advice = "give it one, or name columns that tell its rows apart: key of the job"
        yield failed("it has no primary key", advice)
    named = (*read.columns, *([read.watermark] if read.watermark else []))
    for name in dict.fromkeys(each for each in named if shape.column(each) is None):
        yield failed(f"it has no column {name}", "see the job that names it")


def judge_writable(server: str, writing: Writing, found: Writable) -> Iterator[Finding]:
    """Judge what was found of a table that is written."""
    if found.shape is not None and found.shape.trouble:
        advice = "a copy needs a table whose rows are written in transactions (of MySQL InnoDB)"
        yield failed(f"it can't be written: {found.shape.trouble}", advice)
    granted = [lack for lack in found.lacks if lack.statement]
    if granted:
        told = f"our user may not {_listed(lack.what for lack in granted)}"
        yield _denied(server, told, granted, _GRANT)
    for lack in found.lacks:
        if not lack.statement:
            yield warning(
                f"our user may not {lack.what}",
                f"see new_columns of the job for {_name(writing.relation)}",
            )


def _denied(server: str, told: str, lacks: Sequence[Lack], otherwise: str) -> Finding:
    advice = _GRANT if any(each.statement for each in lacks) else otherwise
    return replace(failed(told, advice), lacking=_lacking(server, lacks))


def _lacking(server: str, lacks: Iterable[Lack]) -> Lacking | None:
    statements = [f"{each.statement};" for each in lacks if each.statement]
    return Lacking(server, statements) if statements else None


def _listed(parts: Iterable[str]) -> str:
    return some(list(parts))
