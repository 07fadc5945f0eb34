import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fake_daemon import RUN, FakeDaemon, log_piece, syncd

from syncd.cli import logs as command
from syncd.control.client import _Connection
from syncd.telemetry.run_logs import RunLogs

EARLIER = UUID("01880000-0000-7000-8000-000000000001")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "TURN", 0.01)


def test_a_log_is_shown_piece_after_piece_without_what_is_the_same_in_all_lines(
    served: FakeDaemon,
) -> None:
    line = {
        "timestamp": "2026-03-01T12:00:00.123456Z", "level": "warning", "event": "slow\x1b[2J",
        "job": "hosts", "run": str(RUN), "item": "prod/cn-a", "name": 'a "b"\n', "n": 1234,
        "ok": None, "exception": "Traceback\n  \x1b[31mred", "empty": "",
    }  # fmt: skip
    served.logs.pieces = [
        log_piece(lines=[line], next=77, more=True),
        log_piece("run ended", next=99, more=False),
    ]
    shown = syncd(served, "logs", str(RUN)[:8])
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "2026-03-01 20:00:00+08:00 warning  slow\\x1b[2J"
        r' item=prod/cn-a name="a \"b\"\n" n=1234 ok=null empty=""',
        "    Traceback",
        "      \\x1b[31mred",
        "2026-03-01 20:00:00+08:00 info     run ended",
    ]
    assert served.logs.asked == [(str(RUN)[:8], 0), (str(RUN), 77)]


def test_json_gives_the_fields_an_object_a_line(served: FakeDaemon) -> None:
    served.logs.pieces = [log_piece("a", "b\u202e")]
    shown = syncd(served, "logs", str(RUN), "--json")
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(line["event"], line["job"], line["run"]) for line in lines] == [
        ("a", "hosts", str(RUN)), ("b\u202e", "hosts", str(RUN)),
    ]  # fmt: skip
    assert "\u202e" not in shown.stdout


def test_odd_lines_are_shown_too(served: FakeDaemon) -> None:
    served.logs.pieces = [log_piece(lines=[{"event": '{"torn'}, {"timestamp": 7, "level": None}])]
    shown = syncd(served, "logs", str(RUN))
    assert shown.exit_code == 0
    assert '{"torn' in shown.stdout


def test_following_goes_on_until_the_last_line(served: FakeDaemon) -> None:
    running: dict[str, Any] = {"status": "running", "ended": False}
    served.logs.pieces = [
        log_piece(status="pending", ended=False, kept=False),
        log_piece(status="pending", ended=False, kept=False),
        log_piece("started", **running, next=5),
        log_piece(**running, next=5),
        log_piece("waits", **running | {"status": "pending"}, next=9),
        log_piece("ended", next=12),
    ]
    served.commands.active = False
    shown = syncd(served, "logs", "-f", str(RUN))
    assert [line.split()[-1] for line in shown.stdout.splitlines()] == ["started", "waits", "ended"]
    assert shown.stderr == f"run {RUN} waits: nothing is logged yet\n"
    assert shown.exit_code == 0
    assert [offset for _, offset in served.logs.asked] == [0, 0, 0, 5, 5, 9]


def test_a_run_has_not_ended_while_the_daemon_is_at_it(served: FakeDaemon) -> None:
    status, answer = _get(served, f"/runs/{RUN}/log")
    assert (status, answer["ended"]) == (200, False)
    served.commands.active = False
    assert _get(served, f"/runs/{RUN}/log")[1]["ended"] is True


@pytest.mark.parametrize("offset", ["-1", "x", "99999999999999", ""])
def test_a_bad_offset_is_refused(served: FakeDaemon, offset: str) -> None:
    status, answer = _get(served, f"/runs/{RUN}/log?offset={offset}")
    assert (status, answer["error"]["class"]) == (400, "bad_request")


def test_a_log_that_is_gone_is_an_error(served: FakeDaemon) -> None:
    served.logs.pieces = [log_piece(kept=False)]
    shown = syncd(served, "logs", str(RUN))
    assert shown.exit_code == 1
    assert shown.stderr == (
        f"syncd: the log of run {RUN} is not kept any more (retention.run_logs);"
        " it was run by daemon:h\n"
    )


