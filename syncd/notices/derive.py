"""From the records to the queue: what the leader does in one transaction at each look."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from syncd.context import Clock
from syncd.model.notice import Detail, EndedRun, Wants
from syncd.notices import content
from syncd.notices.book import Book
from syncd.store import notice_queue, notices
from syncd.store.database import Transaction
from syncd.store.notice_queue import NewMessage

BATCH: Final = 200
"""Runs taken at once."""
_OVERRUNS: Final = 15.0  # seconds between two looks at how long runs take
_STALE: Final = 60.0  # and at how old the last successes are
GRACE: Final = timedelta(minutes=5)
"""For which a new leader tells of nothing stale: what was missed while nobody led runs first."""
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_SILENT: Final = timedelta(days=1)
"""After which what was wrong with a machine that says nothing any more is forgotten."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of a job by its configuration."""

    timeout: timedelta
    overrun_after: timedelta | None
    pinged: bool


_Config = tuple[Sequence[Wants], Mapping[str, Watched]]


class Deriver:
    """Finds what is to be told in the store; used by one thread, configured by any."""

    def __init__(
        self,
        host: str,
        gaps: Callable[[], Mapping[str, float]],
        paused: Callable[[], Mapping[str, bool]],
        clock: Clock,
    ) -> None:
        self._host, self._gaps, self._paused, self._clock = host, gaps, paused, clock
        self._config: _Config = ((), {})
        self._looked_with: _Config = self._config
        self._applied: object = None
        self._began: datetime | None = None
        self._since: dict[str, datetime] = {}  # since when a job is there, and is not paused
        self._known_gaps: Mapping[str, float] = {}
        self._next: dict[str, float] = {}
        self._taken: dict[str, float] = {}

    def use(self, wants: Sequence[Wants], jobs: Mapping[str, Watched]) -> None:
        """Tell these channels, of these jobs."""
        self._config = wants, jobs

    def prepare(self) -> None:
        """Find out what takes time, before the transaction of a look."""
        if self._is_due("stale"):
            self._known_gaps = self._gaps()

    def look(self, tx: Transaction) -> tuple[bool, Mapping[str, int]]:
        """Queue what is to be told; tell whether more waits to be taken, and what is to be sent."""
        self._looked_with = config = self._config
        (wants, jobs), now = config, self._clock.now()
        self._taken = {}
        paused = {job for job, yes in self._paused().items() if yes}
        self._note_new(jobs, paused, now)
        if self._applied is not config:
            self._apply_config(tx, wants, jobs, now)
        if self._is_due("stale"):
            notices.forget_silent(tx, now - _SILENT)
        book = Book(notices.alerts(tx), wants, jobs, paused, now)
        runs = notices.take(tx, BATCH, now)
        for run in runs:
            book.run_ended(run)
        more = len(runs) == BATCH
        if not more:
            self._look_at_time(tx, book, jobs, paused, now)
            book.tell()
        notices.save(tx, book.changed, book.gone, now)
        notice_queue.add(tx, [*self._messages(book, now), *_pings(runs, jobs, book)], now)
        return more, notice_queue.waiting(tx)

    def looked(self) -> None:
        """Hear that the transaction of the last look is committed."""
        self._next |= self._taken
        self._applied = self._looked_with

    def _apply_config(
        self, tx: Transaction, wants: Sequence[Wants], jobs: Mapping[str, Watched], now: datetime
    ) -> None:
        """Give up what waits for channels that are gone; try all others again."""
        pinged = [f"ping {name}" for name, job in jobs.items() if job.pinged]
        notice_queue.give_up_others(tx, [*(w.channel for w in wants), *pinged], now)
        notice_queue.try_again(tx)

    def _look_at_time(
        self,
        tx: Transaction,
        book: Book,
        jobs: Mapping[str, Watched],
        paused: set[str],
        now: datetime,
    ) -> None:
        """Look at what time alone brings about, now and then."""
        watched = book.of("overrun") or any(job.overrun_after for job in jobs.values())
        if watched and self._is_due("overrun"):
            book.last("overrun", _overruns(tx, jobs, now))
            self._taken["overrun"] = self._clock.monotonic() + _OVERRUNS
        if self._is_due("stale"):
            book.last("stale", self._stale(tx, book, jobs, paused, now))
            self._taken["stale"] = self._clock.monotonic() + _STALE

    def _is_due(self, what: str) -> bool:
        return self._clock.monotonic() >= self._next.get(what, float("-inf"))

    def _note_new(self, jobs: Mapping[str, Watched], paused: set[str], now: datetime) -> None:
        """Note which jobs are new since the first look, or were paused, and when that was last."""
        before = self._since
        if self._began is None:
            self._began, before = now, dict.fromkeys(jobs, _EVER)
        self._began = min(self._began, now)
        self._since = {
            job: now if job in paused else min(before.get(job, now), now) for job in jobs
        }

    def _stale(
        self,
        tx: Transaction,
        book: Book,
        jobs: Mapping[str, Watched],
        paused: set[str],
        now: datetime,
    ) -> dict[str, tuple[datetime, Detail]]:
        """Return the jobs without a success for more than two intervals and a time limit.

        As SyncdJobStale of packaging/prometheus does. A job that never had a run is none. One that
        is new or was paused has its time anew; one that is stale is so until it has a success.
        """
        gaps = {job: gap for job, gap in self._known_gaps.items() if job in jobs}
        settling = self._began is not None and now - self._began < GRACE
        known, found = book.of("stale"), dict[str, tuple[datetime, Detail]]()
        for job, (success, first) in notices.last_successes(tx, list(gaps)).items():
            base = success or first
            allowed = timedelta(seconds=2 * gaps[job]) + jobs[job].timeout
            if job in known and (job in paused or now - base > allowed):
                found[job] = known[job].since, known[job].detail
            elif not settling and job not in paused and now - max(base, self._since[job]) > allowed:
                told = success.isoformat() if success else "never"
                found[job] = base, {"last_success": told, "expected_seconds": gaps[job]}
        return found

    def _messages(self, book: Book, now: datetime) -> list[NewMessage]:
        return [
            NewMessage(channel, message.event, message.key, document)
            for message in book.messages
            if (document := content.notice(message, self._host, now).to_json())
            for channel in message.channels
        ]


def _pings(runs: Sequence[EndedRun], jobs: Mapping[str, Watched], book: Book) -> list[NewMessage]:
    """Return the pings of runs that succeeded or failed lately; nobody waits for older ones."""
    return [
        NewMessage(
            f"ping {run.job}", run.status, str(run.id), {"ping": run.status, "key": str(run.id)}
        )
        for run in runs
        if run.status in ("success", "failed")
        and run.job in jobs
        and jobs[run.job].pinged
        and book.is_fresh(run)
    ]


def _overruns(
    tx: Transaction, jobs: Mapping[str, Watched], now: datetime
) -> dict[str, tuple[datetime, Detail]]:
    """Return the jobs whose run goes on for too long, its waits between attempts included."""
    found: dict[str, tuple[datetime, Detail]] = {}
    for run in notices.active(tx):
        limit = jobs[run.job].overrun_after if run.job in jobs else None
        if limit is not None and now - run.started_at > limit:
            detail = {"run": str(run.id), "limit_seconds": limit.total_seconds()}
            found[run.job] = run.started_at, detail
    return found
