"""From the end of a run to the receiver: in order, once, and none lost."""

from daemon_helpers import until
from notice_engine import WAIT, Announcing, told

from syncd.errors import StoreError
from syncd.store import leader, notice_queue
from syncd.store.notice_queue import NewMessage, Sent

DAY = 86_400.0


def test_a_failure_and_its_recovery_are_sent_in_order(site, receivers):
    ops = receivers.open()
    site.configure({"ops": ops.url})
    run = site.ended()
    site.look()
    site.await_settled()
    site.pass_(60)
    site.ended("success")
    site.look()
    site.await_settled()
    assert told(ops) == [("failed", "j failed"), ("recovered", "j failed")]
    failed, recovered = (one.document for one in ops.received)
    assert failed["look"] == f"syncd show {run}"
    assert site.queue() == [("ops", "failed", "sent"), ("ops", "recovered", "sent")]
    assert site.bench.execute("select * from syncd.alert") == []
    assert recovered["title"].startswith("job j")


def test_a_look_that_is_broken_off_takes_nothing(site, receivers):
    """The ends are marked, the alerts changed and the messages queued together or not at all."""
    site.configure({"ops": receivers.open().url})
    site.ended()
    with site.bench.store.transaction(rehearse=True) as tx:
        site.engine._deriver.look(tx)
    assert site.queue() == []
    assert site.bench.one("select count(*) from syncd.run where told_at is null") == 1
    site.look()
    site.look()
    site.await_settled()
    assert site.queue() == [("ops", "failed", "sent")]


def test_what_can_not_be_recorded_as_sent_is_not_sent_again(site, receivers, monkeypatch):
    ops = receivers.open()
    site.configure({"ops": ops.url})
    site.ended()
    real, taken = site.bench.store, []

    class Breaking:
        def transaction(self, **keys):
            taken.append(keys)
            if len(taken) == 2:
                raise StoreError("gone")
            return real.transaction(**keys)

    monkeypatch.setattr(site.engine._channels, "_store", Breaking())
    site.look()
    until(lambda: len(taken) >= 2, WAIT, "a record that fails")
    until(lambda: site.hurry() or site.settled(), WAIT, "recorded")
    assert len(ops.received) == 1


def test_the_runs_of_a_day_without_looks_do_not_flood(site, receivers):
    ops, log = receivers.open(), receivers.open()
    site.configure({"ops": ops.url, "log": {"url": log.url, "on": ["success"]}})
    site.bench.execute(
        """insert into syncd.run (id, job, kind, trigger, status, scheduled_for, created_at,
                                  started_at, finished_at, max_attempts, config_digest,
                                  error_class, error)
           select gen_random_uuid(), case when n %% 2 = 0 then 'j' else 'k' end, 'http', 'manual',
                  case when n %% 3 = 0 then 'success' else 'failed' end, at, at, at, at, 1, 'd',
                  case when n %% 3 > 0 then 'network' end, case when n %% 3 > 0 then 'reset' end
           from generate_series(1, 10000) n,
                lateral (select %s - make_interval(secs => 90000 - 8 * n)) t (at)""",
        site.clock.now(),
    )
    site.look()
    site.await_settled()
    assert site.bench.one("select count(*) from syncd.run where told_at is null") == 0
    assert told(ops) == [("failed", "j failed")], "the last run of k succeeded"
    assert told(log) == []


def test_a_channel_that_hangs_holds_up_no_other(site, receivers):
    ops = receivers.open()
    site.configure({"slow": {"url": receivers.hanging(), "timeout": "30s"}, "ops": ops.url})
    for job in ("j", "k"):
        site.ended(job=job)
    site.look()
    until(lambda: len(ops.received) == 2, WAIT, "both messages, past the one that hangs")
    both = [("ops", "failed", "sent")] * 2
    until(lambda: [q for q in site.queue() if q[0] == "ops"] == both, WAIT, "their records")
    busy = site.bench.one(
        """select count(*) from pg_stat_activity
           where state = 'idle in transaction' and datname = current_database()"""
    )
    assert busy == 0, "no connection is held while the network waits"


def test_messages_wait_in_order_for_a_channel_that_fails(site, receivers):
    ops = receivers.open()
    receivers.status = 503
    site.configure({"ops": ops.url})
    site.ended(job="j", ago=1)
    site.ended(job="k")
    site.look()
    until(
        lambda: site.bench.one("select max(attempts) from syncd.notification") == 1, WAIT, "a try"
    )
    until(lambda: site.bench.execute("select 1 from syncd.notification where error is not null"),
          WAIT, "its record")  # fmt: skip
    assert told(ops) == [("failed", "j failed")]
    site.pass_(10)
    assert len(ops.received) == 1, "not before its time"
    receivers.status = 204
    site.pass_(10)
    site.await_settled()
    assert told(ops)[1:] == [("failed", "j failed"), ("failed", "k failed")]


def test_a_message_that_is_refused_lets_the_others_pass_in_the_end(site, receivers):
    ops = receivers.open()
    receivers.status = 400
    site.configure({"ops": ops.url})
    site.ended(job="j")
    site.look()
    for tries in (1, 2, 3):
        until(
            lambda n=tries: site.bench.one("select attempts from syncd.notification") == n
            and site.bench.one("select refused from syncd.notification"),
            WAIT, f"refusal {tries}",
        )  # fmt: skip
        receivers.status = 204 if tries == 3 else 400
        if tries < 3:
            site.pass_(1000)
    site.ended(job="k")
    site.look()
    until(lambda: site.queue()[1][2] == "sent", WAIT, "the one behind it")
    assert site.queue()[0][2] == "waits"
    site.pass_(1000)
    site.await_settled()


