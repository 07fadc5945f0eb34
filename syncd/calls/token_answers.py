"""What the answer of a login says: the token and how long it is good, or why there is none.

Nothing of an answer gets into a text but its own words of an error, with known secrets masked.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from syncd.calls.base import Answer
from syncd.calls.expectations import date, retry_after
from syncd.calls.json_paths import NOTHING, document, find
from syncd.calls.masked import safe_text
from syncd.config import secrets
from syncd.config.http import Token
from syncd.errors import Authentication, Network, SyncdError, Throttled, Unexpected
from syncd.model.holder import token_holder
from syncd.telemetry.masking import MASK

LONGEST: Final = 16 * 1024
"""Characters of a token: servers take headers of 8 to 16 KiB."""
LONGEST_LIFE: Final = 365 * 86_400.0  # seconds; nobody keeps a token for longer

_FIRST_EPOCH: Final = 1e9  # seconds; less is a lifetime, more a moment (that of 2001-09-09)
_FIRST_MILLISECONDS: Final = 1e11
_WORDS: Final = (
    "error", "error_description", "message", "msg", "detail", "title", "reason", "code",
)  # fmt: skip
"""Fields in which answers tell of an error."""
_TOLD: Final = 200  # characters of the answer's own words
_OPAQUE: Final = re.compile(r"[A-Za-z0-9+/_=.-]{32,}")
_REFUSED_CODES: Final = ("invalid_client", "invalid_grant", "unauthorized_client", "access_denied")
_REFUSED: Final = re.compile(
    r"(invalid|bad|wrong|incorrect|unknown|expired|mismatch|disabled|locked|refused|denied|fail)"
    r".{0,60}(credential|password|passwd|user|login|log-in|client|secret|account|authenticat)"
    r"|(credential|password|passwd|user|login|log-in|client|secret|account|authenticat).{0,60}"
    r"(invalid|bad|wrong|incorrect|unknown|expired|mismatch|disabled|locked|refused|denied|fail)"
    r"|unauthori[sz]ed|unauthenticated",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that came, and the seconds for which it is good from then on, 0 or less if none."""

    token: str = field(repr=False)
    life: float


def read(name: str, token: Token, answer: Answer, now: datetime) -> Issued:
    """Return the token of an answer.

    Raises Authentication, held by the token, for a refused login; Throttled and Network where a
    later one may do better; Unexpected for an answer without a token that a header can carry.
    """
    told = _told(name, answer)
    if not 200 <= answer.status <= 299:
        raise _failure(name, answer, told, now)
    found = next((v for path in token.token if (v := _at(told, path)) is not None), None)
    if found is None:
        raise _without_token(name, token, answer, told)
    value = _checked(name, found)
    secrets.remember(value)
    return Issued(value, _life(token, told, value, _server_now(answer, now)))


def _told(name: str, answer: Answer) -> Any:  # noqa: ANN401 - JSON
    """Return what an answer says in JSON; of a failure that may be nothing."""
    try:
        return document(answer)
    except Unexpected as error:
        if 200 <= answer.status <= 299:
            raise Unexpected(f"token {name}: {error}") from None
        return None


def _at(told: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what stands at a path, None for nothing and for null."""
    value = find(told, path)
    return None if value is NOTHING else value


def _failure(name: str, answer: Answer, told: Any, now: datetime) -> SyncdError:  # noqa: ANN401
    """Return what an answer means that is no success."""
    status, words = answer.status, _words(told)
    text = f"token {name}: the login was answered {status}{_quoted(words)}"
    if status in (401, 403) or (status in (400, 422) and _is_refusal(words)):
        return Authentication(text, token_holder(name))
    pause = retry_after(answer, now)
    if status in (408, 425, 429) or (status >= 500 and pause is not None):
        return Throttled(text, pause)
    return Network(text) if status >= 500 else Unexpected(text)


def _without_token(name: str, token: Token, answer: Answer, told: Any) -> SyncdError:  # noqa: ANN401
    """Return what a success means in which no token stands."""
    words, paths = _words(told), " or ".join(token.token)
    text = f"token {name}: the answer {answer.status} of the login has no token at {paths}"
    text += _quoted(words)
    if _is_refusal(words) or _at(told, "code") in (401, 403, "401", "403"):
        return Authentication(text, token_holder(name))
    return Unexpected(text)


def _words(told: Any) -> str:  # noqa: ANN401 - JSON
    """Return what an answer says of an error, in its own words."""
    if not isinstance(told, Mapping):
        return ""
    inner = told.get("error")
    found = {**told, **inner} if isinstance(inner, Mapping) else told
    said = [found[w] for w in _WORDS if isinstance(found.get(w), str | int | float)]
    return " ".join(str(each) for each in said if each)


def _is_refusal(words: str) -> bool:
    return any(code in words for code in _REFUSED_CODES) or bool(_REFUSED.search(words[:2000]))


def _quoted(words: str) -> str:
    """Return an answer's own words for the end of a text, printable and without secrets."""
    masked = _OPAQUE.sub(MASK, safe_text(words[:2000]))
    plain = " ".join("".join(c if c.isprintable() else " " for c in masked).split())
    return f": {plain[:_TOLD]}" if plain else ""


def _checked(name: str, value: object) -> str:
    """Return a token that a header can carry; the texts of the errors do not show it."""
    if not isinstance(value, str):
        raise Unexpected(f"token {name}: what stands in its place is no string")
    if not value or len(value) > LONGEST:
        size = f"longer than {LONGEST} characters" if value else "empty"
        raise Unexpected(f"token {name}: it is {size}")
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise Unexpected(f"token {name}: it holds what a header can't carry, such as a line break")
    return value


def _server_now(answer: Answer, now: datetime) -> datetime:
    """Return what the server takes for now: moments that it names are of its clock."""
    return date(answer.headers.get("Date") or "") or now


def _life(token: Token, told: Any, value: str, server_now: datetime) -> float:  # noqa: ANN401
    """Return for how many seconds a token is good, as `expires`, its `exp` or `lifetime` say."""
    for end in (_at(told, token.expires), _jwt_end(value)):
        life = _seconds(end, server_now)
        if life is not None:
            return min(life, LONGEST_LIFE)
    return min(token.lifetime.total_seconds(), LONGEST_LIFE)


def _seconds(told: object, server_now: datetime) -> float | None:
    """Return the seconds until what is told: seconds, a moment since 1970, or one in ISO 8601."""
    number = _number(told)
    if number is None:
        moment = _moment(told)
        return (moment - server_now).total_seconds() if moment else None
    if number < _FIRST_EPOCH:
        return number
    since = number / 1000 if number >= _FIRST_MILLISECONDS else number
    return since - server_now.timestamp()


def _number(told: object) -> float | None:
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        return None
    try:
        number = float(told)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= 1e18 else None  # NaN and infinity are none either


def _moment(told: object) -> datetime | None:
    if not isinstance(told, str):
        return None
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _jwt_end(value: str) -> object:
    """Return the `exp` of a JSON Web Token (RFC 7519, 4.1.4), unverified; None if it is none."""
    parts = value.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(
            base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        )
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    # Always a moment: small numbers, that `expires` may be, are long past here.
    return max(float(end), _FIRST_EPOCH) if isinstance(end, int | float) else None
