"""Checks of the jobs, by what the store remembers of them."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from syncd.config.job import Job
from syncd.doctor.case import Case, now
from syncd.doctor.finding import Finding, Unknown, ok, skipped, span, warning
from syncd.errors import SyncdError
from syncd.model.holder import token_holder
from syncd.store.job_state import Pause
from syncd.triggers.base import Memory

_DUES: Final = 12
_MISSED: Final = 2  # due times in a row without success


def _remembered(case: Case) -> Any:  # noqa: ANN401 - Records
    try:
        return case.records()
    except SyncdError as error:
        raise Unknown("the store can't be asked") from error


def success(case: Case) -> Iterator[Finding]:
    """Tell when each job succeeded last."""
    records, moment = _remembered(case), now()
    for name, job in case.config.enabled_jobs().items():
        gap = longest_gap(name, job, moment)
        yield judge_success(name, records.outcomes.get(name), gap, moment)


def longest_gap(name: str, job: Job, moment: datetime) -> timedelta | None:
    """Return the longest time between the next due times of a job, None without any."""
    if job.adaptive is not None:
        return job.adaptive.max
    trigger = job.trigger(name, Memory(), moment)
    dues: list[datetime] = []
    while trigger and len(dues) < _DUES and (due := trigger.next_after(moment)):
        dues.append(due)
        moment = due
    return max((late - early for early, late in pairwise(dues)), default=None)


def judge_success(
    name: str, outcome: Mapping[str, Any] | None, gap: timedelta | None, moment: datetime
) -> Finding:
    """Judge the last success of a job that is due at least every `gap`."""
    see = f"syncd runs --job {name}, then syncd show RUN"
    if outcome is None or outcome["last_completion_at"] is None:
        if gap is None:
            return ok("never run; only by hand", subject=name)
        return skipped("no run has ended yet", subject=name)
    last = outcome["last_success_at"]
    why = f": {outcome['error_class']}" if outcome["error_class"] else ""
    if last is None:
        return warning(f"it never succeeded; last run {outcome['status']}{why}", see, subject=name)
    age = (moment - last).total_seconds()
    if gap is not None and age > _MISSED * gap.total_seconds() + 60:
        found = f"last success {span(age)} ago, due every {span(gap.total_seconds())}"
        return warning(f"{found}; last run {outcome['status']}{why}", see, subject=name)
    return ok(f"last success {span(age)} ago", subject=name)


def pauses(case: Case) -> Iterator[Finding]:
    """Tell which jobs are paused."""
    records, moment, any_paused = _remembered(case), now(), False
    for name in case.config.enabled_jobs():
        state = records.states.get(name)
        if state and state.pause and (state.pause.until is None or state.pause.until > moment):
            any_paused = True
            yield judge_pause(name, state.pause)
    if not any_paused:
        yield ok("none")


def judge_pause(name: str, pause: Pause) -> Finding:
    """Tell of a pause."""
    until = f"until {pause.until:%Y-%m-%d %H:%M} UTC" if pause.until else "until it is resumed"
    found = f"by {pause.by} since {pause.since:%Y-%m-%d %H:%M} UTC, {until}"
    return warning(found, f"syncd resume {name}", subject=name)


def holds(case: Case) -> Iterator[Finding]:
    """Tell which jobs do nothing since all their accounts and tokens are held."""
    held, any_held = _remembered(case).held, False
    for name, job in case.config.enabled_jobs().items():
        accounts = job.enabled_accounts(case.config.accounts)
        holders = [*accounts, *map(token_holder, job.enabled_tokens())]
        if holders and all(each in held for each in holders):
            any_held = True
            what = "credentials of all its accounts" if accounts else "logins of all its tokens"
            advice = "put valid keys or passwords in place of those that were refused"
            yield warning(f"the {what} were refused", advice, subject=name)
    if not any_held:
        yield ok("none")
