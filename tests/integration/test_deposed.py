"""What an attempt still writes after its run was taken from it: nothing, wherever it writes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from dispatch_helpers import Bench, spec

from syncd.context import RunContext
from syncd.dispatch.holds import Holds
from syncd.errors import Fenced
from syncd.jobs.accounts import CloudAccount
from syncd.model.run import Claim
from syncd.store import held_accounts, recovery
from syncd.store.held_accounts import HeldAccount


class Cloud:
    """A provider that answers what is known of every account; the attempt loses its run then."""

    def __init__(self, depose: Callable[[], None]) -> None:
        self._depose = depose

    def regions(self, ctx: RunContext) -> list[str]:
        self._depose()
        return ["here"]

    def identity(self, ctx: RunContext) -> str:
        self._depose()
        return "1234"


def context(bench: Bench, claim: Claim) -> RunContext:
    return bench.attempt(spec("j"), claim).context(bench.log)


def depose(bench: Bench) -> None:
    """Do what another daemon does that takes over."""
    with bench.store.transaction() as tx:
        recovered = recovery.recover(
            tx, owner="daemon:other", epoch=2, local="cli:other", now=bench.clock.now()
        )
    assert len(recovered) == 1


def begun_again(bench: Bench) -> Claim:
    """Begin a run, have another daemon begin its next attempt, and return the first claim."""
    claim = bench.begun()
    depose(bench)
    bench.start(claim.run_id, "daemon:other", 2)
    return claim


def account(bench: Bench, cloud: Cloud) -> CloudAccount:
    return CloudAccount("prod", "aliyun", cloud, "key", None, (), bench.store)  # type: ignore[arg-type]


SAVES: dict[str, Callable[[CloudAccount, RunContext], object]] = {
    "regions": CloudAccount.open_regions,
    "owner": CloudAccount.check_owner,
    "trust": CloudAccount.trust,
}


@pytest.mark.parametrize("what", SAVES)
def test_what_was_learnt_of_an_account_is_kept_by_the_attempt_under_way(
    bench: Bench, what: str
) -> None:
    SAVES[what](account(bench, Cloud(lambda: None)), context(bench, bench.begun()))
    assert bench.one("select account from syncd.account_state") == "prod"


@pytest.mark.parametrize("what", SAVES)
def test_what_was_learnt_of_an_account_too_late_is_not_kept(bench: Bench, what: str) -> None:
    claim = bench.begun()
    late = account(bench, Cloud(lambda: depose(bench)))
    with pytest.raises(Fenced):
        SAVES[what](late, context(bench, claim))
    assert bench.execute("select * from syncd.account_state") == []


def test_an_account_is_held_by_the_attempt_under_way_alone(bench: Bench) -> None:
    holds, job = Holds(bench.store, bench.clock, bench.log), spec("j", accounts=("prod",))
    late = begun_again(bench)
    with pytest.raises(Fenced):
        holds.note(late, holds.fingerprints(job), {"prod": "no"}, ())
    assert holds.of(job) == []
    assert bench.execute("select * from syncd.held_account") == []
    current = replace(late, owner="daemon:other", epoch=2, attempt=2)
    holds.note(current, holds.fingerprints(job), {"prod": "no"}, ())
    with pytest.raises(Fenced):
        holds.note(late, holds.fingerprints(job), {}, ("prod",))
    assert [held.account for held in holds.of(job)] == ["prod"]
    assert bench.one("select account from syncd.held_account") == "prod"


def test_a_hold_that_another_daemon_made_is_not_freed_by_a_late_attempt(bench: Bench) -> None:
    holds, job = Holds(bench.store, bench.clock, bench.log), spec("j", accounts=("prod",))
    now = bench.clock.now()
    held = HeldAccount("prod", now - timedelta(hours=1), "no", None, now)
    with bench.store.transaction() as tx:
        held_accounts.hold(tx, held)
    holds.load()
    with pytest.raises(Fenced):
        holds.note(begun_again(bench), holds.fingerprints(job), {}, ("prod",))
    assert bench.one("select account from syncd.held_account") == "prod"
