"""Five-field cron schedules in a time zone, with the daylight saving rules of Debian's cron.

A job at a fixed time that a jump of the clock skips is due once, right after the jump; one at a
time that is repeated is due once; wildcard jobs follow the clock. The arithmetic is cronsim's
(https://github.com/cuu508/cronsim), which follows cron(8) of Debian here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}

LONGEST: Final = 200

_ALLOWED: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31 that the months have, L or LW",
    "month": "1 to 12 or JAN to DEC",
    "day-of-week": "0 to 7 or SUN to SAT, 5L (last Friday), MON#2 (second Monday)",
}
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
    try:
        # Asked from inside a repeated hour, cronsim may answer with its first pass, which is
        # over already: go on until the answer is later in UTC.
        for due in CronSim(fields, moment.astimezone(zone)):
            in_utc = due.astimezone(UTC)
            if in_utc > moment:
                return in_utc
    except CronSimError as error:
        raise ValueError(_reason(fields, str(error))) from error
    return None


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
            f"{count} fields; a schedule has five: {' '.join(_ALLOWED)}{seconds}",
        )
    return text


def _reason(fields: str, message: str) -> str:
    field = message.removeprefix("Bad ")
    if field not in _ALLOWED:
        return f'"{fields}" is not a schedule: {message}'
    text = fields.split()[list(_ALLOWED).index(field)]
    return f'"{text}" is not a {field} that can come; allowed: {_ALLOWED[field]}'
