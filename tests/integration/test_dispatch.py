"""One attempt of a run: how it ends, what is recorded, what comes next."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from dispatch_helpers import NOON, SECONDS, Bench, FakeJob, Gate, fail, minutes, spec, succeed

from syncd.context import CancelSource, Clock, Deadline, RunContext
from syncd.dispatch.planner import plan
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.service import rehearsal
from syncd.errors import (
    Authentication,
    BadData,
    Cancelled,
    ConfigurationError,
    Conflict,
    Guarded,
    Interrupted,
    Network,
    OutcomeUnknown,
    Permission,
    Preempted,
    StoreError,
    Throttled,
    TimedOut,
    final,
)
from syncd.jobs.base import Applied
from syncd.model.measures import Measures
from syncd.model.run import Claim, Counts, Selection, Target
from syncd.store.runs import RunEnd

RUN = "select status, error_class, items_total, items_failed, added from syncd.run"


def further(bench: Bench, claim: Claim) -> Claim:
    return bench.start(claim.run_id)


def test_a_run_whose_items_succeed_is_a_success(bench: Bench) -> None:
    end = bench.run(FakeJob({"1": succeed, "2": succeed}))
    assert end == RunEnd(end.outcome, NOON, 0.0)
    assert bench.one(RUN) == ("success", None, 2, 0, 2)
    assert bench.scratch() == 2
    assert ("ended", "j", "success") in bench.watcher.told


def test_a_run_without_a_target_is_a_success(bench: Bench) -> None:
    bench.run(FakeJob({}))
    assert bench.one(RUN) == ("success", None, 0, 0, 0)


@pytest.mark.parametrize(
    ("error", "error_class", "again"),
    [
        (Network("x"), "network", True),
        (Throttled("x", 3.0), "throttled", True),
        (Authentication("x"), "authentication", False),
        (Permission("x"), "permission", False),
        (BadData("x"), "bad_data", True),
        (TimedOut("x"), "timeout", True),
        (Guarded("x"), "guard", False),
        (Conflict("x"), "conflict", True),
        (StoreError("x"), "store", True),
        (KeyError("x"), "internal", True),
        (SystemExit(3), "internal", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_ends_its_item_alone_and_decides_about_a_retry(
    bench: Bench, error: BaseException, error_class: str, *, again: bool
) -> None:
    job = FakeJob({"1": fail(error), "2": succeed})
    end = bench.run(job, bench.begun(), deadline=Deadline.after(SECONDS))
    assert bench.items() == {"1": ("failed", error_class, 1), "2": ("success", None, 1)}
    status = "pending" if again else "failed"
    assert bench.one(RUN) == (status, error_class, 2, 1, 1)
    assert end.next_attempt_at == (NOON + minutes(1)[0] if again else None)
    assert bench.scratch() == 1


def test_a_server_that_asks_for_more_patience_than_the_ladder_has_is_given_it(bench: Bench) -> None:
    works = {
        "1": fail(Throttled("x", 90.0)),
        "2": fail(Throttled("x", 70.0)),
        "3": fail(Network("x")),
    }
    assert bench.run(FakeJob(works)).next_attempt_at == NOON + timedelta(seconds=90)
    of_all = FakeJob({})
    of_all.targets = fail(Throttled("x", 3_600.0))  # type: ignore[assignment, method-assign]
    assert bench.run(of_all, bench.begun(trigger="manual")).next_attempt_at == NOON + timedelta(
        hours=1
    )


def test_a_single_error_that_is_final_ends_the_run_whatever_its_class(bench: Bench) -> None:
    end = bench.run(FakeJob({"1": fail(final(Network("x"))), "2": succeed}))
    assert bench.one(RUN) == ("failed", "network", 2, 1, 1)
    assert end.next_attempt_at is None


def test_what_failed_for_good_is_not_put_back_by_a_stop(bench: Bench) -> None:
    source = CancelSource()

    def work(ctx: RunContext) -> Applied | None:
        source.cancel(Interrupted("the daemon stops"))
        raise OutcomeUnknown("sent, and nobody answered")

    bench.run(FakeJob({"1": work}), source=source)
    assert bench.one(RUN) == ("failed", "outcome_unknown", 1, 1, 0)


def test_one_thread_does_all_items_though_each_exits(bench: Bench) -> None:
    job = FakeJob({"1": fail(SystemExit(1)), "2": succeed})
    bench.runner.run(bench.attempt(spec("j", job, parallel=1), bench.begun()))
    assert {name: row[0] for name, row in bench.items().items()} == {"1": "failed", "2": "success"}


def test_targets_that_can_not_be_found_fail_the_run(bench: Bench) -> None:
    class Lost(FakeJob):
        def targets(self, ctx: RunContext) -> Any:
            raise SystemExit(1)

    assert bench.run(Lost({})).next_attempt_at == NOON + minutes(1)[0]
    assert bench.one(RUN) == ("pending", "internal", 0, 0, 0)


def test_refused_credentials_stop_the_other_items_of_the_account(bench: Bench) -> None:
    names = ["a/1", "a/2", "b/1"]
    job = FakeJob(
        {"a/1": fail(Authentication("no such key")), "a/2": succeed, "b/1": succeed},
        {name: Target(name, account=name[0]) for name in names},
    )
    bench.runner.run(bench.attempt(spec("j", job, parallel=1), bench.begun()))
    assert job.read_targets == ["a/1", "b/1"]
    assert bench.one("select error from syncd.run_item where target = 'a/2'") == (
        "not tried: no such key"
    )
    assert bench.one(RUN) == ("failed", "authentication", 3, 2, 1)
    assert bench.credentials.refused == {"a": "no such key"}
    assert bench.credentials.answered == {"b"}


def test_a_held_account_is_not_tried_and_not_refused_anew(bench: Bench) -> None:
    job = FakeJob(dict.fromkeys("ab", succeed), {n: Target(n, account=n) for n in "ab"})
    attempt = bench.attempt(spec("j", job), bench.begun(), held={"a": "no such key"})
    bench.runner.run(attempt)
    assert job.read_targets == ["b"]
    assert bench.one("select error from syncd.run_item where target = 'a'") == (
        "not tried: no such key"
    )
    assert bench.one(RUN) == ("failed", "authentication", 2, 1, 1)
    assert (bench.credentials.refused, bench.credentials.answered) == ({}, {"b"})


def test_an_account_whose_item_fails_by_a_guard_has_answered(bench: Bench) -> None:
    applied = Applied(Counts(total=1, unchanged=1), Guarded("too many gone"))
    bench.run(FakeJob({"1": lambda ctx: applied}, {"1": Target("1", account="a")}))
    assert (bench.credentials.refused, bench.credentials.answered) == ({}, {"a"})


def test_credentials_that_can_not_be_kept_account_of_do_not_disturb_the_end(bench: Bench) -> None:
    def note(*_: Any) -> None:
        raise StoreError("gone")

    bench.credentials.note = note  # type: ignore[method-assign]
    assert bench.run(FakeJob({"1": succeed})).outcome.status == "success"
    assert bench.one(RUN) == ("success", None, 1, 0, 1)


def test_a_target_with_a_problem_fails_untried(bench: Bench) -> None:
    lost = Target("1", problem=Network("the regions can't be listed"))
    job = FakeJob({"1": succeed, "2": succeed}, {"1": lost})
    bench.run(job)
    assert job.read_targets == ["2"]
    assert bench.items()["1"] == ("failed", "network", 1)


@pytest.mark.parametrize("part", Selection.PARTS)
def test_a_selection_that_fits_nothing_fails(bench: Bench, part: str) -> None:
    job = FakeJob({"1": succeed}, {"1": Target("1", region="here")})
    chosen = Selection(**{part: frozenset({"misspelt"})})
    end = bench.run(job, bench.begun(), selection=chosen)
    assert end is not None
    assert (end.outcome.status, end.outcome.error_class) == ("failed", "configuration")
    assert end.outcome.error == f"the job has no target in what was asked for: {part} misspelt"


def test_a_selection_runs_a_part_of_the_targets(bench: Bench) -> None:
    made = {name: Target(name, account=name) for name in "ab"}
    job = FakeJob({"a": succeed, "b": succeed}, made)
    of = spec("j", job, accounts=("a", "b"))
    bench.runner.run(bench.attempt(of, bench.begun(), selection=Selection(frozenset({"b"}))))
    assert list(bench.items()) == ["b"]


def test_a_selection_of_servers_runs_those_alone(bench: Bench) -> None:
    made = {name: Target(name, server=f"{name}-db") for name in "abc"} | {"d": Target("d")}
    job = FakeJob(dict.fromkeys("abcd", succeed), made)
    of = spec("j", job, servers=("a-db", "b-db", "c-db"))
    some = Selection(servers=frozenset({"b-db", "c-db"}))
    bench.runner.run(bench.attempt(of, bench.begun(), selection=some))
    assert set(bench.items()) == {"b", "c"}


@pytest.mark.parametrize("part", ["accounts", "servers", "tables"])
def test_a_selection_of_which_a_part_is_unknown_fails_with_its_names(
    bench: Bench, part: str
) -> None:
    made = {name: Target(name, account=name, server=name, table=name) for name in "ab"}
    job = FakeJob({"a": succeed, "b": succeed}, made)
    of = spec("j", job, accounts=("a", "b"), servers=("a", "b"), tables=("a", "b"))
    asked = Selection(**{part: frozenset({"a", "z", "nope"})})
    end = bench.runner.run(bench.attempt(of, bench.begun(), selection=asked))
    text = f"the job has no target in what was asked for: {part} nope, z"
    assert end is not None
    assert (end.outcome.status, end.outcome.error) == ("failed", text)
    assert (job.read_targets, bench.items()) == ([], {})
    with pytest.raises(ConfigurationError, match=f"{part} nope, z$"):
        plan(bench.store, of, rehearsal(of, asked, Clock(), bench.log), RunProgress())
    assert job.read_targets == []


def test_a_failure_after_the_apply_keeps_rows_and_counts(bench: Bench) -> None:
    applied = Applied(Counts(total=2, added=1, unchanged=1), Guarded("too many gone"))
    bench.run(FakeJob({"1": lambda ctx: applied}))
    assert bench.one(RUN) == ("failed", "guard", 1, 1, 1)
    assert bench.scratch() == 1


def test_an_apply_that_fails_leaves_nothing_and_discards_what_was_staged(bench: Bench) -> None:
    seen = []

    class Broken(FakeJob):
        def apply(self, tx: Any, ctx: RunContext, staged: Any) -> Applied:
            super().apply(tx, ctx, staged)
            seen.append(staged)
            staged.discard = fail(StoreError("gone"))
            raise BadData("can't be kept")

    bench.run(Broken({"1": succeed}))
    assert bench.items()["1"] == ("failed", "bad_data", 1)
    assert bench.scratch() == 0


def test_what_a_job_reports_is_recorded_and_cut_at_a_thousand_errors(bench: Bench) -> None:
    def work(ctx: RunContext) -> None:
        ctx.report.detail("doubt", "a\0b \ud800")
        for number in range(1005):
            ctx.report.error(f"i-{number}\0", BadData("odd\0"))

    bench.run(FakeJob({"1": work}))
    assert bench.one("select count(*) from syncd.run_error") == 1000
    assert bench.one("select details->>'doubt', status from syncd.run_item") == (
        "a\N{REPLACEMENT CHARACTER}b ?", "success",
    )  # fmt: skip


def test_what_an_item_measured_is_told_once_also_where_it_failed(bench: Bench) -> None:
    def differs(ctx: RunContext) -> Applied:
        ctx.report.detail("equal", False)
        ctx.report.detail("differing", 5)
        return Applied(Counts(total=9, unchanged=9), BadData("they differ"))

    def copies(ctx: RunContext) -> Applied:
        ctx.report.detail("bytes", 100)
        return Applied(Counts(total=1, added=1))

    def breaks(ctx: RunContext) -> None:
        ctx.report.detail("bytes", 100)  # the attempt that ends it tells them again
        ctx.report.detail("watermark", "1970-01-01 00:00:07")
        raise Network("x")

    bench.run(FakeJob({"1": differs, "2": copies, "3": breaks, "4": succeed}))
    told = {each[2]: each[3] for each in bench.watcher.told if each[0] == "measured"}
    assert told == {
        "1": Measures(differences=5), "2": Measures(bytes=100), "3": Measures(watermark=7),
    }  # fmt: skip


def test_a_report_that_can_not_be_recorded_fails_its_item_alone(bench: Bench) -> None:
    def work(ctx: RunContext) -> None:
        ctx.report.detail("odd", object())

    bench.run(FakeJob({"1": work, "2": succeed}))
    assert {name: row[0] for name, row in bench.items().items()} == {"1": "failed", "2": "success"}


def test_a_retry_runs_the_items_that_failed_and_may_do_better(bench: Bench) -> None:
    claim = bench.begun()
    works = {"good": succeed, "again": fail(Network("x")), "never": fail(Permission("x")),
             "gone": fail(Network("x"))}  # fmt: skip
    assert bench.run(FakeJob(works), claim).next_attempt_at
    job = FakeJob({"good": succeed, "again": succeed, "never": succeed, "new": succeed})
    end = bench.run(job, further(bench, claim))
    assert sorted(job.read_targets) == ["again", "new"]
    assert {name: row[0] for name, row in bench.items().items()} == {
        "good": "success", "again": "success", "never": "failed", "gone": "cancelled",
        "new": "success",
    }  # fmt: skip
    assert (end.outcome.status, end.outcome.error_class) == ("failed", "permission")
    assert bench.one(RUN) == ("failed", "permission", 5, 1, 3)


def test_the_ladder_is_climbed_to_its_end(bench: Bench) -> None:
    claim, job, times = bench.begun(), FakeJob({"1": fail(Network("x"))}), []
    for _ in range(4):
        times.append(bench.run(job, claim).next_attempt_at)
        if times[-1]:
            claim = further(bench, claim)
    assert times == [*(NOON + step for step in minutes(1, 5, 15)), None]
    assert bench.one(RUN)[0] == "failed"


def test_no_attempt_is_made_after_the_next_due_time(bench: Bench) -> None:
    bench.next_due = NOON + timedelta(seconds=30)
    assert bench.run(FakeJob({"1": fail(Network("x"))})).next_attempt_at is None


def test_an_attempt_of_a_job_whose_ladder_was_shortened_still_ends(bench: Bench) -> None:
    job = FakeJob({"1": fail(Network("x"))})
    attempt = bench.attempt(spec("j", job, retries=minutes(2)), bench.begun(), max_attempts=4)
    end = bench.runner.run(attempt)
    assert end is not None
    assert end.next_attempt_at == NOON + minutes(2)[0]


def stopped_by(bench: Bench, error: Exception, claim: Claim, **changes: Any) -> RunEnd:
    """Run an attempt with an item that is stopped in the middle, and one that has ended."""
    source, gate, ends = CancelSource(), Gate(), []
    job = FakeJob({"done": succeed, "waits": gate.until_cancelled})
    attempt = bench.attempt(
        spec("j", job, parallel=1), claim, source=source, deadline=Deadline.after(60), **changes
    )
    thread = threading.Thread(target=lambda: ends.append(bench.runner.run(attempt)))
    thread.start()
    assert gate.entered.wait(SECONDS)
    source.cancel(error)  # type: ignore[arg-type]  # one of ours
    thread.join(SECONDS)
    (end,) = ends
    return end


def test_a_run_whose_time_is_over_is_tried_again(bench: Bench) -> None:
    end = stopped_by(bench, TimedOut("the time limit passed"), bench.begun())
    assert end.next_attempt_at == NOON + minutes(1)[0]
    assert bench.items() == {"done": ("success", None, 1), "waits": ("failed", "timeout", 1)}


def test_a_cancelled_run_is_over(bench: Bench) -> None:
    end = stopped_by(bench, Cancelled("cancelled by me"), bench.begun())
    assert end.next_attempt_at is None
    assert bench.one("select status, error from syncd.run") == ("cancelled", "cancelled by me")
    assert {name: row[0] for name, row in bench.items().items()} == {
        "done": "success", "waits": "cancelled",
    }  # fmt: skip


def test_a_run_that_the_daemon_interrupts_waits_again_and_keeps_its_place(bench: Bench) -> None:
    claim = bench.begun()
    end = stopped_by(bench, Interrupted("the daemon stops"), claim)
    assert (end.next_attempt_at, end.free, end.preempted) == (NOON, True, False)
    assert bench.one("select status, attempt, max_attempts from syncd.run") == ("pending", 1, 5)
    assert bench.items()["waits"] == ("failed", "interrupted", 1)
    failing = FakeJob({"done": succeed, "waits": fail(Network("x"))})
    end = bench.run(failing, further(bench, claim), max_attempts=5)
    assert end.next_attempt_at == NOON + minutes(1)[0]  # the first step of the ladder, still


def test_a_run_that_makes_room_waits_again_at_no_cost(bench: Bench) -> None:
    end = stopped_by(bench, Preempted("an urgent run needs the worker"), bench.begun())
    assert (end.next_attempt_at, end.free, end.preempted) == (NOON, True, True)
    assert bench.one("select status, attempt, max_attempts from syncd.run") == ("pending", 1, 5)


def test_what_was_done_before_it_was_stopped_is_a_success(bench: Bench) -> None:
    source = CancelSource()

    class Late(FakeJob):
        def changes(self, tx: Any, ctx: RunContext, staged: Any, limit: int | None) -> list[Any]:
            source.cancel(Interrupted("the daemon stops"))
            return []

    end = bench.run(Late({"1": succeed}), bench.begun(), source=source)
    assert (end.outcome.status, end.free) == ("success", False)


def test_a_run_that_was_taken_over_is_abandoned_without_harm(bench: Bench) -> None:
    claim = bench.begun()

    def taken_over(ctx: RunContext) -> None:
        bench.execute("update syncd.run set owner_epoch = 2")

    job = FakeJob({"1": taken_over, "2": succeed})
    attempt = bench.attempt(spec("j", job, parallel=1), claim)
    assert bench.runner.run(attempt) is None
    assert bench.scratch() == 0
    assert bench.items() == {"1": ("running", None, 1), "2": ("pending", None, 1)}
