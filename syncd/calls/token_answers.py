"""What the answer of a login says: the token and how long it is good, or why there is none.

Nothing of an answer gets into a text but its own words of an error, with known secrets masked.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from syncd.calls.base import Answer
from syncd.config import secrets
from syncd.config.http import Token
from syncd.errors import Authentication, Network, SyncdError, Throttled, Unexpected
from syncd.model.holder import token_holder
from syncd.telemetry.masking import MASK, Masker

LONGEST: Final = 16 * 1024
"""Characters of a token: servers take headers of 8 to 16 KiB."""
LONGEST_LIFE: Final = 365 * 86_400.0  # seconds; nobody keeps a token for longer

_FIRST_EPOCH: Final = 1e9  # seconds; less is a lifetime, more a moment (that of 2001-09-09)
_FIRST_MILLISECONDS: Final = 1e11
_WORDS: Final = (
    "error",
    "error_description",
    "message",
    "msg",
    "detail",
    "title",
    "reason",
    "code",
)
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

    token: str
    life: float


def read(name: str, token: Token, answer: Answer, now: datetime) -> Issued:
    """Return the token of an answer.

    Raises Authentication, held by the token, for a refused login; Throttled and Network where a
    later one may do better; Unexpected for an answer without a token that a header can carry.
    """
    document = _document(answer)
    if not 200 <= answer.status <= 299:
        raise _failure(name, answer, document)
    found = next((v for path in token.token if (v := _at(document, path)) is not None), None)
    if found is None:
        raise _without_token(name, token, answer, document)
    value = _checked(name, found)
    secrets.remember(value)
    return Issued(value, _life(token, document, value, _server_now(answer, now)))


def _document(answer: Answer) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON document of an answer, None for what is none."""
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _at(document: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what stands at a path, None for nothing."""
    for part in path.split("."):
        if isinstance(document, Mapping):
            document = document.get(part)
        elif isinstance(document, list) and part.isascii() and part.isdecimal():
            document = document[int(part)] if int(part) < len(document) else None
        else:
            return None
    return document


def _failure(name: str, answer: Answer, document: Any) -> SyncdError:  # noqa: ANN401 - JSON
    """Return what an answer means that is no success."""
    status, words = answer.status, _words(document)
    told = f"token {name}: the login was answered {status}{_quoted(words)}"
    if status in (401, 403) or (400 <= status <= 499 and _is_refusal(words)):
        return Authentication(told, token_holder(name))
    if status in (408, 425, 429):
        return Throttled(told)
    if status >= 500:
        return Network(told)
    return Unexpected(told)


def _without_token(
    name: str,
    token: Token,
    answer: Answer,
    document: Any,  # noqa: ANN401 - JSON
) -> SyncdError:
    """Return what a success means in which no token stands."""
    where = f"token {name}: the answer {answer.status} of the login"
    if document is None:
        why = "is longer than max_answer" if answer.cut else "is no JSON"
        return Unexpected(f"{where} {why}")
    words = _words(document)
    told = f"{where} has no token at {' or '.join(token.token)}{_quoted(words)}"
    if _is_refusal(words) or _at(document, "code") in (401, 403, "401", "403"):
        return Authentication(told, token_holder(name))
    return Unexpected(told)


def _words(document: Any) -> str:  # noqa: ANN401 - JSON
    """Return what a document says of an error, in its own words."""
    if not isinstance(document, Mapping):
        return ""
    inner = document.get("error")
    found = {**document, **inner} if isinstance(inner, Mapping) else document
    said = [found[w] for w in _WORDS if isinstance(found.get(w), str | int | float)]
    return " ".join(str(each) for each in said if each is not False and each != "")


def _is_refusal(words: str) -> bool:
    return any(code in words for code in _REFUSED_CODES) or bool(_REFUSED.search(words[:2000]))


def _quoted(words: str) -> str:
    """Return an answer's own words for the end of a text, printable and without secrets."""
    masked = _OPAQUE.sub(MASK, Masker(secrets.known)(words[:2000]))
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
    try:
        moment = parsedate_to_datetime(_header(answer, "date"))
    except ValueError:
        return now
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _header(answer: Answer, name: str) -> str:
    return next((v for n, v in answer.headers.items() if n.lower() == name), "")


def _life(token: Token, document: Any, value: str, server_now: datetime) -> float:  # noqa: ANN401
    """Return for how many seconds a token is good, as `expires`, its `exp` or `lifetime` say."""
    for told in (_at(document, token.expires), _jwt_end(value)):
        life = _seconds(told, server_now)
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
