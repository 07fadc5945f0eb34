"""The pings of a job's dead-man service: in order, in time, and without telling the URL."""

from daemon_helpers import until
from notice_engine import WAIT

SECRET = "/ping/0ff1ce-5ec4e7"


def test_a_run_is_pinged_when_it_starts_and_when_it_ends(site, receivers):
    service = receivers.open(f"{SECRET}?create=1")
    site.configure({}, {"j": {"ping_url": service.url}, "k": {}})
    for status in ("success", "failed", "cancelled"):
        site.engine.started("j", "r")
        site.engine.started("k", "r")
        site.look()
        site.ended(status)
        site.ended(status, job="k")
        site.look()
        site.await_settled()
    until(lambda: len(service.received) == 5, WAIT, "all pings")
    assert [(one.method, one.target) for one in service.received] == [
        ("GET", f"{SECRET}/start?create=1"),
        ("GET", f"{SECRET}?create=1"),
        ("GET", f"{SECRET}/start?create=1"),
        ("GET", f"{SECRET}/fail?create=1"),
        ("GET", f"{SECRET}/start?create=1"),
    ]


def test_the_url_is_stored_and_told_nowhere(site, receivers, capsys):
    service = receivers.open(SECRET)
    receivers.status = 404
    site.configure({}, {"j": {"ping_url": service.url}})
    site.ended()
    site.look()
    until(lambda: site.bench.one("select error from syncd.notification"), WAIT, "a refusal")
    site.configure({}, {"j": {"ping_url": "http://127.0.0.1:1" + SECRET}})
    site.ended("success")
    site.look()
    until(lambda: site.bench.one("select max(attempts) from syncd.notification") > 1, WAIT, "a try")
    until(lambda: "refused" in capsys.readouterr().out or site.hurry(), WAIT, "its line")
    stored = site.bench.one("select string_agg(n::text, ' ') from syncd.notification n")
    assert "5ec4e7" not in stored
    assert "5ec4e7" not in capsys.readouterr().out


def test_a_ping_that_is_late_by_an_hour_is_dropped(site, receivers):
    service = receivers.open(SECRET)
    receivers.status = 500
    site.configure({}, {"j": {"ping_url": service.url}})
    site.ended(ago=3700)
    site.look()
    assert site.queue() == [], "nobody waits for it any more"
    site.ended()
    site.look()
    until(lambda: service.received, WAIT, "a try")
    site.clock.pass_(3601)
    until(lambda: site.hurry() or site.settled(), WAIT, "given up")
    assert site.queue() == [("ping j", "failed", "given up")]


def test_a_start_that_fails_does_not_hold_up_the_end_for_long(site, receivers):
    service = receivers.open(SECRET)
    receivers.status = 500
    site.configure({}, {"j": {"ping_url": service.url}})
    site.engine.started("j", "r")
    site.look()
    until(lambda: service.received, WAIT, "a try")
    site.ended("success")
    site.look()
    for _ in range(3):
        site.clock.pass_(6)
        seen = len(service.received)
        until(lambda n=seen: site.hurry() or len(service.received) > n, WAIT, "another try")
    receivers.status = 200
    until(lambda: site.pass_(6) or site.settled(), WAIT, "the end")
    assert service.last.target == SECRET


def test_a_service_that_hangs_holds_up_no_message(site, receivers):
    ops, hung = receivers.open(), receivers.hanging()
    jobs = {f"p{n}": {"ping_url": hung} for n in range(8)}
    site.configure({"ops": ops.url}, {**jobs, "j": {}})
    for name in jobs:
        site.engine.started(name, "r")
    site.ended()
    site.look()
    until(lambda: ops.received, WAIT, "the message")


def test_a_job_whose_url_is_gone_is_pinged_no_more(site, receivers):
    service = receivers.open(SECRET)
    receivers.status = 500
    site.configure({}, {"j": {"ping_url": service.url}})
    site.ended()
    site.look()
    until(lambda: service.received, WAIT, "a try")
    site.configure({}, {"j": {}})
    site.look()
    assert site.queue() == [("ping j", "failed", "given up")]
