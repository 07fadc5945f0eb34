"""How long to wait before something is tried again."""

import random


def full_jitter(failures: int, base: float, cap: float) -> float:
    """Return seconds to wait after so many failures in a row, one or more.

    Evenly between none and `base` doubled with each failure, `cap` at most: those who failed
    together do not come back together.
    """
    return random.uniform(0, min(cap, base * 2.0 ** min(failures - 1, 60)))  # noqa: S311
