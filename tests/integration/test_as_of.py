"""The inventory of any past moment, and the questions that the documentation answers in SQL."""

import re
from pathlib import Path
from random import Random

import pytest
from cloud_helpers import Clouds, emulated_clouds

from syncd.demo.emulator import World
from syncd.model.resource import COMPARED, OPTIONAL

QUERIES = Path(__file__).parents[2] / "docs" / "queries.md"
COLUMNS = ", ".join(("account", "region", "type", "resource_id", *COMPARED, *OPTIONAL))
ROUNDS = 12


@pytest.fixture
def clouds(migrated_dsn, tmp_path):
    with emulated_clouds(World.sized(15, 2), migrated_dsn, tmp_path) as made:
        yield made


def keyed(rows):
    return {(row["account"], row["region"], row["resource_id"]): row for row in rows}


def snapshot(clouds: Clouds):
    """Return the moment and the inventory at it."""
    rows = clouds.rows(f"select {COLUMNS} from syncd.resource where deleted_at is null")
    (now,) = clouds.rows("select clock_timestamp() as now")
    return now["now"], keyed(rows)


def as_of(clouds: Clouds, moment):
    rows = clouds.rows(f"select {COLUMNS} from syncd.resources_as_of(%s)", moment)
    found = keyed(rows)
    assert len(found) == len(rows)
    return found


def play(clouds: Clouds, rng: Random) -> None:
    """Change the clouds, let some hosts be away or their disks unknown, and run."""
    clouds.emulator.faults.clear()
    for account in clouds.world.accounts.values():
        for region in account.regions.values():
            region.churn(
                rng, adds=rng.randrange(3), changes=rng.randrange(8), releases=rng.randrange(3)
            )
            away = tuple(region.pick(rng, rng.randrange(1, 4)))
            clouds.fault("gone", account=account.name, region=region.name, hosts=away)
    if rng.random() < 0.4:
        clouds.fault("permission", action="DescribeDisks")
    assert clouds.run().run["status"] == "success"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_past_moment_is_as_it_was(clouds, seed):
    rng = Random(seed)
    clouds.configure(max_delete_percent=100)
    snapshots = [snapshot(clouds)]
    for _ in range(ROUNDS):
        play(clouds, rng)
        snapshots.append(snapshot(clouds))
    changes = {row["change"] for row in clouds.rows("select change from syncd.resource_change")}
    assert changes == {"added", "updated", "deleted", "restored"}
    for moment, inventory in snapshots:
        assert as_of(clouds, moment) == inventory


@pytest.mark.parametrize("seed", [4, 5])
def test_purged_resources_are_in_the_past_too(clouds, seed):
    rng = Random(seed)
    clouds.configure(max_delete_percent=100)
    snapshots = []
    purged = 0
    for _ in range(ROUNDS):
        play(clouds, rng)
        if rng.random() < 0.5:
            purged += clouds.execute("delete from syncd.resource where deleted_at is not null")
        snapshots.append(snapshot(clouds))
    assert purged > 5
    for moment, inventory in snapshots:
        assert as_of(clouds, moment) == inventory


def test_before_everything_there_was_nothing(clouds):
    moment, _ = snapshot(clouds)
    clouds.run()
    assert as_of(clouds, moment) == {}
    assert len(as_of(clouds, moment.replace(year=moment.year + 1))) == 60


def questions() -> dict[str, str]:
    """Return the queries of the documentation by their headings."""
    text = QUERIES.read_text(encoding="utf-8")
    return dict(re.findall(r"^## (.+?)$.*?```sql\n(.+?)```", text, re.MULTILINE | re.DOTALL))


def test_the_documented_queries_answer_their_questions(clouds):
    running, changed, before, failed = (
        "Which hosts run where",
        "What changed in the last hour",
        "How the inventory stood ten minutes ago",
        "Which runs failed, and why",
    )
    assert set(questions()) == {running, changed, before, failed}

    def ask(question):
        return clouds.rows(questions()[question])

    clouds.run()
    for table, column in (
        ("resource", "first_seen_at"),
        ("resource", "changed_at"),
        ("resource_change", "changed_at"),
    ):
        clouds.execute(f"update syncd.{table} set {column} = {column} - interval '2 hours'")
    _, then = snapshot(clouds)
    region = clouds.world.region("aliyun-demo", "cn-hangzhou")
    renamed, released = region.ids()[:2]
    region.edit(renamed, InstanceName="renamed", Status="Running")
    region.release([released])
    (new,) = region.add(1)
    clouds.fault("permission", region="ap-shanghai")
    clouds.run()

    hosts = ask(running)
    truth = clouds.world.truth("aliyun-demo", "cn-hangzhou")
    wanted = sorted(host["InstanceName"] for host in truth if host["Status"] == "Running")
    here = [host for host in hosts if host["region"] == "cn-hangzhou"]
    assert sorted(host["name"] for host in here) == wanted
    assert "renamed" in wanted

    changes = {row["resource_id"]: row for row in ask(changed)}
    assert {key: row["change"] for key, row in changes.items()} == {
        renamed: "updated", released: "deleted", new: "added",
    }  # fmt: skip
    assert changes[renamed]["fields"]["name"][1] == changes[renamed]["name"] == "renamed"

    past = keyed(ask(before))
    assert past == {key: {name: then[key][name] for name in row} for key, row in past.items()}
    assert past.keys() == then.keys()

    (failure,) = ask(failed)
    assert (failure["job"], failure["error_class"]) == ("hosts", "permission")
    assert failure["target"] == "tencent-demo/ap-shanghai/host"
    assert "UnauthorizedOperation" in failure["item_error"]
