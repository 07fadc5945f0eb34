"""Dumps of the embedded store: whole and kept, or not there at all, whatever ends one."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from embedded_helpers import SECONDS, as_root, await_true

from syncd.context import CancelSource, CancelToken, Deadline
from syncd.errors import BadData, Cancelled, Conflict, NotFound, Permission, StoreError, TimedOut
from syncd.store.backups import Backups, Dump, Room
from syncd.store.embedded import EmbeddedPostgres, tools

NOW = datetime(2026, 11, 25, 2, 47, 0, 123_456, tzinfo=UTC)
ROOMY = Room(needed=1, spare=0)
_DUMPER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from syncd.context import CancelToken, Deadline
from syncd.store.backups import Backups, Room
backups = Backups(Path(sys.argv[1]))
backups.make(
    sys.argv[2], "syncd", datetime.now(UTC), Room(1, 0), Deadline.after(60), CancelToken()
)
"""


@pytest.fixture
def backups(running: EmbeddedPostgres, state_dir: Path) -> Backups:
    """Give the folder of a running server's dumps, with something to dump."""
    execute(running.dsn, "create table kept as select n from generate_series(1, 1000) n")
    return Backups(state_dir)


def execute(dsn: str, text: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(text.encode())


def make(
    backups: Backups,
    dsn: str,
    *,
    at: datetime = NOW,
    room: Room = ROOMY,
    seconds: float = SECONDS,
    cancel: CancelToken | None = None,
) -> Dump:
    return backups.make(dsn, "syncd", at, room, Deadline.after(seconds), cancel or CancelToken())


def fill(dsn: str, mebibytes: int) -> None:
    """Store so much that does not compress."""
    text = f"""create table bulk as
               select string_agg(sha512((g * 1000 + i)::text::bytea), ''::bytea)
               from generate_series(1, {mebibytes * 16}) g, generate_series(1, 1024) i
               group by g"""
    execute(dsn, text)


@contextmanager
def held_up(dsn: str) -> Iterator[None]:
    """Have a dump wait for a table that somebody holds."""
    with psycopg.connect(dsn) as holder:
        holder.execute("lock table kept in access exclusive mode")
        yield


def dumping(dsn: str) -> bool:
    """Tell whether a pg_dump waits for a lock."""
    with psycopg.connect(dsn) as connection:
        query = """select from pg_stat_activity where application_name = 'pg_dump'
                   and wait_event_type = 'Lock'"""
        return connection.execute(query).fetchone() is not None


def names(backups: Backups) -> list[str]:
    return sorted(path.name for path in backups.path.iterdir())


def programs(name: str) -> list[int]:
    """Return the living processes of a program that this process started."""
    children = [
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]
    return [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"]


def test_a_dump_is_ours_alone_and_whole(backups: Backups, running: EmbeddedPostgres) -> None:
    dump = make(backups, running.dsn)
    assert dump.path.name == "syncd-20261125T024700.123Z.dump"
    assert dump.path.stat().st_mode & 0o777 == 0o600
    assert backups.path.stat().st_mode & 0o777 == 0o700
    assert dump.bytes == dump.path.stat().st_size > 0
    with dump.path.open("rb") as file:
        assert "TABLE DATA public kept" in tools.contents(
            file, Deadline.after(SECONDS), CancelToken()
        )
    (listed,) = backups.dumps()
    assert (listed.path, listed.kind, listed.bytes) == (dump.path, "syncd", dump.bytes)
    assert listed.made_at == NOW.replace(microsecond=123_000)


def test_a_dump_holds_up_no_writer(backups: Backups, running: EmbeddedPostgres) -> None:
    fill(running.dsn, 8)
    wrote = []

    def write(piece: bytes) -> None:
        if not wrote:
            execute(running.dsn, "insert into kept values (-1)")
            wrote.append(len(piece))

    tools.dump(running.dsn, write, Deadline.after(SECONDS), CancelToken())
    assert wrote


def test_a_cancelled_dump_is_gone_with_its_process(
    backups: Backups, running: EmbeddedPostgres
) -> None:
    source = CancelSource()

    def cancel() -> None:
        await_true(lambda: dumping(running.dsn))
        source.cancel(Cancelled("enough"))

    other = threading.Thread(target=cancel)
    with held_up(running.dsn):
        other.start()
        with pytest.raises(Cancelled, match="enough"):
            make(backups, running.dsn, cancel=source.token)
        assert names(backups) == []
        assert programs("pg_dump") == []
    other.join()


def test_a_dump_that_waits_for_a_lock_ends_with_its_time(
    backups: Backups, running: EmbeddedPostgres
) -> None:
    with held_up(running.dsn), pytest.raises(TimedOut):
        make(backups, running.dsn, seconds=0.5)
    assert names(backups) == []
    assert programs("pg_dump") == []


def test_a_dump_that_fails_says_why_and_leaves_the_older_ones(
    backups: Backups, running: EmbeddedPostgres
) -> None:
    old = make(backups, running.dsn, at=NOW - timedelta(days=1))
    running.stop(SECONDS)
    with pytest.raises(StoreError, match=r"pg_dump: .*connection to server.*failed"):
        make(backups, running.dsn)
    assert names(backups) == [old.path.name]


def test_a_server_that_dies_under_a_dump_leaves_none(
    backups: Backups, running: EmbeddedPostgres
) -> None:
    with held_up(running.dsn):
        killer = threading.Thread(target=lambda: _kill_when_dumping(running))
        killer.start()
        with pytest.raises(StoreError, match="pg_dump"):
            make(backups, running.dsn)
        killer.join()
    assert names(backups) == []
    running.start(SECONDS)


def _kill_when_dumping(server: EmbeddedPostgres) -> None:
    await_true(lambda: dumping(server.dsn))
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'pg_dump'"
        )


def test_what_a_killed_process_left_is_removed_by_the_next(
    backups: Backups, running: EmbeddedPostgres, state_dir: Path
) -> None:
    command = [sys.executable, "-c", _DUMPER, str(state_dir), running.dsn]
    with held_up(running.dsn), subprocess.Popen(command) as dumper:
        await_true(lambda: dumping(running.dsn))
        (child,) = _children(dumper.pid)
        assert [name[:11] for name in names(backups)] == ["unfinished-"]
        with pytest.raises(Conflict, match="another dump"):
            make(backups, running.dsn)
        dumper.kill()
    dump = make(backups, running.dsn)
    assert names(backups) == [dump.path.name]
    await_true(lambda: not Path(f"/proc/{child}").exists())


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_too_little_room_is_told_before_anything_is_done(
    backups: Backups, running: EmbeddedPostgres
) -> None:
    with pytest.raises(StoreError, match=r"a dump takes about .*min_free_disk"):
        make(backups, running.dsn, room=Room(needed=1 << 60, spare=0))
    assert names(backups) == []


def test_room_is_reckoned_from_the_last_dump(backups: Backups, running: EmbeddedPostgres) -> None:
    assert backups.room(1 << 30, 5) == Room(1 << 30, 5)
    dump = make(backups, running.dsn)
    assert backups.room(1 << 30, 5) == Room(round(dump.bytes * 1.2), 5)
    assert backups.room(10, 5).needed == 10


@as_root
def test_a_dump_is_broken_off_before_the_disk_is_full(
    backups: Backups, running: EmbeddedPostgres, small_disk: Callable[[Path, str], None]
) -> None:
    fill(running.dsn, 24)
    backups.path.mkdir()
    small_disk(backups.path, "20m")
    with pytest.raises(StoreError, match="min_free_disk"):
        make(backups, running.dsn, room=Room(needed=1, spare=8 << 20))
    assert names(backups) == []
    with pytest.raises(StoreError, match="No space left"):
        make(backups, running.dsn)
    assert names(backups) == []


@pytest.mark.parametrize("left", [0.0, 0.3, 0.999])
def test_a_truncated_dump_is_noticed(
    backups: Backups, running: EmbeddedPostgres, left: float
) -> None:
    whole = make(backups, running.dsn)
    with whole.path.open("r+b") as file:
        tools.check(file, Deadline.after(SECONDS), CancelToken())
        file.truncate(round(whole.bytes * left))
        with pytest.raises(BadData, match=str(whole.path)):
            tools.check(file, Deadline.after(SECONDS), CancelToken())


def test_a_dump_with_a_wrong_byte_is_noticed(backups: Backups, running: EmbeddedPostgres) -> None:
    whole = make(backups, running.dsn)
    with whole.path.open("r+b") as file:
        file.seek(-20, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))
        file.flush()
        with pytest.raises(BadData, match="can't be restored"):
            tools.check(file, Deadline.after(SECONDS), CancelToken())


