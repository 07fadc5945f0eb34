"""When people are told: once, then after growing waits, and of the recovery if they knew."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notice_book import DAY, HOUR, MINUTE, NOON, SECOND, Looks, run, wants

from syncd.model.notice import ended, raised, recovery, told


def test_a_failure_is_told_once_and_again_after_growing_waits():
    looks = Looks(wants(after=HOUR))
    assert looks.look(NOON, run()) == [("failed", ["ops"])]
    moments = []
    for minute in range(1, 5 * 24 * 60):
        if looks.look(NOON + minute * MINUTE):
            moments.append(minute / 60)
    assert moments == [1, 3, 7, 15, 31, 55, 79, 103]
    assert all(message.again for message in looks.told[1:])


def test_further_failures_are_counted_and_tell_nothing_new():
    looks = Looks(wants())
    looks.look(NOON, run())
    assert looks.look(NOON + MINUTE, run(at=NOON + MINUTE)) == []
    assert looks.look(NOON + HOUR, run(at=NOON + HOUR)) == [("failed", ["ops"])]
    assert looks.told[-1].detail["times"] == 3
    assert looks.told[-1].detail["since"] == NOON.isoformat()


def test_another_error_class_is_news():
    looks = Looks(wants())
    looks.look(NOON, run())
    other = run(at=NOON + MINUTE, error_class="permission")
    assert looks.look(NOON + MINUTE, other) == [("failed", ["ops"])]
    assert looks.told[-1].detail["since"] == NOON.isoformat()
    assert looks.look(NOON + 30 * MINUTE) == []
    assert looks.look(NOON + MINUTE + HOUR) == [("failed", ["ops"])], "the waits begin anew"


def test_a_recovery_says_how_long_it_lasted_and_how_many_runs_failed():
    looks = Looks(wants())
    looks.look(NOON, run())
    looks.look(NOON + MINUTE, run(at=NOON + MINUTE))
    assert looks.look(NOON + HOUR, run("success", NOON + HOUR))[-1] == ("recovered", ["ops"])
    detail = looks.told[-1].detail
    assert (detail["of"], detail["lasted_seconds"], detail["times"]) == ("failed", 3600, 2)
    assert looks.alerts == {}


def test_a_recovery_is_told_only_to_those_who_were_told_of_the_failure():
    looks = Looks(wants("all"), wants("rest", "recovered"), wants("k-only", jobs=["k*"]))
    looks.look(NOON, run())
    assert looks.look(NOON + MINUTE, run("success", NOON + MINUTE)) == [("recovered", ["all"])]


def test_who_does_not_ask_for_recoveries_is_told_of_none():
    looks = Looks(wants("ops", "failed"))
    looks.look(NOON, run())
    assert looks.look(NOON + MINUTE, run("success", NOON + MINUTE)) == []
    assert looks.alerts == {}


def test_a_success_is_told_to_those_who_ask():
    looks = Looks(wants("ops"), wants("log", "success"))
    assert looks.look(NOON, run("success")) == [("success", ["log"])]


def test_a_cancelled_run_tells_nothing_and_ends_nothing():
    looks = Looks(wants())
    looks.look(NOON, run())
    assert looks.look(NOON + MINUTE, run("cancelled", NOON + MINUTE)) == []
    assert looks.alerts


def test_a_job_that_is_gone_is_forgotten_without_a_word():
    looks = Looks(wants())
    looks.look(NOON, run())
    looks.jobs = ["k"]
    assert looks.look(NOON + MINUTE) == []
    assert looks.alerts == {}
    assert looks.look(NOON + MINUTE, run(at=NOON + MINUTE)) == []


def test_while_a_job_is_paused_only_news_are_told():
    looks = Looks(wants())
    looks.look(NOON, run())
    looks.quiet = ["j"]
    assert looks.look(NOON + DAY) == []
    assert looks.look(NOON + DAY, run(at=NOON + DAY, error_class="timeout"))
    looks.quiet = []
    assert looks.look(NOON + 2 * DAY) == [("failed", ["ops"])]


def test_what_is_guarded_is_told_as_that_and_not_as_a_failure_too():
    looks = Looks(wants("both"), wants("failures", "failed"))
    told_of = looks.look(NOON, run(error_class="guard", guarded=["cn-a"]))
    assert sorted(told_of) == [("failed", ["failures"]), ("guarded", ["both"])]
    assert looks.told[0].key != looks.told[1].key


def test_a_new_channel_is_told_of_what_lasts():
    looks = Looks(wants())
    looks.look(NOON, run())
    looks.wants.append(wants("late"))
    assert looks.look(NOON + MINUTE) == [("failed", ["late"])]


def test_old_ends_tell_how_it_stands_in_the_end():
    looks = Looks(wants("ops"), wants("log", "success"))
    night = [run(["failed", "success"][n % 2], NOON - 9 * HOUR + n * MINUTE) for n in range(200)]
    assert looks.look(NOON, *night) == []
    assert looks.look(NOON, *night, run(at=NOON - 2 * HOUR)) == [("failed", ["ops"])]


def test_a_recovery_of_long_ago_is_told_once_to_who_knew():
    looks = Looks(wants())
    looks.look(NOON, run())
    later = NOON + DAY
    assert looks.look(later, run("success", NOON + HOUR)) == [("recovered", ["ops"])]
    assert looks.look(later + MINUTE) == []


def test_a_backlog_is_told_once_its_last_batch_is_taken():
    looks = Looks(wants())
    book = looks.book(NOON)
    for n in range(200):
        book.run_ended(run(at=NOON - 5 * HOUR + n * SECOND))
    assert looks.keep(book) == []
    assert looks.look(NOON) == [("failed", ["ops"])]
    assert looks.told[-1].detail["times"] == 200


def test_an_overrun_is_told_while_it_runs_and_is_over_with_its_run():
    looks = Looks(wants())
    late = run("success", NOON + HOUR)
    book = looks.book(NOON)
    book.last("overrun", {"j": (NOON - HOUR, {"run": str(late.id)})})
    book.tell()
    assert [m.event for m in looks.keep(book)] == ["overrun"]
    book = looks.book(NOON + MINUTE)
    book.last("overrun", {"j": (NOON - HOUR, {"run": str(late.id)})})
    assert looks.keep(book) == []
    assert looks.alerts["j overrun"].times == 1
    assert looks.look(NOON + HOUR, late) == [("recovered", ["ops"])]
    assert looks.told[-1].detail["lasted_seconds"] == 7200


def test_a_success_ends_what_was_stale():
    looks = Looks(wants())
    book = looks.book(NOON)
    book.last("stale", {"j": (NOON - DAY, {"last_success": "never"})})
    book.tell()
    assert [m.event for m in looks.keep(book)] == ["stale"]
    assert looks.look(NOON + HOUR, run("success", NOON + HOUR)) == [("recovered", ["ops"])]


@pytest.mark.parametrize("back", [SECOND, 3 * HOUR, 400 * DAY])
def test_a_clock_that_is_set_back_neither_floods_nor_silences(back):
    looks = Looks(wants(after=HOUR))
    looks.look(NOON, run())
    assert looks.look(NOON - back) == []
    assert looks.look(NOON - back + HOUR) == [("failed", ["ops"])]


def test_a_clock_that_jumps_ahead_tells_once():
    looks = Looks(wants(after=HOUR))
    looks.look(NOON, run())
    ahead = NOON + 400 * DAY
    assert looks.look(ahead) == [("failed", ["ops"])]
    assert looks.look(ahead + MINUTE) == []


@given(
    after=st.timedeltas(SECOND, 30 * DAY),
    steps=st.lists(st.timedeltas(-2 * DAY, 2 * DAY), max_size=40),
)
def test_however_the_clock_moves_the_next_time_is_never_further_than_the_wait(after, steps):
    want, now = wants(after=after), NOON
    alert = raised(None, "failed", "j", "j", now, {})
    for step in steps:
        now += step
        alert, messages = told(alert, [want], now)
        each = alert.told["ops"]
        assert now < each.next_at <= now + want.wait(each.times)
        assert len(messages) <= 1


@given(st.timedeltas(SECOND, 400 * DAY), st.integers(1, 10_000))
def test_waits_grow_to_a_day_or_to_the_time_asked_for(after, times):
    want = wants(after=after)
    assert want.wait(1) == after
    assert want.wait(times) <= want.wait(times + 1) <= max(DAY, after)


@given(st.lists(st.sampled_from(["failed", "success"]), max_size=30), st.data())
def test_what_is_told_is_a_failure_and_its_recovery_in_turn(statuses, data):
    """Whatever comes, in whichever looks: nobody hears of a recovery of what he never heard of."""
    looks, now = Looks(wants(after=365 * DAY)), NOON
    runs = [run(status, now + n * SECOND) for n, status in enumerate(statuses)]
    while runs:
        taken = data.draw(st.integers(1, len(runs)))
        now += data.draw(st.timedeltas(timedelta(0), 3 * HOUR))
        looks.look(max(now, runs[taken - 1].finished_at), *runs[:taken])
        del runs[:taken]
    events = [message.event for message in looks.told]
    assert events == (["failed", "recovered"] * len(events))[: len(events)]
    failing = bool(statuses) and statuses[-1] == "failed"
    assert bool(looks.alerts) == failing == (len(events) % 2 == 1)


def test_a_recovery_by_a_clock_set_back_lasted_no_time():
    alert, _ = told(raised(None, "failed", "j", "j", NOON, {}), [wants()], NOON)
    (message,) = recovery(ended(alert, NOON - DAY), [wants()])
    assert message.detail["lasted_seconds"] == 0
