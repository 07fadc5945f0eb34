"""The logs of runs, as a real daemon keeps them and `syncd logs` shows them."""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from daemon_helpers import Row, Site, check_records, job, secrets_of, site, until
from databases import reachable_directory

from syncd.errors import NotFound
from syncd.model.run import Selection
from syncd.store.embedded import EmbeddedPostgres

Line = dict[str, Any]
ALL = Selection()
ITEM_EVENTS = ("item ended", "item failed", "a call is repeated", "resource added")


@pytest.fixture
def place(dsn: str) -> Iterator[Site]:
    """Give a site whose store is a database of its own on the server of the tests."""
    with site(dsn, hosts=3) as made:
        yield made


def started(place: Site, name: str = "hosts") -> UUID:
    return place.client.trigger(name, ALL, "me")


def ended(place: Site, run: UUID) -> UUID:
    """Wait until a run has ended and its last line is written."""
    until(lambda: place.client.log(str(run), 0)["ended"], 30, "the run's end")
    return run


def file_of(place: Site, run: UUID) -> Path:
    return place.state_dir / "logs" / f"{run}.log"


def kept(place: Site, run: UUID) -> list[Line]:
    return [json.loads(line) for line in file_of(place, run).read_text().splitlines()]


def parsed(line: str) -> dict[str, str]:
    """Return the fields of a line of logfmt; all that matter here are plain."""
    return dict(word.split("=", 1) for word in shlex.split(line.split(">", 1)[-1]) if "=" in word)


def command(place: Site, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "syncd", "--config", str(place.config), "logs", *arguments]


