"""One look at what is known: the alerts as they were, what happened since, and what is told of it.

It decides by the rules of `model.notice` and touches nothing. Runs that ended long ago (after an
outage, a pause of the daemon) change the alerts, and what is told of them is how it stands in the
end: the history of a night is no news.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from syncd.model.notice import (
    Alert,
    Detail,
    EndedRun,
    Event,
    Message,
    Wants,
    ended,
    key_of,
    raised,
    recovery,
    told,
)

FRESH: Final = timedelta(hours=1)
"""The age up to which the end of a run is told by itself."""
_ENDED_BY_SUCCESS: Final[Sequence[Event]] = ("failed", "guarded", "stale")
_COUNTS: Final = ("total", "added", "updated", "deleted", "errors")


class Book:
    """The alerts during one look; `messages` is what is to be told."""

    def __init__(
        self,
        alerts: Iterable[Alert],
        wants: Sequence[Wants],
        jobs: Collection[str],
        quiet: Collection[str],
        now: datetime,
    ) -> None:
        """Begin: `jobs` are all that there are, `quiet` those that somebody has paused."""
        self._before = {alert.key: alert for alert in alerts}
        self._alerts = {
            key: alert
            for key, alert in self._before.items()
            if alert.job is None or alert.job in jobs
        }
        self._wants, self._jobs, self._quiet, self._now = wants, jobs, quiet, now
        self.messages: list[Message] = []

    @property
    def changed(self) -> list[Alert]:
        """The alerts that are not as they were."""
        return [a for key, a in self._alerts.items() if self._before.get(key) != a]

    @property
    def gone(self) -> list[str]:
        """The keys of the alerts that are over, and told so."""
        return sorted(self._before.keys() - self._alerts.keys())

    def of(self, event: Event) -> dict[str, Alert]:
        """Return the alerts of an event that last, by job."""
        return {
            a.job: a
            for a in self._alerts.values()
            if a.event == event and a.job is not None and a.ended_at is None
        }

    def is_fresh(self, run: EndedRun) -> bool:
        """Tell whether a run ended so lately that it is told by itself."""
        return self._now - run.finished_at <= FRESH

    def run_ended(self, run: EndedRun) -> None:
        """Take note of the end of a run; a fresh one is told."""
        if run.job not in self._jobs:
            return
        overrun = self._alerts.get(key_of("overrun", run.job))
        if overrun and overrun.detail.get("run") == str(run.id):
            self._end("overrun", run.job, run.finished_at)
        if run.status == "success":
            self._succeeded(run)
        elif run.status == "failed":
            self._failed(run)
        if self.is_fresh(run):
            for event in ("overrun", *_ENDED_BY_SUCCESS):
                self._tell(key_of(event, run.job))

    def _succeeded(self, run: EndedRun) -> None:
        for event in _ENDED_BY_SUCCESS:
            self._end(event, run.job, run.finished_at)
        detail = _detail(run)
        channels = [w.channel for w in self._wants if w.hears("success", run.job, detail)]
        if channels and self.is_fresh(run):
            key = key_of("success", run.job)
            self.messages.append(Message("success", key, run.job, detail, channels))

    def _failed(self, run: EndedRun) -> None:
        detail = _detail(run)
        if run.guarded or run.error_class == "guard":
            self._raise("guarded", run.job, run.finished_at, {**detail, "guarded": run.guarded})
        self._raise("failed", run.job, run.finished_at, detail)

    def last(self, event: Event, found: Mapping[str, tuple[datetime, Detail]]) -> None:
        """Take note of what lasts now, by job, since when; what lasted and does not is over."""
        for job, (since, detail) in found.items():
            if job in self._jobs and not self._stands(event, job, detail):
                self._raise(event, job, since, detail)
        for job in self.of(event).keys() - found.keys():
            self._end(event, job, self._now)

    def _stands(self, event: Event, job: str, detail: Detail) -> bool:
        known = self._alerts.get(key_of(event, job))
        return known is not None and known.ended_at is None and known.detail == detail

    def tell(self) -> None:
        """Tell all that is to be told now."""
        for key in list(self._alerts):
            self._tell(key)

    def _raise(self, event: Event, job: str, at: datetime, detail: Detail) -> None:
        known = self._alerts.get(key_of(event, job))
        alert = raised(known, event, job, job, at, detail)
        self._alerts[alert.key] = alert

    def _end(self, event: Event, job: str, at: datetime) -> None:
        alert = self._alerts.get(key_of(event, job))
        if alert and alert.ended_at is None:
            self._alerts[alert.key] = ended(alert, at)

    def _tell(self, key: str) -> None:
        alert = self._alerts.get(key)
        if alert is None:
            return
        if alert.ended_at is not None:
            self.messages += recovery(alert, self._wants)
            del self._alerts[key]
            return
        after, messages = told(alert, self._wants, self._now, quiet=alert.job in self._quiet)
        self._alerts[key] = after
        self.messages += messages


def _detail(run: EndedRun) -> Detail:
    """Return what is told of a run."""
    return {
        "run": str(run.id),
        "kind": run.kind,
        "error_class": run.error_class,
        "error": run.error,
        "attempt": run.attempt,
        "duration_seconds": run.duration_seconds,
        "items_total": run.items_total,
        "items_failed": run.items_failed,
        "counts": {name: getattr(run, name) for name in _COUNTS},
    }
