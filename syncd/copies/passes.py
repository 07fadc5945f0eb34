"""Which pass over a table comes next, and how one ends: pure decisions about its state.

A pass is full (one snapshot, in the order of the key) or incremental (what is new by the
watermark). A full pass moves the watermark when it is over, never before, so that whatever ends
it early loses nothing; an incremental one moves it with each page, since all rows below its place
are copied. A later attempt of the same run goes on behind the last page that stands.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, get_args

from syncd.copies.layout import Misfit
from syncd.copies.order import NUMBERS, TIMES, first, last, place, present
from syncd.model.copy import CopyRules, CopyState, Edge, Mode, Phase, Span, Watermark
from syncd.model.run import Claim, Counts
from syncd.model.table import Column, Shape, Value

_LOOKBACK: Final = timedelta(minutes=10)
"""Of times, where nothing is said: longer than clocks differ and most transactions last."""


def begin(
    rules: CopyRules,
    before: CopyState | None,
    job: str,
    claim: Claim,
    now: datetime,
    *,
    empty: bool,
) -> CopyState:
    """Return the state that an attempt begins with; `before` is what the target keeps.

    `empty`: the target has no row, or does not exist: then nothing of what was copied stands, and
    neither a position nor a watermark means anything.
    """
    if before is not None:
        _require_sound(before)
    if before and not _is_ours(before, rules):
        before = None
    if before and before.claim.run_id == claim.run_id:
        if before.phase != "rows":
            return replace(before, claim=claim)
        if not empty and before.position is not None:
            told = {**before.details, "resumed": int(str(before.details.get("resumed", 0))) + 1}
            return replace(before, claim=claim, details=told)
    watermark = before.watermark if before and rules.mode == "incremental" and not empty else None
    full_at = before.full_at if before and watermark else None
    full = watermark is None or _is_due(rules.full_every, full_at, now)
    return CopyState(
        job=job,
        item=rules.name,
        claim=claim,
        mode="full" if full else "incremental",
        watermark=watermark,
        full_at=full_at,
        fresh=empty,
        details={**_identity(rules), "pass": "full" if full else "incremental",
                 "began": now.isoformat()},
    )  # fmt: skip


def anew(state: CopyState) -> CopyState:
    """Return the state with which a pass begins again: it can't go on where it was."""
    return replace(state, phase="rows", position=None, counts=Counts())


def bounded(state: CopyState, column: Column, bound: bytes | None) -> CopyState:
    """Note the safe bound of a pass, or that there is none to be had.

    A bound that is lower than the watermark (a clock was put back, an old transaction came to
    light) is where the next rows come.
    """
    watermark = state.watermark
    if watermark is not None:
        _require_value(state, column, watermark)
    if bound is not None and watermark is not None:
        watermark = first(column.type.kind, watermark, bound)
    told = {**state.details, "bounded": bound is not None}
    return replace(state, bound=bound, watermark=watermark, details=told)


def zoned(state: CopyState, column: Column, watermark: Watermark) -> CopyState:
    """Note the zone of a watermark whose type has none, where one is configured."""
    if not watermark.zone or column.type.kind not in ("date", "timestamp"):
        return state
    return replace(state, details={**state.details, "watermark_zone": watermark.zone})


def _require_sound(state: CopyState) -> None:
    """Raise Misfit for a state that somebody else wrote, or changed."""
    known = state.mode in get_args(Mode) and state.phase in get_args(Phase)
    if not known or not isinstance(state.details, Mapping):
        raise _foreign(state, f"mode {state.mode!r}, phase {state.phase!r}")
    try:
        datetime.fromisoformat(state.full_at or "2000-01-01")
    except ValueError as error:
        raise _foreign(state, str(error)) from error


def _require_value(state: CopyState, column: Column, watermark: bytes) -> None:
    try:
        place(column.type.kind, watermark)
    except (ValueError, ArithmeticError) as error:
        shown = f"{watermark.decode(errors='replace')!r} for {column.name}, {column.native}"
        raise _foreign(state, shown) from error


def _foreign(state: CopyState, what: str) -> Misfit:
    return Misfit(
        f"syncd_watermark holds something else than a state: {what}; without the row of job"
        f" {state.job} and item {state.item} there, a full copy is made"
    )


def like(state: CopyState, other: CopyState) -> CopyState:
    """Return a state with the bound that another one has, and its beginning."""
    told = {**state.details, "bounded": is_bounded(other)}
    return replace(state, bound=other.bound, watermark=other.watermark, details=told)


def is_time(column: Column) -> bool:
    """Tell whether a column holds times, of which a safe bound may be known."""
    return column.type.kind in TIMES


