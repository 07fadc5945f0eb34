"""Accounts and tokens that were refused: not tried again until that may have changed.

One is tried again once an hour, by any run by hand, and as soon as its secret differs. Meanwhile a
job all of whose accounts and tokens are held is held itself; one that has others leaves it out.
What is said of accounts here holds for tokens, under the names of `model.holder`.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from syncd.context import BoundLogger, Clock
from syncd.dispatch.queue import Verdict
from syncd.dispatch.spec import JobSpec
from syncd.errors import StoreError, TimedOut, describe
from syncd.model.holder import is_token
from syncd.model.run import Claim
from syncd.store import held_accounts
from syncd.store.database import Store
from syncd.store.fencing import fence
from syncd.store.held_accounts import HeldAccount

PROBE_EVERY: Final = timedelta(hours=1)
_LIMIT: Final = 10.0  # seconds that the store has for it
_READ_EVERY: Final = 10.0  # seconds between two looks at the secrets of held accounts


class Holds:
    """The held accounts, in memory and in the store; safe for threads."""

    def __init__(self, store: Store, clock: Clock, log: BoundLogger) -> None:
        self._store, self._clock, self._log = store, clock, log
        self._lock = threading.Lock()
        self._held: dict[str, HeldAccount] = {}
        self._looked: dict[str, tuple[float, Mapping[str, str]]] = {}  # by job

    def load(self) -> None:
        """Take over what the store remembers; it does not know of probes that just began.

        Read under the lock, so that what is noted meanwhile is noted after it.
        """
        with self._lock, self._store.transaction(limit=_LIMIT) as tx:
            self._held = {each.account: self._probed(each) for each in held_accounts.load(tx)}
            self._looked.clear()

    def _probed(self, held: HeldAccount) -> HeldAccount:
        """Return a held account with the moment at which it was tried last."""
        known = self._held.get(held.account, held)
        return replace(held, probed_at=max(held.probed_at, known.probed_at))

    def of(self, spec: JobSpec) -> list[HeldAccount]:
        """Return the job's accounts and tokens that are held."""
        held = self._held
        return [held[each] for each in spec.credentials if each in held]

    def gate(self, spec: JobSpec, now: datetime) -> Verdict | None:
        """Return until when a job is held: all its accounts are, and none is to be tried."""
        shut = self._not_to_be_tried(spec, now)
        if not shut or len(shut) < len(set(spec.credentials)):
            return None
        return Verdict("held", min(each.probed_at for each in shut) + PROBE_EVERY)

    def begin(self, spec: JobSpec, now: datetime, *, by_hand: bool) -> Mapping[str, str]:
        """Return which accounts an attempt is not to try, and why; those it tries are probed."""
        shut = [] if by_hand else self._not_to_be_tried(spec, now)
        reasons = {
            each.account: f"{each.reason} (refused since {each.held_at:%Y-%m-%d %H:%M:%S} UTC)"
            for each in shut
        }
        with self._lock:
            for each in self.of(spec):
                if each.account not in reasons:
                    self._held[each.account] = replace(each, probed_at=now)
        return reasons

    def fingerprints(self, spec: JobSpec) -> Mapping[str, str]:
        """Return what an attempt's credentials are told by; to be asked before it reads them."""
        return spec.fingerprints() if spec.credentials else {}

    def note(
        self,
        claim: Claim,
        fingerprints: Mapping[str, str],
        refused: Mapping[str, str],
        answered: Collection[str],
    ) -> None:
        """Hold the accounts that an attempt was refused by, free those that answered it.

        Raises Fenced when the attempt's claim is void: others may know better by now.
        """
        with self._lock:
            freed = self._held.keys() & set(answered) - refused.keys()
        if not refused and not freed:
            return
        now = self._clock.now()
        fresh = [
            HeldAccount(account, now, reason, fingerprints.get(account), now)
            for account, reason in refused.items()
        ]
        try:
            with self._store.transaction(limit=_LIMIT) as tx:
                fence(tx, claim)
                for each in fresh:
                    held_accounts.hold(tx, each)
                held_accounts.free(tx, freed)
        except (StoreError, TimedOut) as error:  # held in memory; the next refusal is recorded
            self._log.warning("a held account can't be recorded", error=describe(error))
        self._change(fresh, freed)

    def freed(self, accounts: Collection[str]) -> None:
        """Hold these accounts no longer, as the ledger has it."""
        self._change([], accounts)

    def _change(self, held: Iterable[HeldAccount], freed: Collection[str]) -> None:
        """Take over, and tell, what changed."""
        with self._lock:
            for each in held:
                before = self._held.get(each.account)
                self._held[each.account] = replace(each, held_at=before.held_at) if before else each
                if before is None:
                    self._log.error(
                        f"{_kind(each.account)} held", account=each.account, reason=each.reason
                    )
            for account in freed:
                self._held.pop(account, None)
                self._log.info(f"{_kind(account)} no longer held", account=account)
            self._looked.clear()

    def _not_to_be_tried(self, spec: JobSpec, now: datetime) -> list[HeldAccount]:
        held = self.of(spec)
        if not held:
            return []
        prints = self._fingerprints(spec)
        return [
            each
            for each in held
            if each.probed_at <= now < each.probed_at + PROBE_EVERY
            and prints.get(each.account) in (None, each.fingerprint)
        ]

    def _fingerprints(self, spec: JobSpec) -> Mapping[str, str]:
        """Return the fingerprints of a job's credentials, read anew every few seconds."""
        ticks = self._clock.monotonic()
        with self._lock:
            at, prints = self._looked.get(spec.name, (-_READ_EVERY, {}))
        if ticks - at >= _READ_EVERY:
            prints = self.fingerprints(spec)
            with self._lock:
                self._looked[spec.name] = ticks, prints
        return prints


def _kind(holder: str) -> str:
    return "token" if is_token(holder) else "account"
