"""A server that does with each connection what a script says, byte by byte."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
SECRET = "Signature=s3cr3t"
Script = Callable[["Peer"], None]


class Peer:
    """One accepted connection, as a script sees it."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self.over = over

    def request(self) -> bytes:
        """Read one request with its body; empty once the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += (more := self.sock.recv(65536))
            if not more:
                return b""
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line[15:] for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"]
        while len(body) < int(lengths[0] if lengths else 0):
            body += self.sock.recv(65536)
        return head + b"\r\n\r\n" + body

    def read(self, count: int) -> bytes:
        """Read so many bytes; raises ConnectionError once the client has gone."""
        data = b""
        while len(data) < count:
            data += (more := self.sock.recv(count - len(data)))
            if not more:
                raise ConnectionError("the client has gone")
        return data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, seconds: float = 0.05) -> None:
        for byte in data:
            self.sock.sendall(bytes([byte]))
            if self.over.wait(seconds):
                return

    def hang(self) -> None:
        self.over.wait(20)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Server:
    """Runs a script for every connection; `connections` counts them."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script, self.tls = script, tls
        self.over = threading.Event()
        self.busy = threading.Event()
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    @property
    def port(self) -> int:
        number: int = self.listener.getsockname()[1]
        return number

    @property
    def url(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}/?{SECRET}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                self.threads.append(threading.Thread(target=self._serve, args=(sock,)))
                self.threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        self.busy.set()
        with suppress(OSError), sock:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock:
                self.script(Peer(sock, self.over))

    def close(self) -> None:
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


@contextmanager
def serving(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(script, tls)
    try:
        yield server
    finally:
        server.close()


def drip_headers(peer: Peer) -> None:
    peer.request()
    peer.drip(HEAD % 4 + b"fine")


def drip_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 1000)
    peer.drip(b"x" * 1000)


def drip_chunks(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.drip(b"1\r\nx\r\n" * 200)


def hang_after_connecting(peer: Peer) -> None:
    peer.hang()


def hang_in_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 1000 + b"half")
    peer.hang()


SLOW = [drip_headers, drip_body, drip_chunks, hang_after_connecting, hang_in_body]


def refuse(peer: Peer) -> None:
    peer.request()


def reset_in_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 1000 + b"half")
    peer.reset()


def end_in_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 1000 + b"half")


def end_in_chunks(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf")


def no_http(peer: Peer) -> None:
    peer.request()
    peer.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


BROKEN = [refuse, reset_in_body, end_in_body, end_in_chunks, no_http]
