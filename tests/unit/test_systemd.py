import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.systemd import STATUS_LIMIT, Notifier


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield server


@pytest.fixture
def notifier(manager: socket.socket) -> Iterator[Notifier]:
    notifier = Notifier()
    yield notifier
    notifier.close()


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(65_536).decode().split("\n")


def test_ready_carries_its_status_in_the_same_datagram(notifier, manager):
    notifier.ready("4 jobs, next db-sizes in 12m")
    assert heard(manager) == ["READY=1", "STATUS=4 jobs, next db-sizes in 12m"]


def test_names_outside_latin_1_arrive_as_utf_8(notifier, manager):
    notifier.status("主机 läuft 🚀")
    assert heard(manager) == ["STATUS=主机 läuft 🚀"]


@pytest.mark.parametrize("char", ["\n", "\r", "\0", "\x1b", "\u2028", "\x85", "\udc80"])
def test_a_name_can_neither_start_another_assignment_nor_break_the_line(notifier, manager, char):
    notifier.status(f"job{char}STOPPING=1")
    assert heard(manager) == ["STATUS=job STOPPING=1"]


def test_a_long_status_is_cut_to_what_the_manager_accepts(notifier, manager):
    notifier.stopping("🚀" * 5_000)
    datagram = manager.recv(65_536)
    assert len(datagram) <= 4_096
    assert datagram.decode() == "STOPPING=1\nSTATUS=" + "🚀" * (STATUS_LIMIT - 1) + "…"


def test_a_reload_carries_the_monotonic_moment_it_began(notifier, manager):
    before = time.monotonic_ns() // 1_000
    notifier.reloading()
    first, second = heard(manager)
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.monotonic_ns() // 1_000


def test_extension_is_in_microseconds_and_the_watchdog_is_fed(notifier, manager):
    notifier.extend(1.5)
    notifier.watchdog()
    assert heard(manager) == ["EXTEND_TIMEOUT_USEC=1500000"]
    assert heard(manager) == ["WATCHDOG=1"]


def test_an_abstract_socket_is_reached(monkeypatch):
    name = f"syncd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name)
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notifier = Notifier()
        notifier.ready("up")
        assert heard(server)[0] == "READY=1"
        notifier.close()


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_happens_without_a_manager(monkeypatch, value):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if value is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", value)
    notifier = Notifier()
    notifier.ready("up")
    notifier.watchdog()
    notifier.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sdnotify leaks it
def test_a_manager_that_is_not_there_is_logged_not_raised(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with caplog.at_level(logging.WARNING):
        Notifier().ready("up")
    assert "can't be reached" in caplog.text


def test_a_manager_that_went_away_is_logged_not_raised(notifier, manager, caplog):
    manager.close()
    with caplog.at_level(logging.WARNING):
        notifier.watchdog()
    assert "does not listen" in caplog.text


def test_a_manager_that_does_not_read_holds_the_caller_up_for_seconds_at_most(
    notifier, manager, caplog
):
    with caplog.at_level(logging.WARNING):
        for _ in range(5_000):  # until the queue of the socket is full
            notifier.watchdog()
            if caplog.records:
                break
    assert "does not listen" in caplog.text


def test_children_do_not_inherit_the_right_to_notify(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = Notifier()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    assert notifier.watchdog_interval == 15
    notifier.close()


@pytest.mark.parametrize(
    ("microseconds", "pid", "interval"),
    [
        ("30000000", None, 15.0),
        ("30000000", "own", 15.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_interval_is_half_of_what_is_allowed(monkeypatch, microseconds, pid, interval):
    pid = str(os.getpid()) if pid == "own" else pid
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert Notifier().watchdog_interval == interval
