"""The job kinds as the configuration writes them: a kind is one class and one line of KINDS."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from syncd.config.consistency_check import ConsistencyCheckJob
from syncd.config.durations import parse_duration
from syncd.config.fields import ByTags, Duration, Label, Names, Servers, one_of
from syncd.config.http import Call, Expect, Poll, Request
from syncd.config.http_secrets import public_url
from syncd.config.job import Job, Sources
from syncd.config.schema import Account
from syncd.config.servers import Server
from syncd.config.spelling import hint, quoted
from syncd.config.table_copy import TableCopyJob

MOST_CALLS: Final = 50


class CloudJob(Job):
    """Keep the inventory of cloud accounts true."""

    kind: Literal["cloud"] = Field(description="What the job does.")
    accounts: Names = Field(description="Names of the accounts, each of a table [accounts.NAME].")
    resources: Annotated[tuple[Literal["host"], ...], one_of("host")] = Field(
        default=("host",), description="Resource types: host."
    )
    group: Label = Field(default="", description="Group that the resources are put in.")
    max_errors: int = Field(
        default=100,
        ge=0,
        description="Resources with bad data that a region may have; more fail it.",
    )
    delete_after_runs: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Complete listings in a row that must miss a resource.",
    )
    delete_after: Duration = Field(
        default=parse_duration("0s"), description="How long a resource must have been missing."
    )
    max_delete_percent: int = Field(
        default=30,
        ge=0,
        le=100,
        description="Guard: deletions of a region above this share and above max_delete_count "
        "wait for `syncd approve`.",
    )
    max_delete_count: int = Field(
        default=10,
        ge=0,
        description="Guard: this many deletions of a region may always happen, "
        "unless they empty a region of several resources.",
    )

    def enabled_accounts(self, accounts: Mapping[str, Account]) -> tuple[str, ...]:
        """Return the names of the job's accounts that are enabled."""
        return tuple(name for name in self.accounts if accounts[name].enabled)

    def has_targets(self, sources: Sources) -> bool:
        """Tell whether one of the accounts is enabled."""
        return bool(self.enabled_accounts(sources.accounts))

    def scopes(self, sources: Sources) -> list[str]:
        """Return each resource type of each account."""
        return [
            f'{t}s of account "{a}"'
            for a in self.enabled_accounts(sources.accounts)
            for t in self.resources
        ]


class ServersJob(Job):
    """Look at database servers; a Redis is none of them, which has no accounts and databases."""

    servers: Servers = Field(
        default="all", description='"all", names of [servers.NAME], or { tags = ["..."] }: any of.'
    )
    max_concurrent_items: int = Field(
        default=4, ge=1, le=100, description="Items (servers) worked on at once in one run."
    )

    def enabled_servers(self, servers: Mapping[str, Server]) -> tuple[str, ...]:
        """Return the names of the job's servers that are enabled."""
        return tuple(
            name
            for name, server in servers.items()
            if server.enabled and server.has_accounts and self._wants(name, server)
        )

    def _wants(self, name: str, server: Server) -> bool:
        match self.servers:
            case "all":
                return True
            case ByTags(tags):
                return not set(tags).isdisjoint(server.tags)
        return name in self.servers

    def has_targets(self, sources: Sources) -> bool:
        """Tell whether one of the servers is enabled."""
        return bool(self.enabled_servers(sources.servers))


class DbAccountsJob(ServersJob):
    """Keep the accounts of database servers and their privileges true."""

    kind: Literal["db_accounts"] = Field(
        description="Keep the accounts of database servers and their privileges true."
    )
    max_delete_percent: int = Field(
        default=30,
        ge=0,
        le=100,
        description="Guard: deletions of a server above this share and above max_delete_count "
        "wait for `syncd approve`.",
    )
    max_delete_count: int = Field(
        default=10,
        ge=0,
        description="Guard: this many deletions of a server may always happen, "
        "unless they empty a server of several accounts.",
    )

    def scopes(self, sources: Sources) -> list[str]:
        """Return the accounts of each server."""
        return [f'accounts of server "{name}"' for name in self.enabled_servers(sources.servers)]


class DbSizesJob(ServersJob):
    """Keep a daily record of the sizes of databases."""

    kind: Literal["db_sizes"] = Field(description="Keep a daily record of the sizes of databases.")
    largest_tables: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="So many of the largest tables of each database are recorded too; PostgreSQL "
        "is asked for data and index bytes only then, each database over a connection.",
    )

    def scopes(self, sources: Sources) -> list[str]:
        """Return the sizes of each server."""
        return [f'sizes of server "{name}"' for name in self.enabled_servers(sources.servers)]


