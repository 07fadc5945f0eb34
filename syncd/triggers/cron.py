"""Five-field cron schedules in a time zone, with the daylight saving rules of Debian's cron.

They are those of its cron(8). A job at a fixed time (neither its minute nor its hour begins with
`*`) that a change of the clock skips is due once, right after the change; one at a time that is
repeated is due once, the first time. Other jobs follow the clock as it is. A change of three hours
or more (a zone that moves over the date line) is a correction: every job follows the new clock.

The fields are read and matched by cronsim (https://github.com/cuu508/cronsim). It is asked in wall
clock times alone, since its own arithmetic in a zone never ends where a change of the clock leads
back over midnight (America/St_Johns before 2011) and knows no corrections.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from syncd.triggers.wall_clock import Showing, put_back_ahead, showing, wall_time

MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

LONGEST: Final = 200
CORRECTION: Final = timedelta(hours=3)
"""A change of the clock of this size or more is none of daylight saving (cron(8))."""

_ALLOWED: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31 that the months have, L or LW",
    "month": "1 to 12 or JAN to DEC",
    "day-of-week": "0 to 7 or SUN to SAT, 5L (last Friday), MON#2 (second Monday)",
}
_STEPPED: Final = re.compile(r"((\w+)-(\w+)/0*[1-9]\d*)(?![^\s,])", re.ASCII)
# Any moment does: what does not come within fifty years of one does not come.
_REFERENCE: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule such as `*/30 8-18 * * MON-FRI` or `@daily`, read by the clock of a zone.

    Only the text is kept, since a parsed expression takes kilobytes. Raises ValueError, with the
    reason, for an expression that is not one or that never comes (31 February).
    """

    expression: str
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if _next(_expanded(self.expression), _REFERENCE, self.zone) is None:
            raise ValueError(f'"{self.expression}" never comes')

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time later than `moment`, in UTC."""
        return _next(_expanded(self.expression), moment, self.zone)


def _next(fields: str, moment: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first due time later than a moment.

    Wall times are taken in their order. One that is repeated may be due, by its second pass, after
    others; so the search starts as early as what will be repeated, and ends when the clock reaches
    a wall time no earlier than what was found.
    """
    fixed = not any(field.startswith("*") for field in fields.split()[:2])
    found: datetime | None = None
    try:
        start = wall_time(moment, zone) - put_back_ahead(moment, zone)
        for wall in _matches(fields, start):
            shown = showing(wall, zone)
            for due in _dues(shown, fixed=fixed):
                if due > moment and (found is None or due < found):
                    found = due
            if found is not None and found <= shown.reached:
                return found
    except OverflowError:  # the year 10000
        return found
    return found


def _matches(fields: str, after: datetime) -> Iterator[datetime]:
    """Yield the wall times (naive) that match, in their order; none in fifty years ends it."""
    try:
        yield from CronSim(fields, after)
    except CronSimError as error:
        raise ValueError(_reason(fields, str(error))) from error


def _dues(shown: Showing, *, fixed: bool) -> tuple[datetime, ...]:
    """Return when a job is due by a wall time."""
    if fixed and shown.change < CORRECTION:
        return (shown.reached,)
    return shown.moments


def _expanded(expression: str) -> str:
    text = expression.strip()
    if text.startswith("@"):
        if text.lower() not in MACROS:
            raise ValueError(f'unknown name "{text[:20]}"; allowed: {", ".join(MACROS)}')
        return MACROS[text.lower()]
    if len(text) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    count = len(text.split())
    if count != len(_ALLOWED):
        seconds = "; seconds are not supported" if count == 6 else ""
        raise ValueError(
            f"{count} field{'s' if count != 1 else ''}; a schedule has five:"
            f" {' '.join(_ALLOWED)}{seconds}",
        )
    return _STEPPED.sub(_of_one, text)


def _of_one(stepped: re.Match[str]) -> str:
    """Return the number of a range `5-5/2`, which cronsim takes for `5/2`: from 5 to the end."""
    term, first, last = stepped.groups()
    return first if first.lstrip("0").upper() == last.lstrip("0").upper() else term


def _reason(fields: str, message: str) -> str:
    field = message.removeprefix("Bad ")
    if field not in _ALLOWED:
        return f'"{fields}" is not a schedule: {message}'
    text = fields.split()[list(_ALLOWED).index(field)]
    return f'"{text}" is not a {field} that can come; allowed: {_ALLOWED[field]}'
