"""What a check says: how it is, what was found, and what to do about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["ok", "warning", "failed", "skipped"]

SEVERITY: Final[dict[str, int]] = {"skipped": 0, "ok": 1, "warning": 2, "failed": 3}


@dataclass(frozen=True, slots=True)
class Denied:
    """Actions that an account may not use; `write` makes the policy that grants actions."""

    account: str
    actions: Sequence[str]
    write: Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Lacking:
    """What our user of a server lacks, as the SQL statements that grant it."""

    server: str
    statements: Sequence[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `subject` names what was looked at where a check looks at several things."""

    state: State
    found: str
    advice: str = ""
    subject: str = ""
    denied: Denied | None = None
    lacking: Lacking | None = None


class Unknown(Exception):
    """What a check would judge can't be known here; the message says why."""


def ok(found: str, *, subject: str = "") -> Finding:
    """Return that all is well."""
    return Finding("ok", found, subject=subject)


def warning(found: str, advice: str, *, subject: str = "") -> Finding:
    """Return what should be looked at."""
    return Finding("warning", found, advice, subject)


def failed(found: str, advice: str, *, subject: str = "") -> Finding:
    """Return what keeps something from working."""
    return Finding("failed", found, advice, subject)


def skipped(found: str, *, subject: str = "") -> Finding:
    """Return why there is nothing to be said."""
    return Finding("skipped", found, subject=subject)


def size(count: float) -> str:
    """Return a number of bytes for a person: `1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def span(seconds: float) -> str:
    """Return a length of time for a person: `3 ms`, `2.5 s`, `12 min`, `3 h`, `5 d`."""
    for limit, unit, name in (
        (1, 1e-3, "ms"),
        (120, 1, "s"),
        (7200, 60, "min"),
        (172800, 3600, "h"),
    ):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}" if unit == 1 else f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"


def many(count: int, noun: str) -> str:
    """Return a number of things: `1 job`, `3 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def some(names: Sequence[str], most: int = 5) -> str:
    """Return names, the first few of many."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
