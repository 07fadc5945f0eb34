"""Jobs as TOML: whatever stands in a string is read back as it was (toml.io, v1.0.0)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_WIDTH: Final = 99
_UNKNOWN_KEY: Final = "  # not known whether the server honours one: sent at most once"
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def string(text: str) -> str:
    """Return a basic string; what a terminal might act upon is escaped."""
    return f'"{"".join(_character(each) for each in text)}"'


def _character(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"


def key(name: str) -> str:
    """Return a key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else string(name)


def value(each: Any) -> str:  # noqa: ANN401 - whatever a table holds
    """Return a value on one line; raises TypeError for what TOML has no word for."""
    match each:
        case bool():
            return str(each).lower()
        case str():
            return string(each)
        case int() | float():
            return repr(each)
        case Mapping():
            inside = ", ".join(f"{key(name)} = {value(inner)}" for name, inner in each.items())
            return f"{{ {inside} }}" if inside else "{}"
        case list() | tuple():
            return f"[{', '.join(value(inner) for inner in each)}]"
    raise TypeError(f"no TOML for {type(each).__name__}")


def comment(text: str) -> str:
    """Return a text as one line of comment."""
    return "# " + "".join(each if each.isprintable() else "?" for each in text)


def job_lines(name: str, job: Mapping[str, Any], remarks: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a job, with remarks as comments above it."""
    yield from (comment(each) for each in remarks)
    path = f"jobs.{key(name)}"
    yield f"[{path}]"
    for word, each in job.items():
        if word not in ("request", "calls"):
            yield f"{key(word)} = {value(each)}"
    if "request" in job:
        yield from _request(f"{path}.request", job["request"])
    for call in job.get("calls", ()):
        yield ""
        yield f"[[{path}.calls]]"
        yield from _request(f"{path}.calls.request", call["request"])


def _request(path: str, request: Mapping[str, Any]) -> Iterator[str]:
    """Yield a request on one line where it fits, else as a table."""
    short = f"request = {value(request)}"
    if len(short) <= _WIDTH and "idempotency_key" not in request:
        yield short
        return
    yield ""
    yield f"[{path}]"
    for word, each in request.items():
        told = _UNKNOWN_KEY if word == "idempotency_key" else ""
        yield f"{key(word)} = {value(each)}{told}"
