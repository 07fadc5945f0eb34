"""What the records know of an HTTP call, and what is to be done with it in a further attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from syncd.errors import (
    ErrorClass,
    Guarded,
    OutcomeUnknown,
    Unexpected,
    final,
    storable,
)

CallOutcome = Literal["success", "failed", "accepted"]
Next = Literal["send", "follow", "skip"]


@dataclass(frozen=True, slots=True)
class Sending:
    """A call that is about to be sent; `safe` tells whether it may be sent twice."""

    position: int
    name: str
    method: str
    url: str
    safe: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a call that was sent, so far; all times in seconds.

    Without `finished_at` nobody knows, or it is under way (`accepted`, and followed at `poll_url`).
    Finished without `answered_at` it never had an answer that counts: if it must not be repeated,
    not a byte of it has left, or it was refused for its token (401).
    """

    tries: int = 1
    answered_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: CallOutcome | None = None
    status: int | None = None
    connect_seconds: float | None = None
    first_byte_seconds: float | None = None
    total_seconds: float | None = None
    request_id: str | None = None
    answer: str | None = None
    answer_cut: bool = False
    poll_url: str | None = None
    polls: int = 0
    saved: Mapping[str, str] = field(default_factory=dict)
    error_class: ErrorClass | None = None
    error: str | None = None


def storable_found(found: Found) -> Found:
    """Return what PostgreSQL can hold of what was found."""

    def clean(text: str | None) -> str | None:
        return None if text is None else storable(text)

    saved = {name: storable(value) for name, value in found.saved.items()}
    return replace(
        found, request_id=clean(found.request_id), answer=clean(found.answer), saved=saved,
        poll_url=clean(found.poll_url), error=clean(found.error),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Before:
    """A call as an earlier attempt of the run left it."""

    position: int
    attempt: int
    name: str
    safe: bool
    found: Found


def next_step(position: int, name: str, safe: bool, before: Before | None) -> Next:  # noqa: FBT001
    """Decide about a call: send it, follow where it was accepted, or skip it since it is done.

    Raises OutcomeUnknown when it was sent, nobody knows with what effect, and once is too often;
    Unexpected when it has failed for good; Guarded when it is another call than the one sent.
    """
    if before is None or _never_left(before):
        return "send"
    found = before.found
    if before.name != name:
        raise Guarded(
            f"call {position} is {name!r} now, and attempt {before.attempt} sent {before.name!r}:"
            " the job was changed under its run"
        )
    if found.outcome == "success":
        return "skip"
    if found.outcome == "accepted" and found.finished_at is None and found.poll_url:
        return "follow"
    if safe and before.safe:
        return "send"
    if found.finished_at is None:
        raise OutcomeUnknown(
            f"attempt {before.attempt} sent it, and what came of it is not known; it is not sent"
            " again"
        )
    raise final(
        Unexpected(f"it failed in attempt {before.attempt}, and is not sent again: {found.error}")
    )


def _never_left(before: Before) -> bool:
    found = before.found
    return found.finished_at is not None and found.answered_at is None and not before.safe
