"""The thread that finds out what is to be told, and has it sent by threads that may hang.

Every daemon looks at its own machine. The leader, and only he, takes the ends of runs, decides what
is told of all that lasts, and sends. It looks when a run has ended and else every few seconds: runs
of command lines end unheard, and time alone makes things stale.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from syncd.config.configuration import Config
from syncd.context import BoundLogger, Clock
from syncd.errors import TEXT_LIMIT, Fenced, StoreError, TimedOut, describe, storable
from syncd.http_client import HttpClient
from syncd.model.notice import Alert, Detail, Message, Wants, ended, raised, recovery, told
from syncd.notices import content
from syncd.notices.conditions import Conditions, Rule
from syncd.notices.derive import Deriver, Watched
from syncd.notices.machine import STORE
from syncd.notices.outlets import PING_LABEL, PingOutlet, channel_outlets
from syncd.notices.post import Observer, Outlet, Post
from syncd.notices.tries import STARTS
from syncd.store import notices
from syncd.store.database import Store
from syncd.store.leader import Lease
from syncd.store.notices import Condition

_REST: Final = 5.0  # seconds between two looks at the machine
_LOOK: Final = 10.0  # and at the store, when nobody says that a run has ended
_BURST: Final = 0.3  # seconds in which ends that come together are taken together
_RENEW: Final = 600.0  # seconds after which what is still wrong is written down again
_LIMIT: Final = 10.0  # seconds of a transaction
_THREADS: Final = 16
_PING_THREADS: Final = 4
_STARTS: Final = 1_000


class Schedule(Protocol):
    """What the engine asks of the dispatch; answers at once, from memory."""

    def lease(self) -> Lease | None:
        """Return the right to lead, None for who stands by."""

    def gaps(self) -> Mapping[str, float]:
        """Return of each job with due times the longest time between two, in seconds."""

    def paused(self) -> Mapping[str, bool]:
        """Tell of each job whether somebody has paused it."""


class Engine:
    """Finds out, decides, queues and sends; what runs say to it never blocks and never raises."""

    def __init__(
        self,
        *,
        store: Store,
        instance: str,
        schedule: Schedule,
        rules: Sequence[Rule],
        observer: Observer,
        clock: Clock,
        log: BoundLogger,
    ) -> None:
        self._store, self._instance, self._schedule = store, instance, schedule
        self._observer, self._clock, self._log = observer, clock, log
        self.host = instance.partition(":")[0]
        self._conditions = Conditions(instance, rules, clock)
        lease = schedule.lease
        self._channels = Post("syncd-notices", store, lease, observer, clock, log)
        self._pings = Post("syncd-pings", store, lease, observer, clock, log)
        self._deriver = Deriver(self.host, schedule.gaps, schedule.paused, clock)
        self._wants: Sequence[Wants] = ()
        self._starts: deque[tuple[str, str]] = deque(maxlen=_STARTS)
        self._stated: tuple[Condition, ...] | None = None
        self._stated_at = self._looked_at = float("-inf")
        self._store_alert: Alert | None = None
        self._waiting: Mapping[str, int] = {}
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="syncd-announcer", daemon=True)

    # What it is told

    def started(self, job: str, run_id: str) -> None:
        """Hear that a run began."""
        if f"ping {job}" in self._pings.outlets:
            self._starts.append((job, run_id))
            self._wake.set()

    def ended(self) -> None:
        """Hear that a run ended, or that something else may be worth a look."""
        self._wake.set()

    def configure(self, config: Config) -> None:
        """Tell the channels of a configuration from now on, and ping for its jobs."""
        channels = {name: each for name, each in config.notify.items() if each.enabled}
        jobs = config.enabled_jobs()
        client = HttpClient()
        pings: dict[str, Outlet] = {
            f"ping {name}": PingOutlet(job.ping_url, client)
            for name, job in jobs.items()
            if job.ping_url is not None
        }
        self._wants = [
            Wants(name, frozenset(each.on), each.repeat_after, each.jobs)
            for name, each in channels.items()
        ]
        self._observer.set_channels([*channels, *([PING_LABEL] if pings else [])])
        self._channels.use(channel_outlets(channels), min(len(channels), _THREADS))
        self._pings.use(pings, _PING_THREADS)
        self._deriver.use(
            self._wants,
            {
                name: Watched(job.timeout, job.overrun_after, f"ping {name}" in pings)
                for name, job in jobs.items()
            },
        )
        self._wake.set()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Look and send no more; what waits is sent after the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident:
            self._thread.join(seconds)
        self._channels.stop(seconds)
        self._pings.stop(seconds)

    def pending(self) -> dict[str, int]:
        """Return how many messages waited for each channel at the last look, by its label."""
        pings, waiting = self._pings.outlets, self._waiting
        labels = [*self._channels.outlets, *([PING_LABEL] if pings else [])]
        found = {name: waiting.get(name, 0) for name in labels}
        if pings:
            found[PING_LABEL] = sum(waiting.get(name, 0) for name in pings)
        return found

    # What it does

    def _loop(self) -> None:
        while not self._stop.is_set():
            heard = self._wake.wait(_REST)
            self._wake.clear()
            try:
                self.turn(heard=heard)
            except Exception as error:  # noqa: BLE001 - it has to go on whatever happens
                self._log.error("what happened can't be told", error=describe(error))
            self._stop.wait(_BURST)

    def turn(self, *, heard: bool) -> None:
        """Look once: at the machine, and as the leader at what happened."""
        while self._starts:
            job, run_id = self._starts.popleft()
            self._pings.tell(f"ping {job}", {"ping": "start", "key": run_id}, STARTS)
        wrong = self._conditions.look()
        self._tell_of_store(next((c for c in wrong if _is_store(c)), None))
        try:
            news = self._state([c for c in wrong if not _is_store(c)])
            lease = self._schedule.lease()
            late = self._clock.monotonic() - self._looked_at >= _LOOK
            if lease and (heard or news or late):
                self._lead(lease)
        except (StoreError, TimedOut, Fenced) as error:
            self._log.debug("what happened is told later", error=describe(error))

    def _state(self, wrong: Sequence[Condition]) -> bool:
        """Write down what is wrong with this machine when that has changed; tell whether it has."""
        now = self._clock.monotonic()
        wanted = tuple(wrong)
        if wanted == self._stated and (not wanted or now - self._stated_at < _RENEW):
            return False
        named = [Condition(c.event, c.subject, c.since, self._detail(c)) for c in wanted]
        with self._store.transaction(limit=_LIMIT, operation="record") as tx:
            notices.state_conditions(tx, self._instance, named, self._clock.now())
        self._stated, self._stated_at = wanted, now
        return True

    def _detail(self, condition: Condition) -> Detail:
        """Return what is told of what is wrong here."""
        told = {
            name: storable(content.mask(value))[:TEXT_LIMIT] if isinstance(value, str) else value
            for name, value in condition.detail.items()
        }
        return {**told, "host": self.host}

    def _lead(self, lease: Lease) -> None:
        """Take what happened until nothing is left, and have it sent."""
        self._deriver.prepare()
        more = True
        while more and not self._stop.is_set():
            with self._store.transaction(limit=_LIMIT, operation="record") as tx:
                lease.check(tx)
                more, waiting = self._deriver.look(tx)
            self._deriver.looked()
            self._waiting = waiting
        self._looked_at = self._clock.monotonic()
        for name in self._waiting:
            self._channels.wake(name)
            self._pings.wake(name)

    def _tell_of_store(self, wrong: Condition | None) -> None:
        """Tell of a store out of reach, and that it is back, from memory alone."""
        now, alert = self._clock.now(), self._store_alert
        if wrong:
            if alert is None:
                detail = self._detail(wrong)
                alert = raised(None, wrong.event, wrong.subject, None, wrong.since, detail)
            self._store_alert, messages = told(alert, self._wants, now)
        elif alert:
            self._store_alert, messages = None, recovery(ended(alert, now), self._wants)
        else:
            return
        for message in messages:
            self._tell(message, now)

    def _tell(self, message: Message, now: datetime) -> None:
        document = content.notice(message, self.host, now).to_json()
        for channel in message.channels:
            self._channels.tell(channel, document)


def _is_store(condition: Condition) -> bool:
    return condition.subject.endswith(f" {STORE}")
