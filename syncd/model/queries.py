"""The questions about records that people and programs may ask, each with a limit."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta

from syncd.model.run import Status

Moment = Annotated[datetime, Meta(tz=True)]
Limit = Annotated[int, Meta(ge=1, le=10_000)]

RUN_COLUMNS: Final = (
    "id", "job", "kind", "trigger", "status", "priority", "attempt", "max_attempts",
    "scheduled_for", "created_at", "started_at", "finished_at", "next_attempt_at",
    "duration_seconds", "items_total", "items_failed", "total", "added", "updated", "deleted",
    "unchanged", "errors", "error_class", "error", "requested_by", "selection", "owner",
    "owner_epoch", "config_digest", "interruptions",
)  # fmt: skip
"""The columns of `syncd.run`, in their order."""
RunKey = tuple[Moment, UUID]
RUN_START: Final[RunKey] = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
RESOURCE_KEY: Final = ("account", "region", "type", "resource_id")
DB_ACCOUNT_KEY: Final = ("server", "account")

Capability = Literal[
    "superuser", "grant", "create_user", "create_database", "replication", "bypass_rls", "locked",
    "password_expired", "system",
]  # fmt: skip
"""What an account of a database server may do or is, in the words that all engines share."""
Period = Literal["day", "week", "month", "quarter"]


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs: the newest first, of those created since a moment and before `until`.

    With `after` they are read in pages, the oldest first: it is the key of the last row already
    seen, created_at and id, or RUN_START.
    """

    job: str | None = None
    status: Status | None = None
    since: Moment | None = None
    limit: Limit = 100
    until: Moment | None = None
    after: RunKey | None = None


@dataclass(frozen=True, slots=True)
class ResourceQuery:
    """Which living resources, in the order of their keys; `as_of` asks for a past moment.

    `attributes` adds the raw objects (today's). `after` is the key of the last row already seen:
    account, region, type, resource_id.
    """

    type: str | None = None
    account: str | None = None
    region: str | None = None
    state: str | None = None
    as_of: Moment | None = None
    attributes: bool = False
    after: tuple[str, str, str, str] | None = None
    limit: Limit = 1_000


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """Which changes: the newest first."""

    since: Moment | None = None
    job: str | None = None
    account: str | None = None
    limit: Limit = 1_000


@dataclass(frozen=True, slots=True)
class DbAccountQuery:
    """Which living accounts of database servers, in the order of their keys.

    `capabilities`: those that have all of these. `privileges` adds all that each may do, which can
    be thousands. `after` is the key of the last row already seen: server, account.
    """

    server: str | None = None
    account: str | None = None
    capabilities: tuple[Capability, ...] = ()
    privileges: bool = False
    after: tuple[str, str] | None = None
    limit: Limit = 1_000


@dataclass(frozen=True, slots=True)
class DbAccountChangeQuery:
    """Which changes of accounts: the newest first.

    `capabilities`: of accounts that have all of these now, or had when they were deleted.
    """

    since: Moment | None = None
    server: str | None = None
    account: str | None = None
    capabilities: tuple[Capability, ...] = ()
    limit: Limit = 1_000


@dataclass(frozen=True, slots=True)
class SizeQuery:
    """Which of the databases that stand, the largest first; all servers that are asked for."""

    server: str | None = None
    database: str | None = None
    limit: Limit = 1_000


@dataclass(frozen=True, slots=True)
class SizeStatQuery:
    """Which statistics: of each database that stands, and each server, its last period."""

    period: Period
    server: str | None = None
    database: str | None = None
    limit: Limit = 1_000
