"""How long a token is good, whatever becomes of the clock."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from syncd.context import Clock

RENEWED_AT: Final = 0.8
"""The part of its life after which a token is renewed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A token for a while: `life` seconds since it was asked for, by the wall and the monotonic.

    A clock that is set back makes it last no longer, one that is set forward ends it, once.
    """

    token: str = field(repr=False)
    obtained: datetime
    ticks: float
    life: float

    def left(self, clock: Clock) -> float:
        """Return the seconds for which it is still good, 0 or less once it is not."""
        age = (clock.now() - self.obtained).total_seconds()
        return self.life - max(age, clock.monotonic() - self.ticks)

    def is_due(self, clock: Clock) -> bool:
        """Tell whether it should be renewed."""
        return self.left(clock) <= (1 - RENEWED_AT) * self.life
