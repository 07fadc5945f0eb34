"""What a job of any kind says in the configuration: when it is due, and how it runs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from syncd.config.durations import format_duration
from syncd.config.fields import DatesFile, PositiveDuration, Zone
from syncd.config.http import Token
from syncd.config.http_fields import SecretUrl
from syncd.config.schema import Account, AdaptiveInterval, Defaults
from syncd.config.servers import Server
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
    tokens: Mapping[str, Token]


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

    ping_url: SecretUrl | None = Field(
        default=None,
        description="URL of a dead-man service: it is called with /start when a run begins, as it "
        "is when one succeeded, and with /fail when one failed.",
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

    def enabled_tokens(self) -> tuple[str, ...]:
        """Return the names of the tokens that the job uses."""
        return ()

    @property
    def items(self) -> tuple[str, ...]:
        """Return the names of the tables that the job copies or checks."""
        return ()

    @property
    def calls_made(self) -> tuple[tuple[str, str], ...]:
        """Return method and URL of each HTTP call of a run, as they may be shown."""
        return ()

    def has_targets(self, sources: Sources) -> bool:  # noqa: ARG002 - kinds differ
        """Tell whether anything that is enabled is left to work on."""
        return True

    def scopes(self, sources: Sources) -> list[str]:  # noqa: ARG002
        """Return in words what only one job should keep true."""
        return []
