"""Sends what waits for the outlets (channels, or jobs' pings), each outlet's messages in order.

A message is taken in a short transaction, sent without a connection to the store, and recorded in
another one. A record that the store does not take is made before the outlet's next message is
taken. What is to be told while the store is away comes from memory, and goes first.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from syncd.config import secrets
from syncd.context import BoundLogger, CancelSource, CancelToken, Clock, Deadline
from syncd.errors import (
    Fenced,
    Interrupted,
    StoreError,
    SyncdError,
    TimedOut,
    describe,
)
from syncd.notices.lines import Lines
from syncd.notices.tries import Patience, is_refusal
from syncd.store import notice_queue
from syncd.store.database import Store
from syncd.store.leader import Lease
from syncd.store.notice_queue import Queued, Sent
from syncd.telemetry.families import NoticeOutcome
from syncd.telemetry.masking import Masker

_LIMIT: Final = 10.0  # seconds of a transaction
_MARGIN: Final = timedelta(seconds=5)
_STORE_AGAIN: Final = 5.0  # seconds until a store is asked again that did not answer
_LOOK_AGAIN: Final = 60.0  # at the latest, since the wall clock may be set
_HELD: Final = 20  # messages of an outlet in memory


class Observer(Protocol):
    """Who counts; a label names the outlets that are counted together."""

    def set_channels(self, channels: Iterable[str]) -> None:
        """Hear of the labels that there are now."""

    def notified(self, channel: str, outcome: NoticeOutcome) -> None:
        """Hear of a try."""


class Outlet(Protocol):
    """Where messages go."""

    @property
    def label(self) -> str:
        """Its name in the metrics."""

    @property
    def timeout(self) -> timedelta:
        """The time limit of one message."""

    @property
    def patience(self) -> Patience:
        """How often a message is tried."""

    def send(
        self, content: Mapping[str, Any], given_up: int, deadline: Deadline, cancel: CancelToken
    ) -> None:
        """Send a message; so many before it were given up. Raises as `notify.base.Sender` does."""


@dataclass(slots=True)
class _Held:
    """A message in memory."""

    content: Mapping[str, Any]
    patience: Patience
    created: datetime
    attempts: int = 0
    next_at: datetime | None = None


class Post:
    """The outlets and the threads that serve them; safe for threads."""

    def __init__(
        self,
        name: str,
        store: Store,
        lease: Callable[[], Lease | None],
        observer: Observer,
        clock: Clock,
        log: BoundLogger,
    ) -> None:
        self._store, self._lease, self._observer = store, lease, observer
        self._clock, self._log = clock, log
        self._outlets: Mapping[str, Outlet] = {}
        self._memory: dict[str, deque[_Held]] = {}
        self._owed: dict[str, Sent] = {}
        self._lock = threading.Lock()
        self._source = CancelSource()
        self._mask = Masker(secrets.known)
        self._lines = Lines(name, 1, self._serve, clock, log)

    @property
    def outlets(self) -> Mapping[str, Outlet]:
        """The outlets by name."""
        return self._outlets

    def use(self, outlets: Mapping[str, Outlet], most: int) -> None:
        """Send to these outlets from now on, with so many threads at most; all are tried anew."""
        self._outlets = dict(outlets)
        self._lines.most = max(most, 1)
        self._lines.keep(outlets)
        for name in outlets:
            self._lines.hurry(name)

    def wake(self, name: str) -> None:
        """Look for messages to an outlet."""
        if name in self._outlets:
            self._lines.wake(name)

    def tell(self, name: str, content: Mapping[str, Any], patience: Patience | None = None) -> None:
        """Send a message from memory: the store is away, or it would be late by way of it."""
        outlet = self._outlets.get(name)
        if outlet is None:
            return
        with self._lock:
            held = self._memory.setdefault(name, deque(maxlen=_HELD))
            held.append(_Held(content, patience or outlet.patience, self._clock.now()))
        self._lines.wake(name)
        self._lines.hurry(name)

    def stop(self, seconds: float) -> None:
        """Break off what is being sent; wait so long for the threads."""
        self._source.cancel(Interrupted("the daemon stops"))
        self._lines.stop(seconds)

    def _serve(self, name: str) -> float | None:
        """Send the next message of an outlet; return when to look again."""
        outlet = self._outlets.get(name)
        if outlet is None or self._source.token.is_set():
            return None
        try:
            if held := self._first(name):
                return self._serve_held(name, outlet, held)
            lease = self._lease()
            return self._serve_stored(name, outlet, lease) if lease else None
        except (Fenced, Interrupted):
            return None  # another daemon leads, or this one stops
        except (StoreError, TimedOut):
            return _STORE_AGAIN

    # From memory

    def _first(self, name: str) -> _Held | None:
        with self._lock:
            held = self._memory.get(name)
            return held[0] if held else None

    def _serve_held(self, name: str, outlet: Outlet, held: _Held) -> float:
        now = self._clock.now()
        if held.next_at and now < held.next_at <= now + held.patience.age:
            return min((held.next_at - now).total_seconds(), _LOOK_AGAIN)
        held.attempts += 1
        error = self._try(name, outlet, held.content, 0)
        held.next_at = self._next_at(held.patience, error, held.attempts, held.created)
        self._tell_try(name, outlet, held.content, error, held.next_at)
        if held.next_at is None:
            with self._lock:
                kept = [each for each in self._memory[name] if each is not held]
                self._memory[name] = deque(kept, _HELD)
        return 0.0

    # From the store

    def _serve_stored(self, name: str, outlet: Outlet, lease: Lease) -> float | None:
        with self._store.transaction(limit=_LIMIT, operation="record") as tx:
            lease.check(tx)
            if owed := self._owed.get(name):
                notice_queue.record(tx, owed)
            now, late = self._clock.now(), False
            found = notice_queue.head(tx, name, now)
            if found and not found.next_attempt_at:
                if late := now - found.created_at > outlet.patience.age:
                    reason = f"not sent within {outlet.patience.age}"
                    notice_queue.record(tx, Sent(found.id, now, reason))
                else:
                    notice_queue.begin(tx, found.id, now + outlet.timeout + _MARGIN)
        self._owed.pop(name, None)
        if found is None:
            return None
        if found.next_attempt_at:
            return min((found.next_attempt_at - now).total_seconds(), _LOOK_AGAIN)
        if late:
            self._observer.notified(outlet.label, "given_up")
            self._log.error("notification given up", **_named(name, found.content), error=reason)
            return 0.0
        self._send_stored(name, outlet, found)
        return 0.0

    def _send_stored(self, name: str, outlet: Outlet, found: Queued) -> None:
        error = self._try(name, outlet, found.content, found.given_up)
        next_at = self._next_at(outlet.patience, error, found.attempts + 1, found.created_at)
        text = self._mask(describe(error)) if error else None
        refused = error is not None and is_refusal(error)
        sent = Sent(found.id, self._clock.now(), text, refused, next_at)
        self._owed[name] = sent  # until the store has it
        self._tell_try(name, outlet, found.content, error, next_at)
        with self._store.transaction(limit=_LIMIT, operation="record") as tx:
            notice_queue.record(tx, sent)
        self._owed.pop(name, None)

    def _try(
        self, name: str, outlet: Outlet, content: Mapping[str, Any], given_up: int
    ) -> SyncdError | None:
        """Send a message; return what went wrong. Raises Interrupted when the daemon stops."""
        deadline = Deadline.after(outlet.timeout.total_seconds())
        try:
            outlet.send(content, given_up, deadline, self._source.token)
        except Interrupted:
            raise
        except SyncdError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a bug of one channel; the message is kept
            self._log.error("a channel failed", channel=name, error=self._mask(repr(error)))
            return SyncdError(describe(error))
        return None

    def _next_at(
        self, patience: Patience, error: SyncdError | None, attempts: int, created: datetime
    ) -> datetime | None:
        if error is None:
            return None
        return patience.next_at(error, attempts, created, self._clock.now())

    def _tell_try(
        self,
        name: str,
        outlet: Outlet,
        content: Mapping[str, Any],
        error: SyncdError | None,
        next_at: datetime | None,
    ) -> None:
        named = _named(name, content)
        if error is None:
            self._observer.notified(outlet.label, "sent")
            self._log.info("notification sent", **named)
            return
        text = self._mask(describe(error))
        self._observer.notified(outlet.label, "failed")
        if next_at is None:
            self._observer.notified(outlet.label, "given_up")
            self._log.error("notification given up", **named, error=text)
            return
        self._log.warning(
            "notification not sent", **named, error=text, next_attempt_at=next_at.isoformat()
        )


def _named(name: str, content: Mapping[str, Any]) -> dict[str, str]:
    """Return what a line of the log calls a message."""
    return {"channel": name, "about": str(content.get("key", ""))}