def is_bounded(state: CopyState) -> bool:
    """Tell whether the bound of a pass was known when it began; else it grows with the rows."""
    return bool(state.details.get("bounded"))


def order(rules: CopyRules, state: CopyState, key: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns by which a pass goes."""
    if state.mode == "full" or rules.watermark is None:
        return key
    column = rules.watermark.column
    return (column, *(name for name in key if name != column))


def span(columns: tuple[str, ...], state: CopyState, start: bytes | None) -> Span:
    """Return what of the source is to be read yet; `start` is a value of the watermark."""
    begins = Edge((start,), inclusive=True) if start is not None else None
    if state.position is not None:
        begins = Edge(state.position)
    ends = None
    if state.mode == "incremental" and is_bounded(state) and state.bound is not None:
        ends = Edge((state.bound,))
    return Span(columns, begins, ends)


def beyond(columns: tuple[str, ...], state: CopyState) -> Span | None:
    """Return the rows that an incremental pass left for a later one, once it is over."""
    if state.mode == "full" or not is_bounded(state) or state.watermark is None:
        return None
    return Span(columns, Edge((state.watermark,), inclusive=True))


def grown(
    state: CopyState, column: Column, watermark: Watermark, seen: list[Value], now: datetime
) -> CopyState:
    """Return a state whose bound is the latest value seen, where none is known.

    A value in the future does not count: all rows that come until then would be missed. Nor do
    those of a further snapshot: before it rows may have changed that the first one showed.
    """
    if is_bounded(state) or (state.mode == "full" and "resumed" in state.details):
        return state
    limit = present(column.type.kind, watermark, now)
    return replace(state, bound=last(column.type.kind, [state.bound, *seen], limit))


def moved(state: CopyState, column: Column) -> CopyState:
    """Return an incremental pass's state with the watermark where its pages are by now.

    So a run that ends too early (or is outrun by its writers) spares the next one what it did. Rows
    that the lookback read again don't move it back.
    """
    if state.mode == "full" or state.position is None:
        return state
    reached = state.position[0] if is_bounded(state) else state.bound
    return replace(state, watermark=last(column.type.kind, [state.watermark, reached], None))


def rows_over(state: CopyState) -> CopyState:
    """Return the state once all rows are copied: now the watermark moves."""
    full_at = str(state.details["began"]) if state.mode == "full" else state.full_at
    watermark = state.watermark if state.bound is None else state.bound
    return replace(
        state, phase="deletes", position=None, watermark=watermark, full_at=full_at, bound=None
    )


def watermark_column(source: Shape, watermark: Watermark) -> Column:
    """Return the column of the watermark; raises Misfit for one without an order over time."""
    column = source.column(watermark.column)
    if column is None:
        raise Misfit(f"the source has no column {watermark.column} (watermark)")
    kind, lookback = column.type.kind, watermark.lookback
    if kind not in TIMES | NUMBERS:
        raise Misfit(f"watermark {column.name} is {column.native}: neither a time nor a number")
    if lookback is not None and isinstance(lookback, timedelta) != (kind in TIMES):
        wanted = "a duration" if kind in TIMES else "a number"
        raise Misfit(f"lookback has to be {wanted}: watermark {column.name} is {column.native}")
    return column


def lookback(column: Column, watermark: Watermark) -> str:
    """Return how far behind the watermark reading begins: seconds, or a number; "" for none."""
    wanted = watermark.lookback
    if wanted is None:
        wanted = _LOOKBACK if column.type.kind in TIMES else 0
    if isinstance(wanted, timedelta):
        return f"{wanted.total_seconds():f}".rstrip("0").rstrip(".") if wanted else ""
    return str(wanted) if wanted else ""


def _identity(rules: CopyRules) -> dict[str, object]:
    """Return what a state is of; it means nothing for another source, target or watermark."""
    named = {"source": str(rules.source), "target": str(rules.target)}
    column = rules.watermark.column if rules.mode == "incremental" and rules.watermark else None
    places = [
        (each.database, each.schema, each.query, each.key) for each in (rules.source, rules.target)
    ]
    exactly = sha256(repr(places).encode()).hexdigest()[:16]
    return {**named, "watermark_column": column, "places": exactly}


def _is_ours(state: CopyState, rules: CopyRules) -> bool:
    return all(state.details.get(name) == value for name, value in _identity(rules).items())


def _is_due(every: timedelta | None, full_at: str | None, now: datetime) -> bool:
    """Tell whether it is time for a full pass."""
    if every is None:
        return False
    return full_at is None or now - datetime.fromisoformat(full_at) >= every
