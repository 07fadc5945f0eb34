"""Configurations that can't be used, a full disk, and secrets that must not be seen."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from daemon_helpers import Site, check_records, inventory, job, secrets_of, site, truth, until
from toml_text import toml

from syncd.model.run import Selection

CONFIGURATION = 78


@pytest.fixture
def place(dsn: str) -> Iterator[Site]:
    """Give a site whose store is a database of its own on the server of the tests."""
    with site(dsn) as made:
        yield made


def refused(place: Site) -> list[str]:
    """Start a daemon that can't use its configuration; return the lines that it prints."""
    process = place.start()
    assert process.wait(20) == CONFIGURATION
    assert not place.state_dir.exists()
    assert "Traceback" not in process.text
    lines = process.text.splitlines()
    assert lines
    assert all(str(place.config) in line for line in lines)
    return lines


def test_a_missing_file_is_refused(place: Site) -> None:
    (line,) = refused(place)
    assert "does not exist" in line or "No such file" in line


def test_a_directory_in_place_of_the_file_is_refused(place: Site) -> None:
    place.config.mkdir()
    (line,) = refused(place)
    assert "is a directory" in line


@pytest.mark.parametrize(
    "content",
    [b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)) * 40, b"\x00" * 4096, b"[daemon\n"],
    ids=["binary", "zeros", "half a line"],
)
def test_what_is_not_toml_is_refused_in_one_line(place: Site, content: bytes) -> None:
    place.write(content)
    (line,) = refused(place)
    assert line.isprintable()


def test_ten_megabytes_are_refused_at_once(place: Site) -> None:
    place.write(b"# a comment that goes on and on\n" * 320_000)
    (line,) = refused(place)
    assert "MiB" in line or "large" in line


def test_an_unreadable_file_is_refused(place: Site) -> None:
    place.configure({"hosts": job()})
    place.config.chmod(0)
    if os.geteuid() != 0:
        (line,) = refused(place)
        assert "ermission" in line
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    ended = subprocess.run(
        [sys.executable, "-c", _AS_SOMEBODY, str(nobody), str(place.config)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert ended.returncode == CONFIGURATION, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert "ermission" in line
    assert str(place.config) in line


_AS_SOMEBODY = """
import os, sys
from syncd.cli import main, service
from syncd import app
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
sys.argv = ["syncd", "--config", sys.argv[2], "run"]
main.main()
"""


def test_an_inline_secret_that_others_can_read_is_refused_and_not_shown(place: Site) -> None:
    place.configure({"hosts": job()})
    place.config.chmod(0o644)
    lines = refused(place)
    assert len([line for line in lines if "access_key_secret" in line]) == 2
    assert not any(secret in line for secret in secrets_of(place) for line in lines)


def test_twenty_mistakes_are_all_told_at_once(place: Site) -> None:
    wrong = {f"job-{n}": job(every="1x", retires=[], kind="cloud") for n in range(10)}
    place.write(toml(place.tables(wrong)))
    lines = refused(place)
    assert len(lines) >= 20
    for n in range(10):
        assert any(f"jobs.job-{n}.every" in line for line in lines)
        assert any(f"jobs.job-{n}.retires" in line and "retries" in line for line in lines)
    assert all(re.search(r"syncd\.toml:\d+: ", line) for line in lines)


def test_an_empty_file_is_a_daemon_with_its_upkeep_alone(place: Site) -> None:
    place.write("")
    process = place.start(
        {
            "SYNCD_DAEMON__STATE_DIR": str(place.state_dir),
            "SYNCD_STORE__DSN": place.dsn,
            "SYNCD_LISTEN__HTTP": "off",
        }
    ).await_ready()
    assert [job["name"] for job in place.client.jobs()] == ["retention"]
    assert process.stop() == 0
    assert process.lines("level=error") == []


@contextmanager
def small_disk(place: Site, size: str) -> Iterator[None]:
    """Let the state directory be a disk of its own."""
    if shutil.which("mount") is None:
        pytest.skip("a small disk can't be mounted here: there is no mount command")
    place.state_dir.mkdir(mode=0o711)
    options = f"size={size},mode=0711"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place.state_dir],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        place.put_away()
        subprocess.run(["umount", place.state_dir], check=True)


def fill(file: Path) -> None:
    """Take all space that is left."""
    with file.open("wb", buffering=0) as taken:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    taken.write(bytes(size))
            except OSError:
                continue


def test_a_full_disk_stops_no_daemon_and_makes_no_wrong_record() -> None:
    with site(hosts=3) as place, small_disk(place, "256m"):
        place.configure({"hosts": job(every="1s")})
        process = place.up()
        until(lambda: place.runs("status = 'success'"), 20, "a run")
        fill(place.state_dir / "filler")
        for account in place.emulator.world.accounts.values():
            for region in account.regions.values():
                region.add(3_000)
        line = process.await_line("No space left on device", "level=error", seconds=30)
        assert "disk" in line
        assert process.get("/healthz")[0] == 200
        assert len(inventory(place)) in (6, 3_006)  # an item is there as a whole, or not at all
        (place.state_dir / "filler").unlink()
        until(lambda: inventory(place) == truth(place.emulator), 60, "all hosts")
        until(lambda: process.ready_answer()[0] == 200, 20, "ready")
        assert process.metric("syncd_outbox_records") == 0
        assert process.stop() == 0
        place.server.start(30)
        check_records(place)
        assert place.runs("status = 'running'") == []
        assert "Traceback" not in process.text


def test_a_disk_that_is_full_at_the_start_is_named() -> None:
    with site() as place, small_disk(place, "4m"):
        place.configure({"hosts": job()})
        fill(place.state_dir / "filler")
        process = place.start()
        assert process.wait() == 69
        (line,) = process.text.splitlines()
        assert str(place.state_dir) in line
        assert "No space left on device" in line


def test_no_secret_is_seen_anywhere(place: Site) -> None:
    place.configure({"hosts": job(retries=["1s"]), "bad": job(retries=[])})
    process = place.up()
    seen = []
    for kind in ("authentication", "throttled", "permission", "broken_json", "bad_gateway"):
        number = place.fault(kind, probability=0.5, code="Echoed")
        run = place.client.trigger("hosts", Selection(), "me")
        until(lambda run=run: place.client.wait(run, 5), 60, kind)  # type: ignore[misc]
        seen.append(str(place.client.run(str(run))))
        place.emulator.faults.clear(number)
    for account in place.emulator.world.accounts.values():
        account.secret = "another"  # the clouds refuse the signature, and say what was signed
    run = place.client.trigger("bad", Selection(), "me")
    until(lambda: place.client.wait(run, 5), 20, "a run")
    assert place.client.run(str(run))["status"] == "failed"
    paths = ("/metrics", "/status", "/jobs", "/runs", "/changes", "/resources", "/overview")
    seen += [process.get(path)[1] for path in paths]
    place.write(place.config.read_text().replace("every", "evry") + "\n[nonsense]\n")
    process.send(signal.SIGHUP)
    process.await_line("reload failed")
    assert process.stop() == 0
    seen += [process.text, _dump(place.dsn)]
    for secret in ("emulated-secret-aliyun", "emulated-secret-tencent"):
        assert not [text for text in seen if secret in text]
    # what was looked through is the real thing
    assert "resource added" in process.text
    assert len(seen[-1]) > 10_000


def _dump(dsn: str) -> str:
    """Return all rows of all tables as text."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'syncd'"
        ).fetchall()
        return "\n".join(
            str(connection.execute(f"select t::text from syncd.{name} t".encode()).fetchall())
            for (name,) in tables
        )
