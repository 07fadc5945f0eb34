"""When the service manager hears that the daemon is alive."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from dispatch_helpers import NOON, HandClock
from structlog.testing import CapturingLogger

from syncd.daemon import Daemon, Signals
from syncd.systemd import Notifier
from syncd.telemetry.health import Signal
from syncd.telemetry.metrics import Metrics


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield server


def fed(manager: socket.socket) -> bool:
    try:
        return manager.recv(100) == b"WATCHDOG=1"
    except BlockingIOError:
        return False


def test_a_tick_feeds_the_watchdog_unless_only_a_restart_helps(manager: socket.socket) -> None:
    clock, output, notifier = HandClock(), CapturingLogger(), Notifier()
    log = structlog.wrap_logger(output, processors=[])
    timetable = Signal("timetable", clock, 5.0)
    nothing = cast("Any", None)  # for the parts that a tick has no need of
    daemon = Daemon(
        config=nothing, assembly=nothing, store=nothing, server=None,
        make_notices=lambda _: nothing, make_dispatch=lambda _: nothing,
        make_listeners=lambda _: [],
        metrics=Metrics("1", NOON), notifier=notifier, history=nothing,
        clock=clock, log=log,
        signals=Signals(timetable, *(Signal(name, clock) for name in ("c", "s", "l"))),
    )  # fmt: skip

    daemon.ticked()
    assert fed(manager)

    daemon.ticked("4 workers are stuck")
    clock.pass_(6)
    daemon.ticked("5 workers are stuck")
    assert not fed(manager)
    assert timetable.check().ok, "it does turn"
    assert [(c.method_name, c.kwargs.get("reason")) for c in output.calls] == [
        ("error", "4 workers are stuck")
    ], "said once"

    daemon.ticked()
    assert fed(manager)
    assert [c.method_name for c in output.calls] == ["error", "info"]
    notifier.close()
