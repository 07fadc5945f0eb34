"""The job kinds as the configuration writes them: a kind is one class and one line of KINDS."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from syncd.config.durations import format_duration, parse_duration
from syncd.config.fields import (
    ByTags,
    DatesFile,
    Duration,
    Label,
    Names,
    PositiveDuration,
    Servers,
    Zone,
    one_of,
)
from syncd.config.schema import Account, AdaptiveInterval, Defaults
from syncd.config.servers import Server
from syncd.config.spelling import hint
from syncd.triggers.adaptive import Adaptive
from syncd.triggers.base import Memory, Trigger
from syncd.triggers.calendars import Except
from syncd.triggers.cron import Cron
from syncd.triggers.interval import Interval
from syncd.triggers.spread import Shifted, offset_of


@dataclass(frozen=True, slots=True)
class Sources:
    """What the jobs of a configuration may look at, by name, disabled ones too."""

    accounts: Mapping[str, Account]
    servers: Mapping[str, Server]


class Job(Defaults):
    """What jobs of every kind have; the keys of [defaults] among it."""

    kind: str = Field(description="What the job does.")
    enabled: bool = Field(default=True, description="false takes the job out.")
    schedule: str | None = Field(
        default=None,
        description="Five cron fields, or @hourly, @daily (@midnight), @weekly, @monthly, @yearly "
        "(@annually). Without schedule, every and adaptive the job runs by hand only.",
    )
    every: PositiveDuration | None = Field(
        default=None, description="Fixed interval, from the last due time; not with schedule."
    )
    adaptive: AdaptiveInterval | None = Field(
        default=None,
        description="Bounds of an interval that shrinks when runs find changes and grows when "
        "they don't; not with schedule or every.",
    )
    calendar: DatesFile | None = Field(
        default=None,
        description="A file of dates on which the job is not due: one date or range FROM..TO a "
        "line. Its path may be relative to the folder of the main file.",
    )
    timezone: Zone = Field(
        default="UTC",
        description="Zone of the schedule, the windows and the calendar; unset: the timezone of "
        "the whole file.",
    )
    max_concurrent_items: int = Field(
        default=5, ge=1, le=100, description="Items (regions) worked on at once in one run."
    )

    @field_validator("schedule")
    @classmethod
    def _can_come(cls, value: str | None) -> str | None:
        if value is not None:
            Cron(value, ZoneInfo("UTC"))
        return value

    upkeep: ClassVar[bool] = False
    """Whether the kind looks after syncd itself."""

    can_be_interrupted: ClassVar[bool] = True
    """Whether runs of this kind can be broken off and made again without harm."""

    @property
    def gives_way(self) -> bool:
        """Tell whether an urgent run may interrupt the job's runs."""
        asked = self.interruptible
        return self.can_be_interrupted and (
            self.priority in ("normal", "low") if asked is None else asked
        )

    @property
    def schedule_text(self) -> str:
        """Return when the job is due in words: `*/30 * * * * Asia/Shanghai`, `every 30m`, ``."""
        if self.adaptive is not None:
            bounds = format_duration(self.adaptive.min), format_duration(self.adaptive.max)
            return "every {} to {} by change rate".format(*bounds)
        if self.every is not None:
            return f"every {format_duration(self.every)}"
        return f"{self.schedule} {self.timezone}" if self.schedule else ""

    @property
    def rhythm(self) -> str:
        """Return all that the due times depend on, to tell whether they have changed."""
        parts = [self.schedule_text]
        if self.spread:
            parts.append(f"spread {format_duration(self.spread)}")
        if self.calendar:
            days = " ".join(day.isoformat() for day in sorted(self.calendar.dates))
            parts.append(f"without {hashlib.sha256(days.encode()).hexdigest()[:16]}")
        return ", ".join(parts)

    @property
    def fixed_rate(self) -> bool:
        """Tell whether the due times go on from the last one, whatever the clock shows."""
        return self.every is not None or self.adaptive is not None

    @property
    def change_rate(self) -> Adaptive | None:
        """Return the rule of the interval of an adaptive job."""
        return Adaptive(self.adaptive.min, self.adaptive.max) if self.adaptive else None

    def trigger(self, name: str, memory: Memory, now: datetime) -> Trigger | None:
        """Return the trigger of the job of this name, None for one that runs by hand only.

        An interval goes on from the last due time; a job that never was due is first due at `now`
        and the offset of its spread.
        """
        trigger = self._without_calendar(offset_of(name, self.spread), memory, now)
        if trigger and self.calendar and self.calendar.dates:
            return Except(trigger, self.calendar, ZoneInfo(self.timezone))
        return trigger

    def _without_calendar(self, offset: timedelta, memory: Memory, now: datetime) -> Trigger | None:
        every = rate.interval(memory.interval) if (rate := self.change_rate) else self.every
        if every is not None:
            return Interval(every, now + offset if memory.last_due is None else memory.last_due)
        if self.schedule is None:
            return None
        cron = Cron(self.schedule, ZoneInfo(self.timezone))
        return Shifted(cron, offset) if offset else cron

    def closed_until(self, moment: datetime) -> datetime | None:
        """Return when the windows end that a moment is inside of, None when it is in none."""
        return self.windows.closed_until(moment, ZoneInfo(self.timezone))

    def is_given_up(self, due: datetime, following: datetime | None) -> bool:
        """Tell whether the windows that a due time is in last until its run is given up.

        Without a `start_deadline` that is at the due time that follows.
        """
        until = self.closed_until(due)
        given_up = following if self.start_deadline is None else due + self.start_deadline
        return until is not None and given_up is not None and until > given_up

    def enabled_accounts(self, accounts: Mapping[str, Account]) -> tuple[str, ...]:  # noqa: ARG002
        """Return the names of the enabled accounts that the job uses."""
        return ()

    def enabled_servers(self, servers: Mapping[str, Server]) -> tuple[str, ...]:  # noqa: ARG002
        """Return the names of the enabled servers that the job uses."""
        return ()

    def has_targets(self, sources: Sources) -> bool:  # noqa: ARG002 - kinds differ
        """Tell whether anything that is enabled is left to work on."""
        return True

    def scopes(self, sources: Sources) -> list[str]:  # noqa: ARG002
        """Return in words what only one job should keep true."""
        return []


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
    """Look at database servers."""

    servers: Servers = Field(
        default="all", description='"all", names of [servers.NAME], or { tags = ["..."] }: any of.'
    )
    max_concurrent_items: int = Field(
        default=4, ge=1, le=100, description="Items (servers) worked on at once in one run."
    )

    def enabled_servers(self, servers: Mapping[str, Server]) -> tuple[str, ...]:
        """Return the names of the job's servers that are enabled."""
        return tuple(
            name for name, server in servers.items() if server.enabled and self._wants(name, server)
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
