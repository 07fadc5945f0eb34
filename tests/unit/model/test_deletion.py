"""When a resource that is gone may be deleted."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.model.deletion import DeletionPlan, DeletionPolicy, Missing, plan_deletions

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def keys(count, prefix="i"):
    return [f"{prefix}-{n}" for n in range(count)]


def plan(gone, *, standing=1000, missing=None, approved=(), now=NOW, **policy):
    return plan_deletions(
        gone,
        standing=standing,
        missing=missing or {},
        approved=approved,
        policy=DeletionPolicy(**policy),
        now=now,
    )


def test_nothing_gone_is_nothing_to_do():
    assert plan([]) == DeletionPlan()


def test_by_default_what_is_gone_is_deleted_at_once():
    assert plan(keys(3)) == DeletionPlan(delete=frozenset(keys(3)))


@pytest.mark.parametrize(
    ("gone", "standing", "percent", "count", "guarded"),
    [
        (10, 10, 30, 10, True),  # not more than the count, but all of them
        (10, 11, 30, 10, False),
        (2, 2, 30, 10, True),
        (1, 1, 30, 10, False),  # a single one may go
        (10, 10, 100, 10, False),  # emptying is allowed
        (11, 11, 30, 10, True),
        (11, 37, 30, 10, False),  # 29.7 percent
        (11, 36, 30, 10, True),  # 30.6 percent
        (30, 100, 30, 10, False),  # just the percentage is not above it
        (31, 100, 30, 10, True),
        (300, 1000, 30, 10, False),
        (301, 1000, 30, 10, True),
        (1, 1, 0, 0, True),  # nothing may ever go by itself
        (1, 100_000, 0, 0, True),
        (1, 100_000, 0, 1, False),
        (100, 100, 100, 0, False),  # everything may
        (50, 100, 100, 10, False),
    ],
)
def test_the_threshold_takes_the_percentage_and_the_count(gone, standing, percent, count, guarded):
    made = plan(keys(gone), standing=standing, max_percent=percent, max_count=count)
    everything = frozenset(keys(gone))
    if guarded:
        assert made == DeletionPlan(mark=everything, guarded=everything)
    else:
        assert made == DeletionPlan(delete=everything)


def test_a_key_goes_after_so_many_runs_this_one_included():
    missing = {"i-1": Missing(NOW - HOUR, 1), "i-2": Missing(NOW - HOUR, 2)}
    made = plan(["i-0", "i-1", "i-2"], missing=missing, after_runs=3)
    assert made == DeletionPlan(mark=frozenset({"i-0", "i-1"}), delete=frozenset({"i-2"}))


@pytest.mark.parametrize(("hours", "deleted"), [(0, False), (1.99, False), (2, True), (3, True)])
def test_a_key_goes_after_so_much_time(hours, deleted):
    missing = {"i-0": Missing(NOW - hours * HOUR, 5)}
    made = plan(["i-0"], missing=missing, after=2 * HOUR)
    assert made.delete == ({"i-0"} if deleted else set())
    assert made.mark == (set() if deleted else {"i-0"})


def test_both_the_runs_and_the_time_must_have_passed():
    late = {"i-0": Missing(NOW - 9 * HOUR, 1)}
    assert plan(["i-0"], missing=late, after_runs=3, after=HOUR).delete == set()
    often = {"i-0": Missing(NOW, 9)}
    assert plan(["i-0"], missing=often, after_runs=3, after=HOUR).delete == set()


def test_what_is_not_due_does_not_count_for_the_threshold():
    missing = {key: Missing(NOW - HOUR, 1) for key in keys(10)}
    made = plan(keys(50), standing=100, missing=missing, after_runs=2)
    assert made.delete == set(keys(10))
    assert made.mark == set(keys(50)) - set(keys(10))


def test_exactly_the_approved_go():
    made = plan(keys(60), standing=100, approved=keys(25))
    assert made.delete == set(keys(25))
    assert made.guarded == made.mark == set(keys(60)) - set(keys(25))


def test_the_rest_of_an_approval_goes_if_it_is_below_the_threshold_itself():
    made = plan(keys(50), standing=100, approved=keys(45))
    assert made == DeletionPlan(delete=frozenset(keys(50)))


def test_an_approval_of_what_is_not_gone_means_nothing():
    assert plan(["i-0"], approved=["i-1"]).delete == {"i-0"}


def test_an_approval_does_not_make_a_key_due():
    made = plan(["i-0"], approved=["i-0"], after_runs=2)
    assert made == DeletionPlan(mark=frozenset({"i-0"}))


CASES = st.fixed_dictionaries(
    {
        "gone": st.sets(st.sampled_from(keys(30))),
        "more": st.integers(0, 40),
        "missing": st.dictionaries(
            st.sampled_from(keys(40)),
            st.builds(
                Missing,
                since=st.integers(0, 5).map(lambda hours: NOW - hours * HOUR),
                runs=st.integers(1, 5),
            ),
        ),
        "approved": st.sets(st.sampled_from(keys(40))),
        "policy": st.builds(
            DeletionPolicy,
            after_runs=st.integers(1, 4),
            after=st.integers(0, 4).map(lambda hours: hours * HOUR),
            max_percent=st.integers(0, 100),
            max_count=st.integers(0, 15),
        ),
    }
)


@given(CASES)
def test_a_plan_never_deletes_more_than_it_may(case):
    gone, missing, policy = case["gone"], case["missing"], case["policy"]
    standing = len(gone) + case["more"]
    made = plan_deletions(
        gone,
        standing=standing,
        missing=missing,
        approved=case["approved"],
        policy=policy,
        now=NOW,
    )
    assert made.delete | made.mark == gone
    assert not made.delete & made.mark
    assert made.guarded <= made.mark
    unasked = made.delete - case["approved"]
    few = len(unasked) <= policy.max_count
    assert few or len(unasked) / standing <= policy.max_percent / 100 + 1e-9
    for key in made.delete | made.guarded:
        before = missing.get(key, Missing(NOW, 0))
        assert before.runs + 1 >= policy.after_runs
        assert NOW - before.since >= policy.after
    assert not (made.guarded & case["approved"])
    if made.guarded:
        assert made.delete <= case["approved"]
