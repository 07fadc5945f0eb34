"""The HTTP clients of calls: one for each way in which servers are reached."""

import threading
from collections.abc import Sequence
from pathlib import Path

from syncd.config.http import Connection
from syncd.errors import ConfigurationError
from syncd.http_client import HttpClient
from syncd.http_tls import TlsFiles

_Way = tuple[str | None, TlsFiles]
_Stamp = tuple[tuple[int, int, int], ...]


class Clients:
    """Gives the client for a connection; certificates that were renewed are taken up.

    Any number of threads may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[_Way, tuple[_Stamp, HttpClient]] = {}

    def get(self, connection: Connection, *, certified: bool = True) -> HttpClient:
        """Return a client, without the connection's client certificate unless `certified`.

        Raises ConfigurationError for a file of TLS that can't be used.
        """
        cert, key = (connection.tls_cert, connection.tls_key) if certified else (None, None)
        tls = TlsFiles(connection.tls_ca, cert, key, connection.tls_verify)
        way, stamp = (connection.proxy, tls), _stamp(tls.files)
        with self._lock:
            found = self._made.get(way)
            if found is not None and found[0] == stamp:
                return found[1]
            client = HttpClient(*way)
            self._made[way] = (stamp, client)
        if found is not None:
            found[1].close()
        return client

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            made, self._made = self._made, {}
        for _, client in made.values():
            client.close()


def _stamp(files: Sequence[Path]) -> _Stamp:
    """Return what changes when a file is written anew, or replaced."""
    try:
        stats = [each.stat() for each in files]
    except OSError as error:
        raise ConfigurationError(f"{error.filename} can't be read: {error.strerror}") from error
    return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in stats)
