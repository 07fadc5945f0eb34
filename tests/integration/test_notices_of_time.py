"""What time, a machine or an outage brings about is told, and that it is over."""

from datetime import timedelta

from daemon_helpers import until
from notice_engine import WAIT, Announcing, told
from notify_receivers import Answer, Received, receiving

from syncd.errors import StoreError
from syncd.model.run import Outcome
from syncd.notices.conditions import Look
from syncd.store import notices, runs
from syncd.store.runs import RunEnd

HOUR, DAY = 3600.0, 86_400.0
STORE_AWAY = ("resource", "web-1:abc store resource")
BAD = Look(bad=True, detail={"short": "disk", "thing": "1 MiB of disk is free"})


def test_a_run_that_goes_on_for_too_long_is_told_while_it_does(site, receivers):
    ops = receivers.open()
    site.configure({"ops": ops.url}, {"j": {"overrun_after": "10m"}, "k": {}})
    claims = [site.bench.begun(job, trigger="manual") for job in ("j", "k")]
    site.pass_(600)
    assert site.queue() == []
    site.pass_(60)
    site.await_settled()
    assert told(ops) == [("overrun", "j overrun")]
    site.pass_(60)
    with site.bench.store.transaction() as tx:
        runs.end_run(tx, claims[0], RunEnd(Outcome("success"), site.clock.now(), 720))
    site.look()
    site.await_settled()
    assert told(ops)[1:] == [("recovered", "j overrun")]
    assert str(claims[0].run_id) in ops.last.body.decode()


def test_a_job_without_success_for_too_long_is_stale_until_it_has_one(site, receivers):
    ops = receivers.open()
    site.plan.every = {"j": HOUR, "k": HOUR}
    site.configure({"ops": ops.url}, {"j": {"timeout": "30m"}, "k": {}})
    site.look()
    site.pass_(DAY)
    assert site.queue() == [], "a job that never was due is not stale"
    site.ended("success")
    site.pass_(2.5 * HOUR)
    site.pass_(240)
    assert site.queue() == [], "who did not look for hours gives the jobs some time"
    site.pass_(61)
    site.await_settled()
    assert told(ops) == [("stale", "j stale")]
    site.ended("failed")
    site.pass_(61)
    site.ended("success")
    site.pass_(61)
    site.await_settled()
    events = [event for event, _ in told(ops)]
    assert events[:2] == ["stale", "failed"]
    assert sorted(told(ops)[-2:]) == [("recovered", "j failed"), ("recovered", "j stale")]


def test_a_paused_job_is_not_stale_and_has_its_time_afterwards(site, receivers):
    ops = receivers.open()
    site.plan.every, site.plan.stopped = {"j": HOUR}, {"j": True}
    site.configure({"ops": ops.url}, {"j": {"timeout": "30m"}})
    site.look()
    site.ended("success")
    site.pass_(10 * DAY)
    assert site.queue() == []
    site.plan.stopped = {"j": False}
    for seconds in (2 * HOUR, 240, 61, HOUR, 240):
        site.pass_(seconds)
        assert site.queue() == []
    site.pass_(61)
    site.await_settled()
    assert told(ops) == [("stale", "j stale")]
    site.plan.stopped = {"j": True}
    site.pass_(DAY)
    site.plan.stopped = {"j": False}
    site.pass_(61)
    assert ("recovered", "j stale") not in told(ops), "a pause makes nothing well"


def test_a_new_leader_gives_the_jobs_some_time(bench, tmp_path, receivers):
    ops = receivers.open()
    site = Announcing(bench, tmp_path)
    site.ended("success", ago=30 * DAY)
    site.plan.every = {"j": HOUR}
    site.configure({"ops": ops.url}, {"j": {}})
    site.look()
    site.clock.set(site.clock.now() - timedelta(days=1))
    site.pass_(240)
    assert site.queue() == []
    site.pass_(60)
    assert site.queue() == [], "its time begins anew when the clock is set back"
    site.pass_(241)
    site.await_settled()
    assert told(ops) == [("stale", "j stale")]
    site.close()


def test_what_is_wrong_with_a_machine_that_stands_by_is_told_by_the_leader(
    site, receivers, bench, tmp_path
):
    ops = receivers.open()
    site.configure({"ops": ops.url})
    beside = Announcing(bench, tmp_path, "web-2:def")
    site.bench.execute("update syncd.leader set holder = 'daemon:web-1:abc', epoch = 1")
    beside.plan.held = None
    beside.configure({"ops": ops.url})
    beside.bad["disk"] = BAD
    beside.look()
    site.look()
    site.await_settled()
    assert told(ops) == [("resource", "web-2:def disk resource")]
    assert ops.last.document["host"] == "web-2"
    beside.bad.clear()
    beside.look()
    site.look()
    site.await_settled()
    assert told(ops)[1:] == [("recovered", "web-2:def disk resource")]
    beside.close()


def test_a_restarted_daemon_tells_that_its_machine_is_well(site, receivers, bench, tmp_path):
    ops = receivers.open()
    site.configure({"ops": ops.url})
    site.bad["disk"] = BAD
    site.look()
    site.await_settled()
    again = Announcing(bench, tmp_path)
    again.configure({"ops": ops.url})
    again.look()
    again.await_settled()
    again.close()
    assert [event for event, _ in told(ops)] == ["resource", "recovered"]


