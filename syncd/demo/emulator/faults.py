"""Faults that can be set: what goes wrong, for whom, how often.

A fault strikes the calls that pass its filters. What each kind does is said in KINDS; the clouds
(`aliyun`, `tencent`), `pages` and `delivery` carry it out.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from random import Random
from typing import Final

from syncd.demo.emulator.wire import Call


class Strikes(Enum):
    """The calls that a kind of fault can strike at all."""

    ANY = "any call"
    HOSTS = "listings of hosts or of their states, and lookups by id"
    LISTING = "listings of hosts"
    READ = "reads of hosts and disks, dry runs among them"
    DRY_RUN = "dry runs"


KINDS: Final = {
    # before the cloud looks at the call
    "latency": Strikes.ANY,  # waits `seconds`
    "hang": Strikes.ANY,  # never answers, until cleared or stopped
    "reset": Strikes.ANY,  # RST instead of an answer
    # the cloud refuses; `code` picks another code than the usual one
    "throttled": Strikes.ANY,
    "authentication": Strikes.ANY,
    "permission": Strikes.ANY,
    "unavailable": Strikes.ANY,  # ServiceUnavailable with 503; Tencent: InternalError
    "internal_error": Strikes.ANY,  # InternalError with 500; Tencent: InternalError
    "bad_gateway": Strikes.ANY,  # 502 with an HTML page, from something in between
    "region_not_found": Strikes.READ,
    "unsupported_action": Strikes.ANY,
    "unknown_ids": Strikes.HOSTS,  # a lookup of an id that is not there is an error
    # permission is missing, and the answer does not say so
    "denied_empty": Strikes.READ,  # empty answers; dry runs and other calls say "no permission"
    "dry_run_ignored": Strikes.DRY_RUN,  # answered as if it were no dry run
    "dry_run_unsupported": Strikes.DRY_RUN,
    # the answer is good and wrong
    "missing": Strikes.HOSTS,  # `hosts` or a `share` of all lack in pages; lookups find them
    "gone": Strikes.HOSTS,  # they lack in lookups too: half of them, or all, are gone at once
    "duplicate": Strikes.LISTING,  # every page repeats the first host of all
    "total_count": Strikes.LISTING,  # TotalCount is wrong `by` so many (Tencent)
    "churn": Strikes.LISTING,  # behind each page `adds`, `changes`, `releases`, `moves`
    "wrong_type": Strikes.HOSTS,  # `field` of one host is `value`, or a text
    "no_id": Strikes.LISTING,  # one host lacks its id
    "nul_tag": Strikes.HOSTS,  # one host has a NUL in a tag's value
    "other_owner": Strikes.ANY,  # GetCallerIdentity names another account, or `value`
    # the answer is damaged on its way
    "broken_json": Strikes.ANY,
    "truncated": Strikes.ANY,  # half of the body, then the end of the connection
    "reset_in_body": Strikes.ANY,  # half of the body, then RST
    "drip": Strikes.ANY,  # a byte each `seconds`
}
"""Every kind of fault and what it can strike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong. All filters must fit; one that is None fits every call.

    `times` ends the fault after so many strikes, `probability` (drawn from `seed`) spares some
    calls, `after_pages` spares the first pages of each listing. ValueError for an unknown kind.
    """

    kind: str
    provider: str | None = None
    account: str | None = None
    region: str | None = None
    action: str | None = None
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    after_pages: int = 0
    code: str = ""
    seconds: float = 0.05
    hosts: tuple[str, ...] = ()
    share: float = 0.0
    by: int = 1
    field: str = "Memory"
    value: object = None
    adds: int = 0
    changes: int = 0
    releases: int = 0
    moves: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}")

    def fits(self, call: Call) -> bool:
        """Tell whether this fault could strike a call."""
        pairs = (
            (self.provider, call.provider),
            (self.account, call.account.name),
            (self.region, call.region),
            (self.action, call.action),
        )
        named = all(wanted in (None, present) for wanted, present in pairs)
        return named and call.page >= self.after_pages and _strikes(KINDS[self.kind], call)


def _strikes(scope: Strikes, call: Call) -> bool:
    hosts = call.action == "DescribeInstances"
    return {
        Strikes.ANY: True,
        Strikes.HOSTS: (hosts or call.action == "DescribeInstancesStatus") and not call.dry_run,
        Strikes.LISTING: hosts and not call.dry_run and not call.lookup,
        Strikes.READ: call.action not in ("DescribeRegions", "GetCallerIdentity"),
        Strikes.DRY_RUN: call.dry_run,
    }[scope]


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int | None
    rng: Random
    cleared: threading.Event = field(default_factory=threading.Event)

    def strike(self, call: Call) -> bool:
        if self.left == 0 or not self.fault.fits(call):
            return False
        if self.fault.probability < 1 and self.rng.random() >= self.fault.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that strikes one call; `cleared` is set when the fault is lifted meanwhile."""

    fault: Fault
    cleared: threading.Event


class Hits:
    """The faults that strike one call."""

    def __init__(self, struck: Iterable[Struck]) -> None:
        self._struck = list(struck)

    def all(self, *kinds: str) -> list[Struck]:
        """Return those of the kinds, in the order in which they were added."""
        return [struck for struck in self._struck if struck.fault.kind in kinds]

    def first(self, *kinds: str) -> Fault | None:
        """Return the first fault of the kinds, or None."""
        found = self.all(*kinds)
        return found[0].fault if found else None


class Faults:
    """All set faults; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[int, _Armed] = {}
        self._numbers = count(1)

    def add(self, fault: Fault) -> int:
        """Set a fault and return its number."""
        with self._lock:
            number = next(self._numbers)
            rng = Random(fault.seed)  # noqa: S311 - not for secrets
            self._armed[number] = _Armed(fault, fault.times, rng)
            return number

    def clear(self, number: int | None = None) -> None:
        """Lift one fault or all; calls that hang in it are let go."""
        with self._lock:
            numbers = list(self._armed) if number is None else [number]
            for armed in [self._armed.pop(n) for n in numbers if n in self._armed]:
                armed.cleared.set()

    def strike(self, call: Call) -> Hits:
        """Return the faults that strike a call and count them."""
        with self._lock:
            armed = [one for one in self._armed.values() if one.strike(call)]
            return Hits(Struck(one.fault, one.cleared) for one in armed)

    def left(self, number: int) -> int | None:
        """Return how often a fault will still strike: None without limit, 0 when it is lifted."""
        with self._lock:
            armed = self._armed.get(number)
            return armed.left if armed else 0
