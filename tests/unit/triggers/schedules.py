"""What Hypothesis makes for the tests of triggers: schedules, zones, moments near clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from cron_judge import Fields, changes_of
from hypothesis import strategies as st

ALL_ZONES = sorted(available_timezones() - {"Factory", "localtime"})
YEARS = (1975, 2037)  # with offsets of whole minutes in every zone

zones = st.sampled_from(ALL_ZONES).map(ZoneInfo)


@st.composite
def field(draw, low, high):
    """Draw one field of a schedule: its text, and the numbers that it allows."""
    numbers = st.integers(low, high)
    match draw(st.sampled_from(["star", "step", "list", "range", "range-step"])):
        case "star":
            return "*", frozenset(range(low, high + 1))
        case "step":
            step = draw(st.integers(1, high))
            return f"*/{step}", frozenset(range(low, high + 1, step))
        case "list":
            several = draw(st.lists(numbers, min_size=1, max_size=4, unique=True))
            return ",".join(map(str, several)), frozenset(several)
        case "range":
            first, last = sorted((draw(numbers), draw(numbers)))
            return f"{first}-{last}", frozenset(range(first, last + 1))
        case _:
            first, last = sorted((draw(numbers), draw(numbers)))
            step = draw(st.integers(1, 6))
            return f"{first}-{last}/{step}", frozenset(range(first, last + 1, step))


@st.composite
def night_hours(draw):
    """Draw hours in which most clocks change."""
    several = draw(st.lists(st.sampled_from([23, 0, 1, 2, 3]), min_size=1, unique=True))
    return ",".join(map(str, several)), frozenset(several)


@st.composite
def fields(draw):
    """Draw a schedule that comes often enough to be seen in a few days."""
    minute, minutes = draw(field(0, 59))
    hour, hours = draw(field(0, 23) | night_hours())
    day, days = draw(st.just(("*", frozenset(range(1, 32)))) | field(1, 31))
    weekday, weekdays = draw(st.just(("*", frozenset(range(7)))) | field(0, 6))
    fixed = not (minute.startswith("*") or hour.startswith("*"))
    return Fields(f"{minute} {hour} {day} * {weekday}", minutes, hours, days, weekdays, fixed)


@st.composite
def moments_in(draw, zone):
    """Draw a whole minute, in UTC, if it can be within two days of a change of the zone's clock."""
    year = draw(st.integers(*YEARS))
    changes = changes_of(zone, year, year) or [datetime(year, 6, 1, tzinfo=UTC)]
    near = draw(st.sampled_from(changes)).replace(second=0)
    return near + timedelta(minutes=draw(st.integers(-2880, 2880)))


@st.composite
def zones_and_moments(draw):
    """Draw a zone and a moment there."""
    zone = draw(zones)
    return zone, draw(moments_in(zone))
