"""What a process that runs one attempt and the daemon say to each other: a JSON document a line.

Down goes the order, and that the work is to stop; up go progress, records, what the metrics count,
and how it ended.
"""

import threading
from collections.abc import Iterator
from datetime import datetime
from socket import socket
from typing import Final, Generic, TypeVar

import msgspec

from syncd.context import Deadline
from syncd.dispatch.work import Done
from syncd.errors import ErrorClass
from syncd.model.measures import Measures
from syncd.model.run import Claim, Counts, ItemOutcome, Selection
from syncd.store.outbox import Owed

M = TypeVar("M")

_CHUNK: Final = 1 << 16


class Message(msgspec.Struct, frozen=True, tag=True):
    """What one process tells the other."""


class Order(Message, frozen=True):
    """An attempt to be made; `setup` is for the entry that makes the job.

    The deadline is of the monotonic clock, which all processes of a machine share.
    """

    parent: int
    job: str
    claim: Claim
    scheduled_for: datetime
    deadline: Deadline
    selection: Selection
    held: dict[str, str]
    setup: bytes


class Stop(Message, frozen=True):
    """The work is to stop, with an error of that class."""

    kind: str
    why: str


class Opened(Message, frozen=True):
    """The items of the attempt are known."""

    targets: list[str]


class Noted(Message, frozen=True):
    """An item came further."""

    target: str
    state: str | None
    done: int | None
    of: int | None


class ItemEnded(Message, frozen=True):
    """An item is to be counted."""

    outcome: ItemOutcome
    counts: Counts


class ItemMeasured(Message, frozen=True):
    """What an item tells beside its counts is to be shown."""

    item: str
    measures: Measures
    at: datetime


class ErrorRecorded(Message, frozen=True):
    """An error is to be counted."""

    error_class: ErrorClass


class ApiCalled(Message, frozen=True):
    """A request to a cloud is to be counted."""

    provider: str
    api: str
    outcome: str
    seconds: float


class StatementDone(Message, frozen=True):
    """An operation of the store is to be counted."""

    operation: str
    seconds: float


class Record(Message, frozen=True):
    """The end of an item is to be recorded."""

    owed: Owed


class Ended(Message, frozen=True):
    """The work is over."""

    done: Done


class Abandoned(Message, frozen=True):
    """The claim is void."""

    why: str


Down = Order | Stop
Up = (
    Opened | Noted | ItemEnded | ItemMeasured | ErrorRecorded | ApiCalled | StatementDone | Record
    | Ended | Abandoned
)  # fmt: skip
DOWN: Final = msgspec.json.Decoder(Down)
UP: Final = msgspec.json.Decoder(Up)


class Channel(Generic[M]):
    """One end of the line; any thread may send, one receives. The socket has its own time limit."""

    def __init__(self, end: socket, incoming: msgspec.json.Decoder[M]) -> None:
        self._end, self._incoming = end, incoming
        self._sending = threading.Lock()
        self._rest = b""

    def send(self, message: Message) -> None:
        """Send a message; raises OSError when the other end is closed, TypeError for odd values."""
        line = msgspec.json.encode(message) + b"\n"
        with self._sending:
            self._end.sendall(line)

    def receive(self) -> list[M] | None:
        """Return what came within the socket's time limit; None once the other end is closed."""
        try:
            data = self._end.recv(_CHUNK)
        except TimeoutError:
            return []
        except ConnectionError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [self._incoming.decode(line) for line in lines]

    def __iter__(self) -> Iterator[M]:
        while (messages := self.receive()) is not None:
            yield from messages
