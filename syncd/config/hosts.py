"""Hosts of URLs: how they are written on the wire, and which of them may be called."""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final

_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*", re.ASCII
)
_PORT: Final = re.compile(r"(.*):([0-9]{1,5})", re.ASCII)
_MOST_PORTS: Final = 65_535


def plain(host: str) -> str:
    """Return a host name or address as it is compared and sent: ASCII, lower case, no brackets.

    An international name is encoded as IDNA says (RFC 3490), a dot at the end is dropped, an
    address is written in its shortest form. Raises ValueError for what is none of them.
    """
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if ":" in bare:
        return _address(bare)
    try:
        text = bare if bare.isascii() else bare.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("is no host name") from None
    text = text.lower().removesuffix(".")
    if text.replace(".", "").isdecimal():  # 10.0.0.256 is a name to no resolver
        return _address(text)
    if not _NAME.fullmatch(text):
        raise ValueError("is no host name")
    return text


def pattern(text: str) -> str:
    """Return a pattern of hosts as `allowed` takes it: `api.internal`, `*.internal:8443`, `[::1]`.

    Raises ValueError when it is none.
    """
    host, port = _parted(text)
    if port is not None and not 1 <= port <= _MOST_PORTS:
        raise ValueError("has no such port")
    star = "*." if host.startswith("*.") else ""
    name = plain(host.removeprefix(star))
    if star and _is_address(name):
        raise ValueError("is no host name")
    written = f"[{name}]" if ":" in name else f"{star}{name}"
    return written if port is None else f"{written}:{port}"


def allowed(patterns: Sequence[str], host: str, port: int) -> bool:
    """Tell whether a host may be called at a port: any when there are no patterns.

    `*.internal` is every name below `internal`, however deep, and not `internal` itself. The
    patterns are those that `pattern` gave; what is no host at all is not allowed.
    """
    if not patterns:
        return True
    try:
        name = plain(host)
    except ValueError:
        return False
    return any(_fits(each, name, port) for each in patterns)


def _fits(text: str, host: str, port: int) -> bool:
    wanted, only = _parted(text)
    if only not in (None, port):
        return False
    if wanted.startswith("*."):
        return host.endswith(wanted[1:]) and not _is_address(host)
    return wanted.removeprefix("[").removesuffix("]") == host


def _parted(text: str) -> tuple[str, int | None]:
    """Return the host and the port of a pattern."""
    if text.startswith("[") and text.endswith("]"):
        return text, None
    found = _PORT.fullmatch(text)
    return (found[1], int(found[2])) if found else (text, None)


def _address(text: str) -> str:
    """Return an address in its one form, an IPv4 address inside IPv6 as the former."""
    if "%" in text or not text.isascii():
        raise ValueError("is no address")
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
