import json

from syncd.context import Clock
from syncd.telemetry.health import Answer, Check, Health, Signal


class MovedClock(Clock):
    def __init__(self) -> None:
        self.at = 1_000.0

    def monotonic(self) -> float:
        return self.at


def test_a_signal_is_bad_until_it_was_reported():
    signal = Signal("store", MovedClock())
    assert signal.check() == Check("store", ok=False, age_seconds=None, detail="not known yet")
    signal.report(detail="PostgreSQL 18")
    assert signal.check() == Check("store", ok=True, age_seconds=0, detail="PostgreSQL 18")


def test_a_loop_that_no_longer_turns_is_not_alive():
    clock = MovedClock()
    loop = Signal("timetable", clock, stale_after=10)
    health = Health(live=[loop.check], ready=[])
    loop.report()
    clock.at += 10
    assert health.healthz().status == 200
    clock.at += 0.5
    answer = health.healthz()
    assert answer.status == 503
    assert answer.body["reason"] == "timetable: nothing heard for 10.5 s, 10 s are allowed"


def test_a_fact_without_a_limit_does_not_age():
    clock = MovedClock()
    configuration = Signal("configuration", clock)
    configuration.report()
    clock.at += 1e6
    assert configuration.check() == Check("configuration", ok=True, age_seconds=1e6, detail="")


def test_ready_says_every_reason_and_which_part_the_daemon_plays():
    clock = MovedClock()
    loop, store, leader = (Signal(name, clock) for name in ("timetable", "store", "leader"))
    health = Health(live=[loop.check], ready=[store.check, leader.check])
    loop.report()
    leader.report(detail="standing by")
    store.report(ok=False, detail="connection refused")
    clock.at += 2
    assert health.healthz().status == 200
    answer = health.readyz()
    assert answer.status == 503
    assert json.loads(json.dumps(answer.body)) == {
        "status": "unavailable",
        "reason": "store: connection refused",
        "checks": [
            {"name": "timetable", "ok": True, "age_seconds": 2.0, "detail": ""},
            {"name": "store", "ok": False, "age_seconds": 2.0, "detail": "connection refused"},
            {"name": "leader", "ok": True, "age_seconds": 2.0, "detail": "standing by"},
        ],
    }
    store.report()
    assert health.readyz().status == 200
    assert health.readyz().body["status"] == "ok"


def test_what_is_not_alive_is_not_ready():
    loop, store = Signal("timetable", MovedClock()), Signal("store", MovedClock())
    store.report()
    assert Health(live=[loop.check], ready=[store.check]).readyz().status == 503


def test_without_checks_the_answer_is_no():
    assert Health(live=[], ready=[]).healthz() == Answer(
        503, {"status": "unavailable", "reason": "nothing was checked", "checks": []}
    )