class SizeRollupsJob(Job):
    """Make the statistics of sizes by day, week, month and quarter."""

    kind: Literal["size_rollups"] = Field(
        description="Make the statistics of sizes by day, week, month and quarter."
    )

    def scopes(self, sources: Sources) -> list[str]:  # noqa: ARG002 - there is but one
        """Return the statistics."""
        return ["the statistics of sizes"]


class HttpJob(Job):
    """Call HTTP endpoints."""

    kind: Literal["http"] = Field(description="Call HTTP endpoints.")
    request: Request | None = Field(default=None, description="What is sent; or several calls.")
    expect: Expect = Field(default=Expect(), description="What must come back; unset: any 2xx.")
    poll: Poll | None = Field(
        default=None,
        description="How an answer 202 is followed. Unset: by its Location, unless expect.status "
        "names 202.",
    )
    calls: tuple[Call, ...] = Field(
        default=(),
        description="Calls one after another; a failed one ends the list.",
        strict=False,
    )
    max_concurrent_items: int = Field(
        default=1, ge=1, le=1, description="The calls of a run come one after another: 1."
    )

    can_be_interrupted: ClassVar[bool] = False  # what was sent can't be taken back

    @field_validator("calls", mode="before")
    @classmethod
    def _few(cls, calls: object) -> object:
        """Refuse a long list as a whole, before each of its calls is looked at."""
        if isinstance(calls, list) and len(calls) > MOST_CALLS:
            raise ValueError(f"must have at most {MOST_CALLS} calls")
        return calls

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.request is None) == (not self.calls):
            raise ValueError("needs request or calls: one of them")
        if self.calls and self.model_fields_set & {"expect", "poll"}:
            raise ValueError("expect and poll stand in each of the calls")
        names = Counter(call.name or f"call-{n}" for n, call in enumerate(self.steps, 1))
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"calls: {quoted(twice[0])} is the name of two")
        return self

    @property
    def steps(self) -> tuple[Call, ...]:
        """Return the calls, of which a single request is one."""
        if self.request is None:
            return self.calls
        return (Call(request=self.request, expect=self.expect, poll=self.poll),)

    @property
    def calls_made(self) -> tuple[tuple[str, str], ...]:
        """Return method and URL of each call, the latter without its query."""
        return tuple((call.request.method, public_url(call.request.url)) for call in self.steps)

    def enabled_tokens(self) -> tuple[str, ...]:
        """Return the names of the tokens that the calls carry."""
        return tuple(dict.fromkeys(c.request.token for c in self.steps if c.request.token))


class UpkeepJob(Job):
    """Look after syncd itself: there is one of each such kind though no table defines it."""

    upkeep: ClassVar[bool] = True


class RetentionJob(UpkeepJob):
    """Remove what is older than [retention] says."""

    kind: Literal["retention"] = Field(description="Remove what is older than [retention] says.")
    schedule: str | None = Field(default="17 3 * * *", description="When, as in every job.")


class BackupJob(UpkeepJob):
    """Dump the embedded store, and keep as many dumps as [backup] says."""

    kind: Literal["backup"] = Field(
        description="Dump the embedded store, and keep as many dumps as [backup] says."
    )
    schedule: str | None = Field(default="47 2 * * *", description="When, as in every job.")


KINDS: Final[dict[str, type[Job]]] = {
    "cloud": CloudJob,
    "db_accounts": DbAccountsJob,
    "db_sizes": DbSizesJob,
    "size_rollups": SizeRollupsJob,
    "http": HttpJob,
    "table_copy": TableCopyJob,
    "consistency_check": ConsistencyCheckJob,
    "retention": RetentionJob,
    "backup": BackupJob,
}

UPKEEP: Final = tuple(name for name, kind in KINDS.items() if kind.upkeep)


def built_in(jobs: Mapping[str, Job], *, embedded: bool) -> dict[str, Job]:
    """Return the upkeep jobs that no table defines, each named for its kind."""
    kinds = {job.kind for job in jobs.values()}
    own: dict[str, Job] = {"retention": RetentionJob(kind="retention")}
    if embedded:
        own["backup"] = BackupJob(kind="backup")
    return {kind: job for kind, job in own.items() if kind not in kinds}


def parse_job(value: object) -> Job:
    """Read one job by its kind; the kind's own complaints come through."""
    if isinstance(value, Job):
        return value
    if not isinstance(value, dict):
        raise ValueError("must be a table")  # noqa: TRY004 - pydantic collects ValueErrors only
    if "kind" not in value:
        raise PydanticCustomError("job_kind", "is required{hint}", {"hint": hint("", KINDS)})
    kind = KINDS.get(value["kind"]) if isinstance(value["kind"], str) else None
    if kind is None:
        text = hint(str(value["kind"]), KINDS)
        raise PydanticCustomError("job_kind", "unknown kind{hint}", {"hint": text})
    return kind.model_validate(value)
