"""A fleet of which a third fails, each server in a way of its own: the others never notice."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from fault_servers import FAULTY, closed_port, deaf_port
from fleet_helpers import PASSWORD, Fleet, known
from job_runs import Result, Row
from raw_server import serving

LIMIT = 6  # seconds, after which those that hang are given up


@pytest.fixture(scope="module")
def faulty() -> Iterator[dict[str, tuple[Row, str]]]:
    """Give the tables of servers that fail, and the error class that each has to end with."""
    with ExitStack() as stack:
        made = {}
        for engine, kinds in FAULTY.items():
            ports = {
                "closed": (stack.enter_context(closed_port()), "network"),
                "deaf": (stack.enter_context(deaf_port()), "timeout"),
            } | {
                kind: (stack.enter_context(serving(fault.script)).port, fault.error_class)
                for kind, fault in kinds.items()
            }
            for kind, (port, error_class) in ports.items():
                table = {
                    "engine": engine,
                    "host": "127.0.0.1",
                    "port": port,
                    "user": "somebody",
                    "password": PASSWORD,
                    "connect_timeout": f"{LIMIT}s",
                    "statement_timeout": f"{LIMIT - 2}s",
                }
                made[f"{engine}-{kind}"] = table, error_class
        yield made


def both(fleet: Fleet) -> dict[str, Result]:
    """Run both jobs at once."""
    with ThreadPoolExecutor(2) as threads:
        runs = {job: threads.submit(fleet.run, job) for job in ("accounts", "sizes")}
        return {job: run.result() for job, run in runs.items()}


def test_a_third_that_fails_in_all_ways_leaves_the_others_alone(fleet, faulty, pg, my):
    healthy = {
        f"good-{number}": (pg if number % 2 else my).table() for number in range(2 * len(faulty))
    }
    standing = {name: (pg if name.startswith("post") else my).table() for name in faulty}
    fleet.configure(standing)
    assert {run.run["status"] for run in both(fleet).values()} == {"success"}
    before = {name: known(fleet, name) for name in faulty}

    fleet.configure(healthy | {name: table for name, (table, _) in faulty.items()})
    for job, result in both(fleet).items():
        assert result.run["status"] == "failed"
        told = {name: result.of(name) for name in faulty}
        assert told == {name: ("failed", kind) for name, (_, kind) in faulty.items()}, job
        assert {result.of(name) for name in healthy} == {("success", None)}
        check_words(result)
        check_pace(result, healthy)
    assert {name: known(fleet, name) for name in faulty} == before
    for name in healthy:
        assert fleet.accounts(name).keys() == fleet.accounts(counterpart(name)).keys()
        assert fleet.sizes(name).keys() == fleet.sizes(counterpart(name)).keys()


def counterpart(name: str) -> str:
    """Return a failing server of which the healthy server's state is known from before."""
    return "postgresql-closed" if int(name.removeprefix("good-")) % 2 else "mysql-closed"


def check_words(result: Result) -> None:
    """Check that every failure is told in one short line without a secret."""
    for item in result.items.values():
        if item["status"] == "failed":
            text = item["error"]
            assert 5 < len(text) <= 300, text
            assert "\n" not in text
    assert PASSWORD not in str((result.run, result.items, result.errors))


def check_pace(result: Result, healthy: Mapping[str, Row]) -> None:
    """Check that no healthy server waited until a hanging one was given up."""
    ends = {name: item["finished_at"] for name, item in result.items.items()}
    given_up = [
        ends[name] for name, item in result.items.items() if item["error_class"] == "timeout"
    ]
    assert max(ends[name] for name in healthy) < min(given_up)
