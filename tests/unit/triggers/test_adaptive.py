"""The interval of adaptive jobs: bounds, direction, and where it settles."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.triggers.adaptive import Adaptive

seconds = st.integers(1, 400 * 86_400).map(lambda count: timedelta(seconds=count))
rules = st.tuples(seconds, seconds).map(lambda pair: Adaptive(*sorted(pair)))
RULE = Adaptive(timedelta(minutes=10), timedelta(hours=6))


@given(rule=rules, present=st.none() | seconds, changes=st.integers(0, 10**9))
def test_an_interval_stays_in_its_bounds_and_in_whole_seconds(rule, present, changes):
    after = rule.next_interval(present, changes)
    assert rule.shortest <= after <= rule.longest
    assert after.microseconds == 0
    assert rule.shortest <= rule.interval(present) <= rule.longest


@given(rule=rules, present=seconds, changes=st.integers(1, 10**6))
def test_it_shrinks_with_changes_and_grows_without_until_a_bound(rule, present, changes):
    now = rule.interval(present)
    quiet, busy = rule.next_interval(now, 0), rule.next_interval(now, changes)
    assert quiet > now or now == rule.longest == quiet
    assert busy < now or now == rule.shortest == busy
    assert rule.next_interval(now, changes + 1) <= busy


def test_the_first_interval_is_the_shortest():
    assert RULE.interval(None) == timedelta(minutes=10)
    assert RULE.next_interval(None, 0) == timedelta(minutes=15)
    assert RULE.next_interval(None, 5) == timedelta(minutes=10)


def test_a_change_halves_it_and_a_burst_makes_it_the_shortest_at_once():
    hours = timedelta(hours=4)
    assert RULE.next_interval(hours, 1) == timedelta(hours=2)
    assert RULE.next_interval(hours, 3) == timedelta(hours=1)
    assert RULE.next_interval(hours, 500) == timedelta(minutes=10)


def test_bounds_that_were_changed_hold_at_once():
    narrow = Adaptive(timedelta(hours=1), timedelta(hours=2))
    assert narrow.interval(timedelta(minutes=10)) == timedelta(hours=1)
    assert narrow.interval(timedelta(days=1)) == timedelta(hours=2)


@pytest.mark.parametrize("changes", [0, 1, 7])
def test_at_a_steady_outcome_it_reaches_a_bound_and_stays_there(changes):
    interval = timedelta(hours=1)
    for _ in range(10):
        interval = RULE.next_interval(interval, changes)
    assert interval == (RULE.shortest if changes else RULE.longest)
    assert RULE.next_interval(interval, changes) == interval


@pytest.mark.parametrize("mean", [600, 3600, 86_400])
def test_it_settles_where_one_run_in_three_finds_something(mean):
    """Changes come at random, one in so many seconds; from either bound it gets to one place."""
    seed = random.randrange(10**6)
    rule = Adaptive(timedelta(seconds=1), timedelta(days=3650))
    for start in (rule.shortest, rule.longest):
        chance, interval, busy, intervals = random.Random(seed), start, 0, []
        for run in range(6000):
            found = poisson(chance, interval.total_seconds() / mean)
            interval = rule.next_interval(interval, found)
            if run >= 1000:
                busy += found > 0
                intervals.append(interval.total_seconds())
        assert 0.28 < busy / len(intervals) < 0.40, f"seed {seed}"
        assert 0.2 < sorted(intervals)[2500] / mean < 0.8, f"seed {seed}"


def poisson(chance, rate):
    """Draw how many random events come where `rate` are to be expected."""
    if rate > 50:
        return round(chance.gauss(rate, rate**0.5))
    count, waited = -1, 0.0
    while waited <= rate:
        waited += chance.expovariate(1)
        count += 1
    return count


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="bounds"):
        Adaptive(timedelta(hours=2), timedelta(hours=1))
