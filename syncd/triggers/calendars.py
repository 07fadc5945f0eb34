"""Dates on which a job does not run, such as public holidays."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

from syncd.triggers.base import Trigger
from syncd.triggers.wall_clock import put_back_ahead, showing, wall_time

MOST: Final = 36_525
"""Dates of one calendar: a hundred years of them."""

_DAY: Final = timedelta(days=1)
# Not the other forms of ISO 8601, such as 2024-W01-5.
_SHAPE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class BadCalendar(ValueError):
    """Lines of a calendar that are none, each with its number and what is wrong."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        super().__init__("; ".join(f"line {number}: {message}" for number, message in lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Calendar:
    """A set of dates; calendars of the same dates are equal, whatever their name."""

    dates: frozenset[date]
    name: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str, name: str = "") -> Self:
        """Read one ISO date, or range `FROM..TO` of both ends, a line; `#` begins a comment.

        Raises BadCalendar with every line that is wrong.
        """
        dates: set[date] = set()
        wrong: list[tuple[int, str]] = []
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                dates.update(_dates_of(line.partition("#")[0].strip()))
            except ValueError as error:
                wrong.append((number, str(error)))
            if len(dates) > MOST:
                wrong.append((number, f"more than {MOST} dates"))
                break
        if wrong:
            raise BadCalendar(wrong)
        return cls(frozenset(dates), name)

    def __str__(self) -> str:
        """Write the dates, the same way for the same set."""
        return " ".join(each.isoformat() for each in sorted(self.dates))


@dataclass(frozen=True, slots=True)
class Except:
    """The due times of another trigger but for those on a date of the calendar, in a zone."""

    trigger: Trigger
    calendar: Calendar
    zone: ZoneInfo

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time later than `moment` on no date of the calendar, in UTC."""
        due = self.trigger.next_after(moment)
        while due is not None and wall_time(due, self.zone).date() in self.calendar.dates:
            due = self.trigger.next_after(self._over_from(due))
        return due

    def _over_from(self, due: datetime) -> datetime:
        """Return the last moment before the dates left out are over, of which `due` is on one."""
        wall = wall_time(due, self.zone)
        day = wall.date()
        if (wall - put_back_ahead(due, self.zone)).date() != day:
            return due  # the clock may go back to the day before, which counts: step by step
        while day in self.calendar.dates:
            day += _DAY
        over = showing(datetime.combine(day, time()), self.zone).reached
        return max(due, over - timedelta.resolution)


def _dates_of(entry: str) -> Iterator[date]:
    """Yield the dates of a line without its comment."""
    if not entry:
        return
    first, dots, last = (part.strip() for part in entry.partition(".."))
    start = _date(first)
    end = _date(last) if dots else start
    if end < start:
        raise ValueError(f"the range ends before it begins: {first}..{last}")
    if (end - start).days >= MOST:
        raise ValueError(f"more than {MOST} dates")
    for days in range((end - start).days + 1):
        yield start + timedelta(days=days)


def _date(text: str) -> date:
    if not _SHAPE.fullmatch(text):
        # without the text: a path that is wrong may name a file that is nobody's business
        raise ValueError("no date such as 2024-12-25, nor a range such as 2024-12-24..2024-12-26")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is no date: {error}') from error
