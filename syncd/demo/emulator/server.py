"""The HTTP server of the emulator: one loopback port for both clouds and the control path."""

import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

from syncd.demo.emulator.delivery import Reset, deliver, make_reset
from syncd.demo.emulator.faults import Hits
from syncd.demo.emulator.wire import Answer, Request

Respond = Callable[[Request], tuple[Answer, Hits]]

LARGEST: Final = 10 * 1024 * 1024


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """A thread a connection; `close_all` ends them however long they would have lived."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, port: int, respond: Respond) -> None:
        self.respond = respond
        self._live: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's own name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - stdlib
        """Note the connection and give it its thread."""
        with self._lock:
            self._live.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as in the stdlib
        """Forget the connection and close it."""
        with self._lock:
            self._live.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """Break all connections, so that the threads that read from them end."""
        with self._lock:
            for connection in self._live:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - stdlib
        """Pass over clients that went away; show everything else."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Answer any request."""
        request = self._request()
        try:
            answer, hits = self.server.respond(request)
            self.close_connection |= not deliver(self.connection, answer, hits)
        except Reset:
            self._reset()

    do_POST = do_GET  # noqa: N815 - as the stdlib wants it

    def log_message(self, *_: object) -> None:
        """Write no access log: tests and the demonstration own the terminal."""

    def _request(self) -> Request:
        length = min(int(self.headers.get("Content-Length") or 0), LARGEST)
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path, query, headers, self.rfile.read(length))

    def _reset(self) -> None:
        # The real close happens when the last of reader and socket is closed; only then comes
        # the RST, and the shutdown that the server would send first must find a closed socket.
        self.close_connection = True
        make_reset(self.connection)
        self.rfile.close()
        self.connection.close()
