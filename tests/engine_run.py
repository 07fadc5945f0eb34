"""What a run gives an engine to work with, in tests."""

from datetime import UTC, datetime

import structlog

from syncd.context import CancelSource, Deadline, RunContext
from syncd.errors import SyncdError
from syncd.model.run import Claim, Selection, new_run_id


class Silent:
    """A reporter that tells nobody."""

    def progress(self, done: int, of: int | None = None) -> None: ...
    def error(self, resource_id: str, error: SyncdError) -> None: ...
    def detail(self, name: str, value: object) -> None: ...
    def meanwhile(self, name: str, value: object) -> None: ...


def context(seconds: float = 60, source: CancelSource | None = None) -> RunContext:
    """Return the context of a run that may take so long, and that its source can stop."""
    now = datetime.now(UTC)
    return RunContext(
        Claim(new_run_id(now), "test", 1, 1), "fleet", now, Deadline.after(seconds),
        (source or CancelSource()).token, Selection(), {}, structlog.get_logger(), Silent(),
    )  # fmt: skip
