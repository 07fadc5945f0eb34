"""What retention must not change: the inventory of each past moment whose changes are kept."""

from random import Random

import pytest
from cloud_helpers import emulated_clouds
from test_as_of import as_of, play, snapshot

from syncd.demo.emulator import World
from syncd.store import retention

ROUNDS = 10


@pytest.fixture
def clouds(migrated_dsn, tmp_path):
    with emulated_clouds(World.sized(15, 2), migrated_dsn, tmp_path) as made:
        yield made


def remove(clouds, expired):
    rows, start = 0, retention.START
    with clouds.store.transaction() as tx:
        while gone := expired.remove(tx, start):
            rows, start = rows + gone.rows, gone.last
    return rows


@pytest.mark.parametrize("seed", [1, 2])
def test_every_moment_whose_changes_are_kept_is_as_it_was(clouds, seed):
    rng = Random(seed)
    clouds.configure(max_delete_percent=100)
    past = []
    for _ in range(ROUNDS):
        play(clouds, rng)
        past.append(snapshot(clouds))
    changes_before, resources_before = past[2][0], past[6][0]
    assert remove(clouds, retention.old_changes(changes_before))
    assert remove(clouds, retention.old_resources(resources_before))
    for moment, stood in past[2:]:
        assert as_of(clouds, moment) == stood
    play(clouds, rng)
    assert as_of(clouds, past[-1][0]) == past[-1][1]


def test_a_resource_that_comes_back_is_restored_until_its_row_is_gone_and_then_is_new(clouds):
    clouds.configure(max_delete_percent=100)
    clouds.run()
    first = {row["resource_id"]: row["first_seen_at"] for row in rows_of(clouds)}
    account = clouds.world.accounts["aliyun-demo"]
    region = next(iter(account.regions.values()))
    early, late = list(region.ids())[:2]

    def go(*hosts):
        clouds.emulator.faults.clear()
        if hosts:
            clouds.fault("gone", account=account.name, region=region.name, hosts=hosts)
        assert clouds.run().run["status"] == "success"

    go(early)
    between, _ = snapshot(clouds)
    go(early, late)
    assert remove(clouds, retention.old_resources(between)) == 1
    go()
    (moment,) = clouds.rows("select now() as now")
    changes = {
        row["resource_id"]: row["change"]
        for row in clouds.rows("select * from syncd.resource_change order by id")
    }
    assert (changes[early], changes[late]) == ("added", "restored")
    seen = {row["resource_id"]: row["first_seen_at"] for row in rows_of(clouds)}
    assert seen[late] == first[late]
    assert seen[early] > first[early]
    assert {early, late} <= {key[2] for key in as_of(clouds, moment["now"])}
    assert {key[2] for key in as_of(clouds, between)} == set(first) - {early}


def rows_of(clouds):
    return clouds.rows("select resource_id, first_seen_at from syncd.resource")
