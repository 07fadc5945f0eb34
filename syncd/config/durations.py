"""Durations as the configuration writes them: always with a unit, never a bare number."""

import re
from datetime import timedelta
from typing import Final

LONGEST: Final = timedelta(days=3650)

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SHAPE: Final = re.compile(
    r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII
)
_EXAMPLES: Final = '"90s", "5m", "1h30m" or "7d"'


def parse_duration(value: object) -> timedelta:
    """Read `90s`, `5m`, `1h30m`, `7d`: units d, h, m, s, the larger first; at most ten years.

    Raises ValueError for anything else, a bare number included.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'a bare number has no unit; write "{value}s"')  # noqa: TRY004
    match = _SHAPE.fullmatch(value) if isinstance(value, str) else None
    if not match or not value:
        raise ValueError(f"must be a duration such as {_EXAMPLES}")
    seconds = sum(
        int(count) * unit for count, unit in zip(match.groups("0"), _UNITS.values(), strict=True)
    )
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"must be at most {format_duration(LONGEST)}")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds in its shortest exact form: `1h30m`, `0s`."""
    rest = int(duration.total_seconds())
    text = ""
    for name, unit in _UNITS.items():
        count, rest = divmod(rest, unit)
        text += f"{count}{name}" if count else ""
    return text or "0s"
