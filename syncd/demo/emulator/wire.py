"""What passes between the server and the two clouds behind it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

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
    """An HTTP answer, and the error code in it when it is one."""

    status: int
    body: bytes
    code: str = ""
    content_type: str = "application/json"


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


def request_id() -> str:
    """Return a fresh id, the field of every answer that never means anything."""
    return str(uuid.uuid4())