def test_a_machine_that_is_gone_for_good_is_forgotten(site, receivers):
    site.configure({"ops": receivers.open().url})
    site.look()
    site.clock.pass_(61)
    with site.bench.store.transaction() as tx:
        seen = site.clock.now() - timedelta(days=2)
        gone = notices.Condition("resource", "web-9:xyz disk", seen, BAD.detail)
        notices.state_conditions(tx, "web-9:xyz", [gone], seen)
    site.look()
    assert site.bench.execute("select key from syncd.alert") == []
    assert site.queue() == []


def test_what_is_wrong_for_days_is_not_forgotten(site, receivers):
    ops = receivers.open()
    site.configure({"ops": ops.url})
    site.bad["disk"] = BAD
    for _ in range(3):
        site.pass_(0.6 * DAY)
    found = site.bench.execute("select key, times from syncd.alert")
    assert found == [("web-1:abc disk resource", 1)]
    site.bad.clear()
    site.pass_(1)
    site.await_settled()
    assert told(ops)[-1] == ("recovered", "web-1:abc disk resource")


def test_a_refused_configuration_is_told_and_the_next_good_one_too(site, receivers):
    ops = receivers.open()
    site.configure({"ops": ops.url})
    hostile = "jobs.x: no kind\0\udcff" + "x" * 9000
    site.bad["configuration"] = Look(bad=True, detail={"thing": "", "error": hostile})
    site.look()
    site.await_settled()
    site.bad.clear()
    site.look()
    site.await_settled()
    assert [event for event, _ in told(ops)] == ["reload_failed", "recovered"]
    assert "jobs.x: no kind" in ops.received[0].body.decode()


def test_a_store_out_of_reach_is_told_from_memory_and_again_and_that_it_is_back(
    bench, tmp_path, receivers, monkeypatch
):
    ops = receivers.open()
    site = Announcing(bench, tmp_path)
    site.configure({"ops": {"url": ops.url, "repeat_after": "5m"}})

    def away(**_: object) -> None:
        raise StoreError("no route")

    monkeypatch.setattr(bench.store, "transaction", away)
    site.bad["store"] = Look(bad=True, detail={"short": "store", "thing": "the store is away"})
    site.look()
    site.look()
    until(lambda: len(ops.received) == 1, WAIT, "the notice")
    site.clock.pass_(301)
    site.look()
    until(lambda: len(ops.received) == 2, WAIT, "the same again")
    monkeypatch.undo()
    site.bad.clear()
    site.look()
    until(lambda: len(ops.received) == 3, WAIT, "that it is back")
    assert [event for event, _ in told(ops)] == ["resource", "resource", "recovered"]
    assert site.queue() == []
    site.close()


def test_what_waits_in_memory_is_tried_again(site, receivers):
    ops = receivers.open()
    receivers.status = 503
    site.configure({"ops": ops.url})
    site.bad["store"] = Look(bad=True, detail={"short": "store", "thing": "the store is away"})
    site.look()
    until(lambda: len(ops.received) == 1, WAIT, "a try")
    receivers.status = 204
    site.clock.pass_(16)
    until(lambda: site.hurry() or len(ops.received) == 2, WAIT, "another one")


def test_what_is_refused_from_memory_does_not_hold_up_what_the_store_holds(site):
    def judge(request: Received) -> Answer:
        return (400 if request.document["event"] == "resource" else 204), {}, b""

    with receiving(judge) as ops:
        site.configure({"ops": ops.url})
        site.bad["store"] = Look(bad=True, detail={"short": "store", "thing": "away"})
        site.ended()
        site.look()
        for tries in (1, 2, 3):
            until(lambda n=tries: told(ops).count(STORE_AWAY) == n, WAIT, f"refusal {tries}")
            site.clock.pass_(1000)
            until(lambda n=tries: site.hurry() or len(ops.received) > n, WAIT, "what comes next")
        site.await_settled()
        assert told(ops) == [*[STORE_AWAY] * 3, ("failed", "j failed")]


def test_a_reload_tries_what_waits_in_memory_at_once(site, receivers):
    wrong, right = receivers.open(), receivers.open()
    receivers.status = 404
    site.configure({"ops": wrong.url})
    site.bad["store"] = Look(bad=True, detail={"short": "store", "thing": "away"})
    site.look()
    held = site.engine._channels._memory["ops"][0]
    until(lambda: held.next_at, WAIT, "a refusal")
    receivers.status = 204
    site.configure({"ops": right.url})
    until(lambda: right.received, WAIT, "the next try")


def test_a_restored_store_tells_nothing_of_the_past(site, receivers):
    ops = receivers.open()
    receivers.status = 503
    site.configure({"ops": ops.url})
    site.ended(job="j")
    site.look()
    until(lambda: ops.received, WAIT, "a try")
    site.ended(job="k")
    with site.bench.store.transaction() as tx:
        notices.settle_restored(tx, site.clock.now())
    receivers.status = 204
    site.pass_(HOUR)
    assert site.queue() == [("ops", "failed", "given up")]
    assert len(ops.received) == 1
    site.ended(job="j")
    site.look()
    site.await_settled()
    assert told(ops)[1:] == [("failed", "j failed")], "what lasts is told anew"
