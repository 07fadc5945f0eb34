"""Done when: the shipped example runs through a day, and the server's log bears its records out.

Tokens run out and are revoked, the password is wrong for three hours, the server is restarted and
away, answers say "code 1", are lost or late: each call is told as it was, none is missing, none is
told twice. The seed of what goes wrong is printed.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import api_faults as faults
import pytest
from api_server import ApiServer
from api_wire import Answer
from databases import reachable_directory
from dispatch_helpers import HandClock
from http_day import PREFIX, Day, day, serve_statistics
from http_day_oracle import check_call, check_effects, check_run, dues, tell

from syncd.context import RunContext

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
            kind = rng.choice([*TROUBLES, *[None] * 6])
            if kind is None:
                continue
            for fault in TROUBLES[kind](rng, due):
                world.at(due - MINUTE, lambda path=path, fault=fault: api.fault(path, fault, 1))
            world.at(due + 11 * MINUTE, lambda path=path: api.heal(path))
    for _ in range(4):
        world.at(START + rng.uniform(0.0, 24.0) * HOUR, api.revoke)
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


def test_a_day_of_the_shipped_example_is_told_truly(world: Day) -> None:
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
    assert {call.well for call in calls} == {True, False}


def assert_no_due_time_is_lost(world: Day) -> None:
    """Check that each due time became one run, or was skipped with a reason."""
    for name, minute in MINUTES.items():
        job = f"stat-{name}"
        made = world.rows(f"select scheduled_for at from syncd.run where job = '{job}'")
        skipped = [told for told in world.watcher.told if told[:2] == ("skipped", job)]
        moments = [row["at"] for row in made]
        assert len(moments) == len(set(moments))
        assert set(moments) <= set(dues(START, 25, minute))
        assert len(moments) + len(skipped) == 25, (job, skipped)


def assert_logins_are_few(world: Day) -> None:
    """Check that tokens lived as long as they could, and that a refused login was not repeated."""
    logins = world.api.requests("/login")
    refused = [record for record in logins if record.status == 401]
    assert all(WRONG[0] <= record.at < WRONG[1] for record in refused)
    assert 1 <= len(refused) <= 4  # one, and one probe an hour
    assert 25 / 1.5 <= world.api.logins <= 25 / 1.2 + 4 + 4
    outcomes = [told[3] for told in world.watcher.told if told[:2] == ("api", "token")]
    assert outcomes.count("ok") == world.api.logins
