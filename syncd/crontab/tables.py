"""A job as the lines of its `[jobs.NAME]` table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from syncd.crontab import toml_text as toml

_WIDTH: Final = 99
_UNKNOWN_KEY: Final = "  # not known whether the server honours one: sent at most once"


def job_lines(name: str, job: Mapping[str, Any], remarks: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a job, with remarks as comments above it."""
    yield from (toml.comment(each) for each in remarks)
    path = f"jobs.{toml.key(name)}"
    yield f"[{path}]"
    for key, value in job.items():
        if key not in ("request", "calls"):
            yield f"{toml.key(key)} = {toml.value(value)}"
    if "request" in job:
        yield from _request(f"{path}.request", job["request"])
    for call in job.get("calls", ()):
        yield ""
        yield f"[[{path}.calls]]"
        yield from _request(f"{path}.calls.request", call["request"])


def _request(path: str, request: Mapping[str, Any]) -> Iterator[str]:
    """Yield a request on one line where it fits, else as a table."""
    short = f"request = {toml.value(request)}"
    if len(short) <= _WIDTH and "idempotency_key" not in request:
        yield short
        return
    yield ""
    yield f"[{path}]"
    for key, value in request.items():
        told = _UNKNOWN_KEY if key == "idempotency_key" else ""
        yield f"{toml.key(key)} = {toml.value(value)}{told}"
