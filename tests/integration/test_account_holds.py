"""Accounts whose credentials were refused, as the dispatcher holds and frees them."""

from datetime import timedelta
from typing import Any

from dispatch_desk import (
    HOUR,
    Open,
    hourly,
    only_waiting,
    pass_time,
    pass_turn,
    statuses,
    until,
    why,
)
from dispatch_helpers import NOON, SECONDS, Bench, FakeJob, Gate, fail, spec, succeed

from syncd.context import RunContext
from syncd.errors import Authentication
from syncd.model.run import Due, Target
from syncd.store import held_accounts


def accounts_job(**works: Any) -> FakeJob:
    """Return a job with an item for each account, which leaves those out that are held."""

    class Job(FakeJob):
        def targets(self, ctx: RunContext) -> list[Target]:
            return [
                Target(
                    name, account=name,
                    problem=Authentication(f"not tried: {ctx.held[name]}")
                    if name in ctx.held else None,
                )
                for name in self.works
            ]  # fmt: skip

    return Job(works)


def test_refused_credentials_hold_the_job_until_an_hour_has_passed(
    bench: Bench, desk: Open
) -> None:
    job = accounts_job(prod=fail(Authentication("the key is unknown")))
    at = desk(hourly("j", job, accounts=("prod",)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    assert bench.one("select status, error_class, attempt from syncd.run") == (
        "failed", "authentication", 1,
    )  # fmt: skip
    at.due(Due("j", NOON + timedelta(minutes=1), "schedule"))
    run_id = only_waiting(at)
    assert why(at, run_id) == "held"
    assert at.board.waits[run_id].until == NOON + HOUR
    job.works = {"prod": succeed}
    pass_time(bench, 3599)
    pass_turn(at)
    assert run_id in at.board.waiting
    with bench.store.transaction() as tx:
        assert [each.account for each in held_accounts.load(tx)] == ["prod"]
    pass_time(bench, 1)
    until(lambda: len(at.keeper.ends) == 2)
    assert [row[2] for row in statuses(bench)] == ["failed", "success"]
    with bench.store.transaction() as tx:
        assert held_accounts.load(tx) == []


def test_of_runs_that_wait_for_the_same_token_one_tries_and_the_others_wait_for_it(
    bench: Bench, desk: Open
) -> None:
    jobs = {name: accounts_job(iam=fail(Authentication("no"))) for name in "jk"}
    more: dict[str, Any] = {"tokens": ("iam",), "start_deadline": 3 * HOUR}
    at = desk(*(hourly(name, job, **more) for name, job in jobs.items()))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    for name in jobs:
        at.due(Due(name, NOON + timedelta(minutes=1), "schedule"))
    until(lambda: len(at.board.waits) == 2)
    gate = Gate()
    for job in jobs.values():
        job.works = {"iam": gate}
    pass_time(bench, 3600)
    assert gate.entered.wait(SECONDS)
    pass_turn(at)
    assert (len(at.board.running), why(at, only_waiting(at))) == (1, "held")
    gate.open.set()
    until(lambda: len(at.keeper.ends) == 3)
    assert [row[2] for row in statuses(bench)] == ["failed", "success", "success"]


def test_a_held_account_is_left_out_and_the_others_go_on(bench: Bench, desk: Open) -> None:
    job = accounts_job(a=fail(Authentication("no")), b=succeed)
    at = desk(spec("j", job, accounts=("a", "b")))
    for minute in range(2):
        at.due(Due("j", NOON + timedelta(minutes=minute), "schedule"))
        until(lambda minute=minute: len(at.keeper.ends) == minute + 1 and not at.board.running)
    assert job.read_targets.count("a") == 1
    assert job.read_targets.count("b") == 2
    last = bench.one("select error from syncd.run order by scheduled_for desc limit 1")
    assert "not tried: no (refused since 2026-03-01 12:00:00 UTC)" in last


def test_a_run_by_hand_and_another_secret_try_a_held_account(bench: Bench, desk: Open) -> None:
    prints = {"prod": "one"}
    job = accounts_job(prod=fail(Authentication("no")))
    at = desk(hourly("j", job, accounts=("prod",), fingerprints=lambda: dict(prints)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    assert at.final(at.request()) == "failed"
    assert job.read_targets == ["prod"] * 2
    at.due(Due("j", NOON + timedelta(minutes=1), "schedule"))
    assert why(at, only_waiting(at)) == "held"
    job.works = {"prod": succeed}
    prints["prod"] = "two"
    bench.clock.ticked += 60  # type: ignore[attr-defined]  # secrets are looked at now and then
    until(lambda: len(at.keeper.ends) == 3)
    assert at.holds.of(at.jobs.specs["j"]) == []


def test_a_secret_that_was_changed_while_it_was_refused_is_tried_at_once(
    bench: Bench, desk: Open
) -> None:
    prints, works = {"prod": "old"}, accounts_job()

    def refuse(ctx: RunContext) -> None:
        prints["prod"] = "new"  # somebody mends it while the old one is on its way
        works.works = {"prod": succeed}
        raise Authentication("no")

    works.works = {"prod": refuse}
    at = desk(hourly("j", works, accounts=("prod",), fingerprints=lambda: dict(prints)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    at.due(Due("j", NOON + timedelta(minutes=1), "schedule"))
    until(lambda: len(at.keeper.ends) == 2)
    assert [row[2] for row in statuses(bench)] == ["failed", "success"]
