"""The listeners: the control socket, and the TCP port that only reads.

waitress parses and buffers; its loop runs in one thread of ours for both listeners, each listener
has a few threads for answers. All are made, named and joined here.
"""

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from syncd.context import BoundLogger, Deadline
from syncd.control.application import BODY_LIMIT, Application
from syncd.control.peer import ControlListener, bind
from syncd.control.routes import CONTROL, LONG_CALLS, PUBLIC, Offer
from syncd.errors import ConfigurationError, Conflict, SyncdError

CONTROL_THREADS: Final = LONG_CALLS + 2
PUBLIC_THREADS: Final = 3
CLOSING: Final = 1.0  # seconds
FILE_CHECK: Final = 5.0
"""Seconds within which it is noticed that the control socket's file is gone."""

_SETTINGS: Final[dict[str, Any]] = {
    "ident": "syncd",
    "connection_limit": 100,
    "channel_timeout": 60,
    "max_request_body_size": 2 * BODY_LIMIT,  # the application refuses earlier, in JSON
    "asyncore_use_poll": True,
}


class ControlServer:
    """The daemon's listeners, from construction, when they are bound, to `close`.

    `http` is the address of the TCP listener, None for none; with port 0 the system chooses one.
    Raises ConfigurationError for an address that can't be bound, Conflict for one or a socket on
    which another process answers. Nothing is answered before `start`.
    """

    def __init__(
        self, offer: Offer, *, socket: Path, http: tuple[str, int] | None, log: BoundLogger
    ) -> None:
        self._offer, self._log, self._path = offer, log, socket
        self._map: dict[int, Any] = {}
        self._stop = threading.Event()
        self._pools = [_Pool("syncd-control"), _Pool("syncd-http")]
        self._thread = threading.Thread(target=self._serve, name="syncd-listen", daemon=True)
        try:
            self._listeners = [self._control(socket)]
            self._inode, self._lost = socket.stat().st_ino, False
            if http is not None:
                self._listeners.append(self._public(http))
        except BaseException:
            wasyncore.close_all(self._map)
            raise

    @property
    def http_address(self) -> tuple[str, int] | None:
        """The address on which the TCP listener answers."""
        if len(self._listeners) == 1:
            return None
        host, port = self._listeners[1].socket.getsockname()[:2]
        return host, port

    def start(self) -> None:
        """Begin to answer."""
        for pool, threads in zip(self._pools, (CONTROL_THREADS, PUBLIC_THREADS), strict=True):
            pool.set_thread_count(threads if pool.used else 0)
        for listener in self._listeners:
            listener.accept_connections()
        self._thread.start()

    def close(self) -> None:
        """Answer what was asked, take nothing new, end the threads: within a second or so."""
        deadline = Deadline.after(CLOSING)
        self._offer.closing.set()
        for listener in self._listeners:
            listener.accepting = False
        for pool in self._pools:
            pool.join(deadline)
        self._stop.set()
        if self._thread.is_alive():
            self._listeners[0].pull_trigger()
            self._thread.join(CLOSING)
        wasyncore.close_all(self._map)  # after the loop's end: it must not meet closed files
        self._remove_file()

    def _control(self, path: Path) -> Any:  # noqa: ANN401 - the library has no annotations
        application = Application(self._offer, CONTROL, self._log)
        return ControlListener(
            application,
            self._map,
            _start=False,
            _sock=bind(path),
            dispatcher=self._pools[0].use(),
            adj=Adjustments(**_SETTINGS),
            bind_socket=False,
        )

    def _public(self, http: tuple[str, int]) -> Any:  # noqa: ANN401
        host, port = http
        listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            adjustments = Adjustments(listen=listen, **_SETTINGS)
            return TcpWSGIServer(
                Application(self._offer, PUBLIC, self._log),
                self._map,
                _start=False,
                dispatcher=self._pools[1].use(),
                adj=adjustments,
            )
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise Conflict(f"listen.http: another process has {listen}") from error
            raise ConfigurationError(f"listen.http: {listen} can't be bound: {error}") from error

    def _serve(self) -> None:
        """Move bytes until closed, then send what is left to be sent."""
        while not self._stop.is_set():
            self._keep_file()
            wasyncore.loop(timeout=FILE_CHECK, use_poll=True, map=self._map, count=1)
        deadline = Deadline.after(CLOSING / 4)
        while self._owes() and deadline.remaining() > 0:
            wasyncore.loop(timeout=0.05, use_poll=True, map=self._map, count=1)

    def _owes(self) -> bool:
        """Tell whether a client has not got all of its answer."""
        return any(getattr(each, "total_outbufs_len", 0) for each in list(self._map.values()))

    def _keep_file(self) -> None:
        """Make the socket anew when its file was removed: nobody could ask the daemon any more."""
        if self._offer.closing.is_set() or self._has_file():
            return
        try:
            listener = self._control(self._path)
            self._inode = self._path.stat().st_ino
        except (SyncdError, OSError) as error:
            if not self._lost:
                self._log.error("the control socket is lost: restart the daemon", error=str(error))
            self._lost = True
            return
        listener.accept_connections()
        # The old listener stays: the answers of its connections wake the loop through it.
        self._listeners[0], self._lost = listener, False
        self._log.warning("the control socket's file was gone: made anew", path=str(self._path))

    def _has_file(self) -> bool:
        """Tell whether the socket's file is there, and ours."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def _remove_file(self) -> None:
        """Remove the socket's file, unless it is another process's by now."""
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except OSError:
            self._log.info("the control socket's file is gone already", path=str(self._path))


class _Pool(ThreadedTaskDispatcher):  # type: ignore[misc]  # the library has no annotations
    """waitress's threads, but named, and joined by the clock that never goes back."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self.used = name, False
        self._started: list[threading.Thread] = []

    def use(self) -> "_Pool":
        """Return the pool, noting that a listener needs its threads."""
        self.used = True
        return self

    def start_new_thread(self, target: Callable[[int], None], thread_no: int) -> None:
        """Start one of the threads."""
        name = f"{self._name}-{thread_no}"
        thread = threading.Thread(target=target, name=name, args=(thread_no,), daemon=True)
        self._started.append(thread)
        thread.start()

    def join(self, deadline: Deadline) -> None:
        """Let each thread end with what it is doing; drop what none has begun."""
        self.set_thread_count(0)
        for thread in self._started:
            thread.join(max(0.0, deadline.remaining()))
        while self.queue:
            self.queue.popleft().cancel()
