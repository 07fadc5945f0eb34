"""What the control socket can ask of the daemon; `daemon.py` implements it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from syncd.model.run import Selection

Json = dict[str, Any]


class Commands(Protocol):
    """The acts and the live state of a daemon.

    Raises NotFound for a job or run that does not exist, Conflict for one whose state does not
    allow the act, ConfigurationError for a configuration that was refused, StoreError when the
    store is out of reach. `by` names the person who asks, for the records.
    """

    def status(self) -> Json:
        """Return the state of the daemon: version, pid, started_at, ready, checks, status."""

    def jobs(self) -> Sequence[Json]:
        """Return each enabled job: name, kind, schedule, timezone, next_run, running (id)."""

    def progress(self) -> Mapping[str, Json]:
        """Return by run id {"items", "items_done", "targets": {name: {"state", "done", "of"}}}."""

    def trigger(self, job: str, selection: Selection, by: str) -> UUID:
        """Queue a run by hand and return its id at once; an equal one that waits is returned."""

    def wait(self, run_id: UUID, seconds: float) -> bool:
        """Wait until a run has a final status; tell whether it has."""

    def plan(self, job: str, selection: Selection, by: str) -> Sequence[Json]:
        """Do a run's reading, and return per item what it would change, without changing it.

        Each is {"target", "counts", "changes": [{"change", "resource_id", "name", "fields"}],
        "error_class", "error"}. Blocks until done.
        """

    def cancel(self, run_id: UUID, by: str) -> None:
        """Cancel a pending or running run."""

    def approve(self, job: str, by: str) -> int:
        """Let the guarded deletions of a job go in its next run; return how many."""

    def reload(self, by: str) -> Sequence[str]:
        """Read the configuration again; return what needs a restart.

        Raises config.ConfigInvalid with all problems when it is refused, keeping the old one.
        """
