"""What is remembered of each job between starts: until when its due times are accounted for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from syncd.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job's schedule as text, and where it starts when it was not in force before.

    `start` is None for a fixed interval: its first due time is at once, and a changed one goes on
    from its last due time. A cron schedule starts now: what it would have missed under another
    schedule is no missed run.
    """

    text: str
    start: datetime | None


def load(tx: Transaction, schedules: Mapping[str, Schedule]) -> dict[str, datetime | None]:
    """Return the last due time of each job, by name, as it is from now on."""
    with tx.cursor() as cursor:
        cursor.executemany(
            """insert into syncd.job_state as s (job, schedule, last_due) values (%s, %s, %s)
               on conflict (job) do update
               set schedule = excluded.schedule,
                   last_due = coalesce(excluded.last_due, s.last_due)
               where s.schedule <> excluded.schedule""",
            [(job, schedule.text, schedule.start) for job, schedule in schedules.items()],
        )
    return dict(
        tx.execute(
            "select job, last_due from syncd.job_state where job = any (%s)", (list(schedules),)
        ).fetchall()
    )


def forget_others(tx: Transaction, jobs: Collection[str]) -> None:
    """Forget the jobs that the configuration in force does not have."""
    tx.execute("delete from syncd.job_state where job <> all (%s)", (list(jobs),))


def advance(tx: Transaction, dues: Mapping[str, datetime]) -> None:
    """Note that the due times of jobs are accounted for up to a moment; never goes back."""
    tx.execute(
        """update syncd.job_state s set last_due = greatest(s.last_due, new.due)
           from unnest(%s::text[], %s::timestamptz[]) new (job, due) where s.job = new.job""",
        (list(dues), list(dues.values())),
    )


def pull_back(tx: Transaction, now: datetime) -> None:
    """Bring last due times that lie in the future back to now, after the clock was set back."""
    tx.execute("update syncd.job_state set last_due = %s where last_due > %s", (now, now))
