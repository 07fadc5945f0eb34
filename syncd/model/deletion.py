"""When a resource that a listing lacks may be deleted: the rules, as pure decisions."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class DeletionPolicy:
    """How careful a job is; the fields are those of its configuration."""

    after_runs: int = 1
    after: timedelta = timedelta(0)
    max_percent: float = 30.0
    max_count: int = 10


@dataclass(frozen=True, slots=True)
class Missing:
    """A resource that certified listings lack: since when, and in how many of them before."""

    since: datetime
    runs: int


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """What becomes of the resources that are gone: marked as missing, deleted, or guarded."""

    mark: frozenset[str] = frozenset()
    delete: frozenset[str] = frozenset()
    guarded: frozenset[str] = frozenset()


def plan_deletions(
    gone: Collection[str],
    *,
    standing: int,
    missing: Mapping[str, Missing],
    approved: Collection[str],
    policy: DeletionPolicy,
    now: datetime,
) -> DeletionPlan:
    """Decide about the keys that a certified listing and a lookup by id both lack.

    `standing` is the number of resources that the scope held before, `missing` what earlier runs
    noted of keys, `approved` the keys that a person has let go.
    """
    due = {key for key in gone if _is_due(missing.get(key), policy, now)}
    let_go = due & set(approved)
    rest = due - let_go
    if is_too_many(len(rest), standing, policy):
        return DeletionPlan(frozenset(gone) - let_go, frozenset(let_go), frozenset(rest))
    return DeletionPlan(frozenset(gone) - due, frozenset(due))


def _is_due(before: Missing | None, policy: DeletionPolicy, now: datetime) -> bool:
    """Tell whether a key has been missing often and long enough, this run included."""
    runs = (before.runs if before else 0) + 1
    since = before.since if before else now
    return runs >= policy.after_runs and now - since >= policy.after


def is_too_many(deletions: int, standing: int, policy: DeletionPolicy) -> bool:
    """Tell whether the threshold is passed: by the percentage, and by the count or by being all.

    A source that is suddenly empty is rather an error than a deletion, however small it was; a
    single resource may go.
    """
    emptied = deletions == standing > 1
    return deletions * 100 > policy.max_percent * standing and (
        emptied or deletions > policy.max_count
    )
