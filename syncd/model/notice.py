"""What people are told of, apart from what is found in logs and metrics."""

from typing import Final, Literal, get_args

Event = Literal[
    "success", "failed", "overrun", "stale", "recovered", "guarded", "resource", "reload_failed"
]
EVENTS: Final[tuple[str, ...]] = get_args(Event)
