"""Two daemons on one store: one leads, the other takes over, and nothing happens twice or never."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from daemon_helpers import Manager, inventory, job, truth, until
from thorough import times
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
ROUNDS = times(2)
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
    for member in [m for m in at.members if m is not leader and m.process.popen.poll() is None]:
        assert member.process.stop() == 0
    assert leader.process.stop() == 0
    at.check()


def check_dues(at: Cluster, takeovers: int, every: float = 1.0) -> None:
    """Check that each due time got one run or was accounted for, as the policy of its job says.

    `every`: the seconds between those of the job `all`.
    """
    assert at.holes("all", every) == []
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


@pytest.mark.parametrize(("isolation", "every"), [("thread", 1), ("process", 3)])
def test_a_leader_that_is_frozen_about_to_apply_commits_nothing_when_it_goes_on(
    make: Make, isolation: str, every: int
) -> None:
    """A process of its own is not even frozen: it applies what it has read once it can.

    To start one can take a second; due more often than that, its runs would never catch up.
    """
    keys = {"isolation": isolation, "every": f"{every}s"}
    at = make(SCHEDULED | {"all": SCHEDULED["all"] | keys})
    first, second = at.pair()
    churn(at, random.Random(1))
    number = at.place.fault("hang", action="DescribeInstances")
    until(lambda: len(at.place.rows(UNDER_WAY)) == 2, 10, "items under way")
    moment, epoch = now(), at.epoch
    first.freeze()
    led = at.taken_over(second, moment, epoch)
    at.place.emulator.faults.clear(number)
    until(lambda: (now() - moment).total_seconds() > 12, 15, "longer than the watchdog waits")
    first.go_on()
    deposed(at, first, led)
    settle(at, second)
    check_dues(at, 1, every)


def test_a_leader_frozen_in_its_transactions_holds_nobody_up(make: Make) -> None:
    at = make(BY_HAND | {"o": BY_HAND["t"]})
    first, second = at.pair()
    first.site.configure(at.jobs, max_per_account=2)
    first.site.client.reload("me")
    churn(at, random.Random(1))
    copying = first.proxy.trap(b'copy "syncd"."resource_stage"')
    first.site.client.trigger("a", EVERYTHING, "me")
    assert copying.wait(10)
    applying = first.proxy.trap(b"with decided as")
    first.site.client.trigger("t", EVERYTHING, "me")
    assert applying.wait(10)
    opening = first.proxy.trap(b"insert into syncd.run_item")
    first.site.client.trigger("o", EVERYTHING, "me")
    assert opening.wait(10)
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
            moment = now()
            until(lambda: any(m.leads() for m in waiting), 5, "another leads")
            seconds = (at.led_since(number + 2) - moment).total_seconds()
            print(f"led {seconds} s after the last one had stopped")
            assert seconds < 2
    settle(at, leader)
    check_dues(at, 2)


def test_one_that_stands_by_tells_so_and_refuses_acts(make: Make) -> None:
    at = make(BY_HAND)
    at.pair()
    third = at.join()
    manager = Manager(third.site.directory / "notify")
    third.site.start(manager.environment)
    until(third.stands_by, 20, "it stands by")
    client = third.site.client
    status, answer = third.process.ready_answer()
    assert status == 503
    assert "standing by: another daemon leads" in answer["reason"]
    state = client.status()
    assert (state["ready"], state["running"]) == (False, {})
    assert "standing by" in str(state["checks"])
    assert third.process.get("/healthz")[0] == 200
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
    assert manager.heard("READY") + manager.heard("RELOADING") == []
    manager.close()


def test_what_people_and_runs_have_changed_survives_a_takeover(make: Make) -> None:
    at = make(
        {
            "adaptive": job(accounts=TENCENT, adaptive={"min": "1s", "max": "1h"}),
            "paused": job(accounts=TENCENT, every="1s", start_deadline="1h"),
            "held": job(accounts=ALIYUN, every="1s"),
            "later": job(accounts=TENCENT),
        }
    )
    first, second = at.pair()
    number = at.place.fault("authentication", provider="aliyun")
    (held,) = until(lambda: at.place.rows("select * from syncd.held_account"), 10, "a hold")
    first.site.client.pause("paused", None, "me")
    until(lambda: job_of(first, "adaptive")["interval_seconds"] >= 2, 20, "a longer interval")
    faults, hang = at.place.emulator.faults, at.place.fault("hang", provider="tencent", times=99)
    until(lambda: faults.left(hang) != 99, 20, "a run that hangs, and keeps its account")
    moved = first.site.client.trigger("later", EVERYTHING, "me", "low")
    first.site.client.prioritise(moved, "high", "me")
    kept = [(job_of(first, name)[key]) for name, key in KEPT]
    assert None not in kept
    first.process.kill()
    second.process.await_ready(20)
    assert [job_of(second, name)[key] for name, key in KEPT] == kept
    (run,) = until(lambda: at.place.runs("id = %s and status = 'running'", moved), 10, "its turn")
    assert run["priority"] == "high"
    tried = """select * from syncd.held_account where fingerprint <> %s"""
    (again,) = until(lambda: at.place.rows(tried, held["fingerprint"]), 10, "a try with the key")
    assert again["held_at"] == held["held_at"]
    at.place.emulator.faults.clear(number)
    until(
        lambda: second.process.metric("syncd_job_held", job_name="held") == 1, 10, "held as before"
    )
    assert not at.place.runs("job = 'paused' and status = 'running'")


def test_who_stood_by_takes_over_by_the_files_as_they_are_now(make: Make) -> None:
    at = make(BY_HAND)
    first, second = at.pair()
    more = BY_HAND | {"new": job(accounts=TENCENT, every="1h")}
    for member in first, second:
        member.site.configure(more, max_per_account=1, max_concurrent_runs=2)
    first.site.client.reload("me")
    first.site.client.pause("new", None, "me")
    paused = job_of(first, "new")["paused"]
    stop(first)
    second.process.await_ready(10)
    assert job_of(second, "new")["paused"] == paused
    assert second.site.client.scheduler()["workers"]["size"] == 2
    third = at.join()
    third.site.start()
    until(third.stands_by, 20, "it stands by")
    third.site.write("no configuration")
    stop(second)
    third.process.await_ready(10)
    assert [row["name"] for row in third.site.client.jobs()] == list(BY_HAND)
    assert third.process.lines("the configuration stays as it was read", "level=error")


KEPT = ("paused", "paused"), ("adaptive", "interval_seconds")


def job_of(member: Member, name: str) -> dict[str, Any]:
    """Return what a member tells of a job."""
    return next(row for row in member.site.client.jobs() if row["name"] == name)


def kill(leader: Member) -> None:
    leader.process.kill()


def stop(leader: Member) -> None:
    assert leader.process.stop() == 0


STRIKES: dict[str, Callable[[Member], None]] = {
    "kill": kill,
    "stop": stop,
    "freeze": Member.freeze,
    "cut": lambda leader: leader.proxy.cut(),
    "silence": lambda leader: leader.proxy.silence(),
}


def nod(leader: Member, rng: random.Random) -> None:
    """Take a leader away for less than its lease lasts: it is to stay the leader."""
    away, back = rng.choice(
        [(leader.freeze, leader.go_on), (leader.proxy.cut, leader.proxy.heal),
         (leader.proxy.silence, leader.proxy.heal)]
    )  # fmt: skip
    print("nods:", away.__name__)
    away()
    time.sleep(rng.uniform(0.5, 3))
    back()


def recover(at: Cluster, struck: Member, led: datetime) -> None:
    """Lift what struck a member; what it does then is harmless. It joins again."""
    if struck.process.popen.poll() is None:
        struck.go_on()
        struck.proxy.heal()
        deposed(at, struck, led)
    struck.site.start()
    until(struck.stands_by, 20, "it stands by")


def test_whatever_befalls_the_leader_no_due_time_is_lost_or_made_twice(
    make: Make, seed: int
) -> None:
    rng = random.Random(seed)
    at = make(SCHEDULED)
    leader, other = at.pair()
    at.place.fault("latency", seconds=0.05)
    for number in range(ROUNDS):
        churn(at, rng)
        nod(leader, rng)
        done = len(at.place.runs("status = 'success'"))
        until(lambda done=done: len(at.place.runs("status = 'success'")) > done, 10, "a run")  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.5))  # the moment is what is random here
        what = rng.choice(sorted(STRIKES))
        print(f"round {number}: {what} {leader.name}")
        moment, epoch = now(), at.epoch
        STRIKES[what](leader)
        led = at.taken_over(other, moment, epoch)
        recover(at, leader, led)
        leader, other = other, leader
    settle(at, leader)
    check_dues(at, 2 * ROUNDS)
