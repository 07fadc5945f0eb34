"""Names and secrets put into the places of a request, each as the syntax of its place needs it.

Values may come from another server's answer: none can leave the segment of a path, the parameter,
the string of a JSON body or the line of a header that it was put in.
"""

import base64
import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, urlencode

from syncd.config import secrets, templates
from syncd.config.http import Basic, Message
from syncd.config.secrets import Secret
from syncd.errors import ConfigurationError, Guarded, Unexpected, storable
from syncd.http_client import normal
from syncd.telemetry.masking import MASK

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DOTS: Final = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


class Filler:
    """Fills a request from the values of names; `masked` puts asterisks in place of secrets."""

    def __init__(self, values: Mapping[str, str], *, masked: bool) -> None:
        self._values = {name: storable(value) for name, value in values.items()}
        self.masked = masked

    def reveal(self, secret: Secret) -> str:
        """Return the value of a secret; raises ConfigurationError if it can't be read."""
        if self.masked:
            return MASK
        value = secrets.resolve(secret).get_secret_value()
        if storable(value) != value:  # an error of the encoder would quote it
            raise ConfigurationError(f"{secret} is not UTF-8 text, or holds NUL")
        return value

    def text(self, value: str | Secret, quoted: Callable[[str], str] = str) -> str:
        """Return a secret's value, or a text with its names filled in."""
        if isinstance(value, Secret):
            return self.reveal(value)
        return self._filled(value, quoted)

    def _filled(self, template: str, quoted: Callable[[str], str] = str) -> str:
        """Return a text with its names filled in.

        Raises Guarded for a name without a value, which the configuration does not let pass: an
        earlier attempt saved it under another name.
        """
        try:
            return templates.fill(template, self._values, quoted)
        except KeyError as error:
            raise Guarded(f"no value of {error}: the job was changed under its run") from error

    def url(self, template: str, query: Mapping[str, str | Secret] | None = None) -> str:
        """Return a URL as it is sent, with further parameters.

        Raises Unexpected for a value that would lead to another path: an empty one, or dots.
        """
        head, mark, tail = template.partition("?")
        for segment in head.split("/")[3:]:
            filled = self._filled(segment)
            if templates.names(segment) and (not filled or _DOTS.fullmatch(filled)):
                named = " and ".join(templates.names(segment))
                raise Unexpected(f"the value of {named} would lead to another path than it should")
        url = self._filled(head, _segment) + mark
        url += self._filled(tail, quote_plus)
        added = self.pairs(query or {})
        return normal(url + ("&" if mark else "?") + added if added else url)

    def pairs(self, pairs: Mapping[str, str | Secret]) -> str:
        """Return parameters or a form as they are sent."""
        filled = {name: self.text(each) for name, each in pairs.items()}
        return urlencode(filled, safe="*" if self.masked else "")

    def headers(self, headers: Mapping[str, str | Secret]) -> dict[str, str]:
        """Return headers; raises Unexpected or, for a secret, ConfigurationError: line breaks."""
        return {name: self._line(name, each) for name, each in headers.items()}

    def basic(self, basic: Basic) -> str:
        """Return the value of Authorization (RFC 7617)."""
        return self.user_and_password(self.text(basic.user), self.reveal(basic.password))

    def user_and_password(self, user: str, password: str) -> str:
        """Return the value of Authorization, whose secret part becomes known to the log."""
        if self.masked:
            return f"Basic {MASK}"
        if ":" in user:
            raise ConfigurationError("the user of basic authentication can't hold a colon")
        coded = base64.b64encode(f"{user}:{password}".encode()).decode()
        secrets.remember(coded)
        return f"Basic {coded}"

    def bearer(self, secret: Secret) -> str:
        """Return the value of Authorization (RFC 6750)."""
        return f"Bearer {self._line('Authorization', secret)}"

    def body(self, request: Message) -> tuple[bytes | None, str]:
        """Return the bytes of the body and their type; None without a body."""
        kind = request.content_type
        if request.form:
            return self.pairs(request.form).encode(), kind or "application/x-www-form-urlencoded"
        if request.body is None:
            return None, ""
        if isinstance(request.body, str):
            return self._string(request.body, kind).encode(), kind or "text/plain; charset=utf-8"
        return self._json(request.body).encode(), kind or "application/json"

    def _line(self, name: str, value: str | Secret) -> str:
        """Return a header's value, which is one line."""
        text = self.text(value).strip(" \t")
        if _CONTROL.search(text):
            problem = f"the header {name} can't hold a line break or another control character"
            raise (ConfigurationError if isinstance(value, Secret) else Unexpected)(problem)
        return text

    def _json(self, value: object) -> str:
        try:
            return json.dumps(self._inside(value), ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise ConfigurationError(
                "JSON has no word for nan and inf: the body holds one"
            ) from error

    def _inside(self, value: object) -> object:
        match value:
            case str() | Secret():
                return self.text(value)
            case Mapping():
                return {name: self._inside(each) for name, each in value.items()}
            case list() | tuple():
                return [self._inside(each) for each in value]
        return value

    def _string(self, text: str, kind: str) -> str:
        """Return a body that is written out, its names filled in as its type needs it."""
        if not templates.names(text):
            return text
        if "json" in kind.lower():
            _check_strings(text)
            return self._filled(text, lambda each: json.dumps(each)[1:-1])
        if "urlencoded" in kind.lower():
            return self._filled(text, quote_plus)
        return self._filled(text, html.escape if "xml" in kind.lower() else str)


def _segment(value: str) -> str:
    return quote(value, safe="")


def _check_strings(text: str) -> None:
    """Raise ConfigurationError when a name stands in JSON, but not inside a string."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            "{{ names }} stand inside the strings of a JSON body alone"
        ) from error
