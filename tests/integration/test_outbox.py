"""Records that the store can't take: kept on disk, recorded in order, never doubled or lost."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from databases import reachable_directory
from dispatch_helpers import NOON, SECONDS, Bench, FakeJob, HandClock, fail, spec, succeed

from syncd.context import RunContext
from syncd.errors import Network, StoreError
from syncd.model.run import Claim, Counts, Outcome, RunId, Target, new_run_id
from syncd.store import items
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.items import ItemEnd, ResourceError
from syncd.store.migrate import migrate
from syncd.store.outbox import RESERVED, Outbox, Owed
from syncd.store.runs import RunEnd

CLAIM = Claim(RunId(UUID(int=7)), "daemon:x", 3, 2)


def owed_item(number: int = 1, claim: Claim = CLAIM, text: str = "x") -> Owed:
    errors = [ResourceError("i-\u20ac", "bad_data", "odd\nline"), ResourceError(None, "guard", "")]
    end = ItemEnd(
        number, Outcome("failed", "network", text), Counts(errors=2), {"k": [1, None]}, errors,
        NOON, NOON, 0.1 + 0.2,
    )  # fmt: skip
    return Owed(claim, item=end)


def owed_run(claim: Claim = CLAIM) -> Owed:
    return Owed(claim, run=RunEnd(Outcome("pending", "store", "x"), NOON, 1 / 3, NOON))


def kept(directory: Path) -> list[Owed]:
    """Return what a new process finds in the file."""
    outbox, found = Outbox(directory), []
    outbox.flush(found.append)
    outbox.close()
    return found


def test_records_come_back_as_they_were_and_in_order(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    records = [owed_item(1), owed_item(2), owed_run()]
    for record in records:
        outbox.add(record)
    assert (len(outbox), outbox.runs_owed()) == (3, 1)
    assert outbox.owes(CLAIM)
    assert not outbox.owes(replace(CLAIM, attempt=1))
    outbox.close()
    assert kept(tmp_path) == records
    assert kept(tmp_path) == []


def test_a_flush_that_fails_keeps_what_is_left(tmp_path: Path) -> None:
    outbox, taken = Outbox(tmp_path), []
    for number in range(3):
        outbox.add(owed_item(number))

    def record(owed: Owed) -> None:
        if taken:
            raise StoreError("gone again")
        taken.append(owed)

    with pytest.raises(StoreError):
        outbox.flush(record)
    assert len(outbox) == 2
    outbox.add(owed_run())
    assert outbox.flush(taken.append) == 3
    assert taken == [owed_item(0), owed_item(1), owed_item(2), owed_run()]
    outbox.close()


def test_a_torn_line_ends_the_file_and_is_written_over(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.add(owed_item(1))
    outbox.add(owed_item(2))
    outbox.close()
    file = tmp_path / "records"
    content = file.read_bytes()
    torn = content.rstrip(b"\0")[:-9]
    file.write_bytes(torn + bytes(len(content) - len(torn)))
    outbox = Outbox(tmp_path)
    assert len(outbox) == 1
    outbox.add(owed_run())
    outbox.close()
    assert kept(tmp_path) == [owed_item(1), owed_run()]


_KILLED = """
import sys
from pathlib import Path
from uuid import UUID
from test_outbox import Outbox, owed_item
outbox = Outbox(Path(sys.argv[1]))
number = 0
while True:
    outbox.add(owed_item(number))
    number += 1
    print(number, flush=True)
