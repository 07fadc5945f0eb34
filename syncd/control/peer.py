"""Who is at the other end of the control socket, as the kernel knows it."""

import grp
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from waitress.channel import HTTPChannel
from waitress.server import UnixWSGIServer
from waitress.task import WSGITask

from syncd.control.users import user_name
from syncd.errors import ConfigurationError, Conflict

GROUP: Final = "syncd"
MODE: Final = 0o660

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


def bind(path: Path) -> socket.socket:
    """Return a socket bound to `path`, for its owner and the group `syncd` alone; not listening.

    The file of a process that is gone is replaced. Raises Conflict when a living one answers there,
    ConfigurationError when the place can't be used.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.bind(str(path))
        with suppress(KeyError, PermissionError):  # no such group, or we are not in it
            os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
        path.chmod(MODE)
    except Conflict:
        bound.close()
        raise
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"the control socket {path} can't be made: {error}") from error
    return bound


def _remove_stale(path: Path) -> None:
    """Remove a socket's file unless somebody listens behind it."""
    if not path.is_socket():
        return  # nothing, or something that is not ours to remove: binding tells
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise Conflict(f"another process answers on {path}")


class _Task(WSGITask):  # type: ignore[misc]  # the library has no annotations
    def get_environment(self) -> dict[str, Any]:
        """Add who asks to the environment of the request."""
        environ: dict[str, Any] = super().get_environment()
        environ["syncd.by"] = self.channel.by
        return environ


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _Task

    def __init__(self, server: Any, sock: socket.socket, *rest: Any, **options: Any) -> None:  # noqa: ANN401
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self.by = user_name(_CREDENTIALS.unpack(raw)[1])
        super().__init__(server, sock, *rest, **options)


class ControlListener(UnixWSGIServer):  # type: ignore[misc]
    """waitress on a Unix socket that knows who asks."""

    channel_class = _Channel
