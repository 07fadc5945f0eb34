"""The kinds of values that the configuration's keys hold, each with one clear complaint."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import PlainSerializer, PlainValidator

from syncd.config.durations import parse_duration
from syncd.config.secrets import Secret, parse_secret
from syncd.config.sizes import parse_size
from syncd.config.spelling import hint, quoted
from syncd.triggers.calendars import Calendar
from syncd.triggers.windows import Windows

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
NAME_RULE: Final = (
    "must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
)
SOCKET_PATH_BYTES: Final = 107  # sun_path of unix(7), less its NUL

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?",
    re.IGNORECASE | re.ASCII,
)
_OPTION: Final = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", re.ASCII)
_REGION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _name(value: object) -> str:
    if not NAME.fullmatch(_text(value)):
        raise ValueError(NAME_RULE)
    return _text(value)


def _region(value: object) -> str:
    if not _REGION.fullmatch(_text(value)):
        raise ValueError("must be a region such as cn-hangzhou or ap-guangzhou")
    return _text(value)


def _zone(value: object) -> str:
    name = _text(value)
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"unknown time zone{hint(name, _zones(), 'names such as Asia/Shanghai, UTC')}"
        ) from error
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _positive(value: object) -> timedelta:
    duration = parse_duration(value)
    if not duration:
        raise ValueError("must be longer than 0s")
    return duration


def _positive_size(value: object) -> int:
    size = parse_size(value)
    if not size:
        raise ValueError("must be more than 0B")
    return size


def _label(value: object) -> str:
    text = _text(value)
    if len(text) > 128 or not text.isprintable():
        raise ValueError("must be at most 128 printable characters")
    return text


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    text = _text(value)
    if not text.startswith("/") or not text.isprintable():
        raise ValueError("must be an absolute path")
    return Path(text)


def _socket_path(value: object) -> Path:
    path = _path(value)
    if len(bytes(path)) > SOCKET_PATH_BYTES:
        raise ValueError(f"must be at most {SOCKET_PATH_BYTES} bytes long (a limit of sockets)")
    return path


def _address(value: object) -> tuple[str, int] | None:
    if value in ("", "off"):
        return None
    host, _, port = _text(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError('must be "address:port" such as "127.0.0.1:9464", or "off"')
    return host, int(port)


def _endpoint(value: object) -> str:
    parts = _url(value)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("must begin with https:// (http:// is allowed on loopback only)")
    return _text(value).rstrip("/")


def _proxy(value: object) -> str:
    _url(value)
    return _text(value).rstrip("/")


def _url(value: object) -> Any:  # noqa: ANN401 - typeshed hides the class of urlsplit's answer
    try:
        parts = urlsplit(_text(value))
        parts.port  # noqa: B018 - raises when it is no port
    except ValueError as error:
        raise ValueError("must be a URL such as https://host:port") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or not str(value).isprintable():
        raise ValueError("must be a URL such as https://host:port")
    if parts.username or parts.password or parts.query or parts.fragment or " " in str(value):
        raise ValueError("must hold no user, password, query or fragment")
    return parts


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to a host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _list_of(item: Callable[[object], Any], *, least: int = 0, most: int = 1000) -> Any:  # noqa: ANN401
    """Return a validator of a list of different items, which it makes a tuple."""

    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError('must be a list, such as ["a", "b"]')  # noqa: TRY004
        if not least <= len(value) <= most:
            raise ValueError(f"must have {least} to {most} items")
        return tuple(item(each) for each in value)

    return check


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    item, count = Counter(value).most_common(1)[0] if value else ("", 0)
    if count > 1:
        raise ValueError(f'names "{item}" twice')
    return value


def _windows(value: object) -> Windows:
    return value if isinstance(value, Windows) else Windows.parse(_list_of(_text, most=100)(value))


def _calendar(value: object) -> Calendar:
    if not isinstance(value, Calendar):  # `config/calendar_files.py` has read what is a path
        raise ValueError("must be the path of a file of dates")  # noqa: TRY004
    return value


def _regions(value: object) -> object:
    if value == "all":
        return value
    if isinstance(value, str):
        raise ValueError('must be "all" or a list of regions')  # noqa: TRY004
    return _distinct(_list_of(_region, least=1)(value))


def _server_host(value: object) -> str:
    """Take a name, an address or a path as it is; a port, a user or brackets are none of them."""
    host = _text(value)
    if host.startswith("/"):
        return str(_socket_path(host))
    numbers = host.replace(".", "").isdecimal()  # 10.0.0.256 is a name to no resolver
    if not (_is_address(host) if numbers or ":" in host else _HOST.fullmatch(host)):
        raise ValueError(
            "must be a host name, an IP address without brackets and port, or the absolute path"
            " of a socket"
        )
    return host


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return text.isascii() and text.isprintable()


def _name_in_server(of: str) -> Callable[[object], str]:
    """Return a validator of a name that a database server gave."""

    def check(value: object) -> str:
        text = _text(value)
        if not 1 <= len(text) <= 128 or "\0" in text:
            raise ValueError(f"must be the name of a {of}")
        return text

    return check


def _options(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError('must be a table, such as { work_mem = "64MB" }')  # noqa: TRY004
    for name, setting in value.items():
        if not _OPTION.fullmatch(name):
            raise ValueError(f"{quoted(name)} is not the name of a setting")
        if not isinstance(setting, str) or not setting.isprintable():
            raise ValueError(f"{name} must be a printable string")
    return dict(value)


@dataclass(frozen=True, slots=True)
class ByTags:
    """The servers that have one of some tags."""

    tags: tuple[str, ...]

    def __str__(self) -> str:
        return f"tags {', '.join(self.tags)}"


def _servers(value: object) -> object:
    if value == "all" or isinstance(value, ByTags):
        return value
    if isinstance(value, dict) and set(value) == {"tags"}:
        return ByTags(_distinct(_list_of(_name, least=1)(value["tags"])))
    if not isinstance(value, list | tuple):
        raise ValueError('must be "all", a list of names, or { tags = ["..."] }')  # noqa: TRY004
    return _distinct(_list_of(_name, least=1)(value))


Zone = Annotated[str, PlainValidator(_zone)]
Label = Annotated[str, PlainValidator(_label)]
Duration = Annotated[timedelta, PlainValidator(parse_duration)]
PositiveDuration = Annotated[timedelta, PlainValidator(_positive)]
Size = Annotated[int, PlainValidator(parse_size)]
PositiveSize = Annotated[int, PlainValidator(_positive_size)]
WeekWindows = Annotated[Windows, PlainValidator(_windows)]
DatesFile = Annotated[Calendar, PlainValidator(_calendar)]
Ladder = Annotated[tuple[timedelta, ...], PlainValidator(_list_of(_positive, most=20))]
SecretValue = Annotated[Secret, PlainValidator(parse_secret), PlainSerializer(str)]
AbsolutePath = Annotated[Path, PlainValidator(_path)]
SocketPath = Annotated[Path, PlainValidator(_socket_path)]
Address = Annotated[tuple[str, int] | None, PlainValidator(_address)]
Endpoint = Annotated[str, PlainValidator(_endpoint)]
Proxy = Annotated[str, PlainValidator(_proxy)]
Regions = Annotated[Literal["all"] | tuple[str, ...], PlainValidator(_regions)]
RegionList = Annotated[
    tuple[str, ...], PlainValidator(lambda value: _distinct(_list_of(_region)(value)))
]
Names = Annotated[
    tuple[str, ...], PlainValidator(lambda value: _distinct(_list_of(_name, least=1)(value)))
]

Tags = Annotated[tuple[str, ...], PlainValidator(lambda value: _distinct(_list_of(_name)(value)))]
ServerHost = Annotated[str, PlainValidator(_server_host)]
UserName = Annotated[str, PlainValidator(_name_in_server("user"))]
DatabaseName = Annotated[str, PlainValidator(_name_in_server("database"))]
DatabaseNames = Annotated[
    tuple[str, ...],
    PlainValidator(lambda value: _distinct(_list_of(_name_in_server("database"))(value))),
]
SessionOptions = Annotated[Mapping[str, str], PlainValidator(_options)]
Servers = Annotated[Literal["all"] | ByTags | tuple[str, ...], PlainValidator(_servers)]


def one_of(*allowed: str) -> PlainValidator:
    """Return a validator of a list of some of the allowed words."""

    def word(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"unknown word{hint(str(value), allowed)}")
        return str(value)

    return PlainValidator(lambda value: _distinct(_list_of(word, least=1)(value)))
