"""Tokens for all jobs of this process: fetched when first needed, by one for all who wait.

A token is renewed when four fifths of its life are over: one does that, the others go on with the
old one meanwhile. It is also renewed when a call was refused with it, unless it is another by then.
"""

import hashlib
import hmac
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from syncd.calls import token_answers
from syncd.calls.base import Answer, Credential
from syncd.calls.flights import Flight
from syncd.calls.lease import Lease
from syncd.calls.login import LoginLimits
from syncd.calls.token_files import Stored, TokenFiles, Turn
from syncd.config import secrets
from syncd.config.configuration import digest
from syncd.config.http import Token
from syncd.config.http_fields import KNOWN_SECRET_FIELDS
from syncd.config.references import leaves
from syncd.config.secrets import Secret
from syncd.context import BoundLogger, Clock, RunContext
from syncd.errors import (
    Authentication,
    ConfigurationError,
    Guarded,
    Interrupted,
    SyncdError,
    TimedOut,
    describe,
)
from syncd.model.holder import token_holder

_SENT: Final = ("body", "form", "headers", "query")
_MOST_REFUSED: Final = 5
_REFUSED_WITHIN: Final = 60.0  # seconds in which so many renewals may be asked for by refused calls


Fetch = Callable[[Token, LoginLimits], Answer]
"""Sends the request that a token comes from, once, and returns the answer whatever its status."""
ApiObserver = Callable[[str, str, str, float], None]


