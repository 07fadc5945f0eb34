"""How often a message is tried, and for how long: decided from the error and the count alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from syncd.errors import SyncdError, Throttled, retryable

GIVEN_UP: Final = timedelta(days=1)
"""The age at which a message is given up."""
_LONGEST: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Patience:
    """The waits: `first` after a failure, `refused` after a final answer, doubled up to `most`."""

    first: timedelta
    refused: timedelta
    most: timedelta
    age: timedelta

    def next_at(
        self, error: SyncdError, attempts: int, created: datetime, now: datetime
    ) -> datetime | None:
        """Return when a message is tried again, None when it is given up.

        What was refused may be taken later: somebody corrects the channel's URL or secret, or a
        server stops to refuse. A message whose time of making lies ahead was made before the clock
        was set back; it is no older for it.
        """
        first = self.refused if is_refusal(error) else self.first
        wait = min(first * 2 ** min(attempts - 1, 20), self.most)
        if isinstance(error, Throttled) and error.retry_after is not None:
            wait = max(wait, timedelta(seconds=min(error.retry_after, _LONGEST.total_seconds())))
        return None if now + wait - created > self.age else now + wait


def is_refusal(error: SyncdError) -> bool:
    """Tell whether the message or its channel is at fault, so that a next try fails most likely.

    What can't be read back, or makes a channel fail unexpectedly, must not hold up the others.
    """
    return not retryable(error) or error.error_class in ("bad_data", "internal")


MESSAGES: Final = Patience(
    timedelta(seconds=15), timedelta(minutes=5), timedelta(minutes=15), GIVEN_UP
)
PINGS: Final = Patience(
    timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1)
)
STARTS: Final = Patience(
    timedelta(seconds=5), timedelta(seconds=5), timedelta(seconds=5), timedelta(seconds=15)
)
"""That a run began is of use only while it runs: what comes behind it must not wait long."""
