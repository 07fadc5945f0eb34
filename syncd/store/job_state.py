"""What is remembered of each job between starts: its due times, its pause, its interval."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from psycopg.rows import class_row

from syncd.model.run import SkipReason
from syncd.store.database import Transaction
from syncd.triggers.base import Memory


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job's schedule as text, and where it starts when it was not in force before.

    `start` is None for a fixed interval: its first due time is at once, and a changed one goes on
    from its last due time. A cron schedule starts now: what it would have missed under another
    schedule is no missed run.
    """

    text: str
    start: datetime | None


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of a job's schedule; `until` None: until somebody resumes it."""

    since: datetime
    until: datetime | None
    by: str


@dataclass(frozen=True, slots=True)
class Skip:
    """A due time for which no run was started, and why."""

    job: str
    due: datetime
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class JobState:
    """All that is remembered of a job."""

    memory: Memory = field(default_factory=Memory)
    pause: Pause | None = None
    skip: Skip | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    job: str
    last_due: datetime | None
    paused_at: datetime | None
    paused_until: datetime | None
    paused_by: str | None
    interval_seconds: float | None
    skipped_due: datetime | None
    skip_reason: SkipReason | None

    def state(self) -> JobState:
        interval = self.interval_seconds
        every = None if interval is None else timedelta(seconds=interval)
        pause = skip = None
        if self.paused_at is not None:
            pause = Pause(self.paused_at, self.paused_until, self.paused_by or "")
        if self.skipped_due is not None and self.skip_reason is not None:
            skip = Skip(self.job, self.skipped_due, self.skip_reason)
        return JobState(Memory(self.last_due, every), pause, skip)


def load(tx: Transaction, schedules: Mapping[str, Schedule]) -> dict[str, JobState]:
    """Return the state of each job, by name, with its schedule as it is from now on."""
    tx.execute(
        """insert into syncd.job_state as s (job, schedule, last_due)
           select * from unnest(%s::text[], %s::text[], %s::timestamptz[])
           on conflict (job) do update
           set schedule = excluded.schedule,
               last_due = coalesce(excluded.last_due, s.last_due),
               interval_seconds = null
           where s.schedule <> excluded.schedule""",
        (list(schedules), [s.text for s in schedules.values()],
         [s.start for s in schedules.values()]),
    )  # fmt: skip
    return {job: state for job, state in read(tx).items() if job in schedules}


def read(tx: Transaction) -> dict[str, JobState]:
    """Return the state of each job that is remembered, by name."""
    rows = tx.cursor(row_factory=class_row(_Row)).execute(
        """select job, last_due, paused_at, paused_until, paused_by, interval_seconds, skipped_due,
                  skip_reason
           from syncd.job_state"""
    )
    return {row.job: row.state() for row in rows}


def forget_others(tx: Transaction, jobs: Collection[str]) -> None:
    """Forget the jobs that the configuration in force does not have."""
    tx.execute("delete from syncd.job_state where job <> all (%s)", (list(jobs),))


def advance(tx: Transaction, dues: Mapping[str, datetime]) -> None:
    """Note that the due times of jobs are accounted for up to a moment; never goes back."""
    tx.execute(
        """update syncd.job_state s set last_due = greatest(s.last_due, d.due)
           from unnest(%s::text[], %s::timestamptz[]) as d (job, due) where s.job = d.job""",
        (list(dues), list(dues.values())),
    )


def pull_back(tx: Transaction, now: datetime) -> None:
    """Bring last due times that lie in the future back to now, after the clock was set back."""
    tx.execute("update syncd.job_state set last_due = %s where last_due > %s", (now, now))


def note_skips(tx: Transaction, skips: Sequence[Skip]) -> None:
    """Remember the last due time of each job for which no run was started."""
    last = {skip.job: skip for skip in skips}
    tx.execute(
        """update syncd.job_state s set skipped_due = d.due, skip_reason = d.reason
           from unnest(%s::text[], %s::timestamptz[], %s::text[]) as d (job, due, reason)
           where s.job = d.job""",
        (list(last), [s.due for s in last.values()], [s.reason for s in last.values()]),
    )


def forget_skip(tx: Transaction, job: str) -> None:
    """Forget the last due time of a job that got no run."""
    tx.execute(
        "update syncd.job_state set skipped_due = null, skip_reason = null where job = %s", (job,)
    )


def set_pause(tx: Transaction, job: str, pause: Pause | None) -> None:
    """Pause a job's schedule, or resume it."""
    tx.execute(
        "update syncd.job_state set paused_at = %s, paused_until = %s, paused_by = %s"
        " where job = %s",
        (*((pause.since, pause.until, pause.by) if pause else (None, None, None)), job),
    )


def set_interval(tx: Transaction, job: str, interval: timedelta) -> None:
    """Remember the present interval of an adaptive job."""
    tx.execute(
        "update syncd.job_state set interval_seconds = %s where job = %s",
        (interval.total_seconds(), job),
    )
