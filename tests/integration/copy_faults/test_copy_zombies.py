"""Two processes that copy the same table: the one that came first may write no more."""

import signal
import threading

import pytest
from copy_holds import await_waiting, row_held
from copy_site import CopySite, copy_site
from copy_writers import make_table
from daemon_helpers import until

from syncd.model.run import Selection

TOUCH = "update orders set note = concat(note, ' again'), updated_at = now()"


@pytest.fixture
def two(databases, side, request):
    """Give two sites with stores of their own and the same source and target."""
    source, target = (side(name) for name in request.param.split(" to "))
    dsns = databases.create(), databases.create()
    with copy_site(dsns[0], source, target) as first, copy_site(dsns[1], source, target) as second:
        make_table(source, "orders", 3000)
        for one in (first, second):
            one.copies("orders", "orders", page_rows=100)
            one.configure()
        yield first, second
    for dsn in dsns:
        databases.drop(dsn)


PAIRS = pytest.mark.parametrize("two", ["other-pg to pg", "other-pg to maria"], indirect=True)


@PAIRS
def test_a_process_that_was_frozen_writes_no_more_once_another_has_taken_over(two):
    first, second = two
    frozen = first.up()
    second.up()
    first.succeed("orders")
    first.source.execute(TOUCH)
    with row_held(first.target, "orders", -2000):
        number = first.place.client.trigger("orders", Selection(), "me")
        await_waiting(first.target)
        frozen.send(signal.SIGSTOP)
        later = second.place.client.trigger("orders", Selection(), "me")
        await_waiting(first.target, 2)
    # The page under way may still be the first one's; no later one is.
    first.source.execute("update orders set note = 'newest', updated_at = now()")
    frozen.send(signal.SIGCONT)
    until(lambda: first.place.client.wait(number, 5), 60, "the end of the first run")
    until(lambda: second.place.client.wait(later, 5), 60, "the end of the second run")
    (row,) = first.place.runs("id = %s", number)
    assert row["status"] == "failed", first.items(row)
    second.succeed("orders")
    assert second.equal("orders")
    assert "Traceback" not in frozen.text


@PAIRS
def test_two_that_copy_at_once_again_and_again_leave_the_table_right(two):
    first, second = two
    for one in two:
        one.up()
    first.succeed("orders")
    for _ in range(5):
        first.source.execute(TOUCH)
        outcomes = at_once(first, second)
        assert set(outcomes) <= {"success", "failed"}
        assert "success" in outcomes
        assert first.equal("orders")


def at_once(*sites: CopySite) -> list[str]:
    """Run both at the same time; return how each ended."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(one.run("orders")["status"]))
        for one in sites
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return found
