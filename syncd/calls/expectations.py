"""What an answer means: whether it is what was expected, and if not, what to do about it."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from syncd.calls.base import Answer
from syncd.calls.json_paths import NOTHING, document, find, same
from syncd.calls.masked import body_text, names_secret, safe_text
from syncd.calls.patterns import found
from syncd.config import secrets
from syncd.config.durations import format_duration
from syncd.config.http import Expect
from syncd.config.secrets import Secret
from syncd.errors import (
    Authentication,
    Network,
    Permission,
    SyncdError,
    Throttled,
    Unexpected,
    storable,
)
from syncd.telemetry.masking import MASK

LONGEST_PAUSE: Final = 86_400.0
"""Seconds; who asks for more patience than a day is asked again after one."""
_QUOTED: Final = 200
_LONGEST_SAVED: Final = 2_000
_PATIENCE: Final = frozenset({408, 425, 429})
_NO_NAMES: Final[frozenset[str]] = frozenset()


def judge(
    expect: Expect, answer: Answer, now: datetime, masked: frozenset[str] = _NO_NAMES
) -> None:
    """Return if an answer is what was expected; `masked` are names that its quotes hide.

    Raises Authentication (401), Permission (403), Throttled (408, 425, 429, and 5xx with
    Retry-After), Network (5xx), else Unexpected.
    """
    wanted = answer.status in expect.status if expect.status else 200 <= answer.status < 300
    if not wanted:
        raise _of_status(expect, answer, now, masked)
    for name, pattern in expect.headers.items():
        _header(name, pattern, answer, masked)
    if expect.within and answer.times.total > expect.within.total_seconds():
        took, limit = answer.times.total, format_duration(expect.within)
        raise Unexpected(f"the answer took {took:.1f} s: expected within {limit}")
    if expect.json_:
        said = document(answer)
        for path, value in expect.json_.items():
            _value(path, value, find(said, path), masked)
    if expect.matches is not None:
        _body(expect.matches, answer, masked)


def met(expect: Expect, answer: Answer, now: datetime) -> bool:
    """Tell whether an answer is what was expected, as the looks of a poll ask."""
    try:
        judge(expect, answer, now)
    except SyncdError:
        return False
    return True


def saved(save: Mapping[str, str], answer: Answer) -> dict[str, str]:
    """Return the values of an answer that later calls use, by their names, as texts.

    Raises Unexpected when one is not there, is no single value, or is longer than 2,000 characters.
    """
    if not save:
        return {}
    said = document(answer)
    return {name: _saved(name, path, find(said, path)) for name, path in save.items()}


def retry_after(answer: Answer, now: datetime) -> float | None:
    """Return the seconds that an answer asks to wait (RFC 9110, 10.2.3), at most a day.

    A moment is compared with the server's own clock, if the answer tells it. None if it does not
    ask, or not so that it can be understood.
    """
    text = (answer.headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return min(float(text), LONGEST_PAUSE)
    then, server = date(text), date(answer.headers.get("Date") or "")
    if then is None:
        return None
    return min(max((then - (server or now)).total_seconds(), 0.0), LONGEST_PAUSE)


def date(text: str) -> datetime | None:
    """Return the moment of an HTTP date (RFC 9110, 5.6.7), None for what is none."""
    try:
        moment = parsedate_to_datetime(text[:64].strip())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _of_status(expect: Expect, answer: Answer, now: datetime, masked: frozenset[str]) -> SyncdError:
    """Return what a status means that was not expected."""
    wanted = " or ".join(map(str, expect.status)) or "2xx"
    text = f"answered {answer.status}, expected {wanted}{_quote(answer, masked)}"
    pause = retry_after(answer, now)
    match answer.status:
        case 401:
            return Authentication(text)
        case 403:
            return Permission(text)
        case status if status in _PATIENCE or (status >= 500 and pause is not None):
            return Throttled(text, pause)
        case status if status >= 500:
            return Network(text)
    return Unexpected(text)


def _quote(answer: Answer, masked: frozenset[str]) -> str:
    """Return how an answer begins, on one line."""
    text = safe_text(body_text(answer.body[: 8 * _QUOTED], answer.headers), masked)
    line = "".join(each if each.isprintable() else " " for each in " ".join(text.split()))
    if not line:
        return ""
    return f": {line}" if len(line) <= _QUOTED else f": {line[:_QUOTED]}…"


def _header(name: str, pattern: re.Pattern[str], answer: Answer, masked: frozenset[str]) -> None:
    value = answer.headers.get(name)
    if value is None:
        raise Unexpected(f"the answer has no header {name}")
    if not found(pattern, value):
        came = _shown(value, name, masked)
        raise Unexpected(f"the header {name} is {came}: expected a match of {pattern.pattern!r}")


def _value(path: str, wanted: object, value: object, masked: frozenset[str]) -> None:
    """Compare one value of the answer; of a list any one is good."""
    choices = wanted if isinstance(wanted, list | tuple) else (wanted,)
    if value is not NOTHING and any(same(_plain(each), value) for each in choices):
        return
    name = path.rpartition(".")[2]
    expected = " or ".join(_shown(each, name, masked) for each in choices)
    came = "nothing" if value is NOTHING else _shown(value, name, masked)
    raise Unexpected(f"{path} is {came}: expected {expected}")


def _plain(wanted: object) -> object:
    return secrets.resolve(wanted).get_secret_value() if isinstance(wanted, Secret) else wanted


def _body(pattern: re.Pattern[str], answer: Answer, masked: frozenset[str]) -> None:
    if answer.flaw:
        raise Unexpected(f"the answer can't be read: {answer.flaw}")
    if answer.cut:
        raise Unexpected("the answer is longer than max_answer: what it says is not known")
    if not found(pattern, body_text(answer.body, answer.headers)):
        raise Unexpected(f"nothing matches {pattern.pattern!r}{_quote(answer, masked)}")


def _shown(value: object, name: str, masked: frozenset[str]) -> str:
    """Return a value as JSON, short, and no secret."""
    if isinstance(value, Secret) or (isinstance(value, str) and names_secret(name, masked)):
        return MASK
    try:
        text = safe_text(json.dumps(value, ensure_ascii=False, default=lambda _: MASK), masked)
    except (ValueError, RecursionError):
        return "something strange"
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _saved(name: str, path: str, value: object) -> str:
    match value:
        case str():
            text = storable(value)
        case bool() | int() | float():
            text = json.dumps(value)
        case _:
            what = "nothing" if value is NOTHING else "no single value"
            raise Unexpected(f"{name} can't be saved: {what} stands at {path} of the answer")
    if len(text) > _LONGEST_SAVED:
        raise Unexpected(f"{name} can't be saved: it has more than {_LONGEST_SAVED} characters")
    return text
