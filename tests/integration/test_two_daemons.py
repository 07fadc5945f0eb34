"""Two daemons on one store: one leads, the other takes over, and nothing happens twice or never."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from daemon_helpers import inventory, job, truth, until
from two_daemons import Cluster, Member, cluster, now

from syncd.errors import StoreError, SyncdError
from syncd.model.run import Selection

ALIYUN, TENCENT = ["aliyun-demo"], ["tencent-demo"]
EVERYTHING = Selection()
SCHEDULED = {
    "all": job(accounts=ALIYUN, every="1s", catch_up="all", overlap="queue", retries=["1s"] * 9),
    "latest": job(accounts=TENCENT, every="1s", catch_up="latest", retries=["1s"] * 9),
    "minutely": job(accounts=TENCENT, schedule="* * * * *", catch_up="all", priority="high"),
}
BY_HAND = {
    "a": job(accounts=ALIYUN, retries=["1s"] * 5, api_timeout="1m"),
    "t": job(accounts=TENCENT, retries=["1s"] * 5, api_timeout="1m"),
}
UNDER_WAY = "select from syncd.run_item where status = 'running'"

Make = Callable[[dict[str, Any]], Cluster]


@pytest.fixture
def make(migrated_dsn: str) -> Iterator[Make]:
    """Give what makes the daemons' surroundings, of their jobs."""
    with ExitStack() as stack:
        yield lambda jobs: stack.enter_context(cluster(migrated_dsn, jobs))


def churn(at: Cluster, rng: random.Random) -> None:
    for account in at.place.emulator.world.accounts.values():
        for region in account.regions.values():
            region.churn(rng, adds=1, changes=1, releases=rng.randrange(2))


def settle(at: Cluster, leader: Member) -> None:
    """Run every job once more, and stop; the inventory must be true then, the records whole."""
    at.place.emulator.faults.clear()
    for name in at.jobs:
        run = leader.site.client.trigger(name, EVERYTHING, "me")
        until(lambda run=run: leader.site.client.wait(run, 5), 30, "a complete run")  # type: ignore[misc]
    assert inventory(at.place) == truth(at.place.emulator)
    assert leader.process.stop() == 0
    at.check()


def check_dues(at: Cluster, takeovers: int) -> None:
    """Check that each due time got one run or was accounted for, as the policy of its job says."""
    assert at.holes("all") == []
    holes = at.holes("latest")
    assert len(holes) <= takeovers
    assert {what for _, _, what in holes} <= {"catch_up", "skip"}  # the previous run was under way
    assert at.holes("minutely", 60.0) == []


def hold_back_a_deletion(at: Cluster) -> None:
    with psycopg.connect(at.place.dsn) as connection:
        connection.execute(
            """insert into syncd.guarded_deletion
                   (job, account, region, type, resource_id, run_id, guarded_at)
               values ('a', 'aliyun-demo', 'none', 'host', 'i-1', gen_random_uuid(), now())"""
        )


def deposed(at: Cluster, member: Member, since: datetime) -> None:
    """Check that a daemon which has lost the lease says so, ends, and has written nothing since."""
    assert member.process.wait() == 1
    assert member.process.lines("leadership lost")
    assert "Traceback" not in member.process.text
    assert at.writes(member, since) == []


def test_a_killed_leader_is_replaced_and_no_due_time_is_lost(make: Make) -> None:
    at = make(SCHEDULED)
    first, second = at.pair()
    at.place.fault("latency", seconds=0.1)
    until(lambda: at.place.rows(UNDER_WAY), 10, "an item under way")
    moment, epoch = now(), at.epoch
    first.process.kill()
    at.taken_over(second, moment, epoch)
    last = at.dues("latest")[-1]["at"]
    until(lambda: at.dues("latest")[-1]["at"] > last, 10, "the schedule goes on")
    settle(at, second)
    check_dues(at, 1)


def test_a_leader_that_is_frozen_about_to_apply_commits_nothing_when_it_goes_on(
    make: Make,
) -> None:
    at = make(SCHEDULED)
    first, second = at.pair()
    churn(at, random.Random(1))
    number = at.place.fault("hang", action="DescribeInstances")
    until(lambda: len(at.place.rows(UNDER_WAY)) == 2, 10, "items under way")
    moment, epoch = now(), at.epoch
    first.freeze()
    at.place.emulator.faults.clear(number)
    led = at.taken_over(second, moment, epoch)
    until(lambda: (now() - moment).total_seconds() > 12, 15, "longer than the watchdog waits")
    first.go_on()
    deposed(at, first, led)
    settle(at, second)
    check_dues(at, 1)


