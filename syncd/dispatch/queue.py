"""Which runs are next: pure decisions over the runs that wait and those that run."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from syncd.model.run import Priority, RunId, Selection, TriggerName

_ORDER: Final[Mapping[Priority, int]] = {"urgent": 0, "high": 1, "normal": 2, "low": 3}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A recorded run that waits for its first or next attempt."""

    run_id: RunId
    job: str
    trigger: TriggerName
    priority: Priority
    scheduled_for: datetime
    created_at: datetime
    ready_at: datetime
    max_attempts: int
    selection: Selection


def next_runs(
    waiting: Iterable[Waiting], running_jobs: Collection[str], free: int, now: datetime
) -> list[Waiting]:
    """Return the runs to start, at most `free`: by priority, then first in, first out.

    A job never has two runs at once: of several that wait, the first is taken.
    """
    taken: dict[str, Waiting] = {}
    for run in sorted(waiting, key=_place):
        if len(taken) >= free:
            break
        if run.ready_at <= now and run.job not in running_jobs and run.job not in taken:
            taken[run.job] = run
    return list(taken.values())


def _place(run: Waiting) -> tuple[int, datetime, datetime, int]:
    """Return where a run stands: of those made at once, the one that was due first is first."""
    return _ORDER[run.priority], run.created_at, run.scheduled_for, run.run_id.int
