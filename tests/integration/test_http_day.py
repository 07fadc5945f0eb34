"""Done when: the shipped example runs through a day, and the server's log bears its records out.

Tokens run out and are revoked, the password is wrong for three hours, the server is restarted and
away, answers say "code 1", are lost or late: each call is told as it was, none is missing, none is
told twice. The seed of what goes wrong is printed.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import api_faults as faults
import pytest
from api_server import ApiServer
from api_wire import Answer
from databases import reachable_directory
from dispatch_helpers import HandClock
from http_day import PREFIX, Day, day, serve_statistics
from http_day_oracle import Told, check_call, check_effects, check_run, dues, tell
from thorough import times

from syncd.context import RunContext
from syncd.jobs import registry

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MINUTES = {"daily": 0, "weekly": 12, "monthly": 24, "quarterly": 36, "check": 48}
WRONG = (START + 5 * HOUR, START + 8 * HOUR + 5 * MINUTE)
DOWN = (START + 15 * HOUR - MINUTE, START + 15 * HOUR + 10 * MINUTE)
AWAY = (START + 19 * HOUR - MINUTE, START + 20 * HOUR + MINUTE)


@pytest.fixture
def world(migrated_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    clock = HandClock(START - MINUTE)
    monkeypatch.setattr(RunContext, "pause", lambda ctx, _: ctx.check())
    monkeypatch.setattr(registry, "Clock", lambda: clock)
    with reachable_directory() as directory, ApiServer(now=clock.now) as api:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory / "credentials"))
        api.user, api.token_lifetime = "svc-statistics", timedelta(minutes=90)
        serve_statistics(api)
        with day(migrated_dsn, directory, api, clock) as made:
            yield made


def script(world: Day, rng: random.Random) -> None:
    """Let go wrong what does in a day."""
    api = world.api
    for name, minute in MINUTES.items():
        path = f"{PREFIX}checks" if name == "check" else f"{PREFIX}sync/{name}"
        for due in dues(START, 24, minute):
            kind = rng.choice([*TROUBLES, *["none"] * 6])
            if due - START == 10 * HOUR + minute * MINUTE:
                kind = AT_TEN[name]
            if due - START == 13 * HOUR + MINUTES["check"] * MINUTE:
                kind = "none"  # so that its second call is made
            for fault in TROUBLES.get(kind, lambda rng, due: [])(rng, due):
                world.at(due - MINUTE, lambda path=path, fault=fault: api.fault(path, fault, 1))
            world.at(due + 11 * MINUTE, lambda path=path: api.heal(path))
    for _ in range(4):
        world.at(START + rng.uniform(0.0, 24.0) * HOUR, api.revoke)
    world.at(START + 11 * HOUR - MINUTE, api.revoke)
    for hour, count in ((13, 3), (14, 0)):
        found = Answer(200, {"code": 0, "data": {"differences": count}})
        world.at(START + hour * HOUR, lambda found=found: api.on(f"{PREFIX}checks/", found))
    world.at(WRONG[0], lambda: (setattr(api, "password", "another"), api.revoke()))
    world.at(WRONG[1], lambda: world.password.write_text("another"))
    world.at(START + 12 * HOUR, api.restart)
    for begin, end in (DOWN, AWAY):
        world.at(begin, api.stop)
        world.at(end, api.start)


TROUBLES = {
    "code": lambda rng, due: [faults.business()],
    "lost": lambda rng, due: [faults.cut(rng.randrange(150))],
    "unread": lambda rng, due: [faults.reset_unread(), faults.reset_read()],
    "lost long": lambda rng, due: [faults.cut(0)] * 3,
    "busy": lambda rng, due: [faults.busy(503, 2), faults.busy(429, due + 3 * MINUTE)],
    "broken": lambda rng, due: [faults.answers(Answer(500, {"code": 500}))] * rng.randint(1, 4),
    "denied": lambda rng, due: [faults.answers(Answer(403, {"code": 403}))],
}
"""What a path does at a due time, by a word for it: faults, each of which happens once."""
AT_TEN = {
    "daily": "code", "weekly": "lost", "monthly": "busy", "quarterly": "lost long",
    "check": "denied",
}  # fmt: skip
"""What happens in any case."""


@pytest.mark.parametrize("_", range(times(1)))
def test_a_day_of_the_shipped_example_is_told_truly(world: Day, _: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    script(world, random.Random(seed))
    world.at(START + 24 * HOUR - MINUTE, world.api.heal)  # an hour more, for what is not done yet
    world.live(START + 25 * HOUR - MINUTE)
    runs = {row["id"]: row for row in world.rows("select * from syncd.run")}
    items = {row["run_id"]: row for row in world.rows("select * from syncd.run_item")}
    rows = world.rows("select * from syncd.http_call order by request_sent_at, position, attempt")
    calls = tell(rows, world.api.log, PREFIX)
    for call in calls:
        down = any(a <= call.row["request_sent_at"] < b for a, b in (DOWN, AWAY))
        check_call(call, down=down)
    for run_id, run in runs.items():
        steps = 2 if run["job"] == "stat-check" else 1
        own = [call for call in calls if call.row["run_id"] == run_id]
        check_run(run, items.get(run_id), own, steps)
    check_effects(world.api, calls)
    assert_no_due_time_is_lost(world)
    assert_logins_are_few(world)
    assert_all_that_can_go_wrong_did(calls)


def assert_no_due_time_is_lost(world: Day) -> None:
    """Check that each due time became one run, or was skipped as the run before it still waited.

    A run was given up, or was in another's way, only while its token was held.
    """
    for name, minute in MINUTES.items():
        job = f"stat-{name}"
        made = world.rows(f"select * from syncd.run where job = '{job}'")
        moments = [row["scheduled_for"] for row in made]
        assert len(moments) == len(set(moments))
        missing = set(dues(START, 25, minute)) - set(moments)
        assert world.watcher.told.count(("skipped", job, "overlap")) == len(missing)
        given_up = {row["scheduled_for"] for row in made if row["status"] == "cancelled"}
        assert all(WRONG[0] - HOUR < each < WRONG[1] for each in missing | given_up)


def assert_logins_are_few(world: Day) -> None:
    """Check that tokens lived as long as they could, and that a refused login was not repeated."""
    logins = world.api.requests("/login")
    refused = [record for record in logins if record.status == 401]
    assert all(WRONG[0] <= record.at < WRONG[1] for record in refused)
    assert 1 <= len(refused) <= 5  # one probe an hour; the first may be renewing early, too
    assert 25 / 1.5 <= world.api.logins <= 25 / 1.2 + 4 + 4
    outcomes = [told[3] for told in world.watcher.told if told[:2] == ("api", "token")]
    assert outcomes.count("ok") == world.api.logins


def assert_all_that_can_go_wrong_did(calls: Sequence[Told]) -> None:
    assert sum(call.well for call in calls) > 60
    classes = {call.row["error_class"] for call in calls}
    assert classes >= {None, "bad_data", "network", "permission", "authentication"}
    assert any(call.well and call.sent[0].status == 401 for call in calls)  # it was replayed
    assert any(call.well and not call.sent[0].finished for call in calls)  # and sent again
    found = [call for call in calls if call.row["name"] == "result" and not call.well]
    assert [call.row["error_class"] for call in found if call.sent] == ["bad_data"]
