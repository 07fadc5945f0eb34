"""The demonstration as a newcomer starts it, in a pipe: it shows, ends, and leaves nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from databases import reachable_directory

LIMIT = 90.0  # seconds for the slowest machine; each test takes a few
READY = "syncd is ready"
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin"


@pytest.fixture
def place() -> Iterator[Path]:
    """Give the directory for all temporary files of a demonstration."""
    with reachable_directory() as directory:
        yield directory


@contextmanager
def demo(place: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demonstration with its output in a pipe; kill it where it takes too long."""
    process = subprocess.Popen(
        [sys.executable, "-m", "syncd", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TMPDIR": str(place), "PYTHONWARNINGS": "error"},
        start_new_session=True,
    )
    watchdog = threading.Timer(LIMIT, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        for pid in processes(place):
            os.kill(pid, signal.SIGKILL)
        if process.stdout:
            process.stdout.close()


def read_until(process: subprocess.Popen[str], enough: Callable[[str], bool]) -> str:
    """Return the output up to the line with which there is enough of it, or to its end."""
    text = ""
    for line in process.stdout or ():
        text += line
        if enough(text):
            break
    return text


def rest(process: subprocess.Popen[str]) -> tuple[str, int]:
    """Return the rest of the output, and the exit status."""
    text = process.stdout.read() if process.stdout and not process.stdout.closed else ""
    return text, process.wait(LIMIT)


def processes(place: Path) -> list[int]:
    """Return the processes that run with anything of a directory on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(place) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def daemon(place: Path) -> int:
    """Return the process id of the daemon."""
    (lock,) = place.glob("syncd-demo-*/state/lock")
    return int(lock.read_text())


def assert_nothing_is_left(place: Path) -> None:
    assert processes(place) == []
    assert list(place.iterdir()) == []


def test_hosts_and_accounts_arrive_and_change_and_are_recorded(place: Path) -> None:
    def enough(text: str) -> bool:
        return all(f"  {kind:<8} " in text.partition(READY)[2] for kind in ("run", "updated"))

    with demo(place, "--seed", "3") as process:
        shown = read_until(process, enough)
        assert shown.count("40 hosts in ") == 6, shown
        assert "aliyun-hosts: 120 hosts in" in shown
        assert "tencent-hosts: 120 hosts in" in shown
        assert "/metrics" in shown
        (config,) = place.glob("syncd-demo-*/syncd.toml")
        assert config.stat().st_mode & 0o777 == 0o600
        runs = subprocess.run(
            [sys.executable, "-m", "syncd", "--config", config, "runs", "--json"],
            capture_output=True, check=True, text=True,
        )  # fmt: skip
        assert '"added": 120' in runs.stdout or '"added":120' in runs.stdout
        shown = assert_the_fleet_is_shown(process, shown)
        assert_the_fleet_is_recorded(config)
        shown = assert_the_calls_are_shown(process, shown)
        shown = assert_the_copy_is_shown(process, shown)
        process.send_signal(signal.SIGINT)
        text, status = rest(process)
    assert status == 0, text
    assert "\x1b" not in shown + text
    assert "the database servers:" not in shown + text
    assert "the copied table:" not in shown + text
    assert_nothing_is_left(place)


def servers() -> list[str]:
    """Return the database servers that a demonstration on this machine has."""
    return ["postgresql", *(["mariadb"] if shutil.which("mariadbd", path=SBIN) else [])]


def assert_the_fleet_is_shown(process: subprocess.Popen[str], shown: str) -> str:
    """Read on until database servers have joined and a revocation is told; return all output."""

    def enough(text: str) -> bool:
        return "  revoked  " in text and all(f" accounts on {name}" in text for name in servers())

    if not enough(shown):
        shown += read_until(process, lambda text: enough(shown + text))
    assert f"syncd looks at {' and '.join(servers())} now" in shown
    assert "granted  SELECT on column shop.public.orders.price to reporting on" in shown
    assert "revoked  SELECT on column shop.public.orders.price from reporting on" in shown
    assert " statistics in " in shown
    return shown


def assert_the_calls_are_shown(process: subprocess.Popen[str], shown: str) -> str:
    """Read on until a call has failed and the webhook was told; return all output."""
    failed = "failed   stat-weekly: POST /api/v1/statistics/sync/weekly: code is 1: expected 0"
    told = "told     the webhook hears: job stat-weekly failed"

    def enough(text: str) -> bool:
        return failed in text and told in text

    if not enough(shown):
        shown += read_until(process, lambda text: enough(shown + text))
    assert enough(shown), shown
    assert "call     stat-daily: POST /api/v1/statistics/sync/daily: 200" in shown
    assert "call     stat-quarterly: POST" in shown
    assert "200, done after 3 looks" in shown
    return shown


def assert_the_copy_is_shown(process: subprocess.Popen[str], shown: str) -> str:
    """Read on until what somebody changed in the copy is mended; return all output."""
    mended = "mended   sales-check: 1 of "
    if mended not in shown:
        shown += read_until(process, lambda text: mended in text)
    before, _, after = shown.partition("somebody doubles the total of sale 17 in the warehouse")
    assert mended in after, shown
    assert "mended" not in before
    assert f"syncd copies the table sales from {servers()[-1]} into the warehouse" in before
    assert "run      sales-copy: 200 rows in " in before
    assert "sales-copy: attempt" not in before
    assert "sales-check: attempt" not in shown
    return shown


def assert_the_fleet_is_recorded(config: Path) -> None:
    assert (config.parent / "conf.d" / "fleet.toml").stat().st_mode & 0o777 == 0o600
    accounts = subprocess.run(
        [sys.executable, "-m", "syncd", "--config", config, "db-accounts", "--json"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    rows = json.loads(accounts.stdout)
    assert {row["server"] for row in rows} == set(servers())
    assert "Ms. Quotes" in {row["account"] for row in rows}


def test_a_terminal_that_is_closed_ends_everything(place: Path) -> None:
    with demo(place) as process:
        assert READY in read_until(process, lambda text: READY in text)
        process.send_signal(signal.SIGHUP)
        text, status = rest(process)
    assert status == 0, text
    assert_nothing_is_left(place)


def test_it_ends_by_itself_after_the_seconds_asked_for(place: Path) -> None:
    with demo(place, "--seconds", "1") as process:
        text, status = rest(process)
    assert status == 0, text
    assert_nothing_is_left(place)


def test_a_reader_that_goes_away_ends_it(place: Path) -> None:
    with demo(place) as process:
        assert READY in read_until(process, lambda text: READY in text)
        assert process.stdout
        process.stdout.close()
        assert process.wait(LIMIT) == 0
    assert_nothing_is_left(place)


def test_a_daemon_that_is_killed_is_told_and_its_store_stopped(place: Path) -> None:
    with demo(place) as process:
        assert READY in read_until(process, lambda text: READY in text)
        os.kill(daemon(place), signal.SIGKILL)
        text, status = rest(process)
    assert status != 0
    assert "the daemon ended with status -9" in text
    assert_nothing_is_left(place)


def test_a_directory_that_is_named_is_kept_and_taken_up_again(place: Path) -> None:
    kept = place / "kept"
    for _ in range(2):
        with demo(place, "--state-dir", str(kept)) as process:
            assert READY in read_until(process, lambda text: READY in text)
            process.send_signal(signal.SIGTERM)
            text, status = rest(process)
        assert status == 0, text
        assert processes(place) == []
    assert (kept / "state" / "postgresql" / "data").is_dir()
    assert (kept / "syncd.toml").is_file()