"""


def test_what_was_added_before_a_kill_is_kept(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    with process:
        while process.stdout.readline() != "20\n":
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    found = kept(tmp_path)
    assert len(found) >= 20
    assert found == [owed_item(number) for number in range(len(found))]


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk would not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_reserved_space_is_good_on_a_full_disk(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    large = owed_item(1, text="x" * 200_000)
    with full_disk(RESERVED):
        for _ in range(5):
            outbox.add(large)
        with pytest.raises(StoreError, match="records"):
            outbox.add(large)
        small = owed_run()
        outbox.add(small)
    outbox.close()
    assert kept(tmp_path) == [large] * 5 + [small]


def test_no_outbox_without_its_space(tmp_path: Path) -> None:
    with full_disk(RESERVED // 2), pytest.raises(StoreError, match="reserve"):
        Outbox(tmp_path)


def test_a_record_that_fencing_refuses_becomes_an_error_of_its_run(bench: Bench) -> None:
    claim = bench.begun()
    with bench.store.transaction() as tx:
        ((item,), _) = items.open_items(tx, claim, [Target("t")], [])
    bench.outbox.add(owed_item(item.id, claim))
    bench.outbox.add(owed_run(claim))
    bench.outbox.add(owed_run(replace(claim, run_id=new_run_id(NOON))))  # of a run that is gone
    bench.execute("update syncd.run set status = 'failed'")  # recovered by another daemon
    bench.execute("update syncd.run_item set status = 'failed'")
    bench.recorder.flush()
    assert bench.recorder.owed == 0
    texts = [row[0] for row in bench.execute("select error from syncd.run_error order by id")]
    assert len(texts) == 2
    assert f"item {item.id} failed x" in texts[0]
    assert "run pending x" in texts[1]


def test_a_record_that_the_store_can_not_hold_does_not_hold_up_the_others(bench: Bench) -> None:
    bad, good = bench.begun("a"), bench.begun("b")
    for claim in (bad, good):
        bench.outbox.add(owed_run(claim))
    first = bench.outbox._owed[0]
    bench.outbox._owed[0] = Owed(bad, run=replace(first.run, outcome=Outcome("failed", None, "\0")))  # type: ignore[type-var]
    bench.recorder.flush()
    assert dict(bench.execute("select job, status from syncd.run")) == {
        "a": "running", "b": "pending",
    }  # fmt: skip
    assert bench.one("select run_id from syncd.run_error") == bad.run_id


def test_a_record_that_stands_already_is_not_doubled(bench: Bench) -> None:
    claim = bench.begun()
    with bench.store.transaction() as tx:
        ((item,), _) = items.open_items(tx, claim, [Target("t")], [])
    for _ in range(2):  # the second time as after a crash before the file was emptied
        bench.outbox.add(owed_item(item.id, claim))
        bench.outbox.add(owed_run(claim))
        bench.recorder.flush()
    assert bench.one("select count(*) from syncd.run_error") == 2  # those of the item
    assert bench.one("select status, errors from syncd.run") == ("pending", 2)


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """Give a server of the test's own, which it may stop."""
    with reachable_directory() as directory:
        made = EmbeddedPostgres(directory)
        made.start(60)
        try:
            yield made
        finally:
            made.stop(30)


def test_a_store_lost_in_the_middle_of_a_run_is_owed_its_end(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    bench = Bench(server.dsn, tmp_path, HandClock())
    migrate(bench.store)
    bench.execute("create table scratch (run_id uuid not null)")
    first_ended, stopped = threading.Event(), threading.Event()

    def first(ctx: RunContext) -> None:
        first_ended.set()

    def lose(ctx: RunContext) -> None:
        assert first_ended.wait(SECONDS)
        server.stop(30)
        stopped.set()

    claim = bench.begun()
    job = FakeJob({"1": first, "2": lose, "3": fail(Network("x"))})
    end = bench.runner.run(bench.attempt(spec("j", job, parallel=1), claim))
    assert stopped.is_set()
    assert end is not None
    assert end.outcome.status == "pending"
    assert bench.recorder.owed == 3
    with pytest.raises(StoreError):
        bench.recorder.flush()
    bench.close()

    server.start(60)
    bench = Bench(server.dsn, tmp_path, HandClock())  # as after a restart
    bench.recorder.flush()
    assert {name: row[0] for name, row in bench.items().items()} == {
        "1": "success", "2": "failed", "3": "failed",
    }  # fmt: skip
    assert bench.one("select status, items_failed, added from syncd.run") == ("pending", 2, 1)
    works = {"1": succeed, "2": succeed, "3": succeed}
    bench.run(FakeJob(works), bench.start(claim.run_id))
    assert bench.one("select status, items_failed, added from syncd.run") == ("success", 0, 3)
    assert bench.scratch() == 3
    bench.close()