def test_a_leader_frozen_in_its_transactions_holds_nobody_up(make: Make) -> None:
    at = make(BY_HAND)
    first, second = at.pair()
    churn(at, random.Random(1))
    copying = first.proxy.trap(b'copy "syncd"."resource_stage"')
    first.site.client.trigger("a", EVERYTHING, "me")
    assert copying.wait(10)
    applying = first.proxy.trap(b"with decided as")
    first.site.client.trigger("t", EVERYTHING, "me")
    assert applying.wait(10)
    pausing = first.proxy.trap(b"set paused_at", first.freeze)
    with ThreadPoolExecutor(1) as people:
        asked = people.submit(first.site.client.pause, "a", None, "me")
        assert pausing.wait(10)
        moment, epoch = now(), at.epoch
        led = at.taken_over(second, moment, epoch)
        first.go_on()
        first.proxy.heal()
        deposed(at, first, led)
        with pytest.raises(SyncdError):
            asked.result(30)
    assert second.site.client.jobs()[0]["paused"] is None
    settle(at, second)
    assert at.place.runs("status <> 'success'") == []


def test_what_a_frozen_leader_owes_is_refused_and_kept_as_an_error(make: Make) -> None:
    at = make(BY_HAND)
    first, second = at.pair()
    number = at.place.fault("hang", action="DescribeInstances")
    run = first.site.client.trigger("a", EVERYTHING, "me")
    until(lambda: at.place.rows(UNDER_WAY), 10, "an item under way")
    moment, epoch = now(), at.epoch
    first.proxy.cut()
    at.place.emulator.faults.clear(number)
    until(lambda: first.process.metric("syncd_outbox_records") == 2, 15, "records in the outbox")
    first.freeze()
    first.proxy.heal()
    led = at.taken_over(second, moment, epoch)
    until(lambda: at.place.runs("id = %s and status = 'success'", run), 10, "the same run")
    with ThreadPoolExecutor(1) as people:
        asked = people.submit(first.site.client.approve, "a", "me")
        hold_back_a_deletion(at)  # which nobody can have seen when it was asked
        first.go_on()
        deposed(at, first, led)
        with pytest.raises(SyncdError):
            asked.result(30)
    first.site.start()
    until(first.stands_by, 20, "it stands by")
    until(lambda: first.process.metric("syncd_outbox_records") == 0, 10, "an empty outbox")
    refused = at.place.rows("select * from syncd.run_error where error like 'record refused%'")
    assert {error["run_id"] for error in refused} == {run}
    assert len(refused) == 2
    settle(at, second)


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_a_leader_cut_off_from_the_store_is_replaced(make: Make, how: str) -> None:
    at = make(SCHEDULED)
    first, second = at.pair()
    at.place.fault("latency", seconds=0.1)
    until(lambda: at.place.rows(UNDER_WAY), 10, "an item under way")
    epoch = at.epoch
    if how == "cut":
        first.proxy.cut()
    else:
        first.proxy.silence()
    led = at.taken_over(second, at.lease_renewed(first), epoch)
    status, answer = first.process.ready_answer()
    assert (status, "store" in answer["reason"]) == (503, True)
    first.proxy.heal()
    deposed(at, first, led)
    settle(at, second)
    check_dues(at, 1)


def test_of_many_that_start_at_once_one_leads_and_hands_over_when_it_stops(make: Make) -> None:
    at = make(SCHEDULED)
    members = [at.join() for _ in range(3)]
    for member in members:
        member.site.start()
    waiting = list(members)
    for number in range(3):
        (leader,) = until(lambda: [m for m in waiting if m.leads()], 20, "a leader")
        waiting.remove(leader)
        until(lambda: all(m.stands_by() for m in waiting), 20, "the others stand by")
        assert at.epoch == number + 1
        until(partial(at.done, leader), 10, "a run")
        assert not any(m.leads() for m in waiting)
        if waiting:
            assert leader.process.stop() == 0
            moment, epoch = now(), at.epoch
            until(lambda: any(m.leads() for m in waiting), 5, "another leads")
            print(f"led after {at.led_since(epoch + 1) - moment}")
            assert (at.led_since(epoch + 1) - moment).total_seconds() < 2
    settle(at, leader)
    check_dues(at, 2)


def test_one_that_stands_by_tells_so_and_refuses_acts(make: Make) -> None:
    at = make(BY_HAND)
    _, second = at.pair()
    client = second.site.client
    status, answer = second.process.ready_answer()
    assert status == 503
    assert "standing by: another daemon leads" in answer["reason"]
    state = client.status()
    assert (state["ready"], state["running"]) == (False, {})
    assert "standing by" in str(state["checks"])
    assert second.process.get("/healthz")[0] == 200
    run = at.place.runs()[0]["id"]
    acts: list[Callable[[], object]] = [
        lambda: client.trigger("a", EVERYTHING, "me"),
        lambda: client.cancel(run, "me"),
        lambda: client.prioritise(run, "high", "me"),
        lambda: client.pause("a", None, "me"),
        lambda: client.resume("a", "me"),
        lambda: client.approve("a", "me"),
        lambda: client.plan("a", EVERYTHING, "me"),
        lambda: client.reload("me"),
    ]
    for act in acts:
        with pytest.raises(StoreError, match="stands by"):
            act()
    assert client.run(str(run))["status"] == "success"  # whoever looks is answered