@pytest.mark.parametrize(("status", "how"), [("pending", "waits"), ("running", "has begun")])
def test_a_run_that_has_logged_nothing_yet_is_no_error(
    served: FakeDaemon, status: str, how: str
) -> None:
    served.logs.pieces = [log_piece(kept=False, status=status, ended=False)]
    shown = syncd(served, "logs", str(RUN))
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr == f"run {RUN} {how}: nothing is logged yet\n"


def test_the_last_run_of_a_job_is_named(served: FakeDaemon) -> None:
    served.logs.pieces = [log_piece("x")]
    shown = syncd(served, "logs", "--job", "hosts")
    assert shown.stderr == f"run {RUN} of hosts\n"
    assert "info     x" in shown.stdout
    assert served.reads.asked[-1].job == "hosts"


@pytest.mark.parametrize("arguments", [[], [str(RUN), "--job", "hosts"], [""], ["--job", ""]])
def test_either_a_run_or_a_job_is_named(served: FakeDaemon, arguments: list[str]) -> None:
    assert syncd(served, "logs", *arguments).exit_code == 2


def _get(served: FakeDaemon, path: str) -> tuple[int, Any]:
    connection = _Connection(served.path, 10)
    connection.request("GET", path)
    answer = connection.getresponse()
    status, body = answer.status, json.loads(answer.read())
    connection.close()
    return status, body


@pytest.fixture
def alone(tmp_path: Path) -> tuple[Path, RunLogs]:
    """Give a configuration without a daemon or a store, and the logs that are left."""
    file = tmp_path / "syncd.toml"
    file.write_text(
        '[store]\ndsn = "host=/nowhere dbname=x"\n'
        f'[daemon]\nstate_dir = "{tmp_path}/state"\n[listen]\ncontrol = "{tmp_path}/none.sock"\n'
    )
    file.chmod(0o600)
    (tmp_path / "state").mkdir()
    logs = RunLogs(tmp_path / "state")
    for run in (EARLIER, RUN):
        for event, more in (("run started", {}), ("run ended", {"status": "success"})):
            line = {"level": "info", "event": event, "job": "hosts", "run": str(run)} | more
            logs.append(run, json.dumps(line).encode())
    return file, logs


def run(file: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "syncd", "--config", str(file), "logs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_files_are_read_where_neither_daemon_nor_store_answers(
    alone: tuple[Path, RunLogs],
) -> None:
    file, logs = alone
    shown = run(file, str(EARLIER)[:4])
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line.split()[1:3] for line in shown.stdout.splitlines()] == [
        ["run", "started"], ["run", "ended"],
    ]  # fmt: skip
    last = run(file, "--job", "hosts")
    assert last.stderr == f"run {RUN} of hosts\n"
    followed = run(file, "-f", str(RUN))
    assert followed.returncode == 0
    assert "no daemon answers" in followed.stderr
    several = run(file, "018")
    assert several.returncode == 1
    assert "begins several runs" in several.stderr
    unknown = run(file, "ffff")
    assert unknown.returncode == 69
    assert "none.sock" in unknown.stderr
    assert run(file, "--job", "none").returncode == 1
    for entry in logs.path.iterdir():
        entry.unlink()
    logs.path.rmdir()
    logs.path.write_text("in the way")
    broken = run(file, str(RUN))
    assert broken.returncode == 69
    assert "none.sock" in broken.stderr
    assert "Not a directory" in broken.stderr


def test_a_reader_that_leaves_is_no_matter(alone: tuple[Path, RunLogs]) -> None:
    file, logs = alone
    for number in range(5_000):
        logs.append(RUN, json.dumps({"event": f"line {number}", "filler": "x" * 200}).encode())
    command = f'"{sys.executable}" -m syncd --config {file} logs {RUN} | head -n 1'
    shown = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )
    assert "run started" in shown.stdout
    assert shown.stderr == ""


def test_a_terminal_gets_colours(alone: tuple[Path, RunLogs]) -> None:
    file, logs = alone
    logs.append(RUN, json.dumps({"event": "broken", "level": "error"}).encode())
    leader, follower = pty.openpty()
    arguments = [sys.executable, "-m", "syncd", "--config", str(file), "logs", str(RUN)]
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    subprocess.run(arguments, stdout=follower, check=True, timeout=60, env=environment)
    os.close(follower)
    with os.fdopen(leader, "rb", 0) as screen:
        assert b"\x1b[31mbroken" in screen.read(65_536)
