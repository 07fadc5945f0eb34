"""A judge of cron schedules: cron(8) of Debian acted out minute by minute, for tests alone.

It shares nothing with the product: fields are sets that the test made itself, and time is lived
through in UTC minutes instead of being computed. In our own words, cron(8) says in its notes: where
the clock is changed by less than three hours, jobs of the skipped time run soon after the change,
and jobs of the repeated time are not run again. That is so only for jobs at a particular time, with
no `*` in hour or minute; the others go by the new time at once. A change of more than three hours
is a correction of the clock, and the new time is used at once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
THREE_HOURS = timedelta(hours=3)


@dataclass(frozen=True)
class Fields:
    """What a schedule allows, its text, and whether it is for a particular time of the day."""

    text: str
    minutes: frozenset
    hours: frozenset
    days: frozenset
    weekdays: frozenset  # 0 is Sunday
    fixed: bool

    def __repr__(self):  # what Hypothesis shows
        return repr(self.text)

    def match(self, wall):
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        _, _, dom, _, dow = self.text.split()
        # crontab(5): when both are restricted, either makes the day; a `*` leaves it to the other.
        date = day and weekday if "*" in (dom[0], dow[0]) else day or weekday
        return wall.minute in self.minutes and wall.hour in self.hours and date


def lived_through(fields, zone, start, end):
    """Return the due times in (start, end], both on whole minutes of UTC."""
    found = []
    # A day earlier, so that a time repeated at the start is known to have been.
    moment = start - timedelta(days=1)
    seen = moment.astimezone(zone).replace(tzinfo=None)  # the latest wall time that is dealt with
    while moment < end:
        moment += MINUTE
        wall = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        if not fields.fixed:
            due = fields.match(wall)
        elif abs(wall - seen - MINUTE) >= THREE_HOURS:
            due, seen = fields.match(wall), wall
        else:
            due = False
            while seen < wall:
                seen += MINUTE
                due = due or fields.match(seen)
        if due and moment > start:
            found.append(moment)
    return found


def changes_of(zone, first, last):
    """Return the moments at which a zone's clock changes in these years, in UTC."""
    found, step = [], timedelta(hours=6)
    moment = datetime(first, 1, 1, tzinfo=UTC)
    while moment.year <= last:
        later = moment + step
        if moment.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            low, high = moment, later
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                same = middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high.replace(microsecond=0))
        moment = later
    return found
