"""What is said of database servers that no job looks at any more, or that were not read lately."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from syncd.cli.moments import moment_of

_LATE: Final = timedelta(hours=25)  # a daily job may take its time


def accounts_doubt(row: Mapping[str, Any], zone: tzinfo) -> str | None:
    """Return why an account may not be true any more, None when it was read lately."""
    if row["last_seen_at"] is None:
        return _doubt("accounts", None, unmanaged=row["unmanaged"], late=False)
    seen = moment_of(row["last_seen_at"])
    as_of, late = f"{seen.astimezone(zone):%Y-%m-%d %H:%M}", datetime.now(UTC) - seen > _LATE
    return _doubt("accounts", as_of, unmanaged=row["unmanaged"], late=late)


def sizes_doubt(row: Mapping[str, Any], zone: tzinfo) -> str | None:
    """Return why a server's sizes may not be true any more, None when it was read yesterday."""
    as_of = None if row["newest_on"] is None else str(row["newest_on"])
    yesterday = datetime.now(zone).date() - timedelta(days=1)
    late = as_of is not None and as_of < str(yesterday)
    return _doubt("sizes", as_of, unmanaged=row["unmanaged"], late=late)


def _doubt(things: str, as_of: str | None, *, unmanaged: bool, late: bool) -> str | None:
    if unmanaged:
        told = f"; its {things} are as of {as_of}" if as_of else ""
        return f"no job looks at it any more{told}"
    return f"not read since {as_of}" if late else None
