"""What passes between the server and the two clouds behind it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncd.demo.emulator.world import Account, Provider


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; header names in lower case, `query` as it came, `body` unread by anyone."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, and the error code in it when it is one; `date` in seconds since 1970.

    `headers` come beside those that every answer has.
    """

    status: int
    body: bytes
    code: str = ""
    content_type: str = "application/json"
    date: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose signature is good: who calls what, and how.

    `page` counts from 0 along a listing; `lookup` tells that ids are asked for, `dry_run` that
    only the permission is.
    """

    provider: Provider
    account: Account
    service: str
    action: str
    region: str
    parameters: Mapping[str, object]
    page: int = 0
    lookup: bool = False
    dry_run: bool = False


class ApiError(Exception):
    """An error that the cloud answers with; `status` counts for Alibaba, Tencent sends 200."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def enclose(head: str, objects: Sequence[bytes], tail: str) -> bytes:
    """Return a JSON answer around a list of objects.

    It is joined once: to copy a page of 250 KB a second time would cost more than all the rest.
    """
    if not objects:
        return (head + tail).encode()
    parts = list(objects)
    parts[0] = head.encode() + parts[0]
    parts[-1] += tail.encode()
    return b",".join(parts)


def request_id() -> str:
    """Return a fresh id, the field of every answer that never means anything."""
    return str(uuid.uuid4())
