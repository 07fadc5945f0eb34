"""Tokens whose login was refused, as the dispatch holds and frees them."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from api_server import ApiServer
from dispatch_desk import HOUR, Open, hourly, only_waiting, pass_time, statuses, until, why
from dispatch_helpers import NOON, Bench, FakeJob, fail, spec, succeed
from token_helpers import TokenBench, token_of

from syncd.calls.tokens import JobTokens
from syncd.config.http import Token
from syncd.context import RunContext
from syncd.doctor.case import context
from syncd.errors import Authentication, Guarded, Network
from syncd.model.run import Due

REFUSED = Authentication("token iam: the login was answered 401", "token iam")


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def test_a_refused_token_holds_the_job_until_an_hour_has_passed(bench: Bench, desk: Open) -> None:
    job = FakeJob({"calls": fail(REFUSED)})
    at = desk(hourly("j", job, tokens=("token iam",)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    at.due(Due("j", NOON + timedelta(minutes=1), "schedule"))
    run_id = only_waiting(at)
    assert why(at, run_id) == "held"
    assert at.board.waits[run_id].until == NOON + HOUR
    job.works = {"calls": succeed}
    pass_time(bench, 3600)
    until(lambda: len(at.keeper.ends) == 2)
    assert [row[2] for row in statuses(bench)] == ["failed", "success"]
    assert at.holds.of(at.jobs.specs["j"]) == []


def test_a_job_that_has_others_is_told_which_token_is_held(bench: Bench) -> None:
    seen: list[dict[str, str]] = []

    def work(ctx: RunContext) -> None:
        seen.append(dict(ctx.held))
        raise Authentication(f"not tried: {ctx.held['token iam']}", "token iam")

    of = spec("j", FakeJob({"calls": work}), tokens=("token iam", "token other"))
    attempt = bench.attempt(of, bench.begun(), held={"token iam": "refused"})
    end = bench.runner.run(attempt)
    assert end
    assert end.outcome.error_class == "authentication"
    assert end.outcome.error == "1 of 1 items failed; calls: not tried: refused"
    assert seen == [{"token iam": "refused"}]
    assert bench.credentials.refused == {}  # it was refused before, not now
    assert bench.credentials.answered == set()


def test_a_success_frees_the_tokens_of_the_job_but_those_not_tried(bench: Bench) -> None:
    of = spec("j", FakeJob({"calls": succeed}), tokens=("token iam", "token held"))
    bench.runner.run(bench.attempt(of, bench.begun(), held={"token held": "refused"}))
    assert bench.credentials.answered == {"token iam"}


def test_a_failure_frees_no_token_and_an_item_without_holder_holds_none(bench: Bench) -> None:
    of = spec("j", FakeJob({"calls": fail(Authentication("401 again"))}), tokens=("token iam",))
    bench.runner.run(bench.attempt(of, bench.begun()))
    assert (bench.credentials.refused, bench.credentials.answered) == ({}, set())


def calling(tokens: TokenBench, token: Token) -> FakeJob:
    """Return a job that calls with a token, as a run of kind http does."""
    of_job = JobTokens(tokens.tokens, {"iam": token}, (), 10.0)

    def work(ctx: RunContext) -> None:
        of_job.get("iam", ctx)

    return FakeJob({"calls": work})


def test_fifty_jobs_try_a_wrong_password_once_then_by_hand_and_with_another_secret(
    bench: Bench, desk: Open, api: ApiServer, tmp_path: Path
) -> None:
    password, tokens = tmp_path / "password", TokenBench(tmp_path / "tokens", bench.clock)
    password.write_text("wrong")
    token = token_of(api.url, password)
    specs = [
        hourly(
            f"j{number}", calling(tokens, token), tokens=("token iam",),
            fingerprints=lambda: tokens.tokens.fingerprints({"iam": token}),
        )
        for number in range(50)
    ]  # fmt: skip
    at = desk(*specs)
    at.due(Due("j0", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    assert len(api.log) == 1
    for number in range(1, 50):
        at.due(Due(f"j{number}", NOON, "schedule"))
    until(lambda: len(at.board.waiting) == 49)
    assert {why(at, run_id) for run_id in list(at.board.waiting)} == {"held"}
    assert at.final(at.request("j0")) == "failed"
    assert len(api.log) == 2
    password.write_text("right")
    bench.clock.ticked += 60  # type: ignore[attr-defined]  # secrets are looked at now and then
    until(lambda: len(at.keeper.ends) == 51)
    assert len(api.log) == 3
    assert api.logins == 1
    assert [row[2] for row in statuses(bench)].count("success") == 49
    assert at.holds.of(specs[0]) == []


def test_a_login_that_succeeds_frees_the_token_though_the_call_fails(
    bench: Bench, api: ApiServer, tmp_path: Path
) -> None:
    tokens = TokenBench(tmp_path / "tokens", bench.clock)
    of_job = JobTokens(tokens.tokens, {"iam": token_of(api.url)}, (), 10.0)

    def work(ctx: RunContext) -> None:
        of_job.get("iam", ctx)
        raise Network("answered 500")

    job = FakeJob({"calls": work})
    of = spec(
        "j",
        job,
        tokens=("token iam",),
        logged_in=lambda since: tokens.tokens.logged_in(["iam"], since),
    )
    bench.runner.run(bench.attempt(of, bench.begun()))
    assert bench.credentials.answered == {"token iam"}
    bench.credentials.answered.clear()
    pass_time(bench, 60)
    bench.runner.run(bench.attempt(of, bench.begun()))  # with the token that is there
    assert bench.credentials.answered == set()


def test_a_hundred_runs_that_wait_for_one_token_make_one_login(
    bench: Bench, api: ApiServer, tmp_path: Path
) -> None:
    tokens = TokenBench(tmp_path / "tokens", bench.clock)
    job, start = calling(tokens, token_of(api.url)), threading.Barrier(100)
    work = job.works["calls"]

    def at_once(ctx: RunContext) -> None:
        start.wait(20)
        work(ctx)

    many = FakeJob({f"calls {number}": at_once for number in range(100)})
    of = spec("j", many, parallel=100, tokens=("token iam",))
    end = bench.runner.run(bench.attempt(of, bench.begun()))
    assert end
    assert end.outcome.status == "success"
    assert len(api.log) == 1


def test_a_plan_logs_in_nowhere(api: ApiServer, tmp_path: Path) -> None:
    tokens = TokenBench(tmp_path / "tokens")
    of_job = JobTokens(tokens.tokens, {"iam": token_of(api.url)}, (), 10.0)
    with pytest.raises(Guarded):
        of_job.get("iam", context())
    assert api.log == []


def test_a_held_token_that_is_still_good_serves_and_no_other_is_asked_for(
    bench: Bench, api: ApiServer, tmp_path: Path
) -> None:
    tokens = TokenBench(tmp_path / "tokens", bench.clock)
    token = token_of(api.url)
    of_job = JobTokens(tokens.tokens, {"iam": token}, (), 10.0)
    told: list[str] = []

    def work(ctx: RunContext) -> None:
        carried = of_job.get("iam", ctx)
        told.append(carried.token)
        with pytest.raises(Authentication, match="not tried: refused") as caught:
            of_job.renew("iam", carried, ctx)
        assert caught.value.holder == "token iam"

    held = {"token iam": "refused"}
    of = spec("j", FakeJob({"calls": work}), tokens=("token iam",))
    end = bench.runner.run(bench.attempt(of, bench.begun(), held=held))
    assert end
    assert end.outcome.error
    assert "not tried: refused" in end.outcome.error
    assert api.log == []
    first = tokens.get(token)
    pass_time(bench, 60)
    bench.clock.pass_(3000)  # type: ignore[attr-defined]  # it should be renewed, and is not
    end = bench.runner.run(bench.attempt(of, bench.begun(), held=held))
    assert end
    assert end.outcome.status == "success"
    assert told == [first]
    assert len(api.log) == 1