@dataclass(slots=True)
class _Slot:
    """One token of one configuration with one set of secrets, and who fetches it."""

    name: str
    token: Token = field(repr=False)
    key: bytes = field(repr=False)
    """To seal it with; it differs with the configuration and the secrets."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    lease: Lease | None = None
    flight: Flight[Lease] | None = None
    not_early_before: float = -math.inf  # of the monotonic clock
    refused: deque[tuple[float, str]] = field(
        default_factory=lambda: deque(maxlen=_MOST_REFUSED), repr=False
    )
    """Tokens that calls refused, and when, by the monotonic clock."""


class Tokens:
    """All tokens, in memory and in files; safe for threads and processes.

    `directory` None keeps no files. `key` is that of the state directory's fingerprints.
    """

    def __init__(
        self, directory: Path | None, key: bytes, fetch: Fetch, observe: ApiObserver, clock: Clock,
        log: BoundLogger,
    ) -> None:  # fmt: skip
        self._files = TokenFiles(directory, clock, log) if directory else None
        self._key, self._fetch, self._observe = key, fetch, observe
        self._clock, self._log = clock, log
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, bytes], _Slot] = {}

    def get(self, name: str, token: Token, limits: LoginLimits) -> Credential:
        """Return a token that is good; raises as `lease` does."""
        return _credential(token, self.lease(name, token, limits).token)

    def lease(self, name: str, token: Token, limits: LoginLimits) -> Lease:
        """Return a token that is good, and how long it is.

        Raises Authentication with the token as its holder when the login is refused, what else
        the login ends with, ConfigurationError for a secret that can't be read, TimedOut at the
        caller's deadline and the error of his cancel token.
        """
        slot = self._slot(name, token)
        held = slot.lease
        if held is None or held.left(self._clock) <= 0:
            return self._obtain(slot, limits, None)
        return self._early(slot, held, limits) if held.is_due(self._clock) else held

    def renew(
        self, name: str, token: Token, refused: Credential, limits: LoginLimits
    ) -> Credential:
        """Return another token than the one that a call was refused with.

        That may have come meanwhile. Raises as `lease` does, and Authentication when fresh tokens
        were refused again and again: more of them would not help.
        """
        slot = self._slot(name, token)
        with slot.lock:
            held = slot.lease
            if held and held.token == refused.token:
                self._count_refused(slot, refused.token)
                slot.lease = None
        return _credential(token, self._obtain(slot, limits, refused.token).token)

    def known(self, name: str, token: Token) -> Lease | None:
        """Return the token that is good and needs no login, None when there is none."""
        slot = self._slot(name, token)
        held = slot.lease or self._from_file(slot, None)
        return held if held and held.left(self._clock) > 0 else None

    def logged_in(self, names: Collection[str], since: float) -> list[str]:
        """Return which tokens came since a moment of the monotonic clock, as holders."""
        with self._lock:
            slots = list(self._slots.values())
        fresh = {slot.name for slot in slots if slot.lease and slot.lease.ticks >= since}
        return [token_holder(name) for name in names if name in fresh]

    def fingerprints(self, tokens: Mapping[str, Token]) -> dict[str, str]:
        """Return what tells the tokens' credentials apart, by the names under which they are held.

        It gives nothing away. A token whose secrets can't be read is left out.
        """
        found: dict[str, str] = {}
        for name, token in tokens.items():
            try:
                found[token_holder(name)] = self._sealing_key(token).hex()[:16]
            except ConfigurationError:
                continue
        return found

    def keep_only(self, names: Collection[str]) -> None:
        """Forget the tokens that are configured no longer, and remove their files."""
        with self._lock:
            self._slots = {k: slot for k, slot in self._slots.items() if slot.name in names}
        if self._files:
            self._files.forget_others(set(names))

    def _slot(self, name: str, token: Token) -> _Slot:
        key = self._sealing_key(token)
        with self._lock:
            slot = self._slots.get((name, key))
            if slot is None:
                others = {k: s for k, s in self._slots.items() if s.name != name or s.flight}
                slot = _Slot(name, token, key)
                self._slots = {**others, (name, key): slot}
        return slot

    def _sealing_key(self, token: Token) -> bytes:
        """Return a key that differs with all that a token depends on: its table and secrets."""
        parts = [digest(token)]
        for path, value in leaves(token.source, ()):
            if isinstance(value, Secret):
                parts.append(secrets.resolve(value).get_secret_value())
            elif path[0] in _SENT and value and KNOWN_SECRET_FIELDS.search(str(path[-1])):
                secrets.remember(str(value))  # written out, and a server may quote it
        return hmac.digest(self._key, json.dumps(parts).encode(), hashlib.sha256)

    def _count_refused(self, slot: _Slot, token: str) -> None:
        """Note that a token was refused; raises Authentication when that happens all the time."""
        now, before = self._clock.monotonic(), slot.refused
        if len(before) == _MOST_REFUSED and now - before[0][0] < _REFUSED_WITHIN:
            raise Authentication(f"token {slot.name}: calls refuse it however often it is renewed")
        before.append((now, token))

    def _early(self, slot: _Slot, held: Lease, limits: LoginLimits) -> Lease:
        """Renew a token that is still good; whatever becomes of that, it may be used."""
        clock = self._clock
        with slot.lock:
            if slot.flight or slot.lease is not held or clock.monotonic() < slot.not_early_before:
                return slot.lease or held
            slot.flight = flight = Flight[Lease]()
        # A refused login is not tried again in vain, since it might lock the user out; what else
        # fails is, at half of the time that is left.
        pause = held.left(clock) / 2
        try:
            half = limits.deadline.sooner(limits.deadline.remaining() / 2)
            lease = self._lead(slot, flight, replace(limits, deadline=half), held.token)
            if lease.left(clock) > 0:
                return lease
        except Interrupted:
            raise
        except SyncdError as error:
            pause = math.inf if isinstance(error, Authentication) else pause
            self._log.warning(
                "a token can't be renewed before it ends", token=slot.name, error=describe(error)
            )
        slot.not_early_before = clock.monotonic() + pause
        return held

    def _obtain(self, slot: _Slot, limits: LoginLimits, refused: str | None) -> Lease:
        """Return a token that is good and not the refused one, by one login for all who wait."""
        while True:
            with slot.lock:
                held, flight = slot.lease, slot.flight
                if held and held.token != refused and held.left(self._clock) > 0:
                    return held
                if flight is None:
                    slot.flight = fresh = Flight[Lease]()
            if flight is None:
                return self._lead(slot, fresh, limits, refused)
            found = flight.wait(limits.deadline, limits.cancel)
            if found:
                return found

    def _lead(
        self, slot: _Slot, flight: Flight[Lease], limits: LoginLimits, refused: str | None
    ) -> Lease:
        """Fetch the token for all who wait, and tell them how it went."""
        lease, failed = None, None
        try:
            lease = self._fresh(slot, limits, refused)
        except Exception as error:
            failed = None if _own(error, limits) else error
            raise
        finally:
            with slot.lock:
                slot.flight = None
                if lease and lease.left(self._clock) > 0:
                    slot.lease, slot.not_early_before = lease, -math.inf
            flight.end(lease, failed)
        return lease

    def _fresh(self, slot: _Slot, limits: LoginLimits, refused: str | None) -> Lease:
        """Return a token of a file, or of a login that no other process makes meanwhile."""
        if found := self._from_file(slot, refused):
            return found
        if self._files is None:
            return self._log_in(slot, limits)
        with self._files.turn(
            slot.name, slot.key.hex()[:16], limits.deadline, limits.cancel
        ) as turn:
            if found := self._from_file(slot, refused):
                return found
            if turn.failed:
                raise turn.failed
            if refused is not None and slot.lease is None:
                self._files.remove(slot.name)
            return self._kept(slot, self._log_in_at(turn, slot, limits))

    def _log_in_at(self, turn: Turn, slot: _Slot, limits: LoginLimits) -> Lease:
        try:
            return self._log_in(slot, limits)
        except SyncdError as error:
            if not _own(error, limits):
                turn.leave(error)
            raise

    def _log_in(self, slot: _Slot, limits: LoginLimits) -> Lease:
        """Ask for a token, and count that."""
        clock, began, outcome = self._clock, time.monotonic(), "internal"
        asked, ticks = clock.now(), clock.monotonic()  # before it lives: rather renewed too early
        try:
            answer = self._fetch(slot.token, limits)
            issued = token_answers.read(slot.name, slot.token, answer, clock.now())
            outcome = "ok"
        except SyncdError as error:
            outcome = error.error_class
            raise
        finally:
            self._observe("token", slot.name, outcome, time.monotonic() - began)
        lease = Lease(issued.token, asked, ticks, issued.life)
        if lease.left(clock) <= 0:
            self._log.warning("a token had ended when it came: it is used once", token=slot.name)
        else:
            self._log.info("token obtained", token=slot.name, seconds=round(issued.life))
        return lease

    def _kept(self, slot: _Slot, lease: Lease) -> Lease:
        if self._files and lease.left(self._clock) > 0:
            stored = Stored(lease.token, lease.obtained, lease.life)
            self._files.save(slot.name, slot.key, stored)
        return lease

    def _from_file(self, slot: _Slot, refused: str | None) -> Lease | None:
        """Return the token of the file, if it is good; one of the future is of a clock set back.

        In place of another one it has to be good for longer: a file may be old that can't be
        written.
        """
        stored = self._files.load(slot.name, slot.key) if self._files else None
        if stored is None or stored.token in (refused, *(token for _, token in slot.refused)):
            return None
        age = self._clock.now() - stored.obtained
        if age < timedelta(0):
            return None
        ticks = self._clock.monotonic() - age.total_seconds()
        lease = Lease(stored.token, stored.obtained, ticks, stored.life)
        if lease.left(self._clock) <= 0 or (refused is not None and lease.is_due(self._clock)):
            return None
        secrets.remember(stored.token)
        return lease


def _credential(token: Token, value: str) -> Credential:
    return Credential(
        token=value,
        header=token.header,
        value=f"{token.scheme} {value}" if token.scheme else value,
    )


def _own(error: BaseException, limits: LoginLimits) -> bool:
    """Tell whether an error is of who met it alone: cancelled, or out of his own time."""
    if isinstance(error, TimedOut):
        return limits.deadline.remaining() <= 0.01
    return isinstance(error, Interrupted)


@dataclass(frozen=True, slots=True)
class JobTokens:
    """The tokens of one configuration, as the runs of one of its jobs ask for them."""

    tokens: Tokens
    configured: Mapping[str, Token]
    allow_hosts: Sequence[str]
    request_timeout: float

    def get(self, name: str, ctx: RunContext) -> Credential:
        """Return a token for a call, logging in if need be; raises as `Tokens.lease` does.

        One that is held, since its login was refused, is not logged in for: Authentication.
        """
        token = self.configured[name]
        if token_holder(name) in ctx.held:
            if known := self.tokens.known(name, token):
                return _credential(token, known.token)
            raise _not_tried(name, ctx)
        return self.tokens.get(name, token, self._limits(ctx))

    def renew(self, name: str, refused: Credential, ctx: RunContext) -> Credential:
        """Return another token than one that a call was refused with; raises as `get` does."""
        if token_holder(name) in ctx.held:
            raise _not_tried(name, ctx)
        return self.tokens.renew(name, self.configured[name], refused, self._limits(ctx))

    def _limits(self, ctx: RunContext) -> LoginLimits:
        if ctx.rehearsal:
            raise Guarded("a plan logs in nowhere")
        return LoginLimits(ctx.deadline, ctx.cancel, self.request_timeout, self.allow_hosts)


def _not_tried(name: str, ctx: RunContext) -> Authentication:
    holder = token_holder(name)
    return Authentication(f"not tried: {ctx.held[holder]}", holder)
