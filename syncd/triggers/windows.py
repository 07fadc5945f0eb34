"""Exclusion windows: times of the week in which a job is not started, by the clock of its zone.

The clock on the wall counts, whatever it does. A moment is inside when the clock shows a time
inside; so a window that a change of the clock skips is not there, one whose end is skipped ends
with the change, and in a repeated hour the window is there each time the clock shows it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

from syncd.triggers.wall_clock import change_between, same_offset, wall_time

DAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")

_DAY: Final = 1440
_WEEK: Final = 7 * _DAY
_SHAPE: Final = re.compile(r"(?:(\S+)\s+)?(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_EXAMPLE: Final = '"22:00-02:00" or "MON-FRI 09:00-12:00"'
_LONGEST_STEP: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a week as spans of its minutes from Monday 00:00, apart and in order."""

    spans: tuple[tuple[int, int], ...] = ()
    texts: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
        """Read windows such as `MON-FRI 09:00-12:00`, `22:00-02:00`, `SAT,SUN 00:00-24:00`.

        One over midnight belongs to the day on which it starts. Raises ValueError for what is no
        window, and when they leave no time of the week.
        """
        spans = _merged(span for text in texts for span in _spans_of(text))
        if spans == ((0, _WEEK),):
            raise ValueError("leave no time of the week in which the job could start")
        return cls(spans, tuple(texts))

    def closed_until(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """Return when the windows end that a moment (aware) is inside of, in UTC; else None."""
        start = until = moment.astimezone(UTC)  # in a repeated hour no other zone's is equal to it
        while (left := self._left(wall_time(until, zone))) is not None:
            # At most a day at once, in which a clock changes but once.
            end = until + min(left, _LONGEST_STEP)
            until = end if same_offset(until, end, zone) else change_between(until, end, zone)
        return None if until == start else until

    def _left(self, wall: datetime) -> timedelta | None:
        """Return how long by the wall clock the span goes on that a wall time is in."""
        midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
        since = timedelta(days=wall.weekday()) + (wall - midnight)
        for start, end in self.spans:
            if timedelta(minutes=start) <= since < timedelta(minutes=end):
                return timedelta(minutes=end) - since
        return None


def _spans_of(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of one window, cut at the end of the week."""
    match = _SHAPE.fullmatch(text.strip())
    if not match:
        raise ValueError(f'"{_shown(text)}" is no window; write {_EXAMPLE}')
    days = _days_of(match[1]) if match[1] else range(7)
    start, end = _minute(match[2], match[3]), _minute(match[4], match[5])
    if start in (end, _DAY):
        raise ValueError(f'"{_shown(text)}" does not begin before it ends; all day is 00:00-24:00')
    length = (end - start) % _DAY or _DAY
    for day in days:
        first = day * _DAY + start
        last = first + length
        yield first, min(last, _WEEK)
        if last > _WEEK:
            yield 0, last - _WEEK


def _days_of(text: str) -> Iterator[int]:
    """Yield the days of a list of names and ranges; a range may go over the end of the week."""
    for part in text.upper().split(","):
        first, dash, last = part.partition("-")
        start = _day(first)
        end = _day(last) if dash else start
        for days in range((end - start) % 7 + 1):
            yield (start + days) % 7


def _day(name: str) -> int:
    if name not in DAYS:
        raise ValueError(f'unknown day "{_shown(name)}"; allowed: {", ".join(DAYS)}')
    return DAYS.index(name)


def _minute(hour: str, minute: str) -> int:
    of_day = int(hour) * 60 + int(minute)
    if int(minute) > 59 or of_day > _DAY:
        raise ValueError(f'"{hour}:{minute}" is no time; allowed: 00:00 to 24:00')
    return of_day


def _merged(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the spans in order, those that overlap or adjoin as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return tuple(merged)


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:64])
