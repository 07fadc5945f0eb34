"""What a notice says in words, the same in all channels: short, for somebody who was woken up.

Names and messages come from anywhere. Here they become single lines without control characters;
what a channel takes for markup or for the name of a group is up to the channel (`markup`).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from syncd.telemetry.notify.base import Facts, Notice, Told, Value

CUT: Final = "..."
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
_LONGEST: Final = (500, 250, 120, 60, 30, 15)  # characters of a value, tried in this order
_TITLE: Final = 200  # characters
_JOINER: Final = "\u200d"  # no character of its own, but families of emoji are made with it


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


def headline(notice: Notice, most: int = _TITLE) -> str:
    """Return the first line: who tells, and what happened; at most so many characters."""
    return cut(one_line(f"[syncd {notice.host}] {notice.title}"), most)


def lines(notice: Notice, most: int = _LONGEST[0]) -> list[tuple[str, str]]:
    """Return what is told below the headline: pairs of a label and words, never empty.

    No words are longer than `most` characters.
    """
    told = [(name, _in_words(name, value)) for name, value in notice.facts]
    told += [("time", moment(notice.at)), ("look", notice.look)]
    shown = [(_label(name), cut(one_line(words), most)) for name, words in told]
    return [(label, words) for label, words in shown if words]


def plain(notice: Notice, most: int = _LONGEST[0]) -> str:
    """Return the headline and the lines as a text without any markup."""
    told = [f"{label}: {words}" for label, words in lines(notice, most)]
    return "\n".join([headline(notice), "", *told])


def fitted(limit: int, render: Callable[[int], str]) -> str:
    """Return what `render` makes within `limit` bytes of UTF-8.

    It is asked with fewer and fewer characters for a value, so that short ones stay whole.
    """
    for most in _LONGEST:
        if len((made := render(most)).encode()) <= limit:
            return made
    return cut_bytes(made, limit)


def one_line(text: str) -> str:
    """Return a text without line breaks, control characters and marks of direction."""
    shown = (each if each.isprintable() or each == _JOINER else " " for each in text)
    return " ".join("".join(shown).split())


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, with dots where something is missing."""
    return text if len(text) <= most else text[: most - len(CUT)].rstrip() + CUT


def cut_bytes(text: str, most: int) -> str:
    """Do the same for a number of bytes of UTF-8; no character is cut into pieces."""
    data = text.encode()
    return text if len(data) <= most else data[: most - len(CUT)].decode(errors="ignore") + CUT


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


def _in_words(name: str, value: Value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count:,} {what}" for what, count in value.items() if count)
    if name.endswith("_seconds") and not isinstance(value, str):
        return span(value)
    if name == "since" and isinstance(value, str):
        return _since(value)
    return str(value)


def _since(text: str) -> str:
    try:
        return moment(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return text


def _label(name: str) -> str:
    return one_line(name.removesuffix("_seconds").replace("_", " "))
