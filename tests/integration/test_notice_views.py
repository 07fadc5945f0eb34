"""What is read of notifications: by `syncd notify list`, and by the SQL of the page."""

import re
from datetime import timedelta
from pathlib import Path

import msgspec
from daemon_helpers import until
from dispatch_helpers import FakeJob, fail, spec
from notice_engine import WAIT, Announcing, Receivers

from syncd.control.store_reads import StoreReads
from syncd.dispatch.runner import Runner
from syncd.errors import Network
from syncd.store import notice_queue, retention
from syncd.store.bounded import select_all

PAGE = Path(__file__).parents[2].joinpath("docs/notifications.md").read_text()


def waiting_and_failing(site: Announcing, receivers: Receivers) -> None:
    """Have one channel that was told of a failure, and one that does not take it."""
    good, bad = receivers.open(), "http://127.0.0.1:1/"
    site.configure({"good": good.url, "bad": bad})
    site.ended()
    site.look()
    tried = "select count(*) from syncd.notification where error > '' or sent_at > '-infinity'"
    until(lambda: site.bench.one(tried) == 2, WAIT, "a failure and a success")


def test_the_list_tells_what_waits_and_why(site, receivers):
    reads = StoreReads(site.bench.store.transaction)
    assert reads.notifications() == {"channels": [], "lasting": []}
    waiting_and_failing(site, receivers)
    site.look()
    assert site.engine.pending() == {"good": 0, "bad": 1}
    found = reads.notifications()
    bad, good = found["channels"]
    assert (bad["channel"], bad["waiting"], bad["last_sent_at"]) == ("bad", 1, None)
    assert "refused" in bad["last_error"]
    assert (good["channel"], good["waiting"], good["last_error"]) == ("good", 0, None)
    assert good["last_sent_at"] == site.clock.now()
    (lasting,) = found["lasting"]
    assert (lasting["key"], sorted(lasting["told"])) == ("j failed", ["bad", "good"])
    assert msgspec.json.encode(found), "it can be sent"


def test_the_queries_of_the_page_answer(site, receivers):
    waiting_and_failing(site, receivers)
    queries = re.findall(r"```sql\n(.+?)```", PAGE, re.DOTALL)
    with site.bench.store.transaction() as tx:
        waits, lasts = (select_all(tx, query.strip().rstrip(";"), ()) for query in queries)
    assert [(row["channel"], row["key"]) for row in waits] == [("bad", "j failed")]
    assert [(row["key"], row["times"], row["error"]) for row in lasts] == [
        ("j failed", 1, "reset by peer")
    ]


def test_old_messages_go_with_old_runs_unless_they_wait(site, receivers):
    waiting_and_failing(site, receivers)
    before = site.clock.now() + timedelta(seconds=1)
    with site.bench.store.transaction() as tx:
        old = retention.old_notifications(before)
        assert old.count(tx) == 1
        gone = old.remove(tx, retention.START)
        assert gone is not None
        assert gone.rows == 1
        assert old.remove(tx, gone.last) is None
    assert site.queue() == [("bad", "failed", "waits")]


def test_what_is_being_sent_is_not_tried_at_once_by_the_next_leader(site):
    """The one before may be frozen in the middle of it."""
    now = site.clock.now()
    message = notice_queue.NewMessage("ops", "failed", "k", {})
    with site.bench.store.transaction() as tx:
        notice_queue.add(tx, [message], now)
        head = notice_queue.head(tx, "ops", now)
        assert head is not None
        notice_queue.begin(tx, head.id, now.replace(minute=1))
        notice_queue.try_again(tx)
        head = notice_queue.head(tx, "ops", now)
    assert head is not None
    assert head.next_attempt_at == now.replace(minute=1)


def test_a_next_try_by_a_clock_that_was_set_back_is_made_now(site):
    now = site.clock.now()
    with site.bench.store.transaction() as tx:
        for key in "ab":
            notice_queue.add(tx, [notice_queue.NewMessage("ops", "failed", key, {})], now)
        first = notice_queue.head(tx, "ops", now)
        assert first is not None
        for _ in range(notice_queue.AT_ONCE):
            notice_queue.begin(tx, first.id, now)
        far = now + timedelta(hours=3)
        notice_queue.record(
            tx, notice_queue.Sent(first.id, now, "no", refused=True, next_attempt_at=far)
        )
        head = notice_queue.head(tx, "ops", now)
    assert head is not None
    assert (head.id, head.next_attempt_at) == (first.id, None)


def test_a_runner_tells_of_the_first_attempt_and_of_every_end(bench):
    heard = []

    class Hears:
        def started(self, job: str, run_id: str) -> None:
            heard.append((job, run_id))

        def ended(self) -> None:
            heard.append("ended")

    runner = Runner(
        bench.works, bench.recorder, bench.watcher, bench.credentials, bench.clock, bench.log,
        Hears(),
    )  # fmt: skip
    claim = bench.begun()
    of = spec("j", FakeJob({"a": fail(Network("down"))}))
    runner.run(bench.attempt(of, claim))
    runner.run(bench.attempt(of, bench.start(claim.run_id)))
    assert heard == [("j", str(claim.run_id)), "ended", "ended"]
