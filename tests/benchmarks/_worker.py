"""A process that runs jobs as the command line does without a daemon, and tells what they cost."""

import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from syncd import app
from syncd.config.load import load
from syncd.model.run import Selection
from syncd.telemetry.logging import configure
from tests.benchmarks.memory import status
from tests.toml_text import toml

SECONDS = 7200.0
_RECORD = """
select status, format('%%s added, %%s updated, %%s unchanged, %%s deleted', added, updated,
                      total - added - updated - errors, deleted), errors,
       (select string_agg(concat_ws(' ', target, error), '; ')
        from syncd.run_item where run_id = r.id)
from syncd.run r where id = %s"""


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds, and bytes above what the process held before it."""

    seconds: float
    peak: int
    counts: str
    errors: int
    """Rows that were refused, or that differ."""


class Worker:
    """The process; it runs a job at a time."""

    def __init__(self, file: Path) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_work, args=(file, theirs))
        self._process.start()
        theirs.close()

    def run(self, job: str) -> Cost:
        """Run a job to its end, which must be a success."""
        self._pipe.send(job)
        told: Cost | str = self._pipe.recv()
        if isinstance(told, str):
            raise SystemExit(f"the run of {job} failed: {told}")
        return told

    def close(self) -> None:
        self._pipe.send("")
        self._process.join()


@contextmanager
def worker(directory: Path, store: str, tables: Mapping[str, Any]) -> Iterator[Worker]:
    """Give the process for a configuration with these servers and jobs."""
    file = directory / "syncd.toml"
    base = {
        "store": {"dsn": store, "pool_min": 1},
        "daemon": {"state_dir": str(directory / "state")},
        "defaults": {"timeout": "2h", "retries": []},
    }
    file.write_text(toml(base | dict(tables)))
    file.chmod(0o600)
    made = Worker(file)
    try:
        yield made
    finally:
        made.close()


def _work(file: Path, pipe: Connection) -> None:
    configure("auto", "error", list)
    with app.local_session(load(file)) as session:
        while job := pipe.recv():
            rest = status("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")
            began = time.perf_counter()
            run_id = session.trigger(job, Selection(), "bench")
            session.wait(run_id, SECONDS)
            seconds, peak = time.perf_counter() - began, status("VmHWM") - rest
            with session.store.transaction() as tx:
                row = tx.execute(_RECORD, (run_id,)).fetchone()
            assert row is not None
            ended, counts, errors, why = row
            good = ended == "success"
            pipe.send(Cost(seconds, peak, counts, errors) if good else f"{ended}: {why}")
