"""`python -m isolated_jobs`: the process of an attempt of a `FakeJob`, for tests; see `entry`.

It is told the store's DSN and, for each target, the name of one of WORKS and its argument.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dispatch_helpers import FakeJob, Work, plain_log, spec, succeed

from syncd import errors
from syncd.context import RunContext
from syncd.dispatch.inside import Parent
from syncd.dispatch.isolated import Entry
from syncd.dispatch.spec import JobSpec
from syncd.errors import BadData
from syncd.jobs.base import Applied
from syncd.model.run import Counts, Target
from syncd.store.database import Store


def raises(name: str) -> Work:
    """Raise one of our errors, or a bug."""

    def work(ctx: RunContext) -> None:
        raise getattr(errors, name, KeyError)("x")

    return work


def throttles(seconds: str) -> Work:
    """Be asked for so many seconds of patience."""

    def work(ctx: RunContext) -> None:
        raise errors.Throttled("x", float(seconds))

    return work


def reports(_: str) -> Work:
    """Report progress, a resource with bad data and a detail."""

    def work(ctx: RunContext) -> Applied:
        ctx.report.progress(3, 4)
        ctx.report.error("i-1", BadData("odd"))
        ctx.report.detail("doubt", "some")
        ctx.report.detail("bytes", 7)
        ctx.report.detail("watermark", "2026-03-01 12:00:00")
        ctx.report.detail("equal", False)
        return Applied(Counts(total=4, added=3, errors=1))

    return work


def odd(_: str) -> Work:
    """Fail, with a report that no record can hold."""

    def work(ctx: RunContext) -> None:
        ctx.report.detail("odd", object())
        raise BadData("x")

    return work


def _enter(place: str) -> None:
    """Write the process's id to a file, at once as a whole."""
    fresh = Path(f"{place}.new")
    fresh.write_text(str(os.getpid()))
    fresh.rename(place)


def blocked(place: str) -> Work:
    """Sleep in C for ever, the interpreter's lock held: no thread of the process goes on."""

    def work(ctx: RunContext) -> None:
        _enter(place)
        ctypes.PyDLL(None).read(os.pipe()[0], ctypes.create_string_buffer(1), 1)

    return work


def waits(place: str) -> Work:
    """Wait until told to stop, or until a file `PLACE.open` is there."""

    def work(ctx: RunContext) -> None:
        _enter(place)
        while not Path(f"{place}.open").exists():
            ctx.pause(0.02)

    return work


def crashes(how: str) -> Work:
    """End the process."""

    def work(ctx: RunContext) -> None:
        if how == "exit":
            os._exit(7)
        os.kill(os.getpid(), getattr(signal, how))

    return work


def looks(place: str) -> Work:
    """Write to a file what the process has of its parent's."""

    def work(ctx: RunContext) -> None:
        open_files = list(Path("/proc/self/fd").iterdir())
        seen = {
            "environment": dict(os.environ),
            "arguments": Path("/proc/self/cmdline").read_bytes().decode().split("\0"),
            "files": [str(file.readlink()) for file in open_files if file.is_symlink()],
            "session": os.getsid(0) == os.getpid(),
        }
        Path(place).write_text(json.dumps(seen))

    return work


WORKS: Mapping[str, Callable[[str], Work]] = {
    "succeeds": lambda _: succeed,
    **{f.__name__: f for f in (raises, throttles, reports, odd, blocked, waits, crashes, looks)},
}


def entry(dsn: str, works: Mapping[str, tuple[str, str]]) -> Callable[[JobSpec], Entry]:
    """Return how the process of a job with these works begins: by target, a work, an argument."""

    def of(job: JobSpec) -> Entry:
        setup = json.dumps([dsn, works, job.parallel]).encode()
        return Entry(["-m", "isolated_jobs"], setup)

    return of


def main() -> None:
    parent = Parent(int(sys.argv[1]))
    dsn, works, parallel = json.loads(parent.order.setup)
    made: dict[str, Any] = {n: WORKS[name](argument) for n, (name, argument) in works.items()}
    targets = {n: Target(n, account=n.split("/")[0] if "/" in n else None) for n in works}
    store = Store(dsn, pool_min=1)
    store.observe = parent.observe_statement
    store.open()
    job = FakeJob(made, targets)
    parent.work(spec(parent.order.job, job, parallel=parallel), store, plain_log())
    store.close()
    os._exit(0)


if __name__ == "__main__":
    main()
