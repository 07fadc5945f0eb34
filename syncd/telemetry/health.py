"""Whether the daemon lives and is ready, said with reasons; never an unconditional yes.

What is known is kept by `Signal`s that their owners keep current, so an answer never waits for the
thing it is about: a store that hangs makes a signal old, not the answer late.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from syncd.context import Clock

OK: Final = 200
UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one thing; `age_seconds` since it was last looked at, None if it never was."""

    name: str
    ok: bool
    age_seconds: float | None
    detail: str


class Signal:
    """A fact that its owner reports again and again; not good before the first report.

    With `stale_after` seconds it must be reported at least that often, else it counts as bad: a
    loop that reports each turn is known to turn. Any thread may report and read.
    """

    def __init__(self, name: str, clock: Clock, stale_after: float | None = None) -> None:
        self._name = name
        self._clock = clock
        self._stale_after = stale_after
        self._latest: tuple[float, bool, str] | None = None

    def report(self, *, ok: bool = True, detail: str = "") -> None:
        """Say how it is now, and in words what a person should know about it."""
        self._latest = (self._clock.monotonic(), ok, detail)

    def check(self) -> Check:
        """Return what is known now."""
        if self._latest is None:
            return Check(self._name, ok=False, age_seconds=None, detail="not known yet")
        at, ok, detail = self._latest
        age = round(self._clock.monotonic() - at, 3)
        if self._stale_after is not None and age > self._stale_after:
            late = f"nothing heard for {age:.1f} s, {self._stale_after:g} s are allowed"
            return Check(self._name, ok=False, age_seconds=age, detail=late)
        return Check(self._name, ok, age, detail)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, and a body for JSON."""

    status: int
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Health:
    """Answers from checks, each of which returns at once; ready is only what is alive too."""

    live: Sequence[Callable[[], Check]]
    ready: Sequence[Callable[[], Check]]

    def healthz(self) -> Answer:
        """Return 200 if the process does its work, 503 if it should be started anew."""
        return _answer([check() for check in self.live])

    def readyz(self) -> Answer:
        """Return 200 if the daemon can do what it is for, 503 with the reason if not."""
        return _answer([check() for check in (*self.live, *self.ready)])


def _answer(checks: Sequence[Check]) -> Answer:
    reasons = [f"{check.name}: {check.detail or 'failed'}" for check in checks if not check.ok]
    if not checks:
        reasons = ["nothing was checked"]
    body = {
        "status": "unavailable" if reasons else "ok",
        "reason": "; ".join(reasons),
        "checks": [asdict(check) for check in checks],
    }
    return Answer(UNAVAILABLE if reasons else OK, body)
