"""A proxy in front of the store of a daemon: each daemon of a test has its own.

It marks its connections by their `application_name`, so that the server knows who writes.
"""

import socket
from pathlib import Path

from proxy import Proxy, to_socket
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SOCKET = ".s.PGSQL.5432"
_NAME = b"application_name\0syncd "


class StoreProxy(Proxy):
    """Listens on a Unix socket in a directory."""

    def __init__(self, dsn: str, directory: Path, mark: str) -> None:
        assert len(mark) == len("syncd"), "it replaces the name in place"
        self.mark = mark
        self.dsn = make_conninfo(dsn, host=str(directory), port="5432")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(directory / _SOCKET))
        server = conninfo_to_dict(dsn)
        name = b"application_name\0" + mark.encode() + b" "
        super().__init__(
            to_socket(f"{server['host']}/.s.PGSQL.{server.get('port', 5432)}"),
            listener,
            lambda data: data.replace(_NAME, name),
        )
