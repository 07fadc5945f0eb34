"""Which runs are next."""

from datetime import timedelta

from dispatch_helpers import NOON
from hypothesis import given
from hypothesis import strategies as st

from syncd.dispatch.queue import Waiting, next_runs
from syncd.model.run import Priority, Selection, new_run_id

JOBS = ["a", "b", "c", "d"]


def waiting(job: str, created: int = 0, ready: int = 0, priority: Priority = "normal") -> Waiting:
    at = NOON + timedelta(seconds=created)
    return Waiting(
        new_run_id(at), job, "schedule", priority, at, at, NOON + timedelta(seconds=ready), 4,
        Selection(),
    )  # fmt: skip


@given(
    st.lists(
        st.builds(
            waiting, st.sampled_from(JOBS), st.integers(-5, 0), st.integers(-2, 2),
            st.sampled_from(["urgent", "high", "normal", "low"]),
        ),
        max_size=12,
    ),
    st.sets(st.sampled_from(JOBS)),
    st.integers(0, 4),
)  # fmt: skip
def test_next_runs_are_few_ready_and_one_a_job(
    runs: list[Waiting], busy: set[str], free: int
) -> None:
    chosen = next_runs(runs, busy, free, NOON)
    jobs = [run.job for run in chosen]
    assert len(chosen) <= free
    assert len(set(jobs)) == len(jobs)
    assert not busy & set(jobs)
    assert all(run.ready_at <= NOON for run in chosen)
    startable = {run.job for run in runs if run.ready_at <= NOON} - busy
    assert len(chosen) == min(free, len(startable))
    for run in runs:  # nobody is passed over for one that is behind
        if run.ready_at <= NOON and run.job not in busy and run not in chosen:
            ahead = [c for c in chosen if c.job == run.job] or chosen
            order = ["urgent", "high", "normal", "low"]
            assert all(
                (order.index(c.priority), c.created_at) <= (order.index(run.priority), NOON)
                for c in ahead
            )
            assert all(
                order.index(c.priority) < order.index(run.priority)
                or c.created_at <= run.created_at
                for c in ahead
            )


def test_runs_of_one_moment_start_in_the_order_of_their_due_times() -> None:
    late, early = waiting("a", -1), waiting("a", -2)
    batch = [
        Waiting(w.run_id, "a", "catch_up", "normal", w.scheduled_for, NOON, NOON, 4, Selection())
        for w in (late, early)
    ]
    assert next_runs(batch, (), 1, NOON) == [batch[1]]
