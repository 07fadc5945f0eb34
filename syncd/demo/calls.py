"""What came of a run's HTTP calls, as lines of the story."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from syncd.demo.line import Line, readable

_LONGEST: Final = 160  # characters of an error

Row = Mapping[str, Any]


def call_lines(run: Row) -> Iterator[Line]:
    """Tell of each call of a run's last attempt how it went; of a run without any, why."""
    job, calls = run["job"], [each for each in run["calls"] if each["attempt"] == run["attempt"]]
    for call in calls:
        what = f"{job}: {call['method']} {readable(urlsplit(call['url']).path)}"
        if call["outcome"] == "success":
            yield Line("call", f"{what}: {call['status']}{_trouble(call)}")
        else:
            yield Line("failed", f"{what}: {readable(call['error'] or 'lost', _LONGEST)}")
    if not calls and run["error"]:
        yield Line("failed", f"{job}: {readable(run['error'], _LONGEST)}")


def _trouble(call: Row) -> str:
    """Return what it took beside one request."""
    parts = [
        f", sent {call['tries']} times" if call["tries"] > 1 else "",
        f" in attempt {call['attempt']}" if call["attempt"] > 1 else "",
        f", done after {call['polls']} looks" if call["polls"] else "",
    ]
    return "".join(parts)
