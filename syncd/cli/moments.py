"""Moments as people write and read them."""

from datetime import UTC, datetime, timedelta, tzinfo

import click

from syncd.cli.cells import Cell
from syncd.config.durations import parse_duration

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_YEARS = range(1970, 3000)  # with which zones and schedules can reckon


def parse_moment(text: str, zone: tzinfo, option: str) -> datetime:
    """Read `7d` or `1h30m`, which is that long ago, or a time of ISO 8601, by default of `zone`.

    Raises click.BadParameter, which names the option.
    """
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is neither a duration (30m, 7d) nor a time (2026-03-01T12:00+08:00)",
            param_hint=f"'{option}'",
        ) from error
    if moment.year not in _YEARS:
        raise click.BadParameter(f"{text!r} is not in this age", param_hint=f"'{option}'")
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def moment_cell(value: str | datetime | None, zone: tzinfo) -> Cell:
    """Return a moment, in `zone` and with its offset, to the second."""
    if value is None:
        return Cell("-", "dim")
    return Cell(_aware(value).astimezone(zone).isoformat(" ", "seconds"))


def ago(value: str | datetime | None) -> str:
    """Return how long ago a moment is, or in what time it comes: `3h ago`, `in 12m`."""
    if value is None:
        return "never"
    passed = datetime.now(UTC) - _aware(value)
    return f"{_rough(passed)} ago" if passed >= timedelta(0) else f"in {_rough(-passed)}"


def how_long(since: str | datetime) -> str:
    """Return how long something has lasted: `3h`."""
    return _rough(max(datetime.now(UTC) - _aware(since), timedelta(0)))


def _rough(span: timedelta) -> str:
    """Return a span in its largest unit."""
    seconds = int(span.total_seconds())
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{seconds // size}{unit}"


def _aware(value: str | datetime) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
