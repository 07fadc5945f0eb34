"""How far a run or one of its items is, in words: `1,200 of 5,000, 300 a second, 12s left`."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from syncd.cli.moments import rough

Json = dict[str, Any]


def how_far(targets: Collection[Json]) -> str:
    """Return how far some items of a run are together; what is not known is left out."""
    done = sum(target["done"] for target in targets)
    of = [target["of"] for target in targets]
    speed = sum(target.get("per_second") or 0 for target in targets)  # an older daemon tells none
    running = [target for target in targets if target["state"] == "running"]
    left = [each["seconds_left"] for each in running if each.get("seconds_left") is not None]
    words = [f"{done:,}" + (f" of {sum(of):,}" if of and None not in of else "")]
    if speed >= 1:
        words.append(f"{speed:,.0f} a second")
    if left and len(left) == len(running):
        words.append(f"{rough(timedelta(seconds=max(left)))} left")
    return ", ".join(words)
