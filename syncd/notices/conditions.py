"""What is wrong with this machine and this daemon, with some patience in both directions.

What is bad for a moment is no news, and neither is what is good for one: a disk that fills and
empties each minute is told of once, and once that it is well again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from syncd.context import Clock
from syncd.model.notice import Detail, Event
from syncd.store.notices import Condition

CALM: Final = 300.0
"""Seconds for which a machine must have been well before it is told so."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one thing is: whether it is bad now, and what is told of it."""

    bad: bool
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a thing is told of: bad for `after` seconds; then until it was good for `calm`.

    `look` returns how it is, and blocks for nothing; where it can't tell, it raises.
    """

    thing: str
    event: Event
    look: Callable[[], Look]
    after: float = 0.0
    calm: float = CALM


@dataclass(slots=True)
class _State:
    bad_since: float | None = None
    good_since: float | None = None
    condition: Condition | None = None


class Conditions:
    """What is wrong; asked again and again by one thread."""

    def __init__(self, instance: str, rules: Sequence[Rule], clock: Clock) -> None:
        self._instance, self._rules, self._clock = instance, rules, clock
        self._states: Mapping[str, _State] = {rule.thing: _State() for rule in rules}

    def look(self) -> list[Condition]:
        """Look at everything; return what is wrong."""
        now, wall = self._clock.monotonic(), self._clock.now()
        found = [self._judge(rule, self._states[rule.thing], now, wall) for rule in self._rules]
        return [condition for condition in found if condition]

    def _judge(self, rule: Rule, state: _State, now: float, wall: datetime) -> Condition | None:
        try:
            seen = rule.look()
        except Exception:  # noqa: BLE001 - what can't be read is neither good nor bad
            return state.condition
        if seen.bad:
            state.good_since = None
            state.bad_since = now if state.bad_since is None else state.bad_since
            if state.condition is None and now - state.bad_since >= rule.after:
                subject = f"{self._instance} {rule.thing}"
                state.condition = Condition(rule.event, subject, wall, seen.detail)
            elif state.condition and _differs(seen.detail, state.condition.detail):
                state.condition = replace(state.condition, detail=seen.detail)
            return state.condition
        state.bad_since = None
        state.good_since = now if state.good_since is None else state.good_since
        if now - state.good_since >= rule.calm:
            state.condition = None
        return state.condition


def _differs(now: Detail, before: Detail) -> bool:
    """Tell whether another error is the reason now; measures change all the time."""
    return now.get("error") != before.get("error")
