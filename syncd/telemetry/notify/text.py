"""What a notice says in words, the same in all channels: short, for somebody who was woken up."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from syncd.telemetry.notify.base import Facts, Notice, Told, Value

_WORDS: Final[Mapping[Told, str]] = {
    "success": "succeeded",
    "failed": "failed",
    "overrun": "runs longer than it should",
    "stale": "has not succeeded for too long",
    "recovered": "is well again",
    "guarded": "holds deletions back",
    "resource": "runs short",
    "reload_failed": "could not be reloaded",
    "test": "is being tested",
}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def title(event: Told, subject: str, facts: Facts = ()) -> str:
    """Return the line that says what happened to `subject`, such as `job nightly`.

    Of the facts it tells `times` of a failure, and `lasted_seconds` of what is over.
    """
    known, words = dict(facts), _WORDS[event]
    times, lasted = known.get("times"), known.get("lasted_seconds")
    if event == "failed" and isinstance(times, int) and times > 1:
        words += f" {times} times"
    if event == "recovered" and isinstance(lasted, int | float):
        words += f" after {span(lasted)}"
    return f"{subject} {words}"


def lines(notice: Notice) -> list[tuple[str, str]]:
    """Return what is told below the title: pairs of a label and words, never empty."""
    told = [(_label(name), words(name, value)) for name, value in notice.facts]
    told += [("host", notice.host), ("time", moment(notice.at)), ("look", notice.look)]
    return [(label, text) for label, text in told if text]


def words(name: str, value: Value) -> str:
    """Return a fact's value for a person."""
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {what}" for what, count in value.items() if count)
    if name.endswith("_seconds") and not isinstance(value, str):
        return span(value)
    if name == "since" and isinstance(value, str):
        return _since(value)
    return str(value)


def span(seconds: float) -> str:
    """Return a length of time in its two largest units: `3 min 20 s`, `2 d 4 h`, `0.3 s`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    left, parts = round(seconds), list[tuple[int, str]]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def moment(at: datetime) -> str:
    """Return a moment in UTC: who reads it may be anywhere."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _since(text: str) -> str:
    try:
        return moment(datetime.fromisoformat(text))
    except ValueError:
        return text


def _label(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ")
