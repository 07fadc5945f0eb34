"""PyMySQL as it is used here: no option file is read, and no password is given away."""

from typing import Any

import pymysql

from syncd.engines.base import ServerAccess
from syncd.engines.tls import tls_context
from syncd.engines.wire import Limit, limit_tls
from syncd.errors import Authentication

Connection = Any
"""A connection of PyMySQL, which has no types."""


def unconnected(access: ServerAccess, password: bytes, limit: Limit) -> Connection:
    """Return a connection that is to be given a socket; over a Unix socket it is not encrypted.

    Raises ConfigurationError for a certificate or key that can't be used.
    """
    local, mode = access.host.startswith("/"), access.tls.mode
    context = None
    if mode != "disable" and not local:
        context = tls_context(access.tls)
        limit_tls(context, limit)
    trusted = local or mode.startswith("verify")
    connection = pymysql.connect(
        defer_connect=True,
        host="localhost" if local else access.host,
        user=access.user,
        password=password,
        charset="utf8mb4",
        autocommit=None,
        program_name="syncd",
        ssl=context,
        ssl_disabled=context is None,
        auth_plugin_map={} if trusted else {b"mysql_clear_password": _InTheClear},
    )
    if mode == "prefer":
        connection._ssl_required = False  # what PyMySQL does by itself when it is given no context
    return connection


class _InTheClear:
    """Refuses to tell a password to whoever asks for it, though PyMySQL would."""

    def __init__(self, connection: Connection) -> None:
        pass

    def authenticate(self, packet: object) -> object:  # noqa: ARG002 - as PyMySQL calls it
        """Raise Authentication."""
        raise Authentication(
            "the server asks for the password in the clear: only with tls = verify-ca or -full"
        )
