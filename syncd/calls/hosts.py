"""Where calls may go: what [http] allow_hosts says of a URL."""

from collections.abc import Sequence

from syncd.config import hosts
from syncd.errors import Permission
from syncd.http_client import origin


def check(url: str, allow_hosts: Sequence[str]) -> None:
    """Raise Permission, naming the host, for a URL that may not be called."""
    try:
        place = origin(url)
    except ValueError as error:
        raise Permission(f"the URL of a call {error}") from error
    if not hosts.allowed(allow_hosts, place.host, place.port):
        raise Permission(f"{place.host}:{place.port} is not among the hosts of [http] allow_hosts")
