"""The embedded store from its first start to its last stop, through every crash on the way."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from embedded_helpers import (
    SECONDS,
    await_true,
    data_directory,
    keep_a_row,
    processes,
    query,
    starter,
)

from syncd.errors import StoreError, SyncdError
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.embedded.process import find_postmaster


def test_first_start_makes_a_checked_utf8_cluster_with_our_database(server: EmbeddedPostgres):
    told = query(
        server.start(SECONDS),
        "select concat_ws(' ', current_user, datname, current_setting('server_encoding'),"
        " current_setting('data_checksums'), current_setting('TimeZone'), current_setting('fsync'),"
        " datlocprovider, datlocale) from pg_database where datname = current_database()",
    )
    assert told == "syncd syncd UTF8 on UTC on b C.UTF-8"
    assert server.version is not None
    assert server.version.startswith("18.")


def test_second_start_adopts_the_running_server(running: EmbeddedPostgres, state_dir: Path):
    other = EmbeddedPostgres(state_dir)
    assert other.start(SECONDS) == running.dsn
    assert other.pid == running.pid
    assert running.start(SECONDS) == other.dsn


def test_data_outlive_a_stop(running: EmbeddedPostgres):
    keep_a_row(running.dsn)
    running.stop(SECONDS)
    assert query(running.start(SECONDS), "select n from kept") == 7


def test_server_outlives_its_killed_starter_and_is_adopted(
    server: EmbeddedPostgres, state_dir: Path
):
    with starter(state_dir) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGKILL)
    server.start(SECONDS)
    assert server.pid == pid
    assert os.getsid(pid) == pid  # no terminal's Ctrl-C reaches it


def test_two_starts_at_once_give_one_server(server: EmbeddedPostgres, state_dir: Path):
    starters = [starter(state_dir) for _ in range(3)]
    pids = set()
    for process in starters:
        with process:
            assert process.stdout is not None
            pids.add(process.stdout.readline())
            process.kill()
    assert pids == {f"{server.pid}\n"}


def test_killed_postmaster_is_started_again_though_a_backend_is_busy(
    running: EmbeddedPostgres, state_dir: Path
):
    keep_a_row(running.dsn)
    killed = running.pid
    assert killed is not None
    with psycopg.connect(running.dsn) as busy:
        endless = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b"
        busy.pgconn.send_query(endless.encode())
        backend = busy.info.backend_pid
        os.kill(killed, signal.SIGKILL)
        await_true(lambda: not running.is_running())
        assert backend in processes(state_dir)
        assert query(running.start(SECONDS), "select n from kept") == 7
        busy.close()
    assert running.pid not in {None, killed}
    assert backend not in processes(state_dir)


def test_all_processes_killed_at_once(running: EmbeddedPostgres, state_dir: Path):
    keep_a_row(running.dsn)
    for pid in processes(state_dir):
        with suppress(ProcessLookupError):  # it has ended with those before it
            os.kill(pid, signal.SIGKILL)
    assert query(running.start(SECONDS), "select n from kept") == 7


def test_killed_child_makes_the_server_recover(running: EmbeddedPostgres, state_dir: Path):
    keep_a_row(running.dsn)
    for pid in processes(state_dir):
        if pid != running.pid:
            with suppress(ProcessLookupError):  # the server ends the others when one dies
                os.kill(pid, signal.SIGKILL)
    await_true(lambda: _starts(running))
    await_true(lambda: _answers(running.dsn))
    assert query(running.dsn, "select n from kept") == 7


def test_stale_pid_file_whose_number_another_process_has(
    running: EmbeddedPostgres, state_dir: Path
):
    pid_file = data_directory(state_dir) / "postmaster.pid"
    lock = state_dir / "postgresql" / "run" / ".s.PGSQL.5432.lock"
    left = {path: path.read_text() for path in (pid_file, lock)}
    owner = data_directory(state_dir).stat().st_uid
    old = str(running.pid)
    running.stop(SECONDS)
    other_user = owner if os.geteuid() == 0 else None
    lock.parent.mkdir(exist_ok=True)
    with subprocess.Popen(["sleep", "60"], user=other_user) as other:
        try:
            for path, text in left.items():
                path.write_text(text.replace(old, str(other.pid), 1))
                os.chown(path, owner, -1)
                path.chmod(0o600)
            assert not running.is_running()
            running.stop(SECONDS)  # must not touch the other process
            running.start(SECONDS)
            assert other.poll() is None
        finally:
            other.kill()


def test_garbage_in_the_pid_file(running: EmbeddedPostgres, state_dir: Path):
    running.stop(SECONDS)
    for garbage in (b"", b"\xff\0\n", b"1\n", b"99999999999\n/x\n0\n5432\n/x\n\n\nready\n"):
        (data_directory(state_dir) / "postmaster.pid").write_bytes(garbage)
        assert not running.is_running()
        running.start(SECONDS)
        running.stop(SECONDS)


def test_a_pid_file_that_is_a_folder_is_named_and_no_server(
    server: EmbeddedPostgres, state_dir: Path
):
    (data_directory(state_dir) / "postmaster.pid").mkdir(parents=True)
    assert not server.is_running()
    server.stop(SECONDS)
    with pytest.raises(SyncdError, match=str(state_dir)):
        server.start(SECONDS)


def test_starter_killed_in_the_middle_of_initdb(server: EmbeddedPostgres, state_dir: Path):
    home = state_dir / "postgresql"
    with starter(state_dir) as process:
        await_true(lambda: list(home.glob("unfinished-*/global/*")))
        process.kill()
    assert not data_directory(state_dir).exists()
    server.start(SECONDS)
    assert query(server.dsn, "select 1") == 1
    server.stop(SECONDS)
    server.start(SECONDS)
    assert not list(home.glob("unfinished-*/*"))


def test_server_that_is_stopping_is_replaced(running: EmbeddedPostgres, state_dir: Path):
    old = running.pid
    assert old is not None
    with psycopg.connect(running.dsn) as client:
        client.execute("select 1")
        os.kill(old, signal.SIGTERM)  # a smart shutdown: waits for the client
        await_true(lambda: _state(state_dir) == "stopping")
        running.start(SECONDS)
        assert running.pid != old
        client.close()


def test_server_that_lost_its_socket_is_replaced(running: EmbeddedPostgres, state_dir: Path):
    old = running.pid
    (state_dir / "postgresql" / "run" / ".s.PGSQL.5432").unlink()
    assert query(running.start(SECONDS), "select 1") == 1
    assert running.pid != old


def test_stop_is_idempotent_and_ends_what_runs(running: EmbeddedPostgres, state_dir: Path):
    with psycopg.connect(running.dsn) as client:
        client.execute("select 1")
        client.pgconn.send_query(b"select pg_sleep(600)")
        running.stop(SECONDS)
        client.close()
    assert not processes(state_dir)
    running.stop(SECONDS)
    EmbeddedPostgres(state_dir / "never-started").stop(SECONDS)
    assert not (state_dir / "never-started").exists()


def test_start_in_too_little_time_goes_on_at_the_next_call(
    server: EmbeddedPostgres, state_dir: Path
):
    with pytest.raises(StoreError, match=str(state_dir)):
        server.start(0.01)
    assert query(server.start(SECONDS), "select 1") == 1


def test_stop_ends_a_server_that_has_only_just_been_started(
    running: EmbeddedPostgres, state_dir: Path
):
    running.stop(SECONDS)
    with pytest.raises(StoreError, match="not ready"):
        running.start(0)
    assert running.is_running()
    running.stop(SECONDS)
    assert not processes(state_dir)


def _state(state_dir: Path) -> str | None:
    found = find_postmaster(data_directory(state_dir))
    return found.state if found else None


def _starts(server: EmbeddedPostgres) -> bool:
    """Try to start it: a server that has not seen yet what died takes a connection, and cuts it."""
    try:
        return bool(server.start(SECONDS))
    except StoreError:
        return False


def _answers(dsn: str) -> bool:
    try:
        return query(dsn, "select 1") == 1
    except psycopg.OperationalError:  # it recovers
        return False
