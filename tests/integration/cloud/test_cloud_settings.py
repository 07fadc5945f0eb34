"""What the configuration says of a cloud job, and plans of it."""

from datetime import timedelta
from random import Random

import pytest
from cloud_helpers import BOTH, HOSTS

DAY = timedelta(days=1)


def test_another_group_moves_the_hosts(clouds):
    clouds.configure(group="cmdb-1")
    clouds.run()
    assert {row["group_name"] for row in clouds.rows("select * from syncd.hosts")} == {"cmdb-1"}
    clouds.configure(group="cmdb-2")
    result = clouds.run()
    assert result.counts["unchanged"] == 4 * HOSTS
    assert {row["group_name"] for row in clouds.rows("select * from syncd.hosts")} == {"cmdb-2"}
    before = clouds.dump()["resource"]
    clouds.run()
    assert clouds.dump()["resource"] == before
    clouds.configure()
    clouds.run()
    assert {row["group_name"] for row in clouds.rows("select * from syncd.hosts")} == {None}


@BOTH
def test_the_regions_are_asked_for_once_a_day(place):
    log = place.clouds.emulator.log
    asked = log.calls("DescribeRegions")
    assert asked == 2  # by the first run, once for each account
    place.run()
    assert log.calls("DescribeRegions") == asked
    place.clouds.execute("update syncd.account_state set regions_at = regions_at - %s", DAY)
    place.clouds.world.accounts[place.account].open("new-region").add(5)
    _, result = place.run()
    assert log.calls("DescribeRegions") == asked + 2
    assert result.items[f"{place.account}/new-region/host"]["added"] == 5


def test_regions_are_not_those_of_another_provider(clouds):
    clouds.run()
    aliyun, tencent = (clouds.world.accounts[f"{p}-demo"] for p in ("aliyun", "tencent"))
    changed = {"provider": "tencent", "access_key_id": tencent.key_id}
    clouds.configure({"aliyun-demo": changed | {"access_key_secret": tencent.secret}})
    clouds.fault("unsupported_action", action="GetCallerIdentity")
    result = clouds.run()
    assert {item["region"] for item in result.items.values()} == set(tencent.regions)
    assert result.counts["deleted"] == 0
    assert set(clouds.living("aliyun-demo", "cn-hangzhou")) == set(
        aliyun.regions["cn-hangzhou"].ids()
    )


def test_no_region_at_all_is_no_success(clouds):
    clouds.run()
    clouds.execute("update syncd.account_state set regions_at = regions_at - %s", DAY)
    clouds.world.accounts["aliyun-demo"].regions.clear()
    result = clouds.run()
    assert result.of("aliyun-demo/*") == ("failed", "bad_data")
    assert len(clouds.living("aliyun-demo", "cn-hangzhou")) == HOSTS


def test_a_region_that_the_configuration_misspells_fails(clouds):
    clouds.configure(accounts={"aliyun-demo": {"regions": ["cn-hangzhou", "cn-hangzou"]}})
    result = clouds.run()
    assert result.of("aliyun-demo/cn-hangzhou/host") == ("success", None)
    assert result.of("aliyun-demo/cn-hangzou/host") == ("failed", "configuration")


def test_a_region_that_is_not_open_is_skipped(clouds):
    clouds.world.accounts["aliyun-demo"].unopened = ("mars-1",)
    result = clouds.run()
    assert result.of("aliyun-demo/mars-1/host") == ("success", None)
    assert result.items["aliyun-demo/mars-1/host"]["details"]["skipped"]
    assert result.counts["added"] == 4 * HOSTS


@BOTH
def test_a_region_that_was_closed_keeps_its_hosts(place):
    place.clouds.fault("region_not_found", **place.where)
    item, result = place.run()
    assert (item["status"], item["deleted"]) == ("success", 0)
    place.others_are_well(result)
    assert len(place.living()) == HOSTS


def test_what_is_not_looked_after_any_more_stays_and_is_unmanaged(clouds):
    def unmanaged():
        rows = clouds.rows("select distinct account, region, unmanaged from syncd.hosts")
        return {(row["account"], row["region"]) for row in rows if row["unmanaged"]}

    clouds.manage()
    clouds.run()
    assert unmanaged() == set()
    clouds.configure({"aliyun-demo": {"exclude_regions": ["cn-shanghai"]}})
    clouds.manage()
    result = clouds.run()
    assert "aliyun-demo/cn-shanghai/host" not in result.items
    assert unmanaged() == {("aliyun-demo", "cn-shanghai")}
    clouds.configure(
        {
            "aliyun-demo": {"regions": ["cn-shanghai"]},
            "tencent-demo": {"enabled": False},
        }
    )
    clouds.manage()
    result = clouds.run()
    assert list(result.items) == ["aliyun-demo/cn-shanghai/host"]
    assert unmanaged() == {
        ("aliyun-demo", "cn-hangzhou"),
        ("tencent-demo", "ap-guangzhou"),
        ("tencent-demo", "ap-shanghai"),
    }
    assert len(clouds.rows("select 1 from syncd.hosts")) == 4 * HOSTS


@pytest.mark.parametrize("first", [True, False])
def test_a_plan_changes_nothing_and_says_what_the_run_will_do(clouds, first):
    if not first:
        clouds.run()
        for account in clouds.world.accounts.values():
            for region in account.regions.values():
                region.churn(Random(1), adds=3, changes=5, releases=4)
        clouds.execute("update syncd.account_state set owner_at = owner_at - %s", DAY)
    before = clouds.dump()
    planned = {one.target: one for one in clouds.plan()}
    assert clouds.dump() == before
    result = clouds.run()
    assert set(planned) == set(result.items)
    for target, item in result.items.items():
        counts = planned[target].counts
        for name in result.counts:
            assert getattr(counts, name) == item[name], (target, name)
    changes = clouds.rows("select * from syncd.resource_change where run_id = %s", result.run["id"])
    written = {(c["region"], c["resource_id"], c["change"]) for c in changes}
    said = {
        (one.target.split("/")[1], change.resource_id, change.change)
        for one in planned.values()
        for change in one.changes
    }
    assert said == written


def test_a_plan_tells_what_would_fail(clouds):
    clouds.run()
    clouds.fault("permission", region="cn-hangzhou")
    region = clouds.world.region("tencent-demo", "ap-guangzhou")
    region.release(region.ids()[:20])
    before = clouds.dump()
    errors = {one.target: one.error for one in clouds.plan() if one.error}
    assert {target: error.error_class for target, error in errors.items()} == {
        "aliyun-demo/cn-hangzhou/host": "permission",
        "tencent-demo/ap-guangzhou/host": "guard",
    }
    assert clouds.dump() == before
