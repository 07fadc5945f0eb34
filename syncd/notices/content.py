"""What is told in words: from what the rules decided to the notice that all channels send."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from syncd.config import secrets
from syncd.errors import TEXT_LIMIT
from syncd.model.notice import Message
from syncd.telemetry.masking import Masker
from syncd.telemetry.notify import text
from syncd.telemetry.notify.base import SEVERITIES, Facts, Notice, Value

mask: Final = Masker(secrets.known)
"""Takes secrets out of what was written by others: no channel is told one, nor the store."""
_SHOWN: Final = 5  # names of a list
_FACTS: Final = (
    "of", "error_class", "error", "times", "since", "lasted_seconds", "running_seconds",
    "limit_seconds", "last_success", "expected_seconds", "counts", "items_failed", "items_total",
    "duration_seconds", "attempt", "guarded", "value", "limit", "run",
)  # fmt: skip
"""What is told of what is known, in this order."""
_OVER: Final = frozenset({"of", "times", "since", "lasted_seconds", "run"})
"""What is told of what is over: the error is of the past."""


def notice(message: Message, host: str, at: datetime) -> Notice:
    """Return the notice of a message; `host` is told where it is of no machine of its own."""
    facts, detail = _facts(message), message.detail
    where = str(detail.get("host", host))
    return Notice(
        id=uuid4().hex,
        event=message.event,
        key=message.key,
        job=message.job,
        host=where,
        title=_title(message, facts, where),
        facts=facts,
        look=_look(message),
        at=at,
        severity=SEVERITIES[message.event],
    )


def _title(message: Message, facts: Facts, host: str) -> str:
    """Return the line above; what is told again says so."""
    thing = message.detail.get("thing")
    if message.job is not None:
        line = text.title(message.event, f"job {message.job}", facts)
    elif message.event == "resource" and thing:
        line = f"{host}: {thing}"
    elif thing and message.event == "recovered":
        line = text.title(message.event, f"{host}: {message.detail.get('short', thing)}", facts)
    else:
        line = text.title(message.event, f"the configuration of {host}", facts)
    return f"still: {line}" if message.again else line


def _facts(message: Message) -> Facts:
    """Return what is told below, without what says nothing."""
    chosen = _OVER if message.event == "recovered" else frozenset(_FACTS)
    found = [(name, _value(message.detail.get(name))) for name in _FACTS if name in chosen]
    told: Facts = tuple((name, value) for name, value in found if value is not None)
    return tuple((n, v) for n, v in told if not _says_nothing(n, v))


def _says_nothing(name: str, value: Value) -> bool:
    """Tell whether a fact goes without saying: no counts, one time, none failed."""
    return (
        value in ("", {})
        or (name in ("items_failed", "items_total") and value == 0)
        or (name in ("times", "attempt") and value == 1)
    )


def _value(value: Any) -> Value | None:  # noqa: ANN401 - JSON
    match value:
        case None | bool():
            return None
        case int() | float():
            return value
        case dict():
            return {str(name): count for name, count in value.items() if count}
        case list():
            return _some(value)
    return mask(str(value))[:TEXT_LIMIT]


def _some(names: Sequence[object]) -> str:
    shown = ", ".join(map(str, names[:_SHOWN]))
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _look(message: Message) -> str:
    """Return the command that tells more."""
    run = message.detail.get("run")
    match message.event:
        case "guarded":
            return f"syncd show {run}; if it is right: syncd approve {message.job}"
        case "reload_failed":
            return "syncd check"
        case _ if message.job is None:
            return "syncd doctor"
        case "stale":
            return f"syncd jobs {message.job}"
    return f"syncd show {run}" if run else f"syncd jobs {message.job}"