def shown(place: Site, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(place, *arguments), capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def following(place: Site, *arguments: str) -> Iterator[Any]:
    """Give what is read of `syncd logs`, and its process."""
    with subprocess.Popen(
        command(place, "-f", *arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def check_names(lines: list[Mapping[str, Any]], name: str, run: UUID) -> None:
    """Check that every line bears the names of its run, and those of items their items' too."""
    assert lines
    for line in lines:
        assert (line["job"], line["run"]) == (name, str(run)), line
        if line["event"] in ITEM_EVENTS and "api" not in line:
            assert line["item"].split("/")[:2] == [line["account"], line["region"]], line


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_every_line_of_a_run_bears_its_names_and_is_kept(place: Site, isolation: str) -> None:
    place.configure({"hosts": job(isolation=isolation, retries=["1s"])})
    process = place.up()
    place.fault("reset", account="aliyun-demo", action="DescribeInstances", times=1)
    place.fault("permission", account="tencent-demo", action="DescribeInstances")
    run = ended(place, started(place))
    lines = kept(place, run)
    check_names(lines, "hosts", run)
    told = [(line["level"], line["event"]) for line in lines]
    assert ("warning", "a call is repeated") in told
    assert ("error", "item failed") in told
    assert told[-1] == ("error", "run ended")
    repeated = next(line for line in lines if line["event"] == "a call is repeated")
    assert (repeated["account"], repeated["item"].split("/")[0]) == ("aliyun-demo",) * 2
    journal = [parsed(line) for line in process.lines(f"run={run}")]
    check_names(journal, "hosts", run)
    # items run beside each other: two of their lines may change places on the way to one of both
    assert sorted(line["event"] for line in journal) == sorted(line["event"] for line in lines)
    assert all("job=hosts" in line for line in process.lines("item="))
    for secret in secrets_of(place):
        assert secret not in file_of(place, run).read_text()
        assert secret not in process.text


def test_all_attempts_are_in_one_log_and_an_expected_retry_is_a_warning(place: Site) -> None:
    place.configure({"hosts": job(retries=["1s", "1s"])})
    place.up()
    place.fault("unavailable", action="DescribeInstances", times=30)
    run = started(place)
    until(lambda: place.runs("attempt = 2"), 60, "the second attempt")
    place.emulator.faults.clear()
    ended(place, run)
    lines = kept(place, run)
    check_names(lines, "hosts", run)
    ends = [(line["status"], line["level"]) for line in lines if line["event"] == "run ended"]
    assert ends[0] == ("pending", "warning")
    assert ends[-1] == ("success", "info")
    assert len([line for line in lines if line["event"] == "run started"]) == len(ends) >= 2
    assert "error" not in {line["level"] for line in lines}


def test_a_run_is_followed_until_its_last_line_by_daemon_and_command_alike(place: Site) -> None:
    place.configure({"hosts": job()})
    place.up()
    number = place.fault("hang", action="DescribeInstances")
    run = started(place)
    with following(place, str(run)[:30]) as reader:
        assert "run started" in reader.stdout.readline()
        place.emulator.faults.clear(number)
        rest, errors = reader.communicate(timeout=30)
        assert (reader.returncode, errors) == (0, "")
    assert "status=success" in rest.splitlines()[-1]
    plain = shown(place, str(run))
    assert plain.stdout.splitlines()[1:] == rest.splitlines()
    fields = [json.loads(line) for line in shown(place, str(run), "--json").stdout.splitlines()]
    assert fields == kept(place, run)


def test_a_job_is_followed_from_run_to_run_until_ctrl_c(place: Site) -> None:
    place.configure({"hosts": job()})
    place.up()
    assert shown(place, "--job", "hosts").stderr == "syncd: job 'hosts' has no run\n"
    assert shown(place, "-f", "--job", "typo").returncode == 1
    with following(place, "--job", "hosts") as reader:
        told = reader.stderr.readline()
        first = started(place)
        while "run ended" not in reader.stdout.readline():
            pass
        second = started(place)
        while "run ended" not in reader.stdout.readline():
            pass
        reader.send_signal(signal.SIGINT)
        out, errors = reader.communicate(timeout=20)
        assert (reader.returncode, out) == (0, "")
    assert told == "job hosts has no run yet\n"
    told = [line for line in errors.splitlines() if "waits: nothing is logged yet" not in line]
    assert told == [f"run {first} of hosts", f"run {second} of hosts"]


def test_a_daemon_that_leaves_ends_the_following(place: Site) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    place.fault("hang", action="DescribeInstances")
    run = started(place)
    with following(place, str(run)) as reader:
        assert "run started" in reader.stdout.readline()
        process.kill()
        _, errors = reader.communicate(timeout=30)
        assert reader.returncode == 69
    assert "the daemon does not answer" in errors


def test_what_there_is_no_log_of_is_told_apart(place: Site) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    run = ended(place, started(place))
    unknown = shown(place, "ffff")
    assert (unknown.returncode, unknown.stderr) == (1, "syncd: there is no run 'ffff'\n")
    file_of(place, run).unlink()
    removed = shown(place, str(run))
    assert removed.returncode == 1
    assert f"the log of run {run} is not kept any more" in removed.stderr
    process.stop()
    alone = shown(place, str(run))
    assert (alone.returncode, alone.stdout) == (1, "")
    assert f"the log of run {run} is not kept any more" in alone.stderr
    assert shown(place, "ffff").returncode == 1


def test_a_killed_daemon_leaves_whole_lines_and_its_heir_goes_on_in_them(place: Site) -> None:
    place.configure({"hosts": job(isolation="process", retries=["1s"])})
    process = place.up()
    number = place.fault("hang", action="DescribeInstances")
    run = started(place)
    process.await_line("run started")
    until(lambda: place.rows("select from syncd.run_item where status = 'running'"), 20, "items")
    process.kill()
    before = kept(place, run)
    with file_of(place, run).open("ab") as file:
        file.write(b'{"event": "half of a li')  # as a kill may leave it in a write
    place.emulator.faults.clear(number)
    place.up()
    ended(place, run)
    lines = place.client.log(str(run), 0)["lines"]
    assert lines[: len(before)] == before
    assert lines[len(before)] == {"event": '{"event": "half of a li'}
    check_names(lines[len(before) + 1 :], "hosts", run)
    assert lines[len(before) + 1]["event"] == "run recovered: its process died"
    assert lines[-1]["event"] == "run ended"
    check_records(place)


def test_no_log_holds_a_handle_and_a_waiting_run_neither(place: Site) -> None:
    place.configure({"hosts": job(retries=["1h"], timeout="1m")})
    process = place.up()
    for _ in range(3):
        ended(place, started(place))
    place.fault("bad_gateway", action="DescribeInstances")
    run = started(place)
    until(lambda: place.runs("id = %s and next_attempt_at is not null", run), 60, "it waits")
    until(lambda: "run ended" in file_of(place, run).read_text(), 10, "its last line")
    names = [str(p.readlink()) for p in Path(f"/proc/{process.pid}/fd").iterdir() if p.is_symlink()]
    assert [name for name in names if "/logs/" in name] == []


@contextmanager
def full_disk(place: Site) -> Iterator[None]:
    """Let the logs be on a disk of their own without room; where none can be mounted, on none."""
    directory = place.state_dir / "logs"
    place.state_dir.mkdir(mode=0o711)
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)]
    mounted = False
    with suppress(FileNotFoundError):
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if mounted:
        with suppress(OSError), (directory / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4_096))
    else:
        directory.rmdir()
        directory.write_text("in the way")
    try:
        yield
    finally:
        place.put_away()
        if mounted:
            subprocess.run(["umount", directory], check=True)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_full_disk_costs_the_logs_of_runs_and_nothing_else(place: Site, isolation: str) -> None:
    with full_disk(place):
        place.configure({"hosts": job(isolation=isolation)})
        process = place.up()
        rows = [_final(place, started(place)) for _ in range(2)]
        assert [row["status"] for row in rows] == ["success", "success"]
        told = process.lines("lines of runs can't be kept")
        # each process tells of it once: the daemon, and that of each attempt
        assert len(told) == (1 if isolation == "thread" else 3)
        assert all("level=warning" in line for line in told)
        assert process.lines("level=error") == []
        assert len(process.lines("run ended", "status=success")) == 2
        assert process.stop() == 0
        check_records(place)


