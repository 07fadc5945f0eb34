"""Lines that libraries write while they work for a run bear the run's names, in every thread."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog
from dispatch_helpers import Bench, FakeJob, spec

from syncd.context import RunContext
from syncd.model.run import Target
from syncd.telemetry.logging import configure


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Give what is logged; the logging is as before afterwards."""
    root, own = logging.getLogger(), logging.getLogger("syncd")
    before = root.handlers[:], root.level, own.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    stream = io.StringIO()
    configure("json", "info", list, stream)
    yield stream
    root.handlers[:], root.level, own.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


class Talking(FakeJob):
    """A job whose libraries speak while it looks for its targets, and at each of them."""

    def targets(self, ctx: RunContext) -> list[Target]:
        logging.getLogger("some.library").warning("targets")
        return list(super().targets(ctx))


def test_libraries_lines_bear_run_and_item(bench: Bench, stream: io.StringIO) -> None:
    def talk(ctx: RunContext) -> None:
        together.wait(20)  # the items are worked on at the same time
        logging.getLogger("some.library").warning("read")

    together = threading.Barrier(2)
    made = {
        f"{account}/r/host": Target(f"{account}/r/host", account=account, region=region)
        for account, region in (("a", "cn-a"), ("b", "cn-b"))
    }
    claim = bench.begun()
    job = Talking(dict.fromkeys(made, talk), made)
    bench.runner.run(bench.attempt(spec("j", job, parallel=2), claim))
    logging.getLogger("some.library").warning("afterwards")
    targets, *reads, afterwards = [json.loads(line) for line in stream.getvalue().splitlines()]
    run = {"job": "j", "run": str(claim.run_id)}
    rest = {"level": "warning", "logger": "some.library"}
    for line in (targets, *reads, afterwards):
        line.pop("timestamp")
    assert targets == {"event": "targets", **rest, **run}
    assert sorted(reads, key=lambda line: str(line["item"])) == [
        {"event": "read", **rest, **run, "item": "a/r/host", "account": "a", "region": "cn-a"},
        {"event": "read", **rest, **run, "item": "b/r/host", "account": "b", "region": "cn-b"},
    ]
    assert afterwards == {"event": "afterwards", **rest}
