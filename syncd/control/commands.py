"""What the control socket can ask of the daemon; `daemon.py` implements it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from syncd.model.run import Priority, Selection

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
        """Return each enabled job: name, kind, schedule, timezone, next_run, running (a run's id).

        And what is known of its schedule: priority, overlap; interval_seconds (of an adaptive job,
        else null); paused, {"since", "until", "by"} or null; held, [{"account", "since", "reason",
        "next_probe_at"}]; waiting, as in `scheduler` but for job and effective_priority;
        delayed_seconds, by which the oldest waiting run is past its due time, else 0; last_skip,
        {"due", "reason"} of the last due time where that got no run, else null; stuck, the id of
        the run whose thread does not come back, or null.
        """

    def scheduler(self) -> Json:
        """Return what runs, what waits and why; answers without the store.

        {"leader", "now", "workers": {"size", "busy", "idle", "stuck"}, "gates": {"load":
        {"closed", "value", "limit"}, "disk": {"closed", "free_bytes", "limit_bytes"}, "store":
        {"closed"}}, "running": [{"run", "job", "priority", "attempt", "since", "interruptible",
        "stuck"}], "waiting": [{"run", "job", "trigger", "priority", "effective_priority",
        "attempt", "scheduled_for", "since", "reason", "until"}]}. The load is that of a processor,
        limit 0 for a gate that is off; `reason` is a `Wait`, `until` null where nobody knows.
        """

    def progress(self) -> Mapping[str, Json]:
        """Return by run id {"items", "items_done", "targets": {name: {"state", "done", "of"}}}."""

    def trigger(
        self, job: str, selection: Selection, by: str, priority: Priority | None = None
    ) -> UUID:
        """Queue a run by hand and return its id at once; an equal one that waits is returned.

        Its priority is the job's, unless one is given.
        """

    def wait(self, run_id: UUID, seconds: float) -> bool:
        """Wait until a run has a final status; tell whether it has."""

    def plan(self, job: str, selection: Selection, by: str) -> Sequence[Json]:
        """Do a run's reading, and return per item what it would change, without changing it.

        Each is {"target", "counts", "changes": [{"change", "resource_id", "name", "fields"}],
        "error_class", "error"}. Blocks until done.
        """

    def cancel(self, run_id: UUID, by: str) -> None:
        """Cancel a pending or running run."""

    def prioritise(self, run_id: UUID, priority: Priority, by: str) -> None:
        """Move a waiting run to another priority; raises Conflict for one that does not wait."""

    def pause(self, job: str, seconds: float | None, by: str) -> Json:
        """Start no run of a job for so long, or until it is resumed; what runs goes on.

        Returns {"job", "paused": {"since", "until", "by"}}. A job that is paused already is paused
        anew.
        """

    def resume(self, job: str, by: str) -> Json:
        """End the pause of a job, and the hold of its accounts, which its next run tries again.

        Returns {"job", "was_paused", "freed": the names of the accounts that were held}.
        """

    def approve(self, job: str, by: str) -> int:
        """Let the guarded deletions of a job go in its next run; return how many."""

    def examine(
        self, accounts: Sequence[str], servers: Sequence[str], version: str, *, offline: bool
    ) -> Json:
        """Make every check there is, or those of some accounts and servers.

        No cloud and no server is asked when `offline`. `version` is that of the program that asks.
        Returns {"checks": [{"name", "subject", "state", "found", "advice", "seconds"}], "policies":
        [{"account", "policy"}], "grants": [{"server", "statements"}], "worst"}. Raises Conflict
        while another examination is under way.
        """

    def test_channel(self, channel: str, by: str) -> Json:
        """Send a message to a channel of notifications, and tell what came of it.

        Returns {"channel", "kind", "sent", "seconds", "error_class", "error", "retry_after"}.
        Blocks for as long as the channel's time limit.
        """

    def reload(self, by: str) -> Sequence[str]:
        """Read the configuration again; return what needs a restart.

        Raises config.ConfigInvalid with all problems when it is refused, keeping the old one.
        """
