"""What a new leader does with what dead processes left behind."""

import pytest
from dispatch_helpers import NOON, OWNER, Bench, FakeJob, spec

from syncd.context import Clock, RunContext
from syncd.dispatch.meanwhile import Meanwhile
from syncd.errors import Fenced
from syncd.model.run import RunId, Target
from syncd.store import items, recovery
from syncd.store.database import Store

LOCAL = "cli:test"
RUNNING = "select id from syncd.run_item where status = 'running'"


def left_behind(bench: Bench, job: str, owner: str, *, attempt: int = 1, epoch: int = 1) -> RunId:
    """Make a run with an item that runs and one that waits, whose process is gone."""
    new = bench.new_run(job)
    bench.insert(new)
    claim = bench.start(new.id, owner, epoch)
    with bench.store.transaction() as tx:
        (item, _), _given_up = items.open_items(tx, claim, [Target("1"), Target("2")], [])
        items.start_item(tx, claim, item.id, NOON)
    bench.execute("update syncd.run set attempt = %s where id = %s", attempt, new.id)
    return new.id


def recover(bench: Bench) -> set[RunId]:
    with bench.store.transaction() as tx:
        return set(recovery.recover(tx, owner=OWNER, epoch=2, local=LOCAL, now=NOON))


@pytest.mark.parametrize(
    ("owner", "attempt", "status", "next_attempt_at"),
    [
        (OWNER, 1, "pending", NOON),
        ("daemon:other", 3, "pending", NOON),
        (OWNER, 4, "failed", None),
        (LOCAL, 1, "failed", None),
    ],
    ids=["attempts left", "of another daemon", "last attempt", "of a command of ours"],
)
def test_a_run_of_a_dead_process_goes_on_or_is_over(
    bench: Bench, owner: str, attempt: int, status: str, next_attempt_at: object
) -> None:
    run_id = left_behind(bench, "j", owner, attempt=attempt)
    assert recover(bench) == {run_id}
    assert bench.one(
        "select status, next_attempt_at, error_class, items_failed from syncd.run"
    ) == (status, next_attempt_at, "interrupted", 2)
    assert [row[:2] for row in bench.items().values()] == [("failed", "interrupted")] * 2
    finished = bench.one("select finished_at from syncd.run")
    assert (finished is None) == (status == "pending")


def test_what_an_item_told_meanwhile_outlives_its_process(bench: Bench) -> None:
    ended = []

    def killed(ctx: RunContext) -> None:
        ctx.report.detail("pass", "full")
        ctx.report.meanwhile("committed", {"added": 5})
        assert recover(bench) == {ctx.run_id}
        with pytest.raises(Fenced):  # as of a process that was frozen alone
            ctx.report.meanwhile("committed", {"added": 6})
        ended.append(ctx.run_id)

    attempt = bench.attempt(spec("j", FakeJob({"1": killed})), bench.begun())
    assert bench.runner.run(attempt) is None
    assert ended
    assert bench.one("select status, details from syncd.run_item") == (
        "failed", {"pass": "full", "committed": {"added": 5}},
    )  # fmt: skip


def test_what_an_item_told_meanwhile_gives_way_to_its_end(bench: Bench) -> None:
    def tells(ctx: RunContext) -> None:
        ctx.report.meanwhile("committed", {"added": 5})
        ctx.report.detail("pass", "full")

    bench.run(FakeJob({"1": tells}))
    assert bench.one("select details from syncd.run_item") == {"pass": "full"}


def test_what_an_item_tells_meanwhile_takes_a_part_of_its_time_alone(bench: Bench) -> None:
    class Ticking(Clock):
        ticks = 0

        def monotonic(self) -> float:
            self.ticks += 1
            return self.ticks

    told, kept = [], "select details ->> 'n' from syncd.run_item"

    def tells(ctx: RunContext) -> None:
        meanwhile = Meanwhile(bench.store, ctx, Ticking(), bench.one(RUNNING))
        for n in range(70):
            meanwhile({"n": n})
            told.append(bench.one(kept))

    bench.run(FakeJob({"1": tells}))
    assert sorted(set(told), key=int) == ["0", "30", "60"]


def test_a_store_out_of_reach_ends_no_item(bench: Bench) -> None:
    def tells(ctx: RunContext) -> None:
        Meanwhile(Store("host=/nowhere"), ctx, Clock(), bench.one(RUNNING))({"n": 1})

    assert bench.run(FakeJob({"1": tells})).outcome.status == "success"


def test_what_is_ours_now_and_what_may_live_is_left_alone(bench: Bench) -> None:
    left_behind(bench, "ours", OWNER, epoch=2)
    left_behind(bench, "a command elsewhere", "cli:other", epoch=0)
    bench.insert(bench.new_run("waits"))
    assert recover(bench) == set()
    assert bench.execute("select job, status from syncd.run order by job") == [
        ("a command elsewhere", "running"), ("ours", "running"), ("waits", "pending"),
    ]  # fmt: skip


def test_a_command_closes_what_was_left_in_its_state_directory(bench: Bench) -> None:
    ours = left_behind(bench, "a", LOCAL, epoch=0)
    left_behind(bench, "b", "cli:other", epoch=0)
    left_behind(bench, "c", OWNER)
    left_behind(bench, "d", "daemon:other")
    with bench.store.transaction() as tx:
        assert len(recovery.close_own(tx, daemon=OWNER, local=LOCAL, now=NOON)) == 2
    assert bench.execute("select job, status from syncd.run order by job") == [
        ("a", "failed"), ("b", "running"), ("c", "pending"), ("d", "running"),
    ]  # fmt: skip
    open_items = "select count(*) from syncd.run_item where status in ('pending', 'running')"
    assert bench.one(f"{open_items} and run_id = %s", ours) == 0
