"""Where a host is, looked up without waiting longer than one may."""

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final

from syncd.context import CancelToken, Deadline

_SLICE: Final = 0.1  # seconds between two looks at the token

AddressInfo = tuple[int, int, int, str, Any]
"""Family, kind, protocol, canonical name and address, as `getaddrinfo` gives them."""
_Answer = Sequence[AddressInfo] | Exception


def addresses(
    host: str, port: int, deadline: Deadline, cancel: CancelToken
) -> Sequence[AddressInfo]:
    """Return the addresses of a host; the resolver knows no limit, so it gets a thread of its own.

    Raises OSError for a name that can't be resolved, TimedOut at the deadline, and the token's
    error when cancelled.
    """
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    answers: SimpleQueue[_Answer] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="syncd-dns", daemon=True).start()
    return _await(answers, deadline, cancel)


def _await(
    answers: SimpleQueue[_Answer], deadline: Deadline, cancel: CancelToken
) -> Sequence[AddressInfo]:
    """Wait for the resolver's thread; one that comes too late ends unheard."""
    while True:
        cancel.check()
        deadline.check()
        with suppress(Empty):
            answer = answers.get(timeout=min(_SLICE, max(deadline.remaining(), 0)))
            if isinstance(answer, Exception):
                raise OSError("the name of the host can't be resolved") from answer
            return answer