def _final(place: Site, run: UUID) -> Row:
    until(lambda: place.client.wait(run, 10), 30, "the run's end")
    (row,) = place.runs("id = %s", run)
    return row


def test_a_command_that_works_without_a_daemon_keeps_its_logs_too(place: Site) -> None:
    place.configure({"hosts": job()})
    place.up().stop()
    sync = [sys.executable, "-m", "syncd", "--config", str(place.config), "sync", "hosts", "--json"]
    done = subprocess.run(sync, capture_output=True, text=True, check=True, timeout=60)
    (row,) = place.runs()
    check_names(kept(place, row["id"]), "hosts", row["id"])
    assert kept(place, row["id"])[-1]["event"] == "run ended"
    assert "run ended" not in done.stderr
    alone = shown(place, "--job", "hosts")
    assert alone.returncode == 0
    assert "run ended status=success" in alone.stdout


@contextmanager
def server() -> Iterator[EmbeddedPostgres]:
    """Give a PostgreSQL that is not the daemon's to start again."""
    with reachable_directory() as directory:
        made = EmbeddedPostgres(directory)
        try:
            yield made
        finally:
            made.stop(20)


def test_logs_are_read_while_the_store_is_gone() -> None:
    with server() as external, site(external.start(60), hosts=2) as place:
        place.configure({"hosts": job()})
        process = place.up()
        run = ended(place, started(place))
        whole = shown(place, str(run)).stdout
        external.stop(20)
        process.await_line("the store is lost", seconds=40)
        blind = shown(place, str(run)[:28])
        assert (blind.returncode, blind.stdout) == (0, whole), blind.stderr
        with pytest.raises(NotFound):
            place.client.log("ffff", 0)


TALKER = """
import logging, sys, threading, time

def talk():
    while len(logging.getLogger().handlers) < 2:  # until it is known where lines go
        time.sleep(0.005)
    logging.getLogger("some.library").warning("talk in a thread of its own")

if "syncd.attempt" in sys.orig_argv:
    threading.Thread(target=talk, daemon=True).start()
"""


def test_libraries_lines_in_the_process_of_an_attempt_bear_its_names(place: Site) -> None:
    place.configure({"hosts": job(isolation="process")})
    modules = place.directory / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(TALKER)
    place.fault("latency", seconds=0.3)
    process = place.up({"PYTHONPATH": str(modules)})
    run = ended(place, started(place))
    (line,) = [each for each in kept(place, run) if "logger" in each]
    check_names([line], "hosts", run)
    assert line["event"] == "talk in a thread of its own"
    assert process.lines("talk in a thread", f"job=hosts run={run}")


def test_the_journal_gets_names_and_priority_of_each_line_from_all_processes(place: Site) -> None:
    place.configure({"hosts": job(isolation="process")})
    stream = place.directory / "daemon-1.log"
    stream.touch()
    status = stream.stat()
    process = place.up({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    assert process.log == stream
    place.fault("permission", action="DescribeInstances")
    run = ended(place, started(place))
    priorities = {"info": "<6>", "warning": "<4>", "error": "<3>"}
    lines = process.text.splitlines()
    assert all(line.startswith(priorities[parsed(line)["level"]]) for line in lines)
    journal = [parsed(line) for line in process.lines(f"run={run}")]
    check_names(journal, "hosts", run)
    assert {line["event"] for line in journal} >= {"run started", "item failed", "run ended"}
    assert not any("timestamp" in line for line in journal)
