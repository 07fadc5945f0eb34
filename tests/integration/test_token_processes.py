"""Tokens of several processes of one state directory, some of which are killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from api_faults import answers, hang, hold
from api_server import ApiServer
from api_wire import Answer
from token_helpers import TokenBench, token_of
from token_process import STEPS

from syncd.context import Clock

SECONDS = 20.0

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture
def start(api: ApiServer, folder: Path) -> Iterator[Start]:
    """Give a function that starts a process which gets the token."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
        process = subprocess.Popen(
            [sys.executable, "-m", "token_process", str(folder), api.url, *arguments],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for each in started:
        each.kill()
        each.communicate()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def waits(process: "subprocess.Popen[str]", folder: Path) -> bool:
    """Tell whether a process has opened the lock, which it has or waits for."""
    lock = str(folder / "iam.lock")
    try:
        return any(
            str(each.readlink()) == lock for each in Path(f"/proc/{process.pid}/fd").iterdir()
        )
    except OSError:  # a file that was closed meanwhile
        return False


def end(process: "subprocess.Popen[str]") -> tuple[str, str]:
    return process.communicate(timeout=SECONDS)


def test_three_processes_make_one_login(api: ApiServer, folder: Path, start: Start) -> None:
    let_go = threading.Event()
    api.fault("/login", hold(let_go))
    processes = [start() for _ in range(3)]
    until(lambda: all(waits(each, folder) for each in processes))
    let_go.set()
    found = {end(each) for each in processes}
    assert len(found) == 1
    assert len(api.log) == 1


@pytest.mark.parametrize(
    ("status", "told"), [(401, "Authentication of token iam"), (503, "Network"), (429, "Throttled")]
)
def test_processes_that_wait_share_a_failure(
    api: ApiServer, folder: Path, start: Start, status: int, told: str
) -> None:
    let_go = threading.Event()
    api.fault("/login", replace(hold(let_go), instead=lambda _: Answer(status)))
    processes = [start() for _ in range(3)]
    until(lambda: all(waits(each, folder) for each in processes))
    let_go.set()
    assert {end(each)[0] for each in processes} == {told}
    assert len(api.log) == 1
    assert end(start())[0] == told  # one who comes later tries it himself
    assert len(api.log) == 2


def test_another_process_takes_over_from_one_that_is_killed_while_it_logs_in(
    api: ApiServer, folder: Path, start: Start
) -> None:
    api.fault("/login", hang(), times=1)
    first = start()
    until(lambda: len(api.log) == 1)
    second = start()
    until(lambda: waits(second, folder))
    first.send_signal(signal.SIGKILL)
    token, errors = end(second)
    assert (len(token), errors) == (32, "")
    assert len(api.log) == 2


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("replaces", [True, False])
def test_one_who_is_killed_while_he_writes_leaves_a_whole_file(
    api: ApiServer, folder: Path, start: Start, step: str, *, replaces: bool
) -> None:
    if replaces:  # one of another configuration
        TokenBench(folder, Clock()).get(token_of(api.url, lifetime="2h"))
    before = (folder / "iam.json").read_bytes() if replaces else None
    assert end(start(step)) == ("", "")
    file = folder / "iam.json"
    after = file.read_bytes() if file.exists() else None
    assert after == before or step == "sync_directory"
    logins = api.logins
    token, errors = end(start())
    assert (len(token), errors) == (32, "")
    assert api.logins == logins + (step != "sync_directory")
    assert end(start())[0] == token
    assert sorted(each.name for each in folder.iterdir()) == ["iam.json", "iam.lock"]


def test_a_disk_that_takes_no_more_costs_a_warning(
    api: ApiServer, folder: Path, start: Start
) -> None:
    token, told = end(start("full"))
    assert len(token) == 32
    assert told == "a token can't be kept over a restart\n"
    api.fault("/login", answers(Answer(401)), times=1)
    assert end(start("full"))[0] == "Authentication of token iam"
    assert end(start())[1] == ""