def test_a_message_is_given_up_after_a_day_and_the_next_one_says_so(site, receivers):
    ops = receivers.open()
    receivers.status = 500
    site.configure({"ops": ops.url})
    site.ended()
    site.look()
    until(lambda: ops.received, WAIT, "a try")
    until(lambda: site.bench.one("select error from syncd.notification"), WAIT, "its record")
    site.clock.pass_(DAY + 1)
    site.hurry()
    until(lambda: site.queue()[0][2] == "given up", WAIT, "given up")
    receivers.status = 204
    site.look()
    site.await_settled()
    assert "not_delivered_before" in ops.last.body.decode()
    labels = {"channel": "ops", "outcome": "given_up"}
    assert site.metrics._registry.get_sample_value("syncd_notifications_total", labels) == 1


def test_of_too_many_messages_the_oldest_are_given_up(site, receivers):
    now = site.clock.now()
    for batch in range(3):
        messages = [NewMessage("ops", "failed", f"{batch} {n}", {}) for n in range(500)]
        with site.bench.store.transaction() as tx:
            lost = notice_queue.add(tx, messages, now)
        assert lost == ({"ops": 500} if batch == 2 else {})
    with site.bench.store.transaction() as tx:
        assert notice_queue.waiting(tx) == {"ops": 1000}
        head = notice_queue.head(tx, "ops", now)
    assert head is not None
    assert head.given_up == 500
    assert site.bench.one("select key from syncd.notification where id = %s", head.id) == "1 0"


def test_what_is_given_up_in_a_flood_is_counted_and_told_in_the_log(site, receivers, monkeypatch):
    monkeypatch.setattr(notice_queue, "MOST_UNSENT", 1)
    receivers.status = 503
    ops = receivers.open()
    site.configure({"ops": ops.url}, {"j": {"ping_url": ops.url}, "k": {}})
    site.ended(job="j", ago=2)
    site.ended(job="k", ago=1)
    site.ended(job="j", error_class="timeout")
    site.look()
    for channel, count in (("ops", 2), ("job pings", 1)):
        labels = {"channel": channel, "outcome": "given_up"}
        found = site.metrics._registry.get_sample_value("syncd_notifications_total", labels)
        assert found == count, channel


def test_a_message_given_up_while_it_is_tried_stays_so_unless_it_was_sent(site, receivers):
    """The record of a try can come after a reload that took the channel out, or a flood."""
    now = site.clock.now()
    with site.bench.store.transaction() as tx:
        notice_queue.add(tx, [NewMessage("ops", "failed", "a", {})], now)
        head = notice_queue.head(tx, "ops", now)
        assert head is not None
        notice_queue.begin(tx, head.id, now)
        notice_queue.give_up_others(tx, [], now)
        notice_queue.record(tx, Sent(head.id, now, "no answer", next_attempt_at=now))
    assert site.queue() == [("ops", "failed", "given up")]
    assert "no such channel" in site.bench.one("select error from syncd.notification")
    with site.bench.store.transaction() as tx:
        notice_queue.record(tx, Sent(head.id, now))
    assert site.queue() == [("ops", "failed", "sent")]
    assert site.bench.one("select given_up_at from syncd.notification") is None


def test_a_reload_takes_channels_out_and_in(site, receivers):
    first, second = receivers.open(), receivers.open()
    receivers.status = 500
    site.configure({"old": first.url})
    site.ended()
    site.look()
    until(lambda: first.received, WAIT, "a try")
    receivers.status = 204
    site.configure({"new": second.url, "off": {"url": first.url, "enabled": False}})
    site.look()
    site.await_settled()
    assert site.queue() == [("old", "failed", "given up"), ("new", "failed", "sent")]
    site.ended("success")
    site.look()
    site.await_settled()
    assert told(second) == [("failed", "j failed"), ("recovered", "j failed")]


def test_a_corrected_channel_gets_at_once_what_waits(site, receivers):
    wrong, right = receivers.open(), receivers.open()
    receivers.status = 404
    site.configure({"ops": wrong.url})
    site.ended()
    site.look()
    until(lambda: site.bench.one("select refused from syncd.notification"), WAIT, "a refusal")
    receivers.status = 204
    site.configure({"ops": right.url})
    site.look()
    site.await_settled()
    assert told(right) == [("failed", "j failed")]


def test_who_has_lost_the_lead_sends_nothing(site, receivers, tmp_path):
    ops = receivers.open()
    site.configure({"ops": ops.url})
    stale = site.plan.held
    site.bench.execute("update syncd.leader set expires_at = now() - interval '1 s'")
    other = Announcing(site.bench, tmp_path, "web-2:def")
    assert (stale.epoch, other.plan.held.epoch) == (1, 2)
    site.ended()
    site.look()
    assert site.queue() == []
    other.configure({"ops": ops.url})
    other.look()
    other.await_settled()
    site.look()
    other.close()
    assert told(ops) == [("failed", "j failed")]
    assert leader.acquire(site.bench.store, "daemon:web-2:def")


def test_who_has_lost_the_lead_takes_nothing_from_the_queue(site, receivers):
    ops = receivers.open()
    site.configure({"ops": ops.url})
    with site.bench.store.transaction() as tx:
        notice_queue.add(tx, [NewMessage("ops", "failed", "a", {})], site.clock.now())
    site.bench.execute("update syncd.leader set epoch = epoch + 1")
    assert site.engine._channels._serve("ops") is None
    assert site.bench.one("select attempts from syncd.notification") == 0
    assert ops.received == []
