"""Accounts whose credentials were refused: held, probed, freed, over restarts."""

from datetime import timedelta
from typing import Any

import pytest
from dispatch_helpers import NOON, Bench, plain_log, spec

from syncd.dispatch.holds import PROBE_EVERY, Holds
from syncd.dispatch.ledger import StoreLedger
from syncd.dispatch.queue import Verdict
from syncd.dispatch.spec import JobSpec
from syncd.model.run import Claim
from syncd.store import leader

SECOND = timedelta(seconds=1)


class Secrets:
    """The fingerprints of accounts' secrets, which the test changes."""

    def __init__(self) -> None:
        self.prints: dict[str, str] = {"a": "old a", "b": "old b"}

    def __call__(self) -> dict[str, str]:
        return dict(self.prints)


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def holds(bench: Bench) -> Holds:
    return Holds(bench.store, bench.clock, plain_log())


@pytest.fixture
def claim(bench: Bench) -> Claim:
    """Give the claim of an attempt under way."""
    return bench.begun()


@pytest.fixture
def job(secrets: Secrets) -> JobSpec:
    return spec("j", accounts=("a", "b"), fingerprints=secrets)


def stored(bench: Bench) -> list[Any]:
    return bench.execute("select account, reason, held_at from syncd.held_account order by 1")


def begin(holds: Holds, job: JobSpec, bench: Bench, *, by_hand: bool = False) -> list[str]:
    """Begin an attempt; return the accounts that it leaves out."""
    return sorted(holds.begin(job, bench.clock.now(), by_hand=by_hand))


def test_an_account_that_is_refused_is_held_and_left_out(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key"}, ["b"])
    assert stored(bench) == [("a", "bad key", NOON)]
    found = holds.begin(job, NOON, by_hand=False)
    assert found == {"a": "bad key (refused since 2026-03-01 12:00:00 UTC)"}
    assert holds.gate(job, NOON) is None  # the other one can be worked on


def test_a_job_all_of_whose_accounts_are_held_is_held_until_the_first_probe(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key"}, [])
    bench.clock.pass_(60)  # type: ignore[attr-defined]
    holds.note(claim, holds.fingerprints(job), {"b": "bad key"}, [])
    assert holds.gate(job, bench.clock.now()) == Verdict("held", NOON + PROBE_EVERY)
    assert holds.gate(job, NOON + PROBE_EVERY) is None


def test_a_job_without_accounts_is_never_held(holds: Holds, job: JobSpec, claim: Claim) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    assert holds.gate(spec("none"), NOON) is None


def test_a_held_account_is_tried_again_once_an_hour(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    bench.clock.pass_(PROBE_EVERY.total_seconds() - 1)  # type: ignore[attr-defined]
    assert begin(holds, job, bench) == ["a", "b"]
    bench.clock.pass_(1)  # type: ignore[attr-defined]
    assert begin(holds, job, bench) == []
    assert begin(holds, job, bench) == ["a", "b"]  # the probe was the attempt before
    now = bench.clock.now()
    assert holds.gate(job, now) == Verdict("held", now + PROBE_EVERY)


def test_a_clock_that_was_set_back_does_not_prolong_a_hold(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    assert holds.gate(job, NOON - SECOND) is None


def test_an_account_whose_secret_differs_is_tried_as_soon_as_that_is_seen(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim, secrets: Secrets
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    assert holds.gate(job, NOON)
    secrets.prints["a"] = "new a"
    assert holds.gate(job, NOON)  # secrets are read every few seconds
    bench.clock.pass_(10)  # type: ignore[attr-defined]
    assert holds.gate(job, bench.clock.now()) is None
    assert begin(holds, job, bench) == ["b"]


def test_an_account_whose_secret_cannot_be_read_stays_held(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim, secrets: Secrets
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    secrets.prints.clear()
    bench.clock.pass_(10)  # type: ignore[attr-defined]
    assert holds.gate(job, bench.clock.now())


def test_a_new_secret_that_is_refused_too_is_held_since_the_first_time(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim, secrets: Secrets
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key"}, [])
    secrets.prints["a"] = "new a"
    bench.clock.pass_(60)  # type: ignore[attr-defined]
    assert begin(holds, job, bench) == []
    holds.note(claim, holds.fingerprints(job), {"a": "still bad"}, [])
    assert begin(holds, job, bench) == ["a"]
    assert stored(bench) == [("a", "still bad", NOON)]
    assert holds.of(job)[0].held_at == NOON


def test_a_run_by_hand_tries_all_accounts(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    bench.clock.pass_(60)  # type: ignore[attr-defined]
    assert begin(holds, job, bench, by_hand=True) == []
    now = bench.clock.now()
    assert holds.gate(job, now) == Verdict("held", now + PROBE_EVERY)


def test_an_account_that_answers_is_free(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    holds.note(claim, holds.fingerprints(job), {}, ["a"])
    assert [each[0] for each in stored(bench)] == ["b"]
    assert begin(holds, job, bench) == ["b"]
    assert holds.gate(job, NOON) is None


def test_an_account_that_was_refused_and_answered_in_one_attempt_is_held(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key"}, ["a"])
    assert begin(holds, job, bench) == ["a"]


def test_the_accounts_of_a_job_are_freed_together(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    lease = leader.acquire(bench.store, "daemon:test")
    assert lease is not None
    StoreLedger(bench.store, lease).resume("j", ["a", "b"])
    holds.freed(["a", "b"])
    assert stored(bench) == []
    assert holds.gate(job, NOON) is None


def test_holds_outlive_the_daemon(bench: Bench, holds: Holds, job: JobSpec, claim: Claim) -> None:
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    again = Holds(bench.store, bench.clock, plain_log())
    again.load()
    assert again.of(job) == holds.of(job)
    assert again.gate(job, NOON)


def test_an_account_is_held_although_the_store_is_out_of_reach(
    bench: Bench, holds: Holds, job: JobSpec, claim: Claim
) -> None:
    bench.store.close()
    holds.note(claim, holds.fingerprints(job), {"a": "bad key", "b": "bad key"}, [])
    assert holds.gate(job, NOON)
    holds.note(claim, holds.fingerprints(job), {}, ["a", "b"])
    assert holds.gate(job, NOON) is None
