"""The one reader of secrets: the rest of syncd holds references, or values it can't print.

A reference is read at use, so that a rotated file is taken up by the next run. What was read is
remembered for as long as the process lives, so that the log can mask it.
"""

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from syncd.errors import ConfigurationError

LARGEST: Final = 64 * 1024
MOST_LENT: Final = 256
"""Tokens come anew for as long as the process lives: the last ones are masked, not all."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", re.ASCII)
_DSN_PASSWORD: Final = re.compile(r"(?:^|[\s?&])password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]*))")

_NOTHING: Final = SecretStr("")
_known: set[str] = set()
_lent: dict[str, None] = {}
_lending: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret stands, or the secret itself when it is written inline."""

    source: Literal["credential", "env", "file", "inline"]
    place: str = ""
    inline: SecretStr = _NOTHING

    def __str__(self) -> str:
        """Name the reference, never the value."""
        return "an inline secret" if self.source == "inline" else f"{self.source} {self.place}"


def parse_secret(value: object) -> Secret:
    """Read an inline string or `{ credential = … }`, `{ env = … }`, `{ file = "/…" }`.

    Raises ValueError, without the value in its text, for anything else.
    """
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        if not value or "\0" in value:
            raise ValueError("must not be empty or hold NUL")
        return Secret("inline", inline=SecretStr(value))
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(
            'must be a string, { credential = "name" }, { env = "NAME" } or { file = "/path" }'
        )
    ((source, place),) = value.items()
    if source not in ("credential", "env", "file"):
        raise ValueError(f'unknown reference "{source}"; allowed: credential, env, file')
    if source == "file":
        if not isinstance(place, str) or not place.startswith("/") or "\0" in place:
            raise ValueError("file must be an absolute path")
    elif not isinstance(place, str) or not _NAME.fullmatch(place):
        raise ValueError(f"{source} must be a name of letters, digits, '_', '.' and '-'")
    return Secret(source, place)


def resolve(secret: Secret, environ: Mapping[str, str] = os.environ) -> SecretStr:
    """Read a secret now; one newline at its end is dropped.

    Raises ConfigurationError, naming the reference, when it can't be read or is empty.
    """
    value = _read(secret, environ)
    if not value:
        raise ConfigurationError(f"{secret} is empty")
    _known.update({value, *dsn_passwords(value)})
    return SecretStr(value)


def for_service_alone(secret: Secret, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether only the service can read a secret: systemd gives it, and to nobody else."""
    return secret.source == "credential" and not environ.get("CREDENTIALS_DIRECTORY")


def known() -> frozenset[str]:
    """Return every value that was read since the process started, for the log to mask.

    Of the values that `remember` was told of, the last ones.
    """
    return frozenset((*_known, *_lent))


def remember(value: str) -> None:
    """Make known what was not read here and is secret for a while: a token that was issued."""
    with _lending:
        _lent.pop(value, None)
        _lent[value] = None
        while len(_lent) > MOST_LENT:
            del _lent[next(iter(_lent))]


def dsn_passwords(text: str) -> set[str]:
    """Return the passwords inside a PostgreSQL connection string, as written and decoded."""
    found = {quoted or plain for quoted, plain in _DSN_PASSWORD.findall(text)}
    if "://" in text:
        try:
            found.add(urlsplit(text).password or "")
        except ValueError:
            return found - {""}
    return {form for password in found for form in (password, unquote(password))} - {""}


def _read(secret: Secret, environ: Mapping[str, str]) -> str:
    if secret.source == "inline":
        return secret.inline.get_secret_value()
    if secret.source == "env":
        if secret.place not in environ:
            raise ConfigurationError(f"the environment variable {secret.place} is not set")
        return environ[secret.place].removesuffix("\n")
    if secret.source == "credential":
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigurationError(
                f"{secret} can't be read: CREDENTIALS_DIRECTORY is not set"
                " (systemd sets it when it starts a unit with LoadCredential=)"
            )
        path = Path(folder, secret.place)
        if not path.exists():
            raise ConfigurationError(
                f"{secret} is not among those that the service was started with"
                " (LoadCredential= of its unit; a new one needs a restart)"
            )
        return _read_file(secret, path)
    return _read_file(secret, Path(secret.place))


def _read_file(secret: Secret, path: Path) -> str:
    if not path.is_file():
        raise ConfigurationError(f"{secret} can't be read: {path} is not a file")
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"{secret} can't be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise ConfigurationError(f"{secret} is longer than {LARGEST} bytes")
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError:
        # The chained error would hold the bytes.
        raise ConfigurationError(f"{secret} is not UTF-8 text") from None