def test_only_regular_dumps_are_counted_and_those_of_the_future_are_the_oldest(
    state_dir: Path,
) -> None:
    backups = Backups(state_dir)
    assert backups.dumps() == []
    with pytest.raises(NotFound, match="no dump"):
        backups.latest()
    backups.path.mkdir()
    for name in (
        "syncd-20261123T000000.000Z.dump", "syncd-20261124T000000.000Z.dump",
        "syncd-20301124T000000.000Z.dump", "before-restore-20201124T000000.000Z.dump",
        "syncd-20261199T000000.000Z.dump", "mine.dump", "syncd-20261124T000000.000Z.dump.txt",
    ):  # fmt: skip
        (backups.path / name).touch()
    (backups.path / "syncd-20201124T000000.000Z.dump").symlink_to(state_dir)
    surplus = [dump.path.name for dump in backups.surplus(1, NOW)]
    assert surplus == ["syncd-20261123T000000.000Z.dump", "syncd-20301124T000000.000Z.dump"]
    backups.remove(backups.surplus(1, NOW))
    backups.remove(backups.surplus(1, NOW))
    assert "mine.dump" in names(backups)
    assert backups.latest().path.name == "syncd-20261124T000000.000Z.dump"


def test_a_folder_that_is_a_file_is_named(running: EmbeddedPostgres, state_dir: Path) -> None:
    (state_dir / "backups").touch()
    with pytest.raises(StoreError, match=f"{state_dir}/backups: "):
        make(Backups(state_dir), running.dsn)


@pytest.mark.parametrize("kind", ["pipe", "folder", "pipe of the folder"])
def test_what_is_no_plain_file_is_refused_at_once(state_dir: Path, kind: str) -> None:
    backups = Backups(state_dir)
    backups.path.mkdir()
    place = backups.path / "odd"
    place.mkdir() if kind == "folder" else os.mkfifo(place)
    name = place.name if kind == "pipe of the folder" else str(place)
    with pytest.raises(BadData, match="odd is no plain file"), backups.opened(name):
        pass


@as_root
def test_root_opens_no_dump_through_a_link_that_its_owner_could_not(state_dir: Path) -> None:
    backups, closed = Backups(state_dir), state_dir.parent / "closed"
    backups.path.mkdir()
    closed.touch(mode=0o600)
    (backups.path / "link.dump").symlink_to(closed)
    os.chown(state_dir, 65534, 65534)
    with pytest.raises(Permission, match="Permission denied"), backups.opened("link.dump"):
        pass
    with backups.opened(str(closed)) as file:
        assert file.name == str(closed)
