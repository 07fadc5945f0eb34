"""The one line that `systemctl status` shows, kept current."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from syncd.context import Clock


class StatusLine:
    """What the daemon does, in a line; `problem` and the last failure are told as long as true."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: dict[str, datetime] = {}
        self.problem = ""

    def ended(self, job: str, *, failed: bool) -> None:
        """Note how a run of a job ended; a success makes its failure forgotten."""
        self._failed.pop(job, None)
        if failed:
            self._failed[job] = self._clock.now()

    def keep(self, jobs: Collection[str]) -> None:
        """Forget the failures of jobs that are gone."""
        self._failed = {job: at for job, at in self._failed.items() if job in jobs}

    def text(
        self,
        *,
        jobs: int,
        soonest: tuple[str, datetime] | None,
        progress: Mapping[str, Mapping[str, Any]],
        running: Mapping[str, str],
    ) -> str:
        """Return e.g. `4 jobs, 1 running (hosts 43%), next db-sizes in 12m`."""
        parts = [f"{jobs} jobs"] if jobs != 1 else ["1 job"]
        if running:
            each = ", ".join(
                f"{job} {_percent(progress.get(run_id, {}))}" for job, run_id in running.items()
            )
            parts.append(f"{len(running)} running ({each})")
        if soonest:
            job, due = soonest
            parts.append(f"next {job} in {_span(due - self._clock.now())}")
        text = ", ".join(parts)
        failed = dict(self._failed)
        if failed:
            job = max(failed, key=lambda name: failed[name])
            text += f"; last failure {job} {_span(self._clock.now() - failed[job])} ago"
        return f"{text}; {self.problem}" if self.problem else text


def _percent(progress: Mapping[str, Any]) -> str:
    items = progress.get("items", 0)
    return f"{100 * progress['items_done'] // items}%" if items else "starting"


def _span(span: timedelta) -> str:
    """Return a span in its largest unit: `12m`, `3h`."""
    seconds = max(int(span.total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
