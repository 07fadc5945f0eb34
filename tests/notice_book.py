"""Ends of runs, channels and looks, for tests of the rules of notifications."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from syncd.model.notice import EVENTS, Alert, EndedRun, Message, Wants
from syncd.notices.book import Book

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def wants(channel: str = "ops", *on: str, after: timedelta = HOUR, jobs: Sequence[str] = ()) -> Any:
    """Return what a channel wants; without events all but successes."""
    chosen: Any = on or [event for event in EVENTS if event != "success"]
    return Wants(channel, frozenset(chosen), after, jobs)


def run(status: Any = "failed", at: datetime = NOON, job: str = "j", **changes: Any) -> EndedRun:
    """Return a run that ended at a moment."""
    failed = status == "failed"
    values: dict[str, Any] = {
        "id": UUID(int=int(at.timestamp())), "job": job, "kind": "cloud", "status": status,
        "attempt": 1, "finished_at": at, "duration_seconds": 2.5, "total": 10, "added": 1,
        "updated": 0, "deleted": 0, "errors": 0, "items_total": 2, "items_failed": int(failed),
        "error_class": "network" if failed else None, "error": "reset" if failed else None,
        "guarded": [],
    }  # fmt: skip
    return EndedRun(**(values | changes))


class Looks:
    """Looks one after another, each with the alerts that the one before it left."""

    def __init__(self, *wants: Wants, jobs: Collection[str] = ("j", "k")) -> None:
        self.wants, self.jobs = list(wants), jobs
        self.quiet: Collection[str] = ()
        self.alerts: dict[str, Alert] = {}
        self.told: list[Message] = []

    def book(self, at: datetime) -> Book:
        return Book(self.alerts.values(), self.wants, self.jobs, self.quiet, at)

    def keep(self, book: Book) -> list[Message]:
        """Keep what a look found; return what it told."""
        self.alerts |= {alert.key: alert for alert in book.changed}
        for key in book.gone:
            del self.alerts[key]
        self.told += book.messages
        return book.messages

    def look(self, at: datetime, *runs: EndedRun) -> list[tuple[str, list[str]]]:
        """Take some runs; return events and channels of what is told."""
        book = self.book(at)
        for one in runs:
            book.run_ended(one)
        book.tell()
        return [(message.event, list(message.channels)) for message in self.keep(book)]
