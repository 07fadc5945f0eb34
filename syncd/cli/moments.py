"""Moments as people write and read them."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

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


class _Duration(click.ParamType[float]):
    """A duration as the configuration writes it, at least a second."""

    name = "duration"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds; raises click.BadParameter."""
        try:
            seconds = parse_duration(value).total_seconds()
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        return seconds or self.fail(f"{value!r}: must be more than nothing", param, ctx)


DURATION: Final = _Duration()


def moment_cell(value: str | datetime | None, zone: tzinfo) -> Cell:
    """Return a moment, in `zone` and with its offset, to the second."""
    if value is None:
        return Cell("-", "dim")
    return Cell(moment_of(value).astimezone(zone).isoformat(" ", "seconds"))


def clock_time(value: str | datetime, zone: tzinfo) -> str:
    """Return a moment, in `zone`, to the minute: `14:00`, with its date unless that is today's."""
    moment = moment_of(value).astimezone(zone).replace(tzinfo=None)
    today = datetime.now(zone).date()
    form = "%H:%M" if moment.date() == today else "%Y-%m-%d %H:%M"
    return moment.strftime(form)


def ago(value: str | datetime | None) -> str:
    """Return how long ago a moment is, or in what time it comes: `3h ago`, `in 12m`."""
    if value is None:
        return "never"
    passed = datetime.now(UTC) - moment_of(value)
    return f"{rough(passed)} ago" if passed >= timedelta(0) else f"in {rough(-passed)}"


def how_long(since: str | datetime) -> str:
    """Return how long something has lasted: `3h`."""
    return rough(max(datetime.now(UTC) - moment_of(since), timedelta(0)))


def rough(span: timedelta) -> str:
    """Return a span in its largest unit."""
    seconds = int(span.total_seconds())
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{seconds // size}{unit}"


def moment_of(value: str | datetime) -> datetime:
    """Return a moment, which a daemon tells as text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
