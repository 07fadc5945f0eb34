"""The daemon is killed at any moment of its calls, and goes on: nothing is done twice or lost.

What was done is told by the server's log, which outlives every daemon.
"""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from api_faults import accepted, drip, hang
from api_server import ApiServer
from api_wire import Answer
from daemon_helpers import Process, Row, Site, check_records, site, until
from thorough import times
from toml_text import toml

from syncd.model.run import FINAL, Selection

KEYED, ONCE = "keyed", "once"
_OF_EACH = 6


def jobs(api: ApiServer) -> dict[str, Row]:
    """Return jobs of both kinds; some of the runs have a process of their own."""
    made: dict[str, Row] = {}
    for n in range(_OF_EACH):
        for kind in (KEYED, ONCE):
            name = f"{kind}-{n}"
            request = {"url": f"{api.url}/{name}", "method": "POST", "body": "{{ run.id }}"}
            if kind == ONCE:
                request["idempotency_key"] = False
            poll = {"every": "1s"}
            made[name] = {
                "kind": "http", "request": request, "retries": ["1s"] * 10, "poll": poll,
            }  # fmt: skip
            if n == 0:
                made[name] |= {"isolation": "process"}
    return made


@contextmanager
def place_of(api: ApiServer, dsn: str, **daemon: Any) -> Iterator[Site]:
    """Give a site with these jobs, all of which may run at once."""
    with site(dsn) as place:
        tables = place.tables({}, max_concurrent_runs=2 * _OF_EACH, **daemon)
        tables["jobs"] |= jobs(api)
        place.write(toml(tables))
        yield place


def trigger_all(place: Site) -> None:
    """Start a run of each job that has none under way."""
    busy = {row["job"] for row in place.runs("status in ('pending', 'running')")}
    for n in range(_OF_EACH):
        for kind in (KEYED, ONCE):
            if (name := f"{kind}-{n}") not in busy:
                place.client.trigger(name, Selection(), "me")


def all_ended(place: Site) -> bool:
    return all(row["status"] in FINAL for row in place.runs())


def used_up(run: Row) -> bool:
    """Tell whether each attempt of a run was killed."""
    return run["error_class"] == "interrupted" and run["attempt"] == run["max_attempts"]


def check(place: Site, api: ApiServer) -> dict[tuple[str, str | None], int]:
    """Compare the records with what the server saw; return how often runs ended how."""
    check_records(place)
    told: dict[tuple[str, str | None], int] = {}
    for run in place.runs():
        path, run_id = f"/{run['job']}", str(run["id"])
        sent = [record for record in api.requests(path) if record.body == run_id.encode()]
        effects = [record for record in sent if record.effect]
        calls = place.rows("select * from syncd.http_call where run_id = %s", run["id"])
        assert len(effects) <= 1, run
        if run["status"] == "success":
            assert len(effects) == 1, run
            assert [call["outcome"] for call in calls].count("success") == 1
        if run["job"].startswith(KEYED):
            assert run["status"] == "success" or used_up(run), run
            assert {record.key for record in sent} <= {run_id}
        else:
            assert len(sent) <= 1, run
            if run["error_class"] == "outcome_unknown":
                (call,) = calls
                assert call["finished_at"] is None
            else:
                assert run["status"] == "success" or (used_up(run) and not calls), run
        how = run["job"].split("-")[0], run["error_class"]
        told[how] = told.get(how, 0) + 1
    return told


def test_a_daemon_that_is_killed_at_any_moment_does_nothing_twice(
    migrated_dsn: str,
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    with ApiServer() as api, place_of(api, migrated_dsn) as place:
        for _ in range(times(3)):
            process = place.up()
            for name in jobs(api):
                api.fault(f"/{name}", drip(rng.choice([0.0, 0.001, 0.004])))
            before = len(api.log)
            trigger_all(place)
            _kill_when(process, api, before + rng.randrange(0, 2 * _OF_EACH + 1))
            api.heal()
        place.up()
        until(lambda: all_ended(place), 30, "the end of all runs")
        told = check(place, api)
        print(told)
        assert told[KEYED, None] >= _OF_EACH
        assert place.processes[-1].stop() == 0


def _kill_when(process: Process, api: ApiServer, requests: int) -> None:
    """Kill once the server has seen so many requests, or is seen to get no more."""
    with suppress(AssertionError):
        until(lambda: len(api.log) >= requests, 1.0, "requests")
    process.kill()


def test_a_daemon_that_is_stopped_says_at_once_what_it_does_not_know(migrated_dsn: str) -> None:
    with ApiServer() as api, place_of(api, migrated_dsn, shutdown_grace="1s") as place:
        process = place.up()
        for name in jobs(api):
            api.fault(f"/{name}", hang(after=0))
        trigger_all(place)
        until(lambda: len([r for r in api.log if r.effect]) == 2 * _OF_EACH, 20, "all calls")
        process.send(signal.SIGTERM)
        assert process.wait() == 0
        ended = {(row["job"].split("-")[0], row["status"], row["error_class"])
                 for row in place.runs()}  # fmt: skip
        assert ended == {
            (KEYED, "pending", "interrupted"), (ONCE, "failed", "outcome_unknown"),
        }  # fmt: skip
        api.heal()
        place.up()
        until(lambda: all_ended(place), 30, "the end of all runs")
        assert check(place, api) == {(KEYED, None): _OF_EACH, (ONCE, "outcome_unknown"): _OF_EACH}
        assert "Traceback" not in process.text


def test_a_daemon_that_is_killed_goes_on_asking_after_what_was_accepted(migrated_dsn: str) -> None:
    with ApiServer() as api, place_of(api, migrated_dsn) as place:
        process = place.up()
        for name in jobs(api):
            api.fault(f"/{name}", accepted(f"/status/{name}"))
            api.on(f"/status/{name}", Answer(202))
        trigger_all(place)
        until(lambda: all(api.requests(f"/status/{name}") for name in jobs(api)), 20, "looks")
        process.kill()
        for name in jobs(api):
            api.on(f"/status/{name}", Answer(200))
        place.up()
        until(lambda: all_ended(place), 30, "the end of all runs")
        assert check(place, api) == {(KEYED, None): _OF_EACH, (ONCE, None): _OF_EACH}
        assert all(len(api.requests(f"/{name}")) == 1 for name in jobs(api))
        calls = place.rows("select outcome, attempt, polls > 0 as polled from syncd.http_call")
        assert calls == [{"outcome": "success", "attempt": 1, "polled": True}] * 2 * _OF_EACH
