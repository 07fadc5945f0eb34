"""A dump put in the place of the store: wholly or not at all, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg
import pytest
from embedded_helpers import SECONDS, as_root, await_true, processes, query, stopped_after

from syncd.context import CancelToken, Deadline
from syncd.errors import BadData, ConfigurationError, StoreError, SyncdError
from syncd.store.backups import Backups, Dump, Room
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.migrate import migrate, shipped
from syncd.store.restore import Restored, check_contents, restore

LOCAL = "cli:here:1"
_RESTORER = """
import sys
from pathlib import Path
from syncd.store.backups import Backups
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.restore import restore
state_dir = Path(sys.argv[1])
server = EmbeddedPostgres(state_dir)
server.start(30)
with open(sys.argv[2], "rb") as file:
    print("begins", flush=True)
    restore(server, file, Backups(state_dir), local="cli:x", spare=0, tell=print)
print("done", flush=True)
"""


@pytest.fixture
def dumped(running: EmbeddedPostgres, state_dir: Path) -> Dump:
    """Give the dump of a store at work, in which something has changed since."""
    with closing(Store(running.dsn, pool_min=1)) as store:
        store.open()
        migrate(store)
    mark(running, "old")
    dump = make(running, state_dir)
    mark(running, "new")
    return dump


def make(server: EmbeddedPostgres, state_dir: Path) -> Dump:
    deadline = Deadline.after(SECONDS)
    return Backups(state_dir).make(
        server.dsn, "syncd", datetime.now(UTC), Room(1, 0), deadline, CancelToken()
    )


def mark(server: EmbeddedPostgres, text: str) -> None:
    """Have the store tell which it is."""
    execute(server, f"comment on schema syncd is '{text}'")


def marked(server: EmbeddedPostgres) -> object:
    return query(server.dsn, "select obj_description('syncd'::regnamespace)")


def execute(server: EmbeddedPostgres, text: str) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(text.encode())


def databases(server: EmbeddedPostgres) -> object:
    return query(
        server.conninfo("postgres"),
        "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate",
    )


def put_back(server: EmbeddedPostgres, state_dir: Path, path: Path, **changes: int) -> Restored:
    with path.open("rb") as file:
        check_contents(file)
        spare = changes.get("spare", 0)
        backups = Backups(state_dir)
        return restore(server, file, backups, local=LOCAL, spare=spare, tell=print)


def test_a_dump_takes_the_place_of_the_store_and_back_again(
    running: EmbeddedPostgres, state_dir: Path, dumped: Dump
) -> None:
    done = put_back(running, state_dir, dumped.path)
    assert marked(running) == "old"
    assert databases(running) == "postgres syncd"
    assert done.kept is None
    assert done.migrations == []
    assert done.safety is not None
    assert done.safety.kind == "before-restore"
    put_back(running, state_dir, done.safety.path)
    assert marked(running) == "new"


def test_what_is_connected_meanwhile_is_cut_off(
    running: EmbeddedPostgres, state_dir: Path, dumped: Dump
) -> None:
    with psycopg.connect(running.dsn) as guest:
        guest.execute("select 1")
        put_back(running, state_dir, dumped.path)
        with pytest.raises(psycopg.OperationalError):
            guest.execute("select 1")
    assert marked(running) == "old"


def test_a_new_cluster_takes_a_dump_and_has_nothing_to_save(
    running: EmbeddedPostgres, state_dir: Path, dumped: Dump
) -> None:
    execute(running, "drop schema syncd cascade")
    done = put_back(running, state_dir, dumped.path)
    assert (done.safety, done.kept) == (None, None)
    assert marked(running) == "old"
    assert databases(running) == "postgres syncd"


def test_an_older_schema_is_brought_up_to_date(
    running: EmbeddedPostgres, state_dir: Path, dumped: Dump
) -> None:
    *earlier, last = shipped()
    execute(running, "drop schema syncd cascade")
    with closing(Store(running.dsn)) as store:
        store.open()
        assert migrate(store, earlier) == earlier
    older = make(running, state_dir)
    done = put_back(running, state_dir, older.path)
    assert done.migrations == [last]
    assert query(running.dsn, "select max(number) from syncd.migration") == last.number


@pytest.mark.parametrize("left", [0.0, 0.2, 0.9, 0.9999])
def test_a_truncated_dump_changes_nothing(
    running: EmbeddedPostgres, state_dir: Path, dumped: Dump, left: float
) -> None:
    os.truncate(dumped.path, round(dumped.bytes * left))
    with pytest.raises(BadData, match=str(dumped.path)):
        put_back(running, state_dir, dumped.path)
    assert marked(running) == "new"
    assert databases(running) == "postgres syncd"


@pytest.mark.parametrize("content", [b"", b"hello", b"PGDMP", b"PGDMP\x01\x63\x00\x04\x08\x01" * 9])
def test_what_is_no_dump_is_refused(state_dir: Path, content: bytes) -> None:
    path = state_dir / "file"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(BadData, match=f"{path} can't be restored"):
        check_contents(file)


def test_a_dump_of_something_else_is_refused(running: EmbeddedPostgres, state_dir: Path) -> None:
    execute(running, "create table other as select 1 as n")
    other = make(running, state_dir)
    with other.path.open("rb") as file, pytest.raises(BadData, match="something else"):
        check_contents(file)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ("update syncd.migration set requires = '99.0'", ConfigurationError, "needs syncd 99.0"),
        ("update syncd.migration set digest = 'x'", ConfigurationError, "can't be trusted"),
        ("delete from syncd.migration", BadData, "no store"),
        ("alter table syncd.migration rename requires to r", BadData, "no store of syncd"),
    ],
)
def test_data_that_this_program_can_not_use_are_refused(
    running: EmbeddedPostgres,
    state_dir: Path,
    dumped: Dump,
    change: str,
    error: type[Exception],
    said: str,
) -> None:
    execute(running, change)
    bad = make(running, state_dir)
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute("drop schema syncd cascade")
    put_back(running, state_dir, dumped.path)
    with pytest.raises(error, match=said):
        put_back(running, state_dir, bad.path)
    assert marked(running) == "old"
    assert databases(running) == "postgres syncd"


def test_without_room_for_a_safety_copy_the_old_database_is_kept(
    running: EmbeddedPostgres, state_dir: Path, dumped: Dump
) -> None:
    done = put_back(running, state_dir, dumped.path, spare=1 << 60)
    assert done.safety is None
    assert done.kept is not None
    assert marked(running) == "old"
    kept = query(running.conninfo(done.kept), "select obj_description('syncd'::regnamespace)")
    assert kept == "new"


def test_what_processes_of_another_machine_held_is_free(
    running: EmbeddedPostgres, state_dir: Path, dumped: Dump
) -> None:
    for number, owner in enumerate(("cli:there:2", LOCAL, "daemon:there:2")):
        execute(
            running,
            f"""insert into syncd.run (id, job, kind, trigger, status, priority, attempt,
                    max_attempts, scheduled_for, created_at, started_at, owner, owner_epoch,
                    config_digest)
                values (gen_random_uuid(), 'job{number}', 'cloud', 'manual', 'running', 'normal',
                        1, 2, now(), now(), now(), '{owner}', 1, '')""",
        )
    execute(
        running,
        "insert into syncd.leader (holder, epoch, acquired_at, expires_at)"
        " values ('daemon:there:2', 9, now(), now() + interval '1 day')",
    )
    running_at_dump = make(running, state_dir)
    put_back(running, state_dir, running_at_dump.path)
    left = "select string_agg(owner, ' ' order by owner) from syncd.run where status = 'running'"
    assert query(running.dsn, left) == f"{LOCAL} daemon:there:2"
    assert query(running.dsn, "select epoch from syncd.leader where expires_at <= now()") == 9


@as_root
def test_a_disk_that_fills_up_under_a_restore_leaves_the_old_store(
    state_dir: Path, made: Path, small_disk: Callable[[Path, str], None]
) -> None:
    small = state_dir / "small"
    small.mkdir()
    small_disk(small, "400m")  # with room for a log that a busy machine writes off late
    subprocess.run(["cp", "-a", made / "postgresql", small], check=True)
    for server in stopped_after(EmbeddedPostgres(small), small):
        server.start(SECONDS)
        with closing(Store(server.dsn, pool_min=1)) as store:
            store.open()
            migrate(store)
        execute(
            server,
            """create table bulk as
               select string_agg(sha512((g * 1000 + i)::text::bytea), ''::bytea)
               from generate_series(1, 640) g, generate_series(1, 1024) i group by g""",
        )
        dump = make(server, small)
        mark(server, "new")
        free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
        with (small / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, free - (20 << 20))
        with pytest.raises(SyncdError, match=r"No space left|server closed|the embedded store"):
            put_back(server, small, dump.path)
        (small / "ballast").unlink()
        server.start(SECONDS)
        await_true(partial(_answers, server))
        assert marked(server) == "new"
        put_back(server, small, dump.path)
        assert databases(server) == "postgres syncd"


def _answers(server: EmbeddedPostgres) -> bool:
    try:
        return query(server.dsn, "select 1") == 1
    except psycopg.OperationalError:  # it recovers
        return False


@pytest.mark.parametrize("moment", range(12))
def test_killed_at_any_moment_the_store_is_the_old_or_the_new_one(
    running: EmbeddedPostgres, state_dir: Path, dumped: Dump, moment: int
) -> None:
    command = [sys.executable, "-c", _RESTORER, str(state_dir), str(dumped.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as restorer:
        assert restorer.stdout is not None
        assert restorer.stdout.readline() == "begins\n"
        if moment % 2:
            time.sleep(moment * 0.1)  # the moment is what is random here
            restorer.kill()
            for pid in processes(state_dir):
                _kill(pid)
        else:
            await_true(lambda: _reached(running, moment // 2) or restorer.poll() is not None)
            restorer.kill()
    running.start(SECONDS)
    assert marked(running) in ("old", "new")
    put_back(running, state_dir, dumped.path)
    assert marked(running) == "old"
    assert databases(running) == "postgres syncd"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # the server ends its others when one dies


def _reached(server: EmbeddedPostgres, step: int) -> bool:
    """Tell whether a restore is at a step: a database beside, filled, dumping, swapped, done."""
    there = str(databases(server)).split()
    steps: list[Callable[[], bool]] = [
        lambda: "syncd_restoring" in there,
        lambda: "syncd_restoring" in there and _filled(server),
        lambda: bool(list((server._state_dir / "backups").glob("unfinished-before*"))),
        lambda: bool(list((server._state_dir / "backups").glob("before-restore-*"))),
        lambda: "syncd_replaced" in there,
        lambda: marked(server) == "old",
    ]
    try:
        return steps[step]()
    except (psycopg.Error, StoreError):
        return False  # cut off, or between two names


def _filled(server: EmbeddedPostgres) -> bool:
    beside = server.conninfo("syncd_restoring")
    return query(beside, "select to_regclass('syncd.migration') is not null") is True
