"""The cloud job against the emulator and the real store: faults, and what they must not do."""

from datetime import timedelta
from random import Random

import pytest
from cloud_helpers import Clouds, emulated_clouds

from syncd.context import CancelSource
from syncd.demo.emulator import World
from syncd.demo.emulator.world import REGIONS
from syncd.errors import Cancelled
from syncd.model.run import Selection
from syncd.providers.tencent.provider import Tencent

BOTH = pytest.mark.parametrize("provider", ["aliyun", "tencent"])
HOSTS = 105  # two pages a region
DAY = timedelta(days=1)


@pytest.fixture
def clouds(migrated_dsn, tmp_path):
    with emulated_clouds(World.sized(HOSTS, 2), migrated_dsn, tmp_path) as made:
        yield made


class Place:
    """The first region of a provider's account, in the emulator and in the store."""

    def __init__(self, clouds: Clouds, provider: str) -> None:
        self.clouds, self.account = clouds, f"{provider}-demo"
        self.name, self.second = REGIONS[provider][:2]
        self.region = clouds.world.region(self.account, self.name)
        self.target = f"{self.account}/{self.name}/host"

    @property
    def where(self) -> dict[str, str]:
        return {"account": self.account, "region": self.name}

    def living(self) -> dict[str, dict]:
        return self.clouds.living(self.account, self.name)

    def run(self):
        """Run the job; return this region's item and the others' statuses."""
        result = self.clouds.run()
        return result.items[self.target], result

    def others_are_well(self, result) -> None:
        for target, item in result.items.items():
            if target != self.target:
                assert (item["status"], item["errors"], item["deleted"]) == ("success", 0, 0)

    def equals_the_cloud(self) -> None:
        assert set(self.living()) == set(self.region.ids())


@pytest.fixture
def place(clouds, provider):
    made = Place(clouds, provider)
    assert clouds.run().run["status"] == "success"
    made.equals_the_cloud()
    return made


def test_a_first_run_stores_all_hosts_and_says_so(clouds):
    result = clouds.run()
    assert result.run["status"] == "success"
    assert result.run["items_total"] == 4
    assert result.counts == {
        "total": 480, "added": 480, "updated": 0, "deleted": 0, "unchanged": 0, "errors": 0,
    }  # fmt: skip
    item = result.items["aliyun-demo/cn-shanghai/host"]
    assert (item["account"], item["provider"]) == ("aliyun-demo", "aliyun")
    assert (item["region"], item["resource_type"]) == ("cn-shanghai", "host")
    assert item["details"] == {}
    states = clouds.rows("select * from syncd.scope order by account, region")
    assert all(state["last_complete_at"] and not state["lossy"] for state in states)
    assert {state["last_run_id"] for state in states} == {result.run["id"]}


def test_a_second_run_writes_no_resource(clouds):
    clouds.run()
    before = clouds.dump()
    result = clouds.run()
    assert (result.counts["unchanged"], result.counts["total"]) == (480, 480)
    after = clouds.dump()
    for table in ("resource", "resource_change", "account_state", "guarded_deletion", "managed"):
        assert after[table] == before[table]


@BOTH
def test_changes_are_found_one_by_one(place):
    first, second, third, fourth = place.region.ids()[5:9]
    place.region.change(first, "status")
    place.region.change(second, "disks")
    place.region.change(third, "order")
    place.region.change(fourth, "noise")
    place.region.release(place.region.ids()[50:53])
    place.region.add(2)
    item, result = place.run()
    assert (item["added"], item["updated"], item["deleted"]) == (2, 2, 3)
    assert item["unchanged"] == HOSTS - 3 - 2
    place.others_are_well(result)
    place.equals_the_cloud()
    changes = place.clouds.rows(
        "select * from syncd.resource_change where run_id = %s and change = 'updated'",
        result.run["id"],
    )
    fields = {change["resource_id"]: set(change["fields"]) for change in changes}
    assert fields == {first: fields[first], second: {"data_disks"}}
    assert "status" in fields[first]


# Faults of calls: their class, their retries, and nobody else harmed


@BOTH
@pytest.mark.parametrize(
    ("kind", "error_class"),
    [
        ("throttled", "throttled"),
        ("permission", "permission"),
        ("unavailable", "network"),
        ("internal_error", "network"),
        ("bad_gateway", "network"),
        ("reset", "network"),
        ("truncated", "network"),
        ("reset_in_body", "network"),
        ("broken_json", "bad_data"),
        ("unsupported_action", "internal"),
    ],
)
def test_a_region_that_cannot_be_listed_fails_alone(place, kind, error_class):
    before = place.living()
    place.region.release(place.region.ids()[:3])
    place.clouds.fault(kind, action="DescribeInstances", **place.where)
    item, result = place.run()
    assert (item["status"], item["error_class"]) == ("failed", error_class)
    assert item["total"] == 0
    assert result.run["status"] == "failed"
    assert result.run["items_failed"] == 1
    assert "1 of 4 items failed" in result.run["error"]
    place.others_are_well(result)
    assert place.living() == before


@BOTH
@pytest.mark.parametrize("kind", ["unavailable", "reset", "truncated", "throttled", "broken_json"])
def test_a_fault_behind_the_first_page_loses_and_deletes_nothing(place, kind):
    before = place.living()
    place.region.release(place.region.ids()[-5:])
    place.clouds.fault(kind, action="DescribeInstances", after_pages=1, **place.where)
    item, result = place.run()
    assert item["status"] == "failed"
    place.others_are_well(result)
    assert place.living() == before


@BOTH
@pytest.mark.parametrize(
    "kind", ["unavailable", "reset", "truncated", "reset_in_body", "throttled", "broken_json"]
)
def test_a_passing_fault_is_waited_out(place, kind):
    place.region.churn(adds=3, changes=3, releases=3)
    place.clouds.fault(kind, times=2, action="DescribeInstances", **place.where)
    item, _ = place.run()
    assert (item["status"], item["added"], item["deleted"]) == ("success", 3, 3)
    place.equals_the_cloud()


@BOTH
@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_a_region_that_does_not_answer_ends_at_the_time_limit(place, kind):
    place.clouds.configure(api_timeout="1s")
    place.clouds.fault(kind, seconds=0.02, action="DescribeInstances", **place.where)
    item, result = place.run()
    assert (item["status"], item["error_class"]) == ("failed", "timeout")
    place.others_are_well(result)
    assert len(place.living()) == HOSTS


@BOTH
def test_refused_credentials_stop_their_account_alone(place):
    place.clouds.configure(max_concurrent_items=1)
    place.clouds.fault("authentication", account=place.account)
    asked = place.clouds.emulator.log.calls("DescribeInstances")
    _, result = place.run()
    for target, item in result.items.items():
        mine = target.startswith(place.account)
        assert item["status"] == ("failed" if mine else "success")
        assert item["error_class"] == ("authentication" if mine else None)
    other = sum(not target.startswith(place.account) for target in result.items)
    assert result.run["error_class"] == "authentication"
    # two pages of each region of the other account, and one try of this one
    listed = place.clouds.emulator.log.calls("DescribeInstances") - asked
    assert listed <= 2 * other + 1


@BOTH
def test_refused_credentials_while_regions_are_asked_for_are_one_failed_item(clouds, provider):
    clouds.fault("authentication", provider=provider)
    result = clouds.run()
    assert result.of(f"{provider}-demo/*") == ("failed", "authentication")
    assert len(result.items) == 3
    assert result.counts["added"] == 2 * HOSTS


def test_a_missing_secret_is_one_failed_item(clouds, tmp_path):
    lost = {"access_key_secret": {"file": str(tmp_path / "lost")}}
    clouds.configure(accounts={"aliyun-demo": lost})
    result = clouds.run()
    assert result.of("aliyun-demo/*") == ("failed", "configuration")
    assert "lost is not a file" in result.items["aliyun-demo/*"]["error"]
    assert result.counts["added"] == 2 * HOSTS
    lost = {"access_key_id": {"file": str(tmp_path / "lost")}}
    clouds.configure(accounts={"aliyun-demo": lost})
    result = clouds.run()
    assert result.of("aliyun-demo/*") == ("failed", "configuration")
    assert result.counts["unchanged"] == 2 * HOSTS


def test_a_bug_in_one_account_is_one_failed_item(clouds, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(Tencent, "regions", broken)
    result = clouds.run()
    assert result.of("tencent-demo/*") == ("failed", "internal")
    assert "ZeroDivisionError: oh" in result.items["tencent-demo/*"]["error"]
    assert result.counts["added"] == 2 * HOSTS


@BOTH
def test_a_bug_in_one_region_fails_that_region(place, monkeypatch):
    provider = place.clouds.specs["hosts"].build()._settings.accounts[place.account].provider
    listing = type(provider).list

    def broken(self, ctx, scope, since):
        if (scope.account, scope.region) == (place.account, place.name):
            raise KeyError("oh")
        return listing(self, ctx, scope, since)

    monkeypatch.setattr(type(provider), "list", broken)
    item, result = place.run()
    assert (item["status"], item["error_class"]) == ("failed", "internal")
    place.others_are_well(result)
    assert len(place.living()) == HOSTS


def test_a_run_that_is_cancelled_under_way_changes_nothing_more(clouds):
    clouds.run()
    source = CancelSource()
    for region in clouds.world.accounts["aliyun-demo"].regions.values():
        region.release(region.ids()[:5])
    clouds.emulator.on_page.append(lambda _: source.cancel(Cancelled("cancelled by somebody")))
    result = clouds.run(source=source)
    assert result.run["status"] == "cancelled"
    assert {item["status"] for item in result.items.values()} == {"cancelled"}
    assert len(clouds.living("aliyun-demo", "cn-hangzhou")) == HOSTS


def test_a_run_out_of_time_fails_and_deletes_nothing(clouds):
    clouds.run()
    region = clouds.world.region("aliyun-demo", "cn-hangzhou")
    region.release(region.ids()[:5])
    clouds.fault("latency", seconds=0.4, region="cn-hangzhou")
    result = clouds.run(seconds=0.3)
    assert result.run["status"] == "failed"
    assert result.of("aliyun-demo/cn-hangzhou/host") == ("failed", "timeout")
    assert len(clouds.living("aliyun-demo", "cn-hangzhou")) == HOSTS


@BOTH
def test_a_further_attempt_takes_the_failed_region_alone(place):
    place.clouds.configure(retries=["1m"])
    place.region.churn(adds=4, releases=4)
    number = place.clouds.fault("unavailable", action="DescribeInstances", **place.where)
    run_id = place.clouds.record()
    first = place.clouds.attempt(run_id)
    assert (first.run["status"], first.run["attempt"]) == ("pending", 1)
    assert first.of(place.target) == ("failed", "network")
    place.clouds.emulator.faults.clear(number)
    asked = place.clouds.emulator.log.calls("DescribeInstances")
    second = place.clouds.attempt(run_id)
    assert (second.run["status"], second.run["attempt"]) == ("success", 2)
    assert (second.items[place.target]["added"], second.items[place.target]["deleted"]) == (4, 4)
    assert place.clouds.emulator.log.calls("DescribeInstances") - asked == 3  # pages, and a lookup
    assert second.counts["total"] == 4 * HOSTS
    place.equals_the_cloud()


def test_a_selection_takes_its_regions_alone(clouds):
    chosen = Selection(frozenset({"aliyun-demo"}), frozenset({"cn-shanghai"}))
    result = clouds.run(selection=chosen)
    assert list(result.items) == ["aliyun-demo/cn-shanghai/host"]
    assert result.counts["added"] == HOSTS


# Single hosts with bad data


@BOTH
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("nul_tag", ""),
        ("wrong_type", "SecurityGroupIds"),
        ("wrong_type", "Tags"),
        ("wrong_type", "InstanceName"),
    ],
)
def test_a_host_with_bad_data_is_recorded_and_the_rest_is_stored(place, kind, field):
    victim, other = place.region.ids()[3:5]
    before = place.living()
    place.region.change(other, "name")
    place.clouds.fault(kind, hosts=(victim,), field=field, value=7, **place.where)
    item, result = place.run()
    assert (item["status"], item["errors"], item["updated"]) == ("success", 1, 1)
    assert item["unchanged"] == HOSTS - 2
    (error,) = result.errors
    assert (error["resource_id"], error["error_class"]) == (victim, "bad_data")
    assert error["item_id"] == item["id"]
    after = place.living()
    assert after[victim] == before[victim]
    assert after[other]["name"] != before[other]["name"]
    place.others_are_well(result)


@BOTH
def test_a_bad_host_that_never_was_stored_is_recorded_too(clouds, provider):
    place = Place(clouds, provider)
    victim = place.region.ids()[7]
    clouds.fault("nul_tag", hosts=(victim,), **place.where)
    item, result = place.run()
    assert (item["added"], item["errors"]) == (HOSTS - 1, 1)
    assert victim not in place.living()
    assert result.errors[0]["resource_id"] == victim


@BOTH
def test_a_value_that_only_the_store_refuses_is_recorded_too(place):
    number, key = place.region.ids()[3:5]
    place.region.edit(number, Weight=0)
    raw = place.region.hosts.get(number)
    huge = raw.replace(b'"Weight":0', b'"Weight":1e400000')  # good JSON, and no jsonb
    place.region.hosts.replace(number, huge)
    place.region.change(key, "name")
    item, result = place.run()
    assert (item["status"], item["updated"], item["errors"]) == ("success", 1, 1)
    assert [error["resource_id"] for error in result.errors] == [number]
    place.others_are_well(result)
    place.equals_the_cloud()


@BOTH
def test_an_id_that_holds_nul_is_recorded(place):
    odd = place.region.ids()[3]
    place.region.edit(odd, InstanceId="i-\0")
    item, result = place.run()
    assert item["status"] == "success"
    assert item["errors"] == 1
    assert result.errors[0]["resource_id"] in ("i-\N{REPLACEMENT CHARACTER}", "")


@BOTH
def test_a_host_without_an_id_is_recorded_and_nothing_is_deleted(place):
    place.region.release(place.region.ids()[50:55])
    place.clouds.fault("no_id", **place.where)
    item, result = place.run()
    assert (item["status"], item["errors"], item["deleted"]) == ("success", 1, 0)
    assert "without an id" in item["details"]["incomplete"]
    assert result.errors[0]["error"] == "1 resources have no id"
    assert len(place.living()) == HOSTS
    place.clouds.emulator.faults.clear()
    assert place.run()[0]["deleted"] == 5


@BOTH
def test_more_bad_hosts_than_allowed_fail_the_region_and_keep_the_rest(place):
    place.clouds.configure(max_errors=2)
    victims = tuple(place.region.ids()[:3])
    place.region.change(place.region.ids()[10], "name")
    place.clouds.fault("nul_tag", hosts=victims, **place.where)
    item, result = place.run()
    assert (item["status"], item["error_class"]) == ("failed", "bad_data")
    assert (item["errors"], item["updated"]) == (3, 1)
    place.others_are_well(result)


@BOTH
def test_what_a_failed_attempt_wrote_stays_in_the_counts(place):
    place.clouds.configure(max_errors=0, retries=["1m"])
    place.region.add(2)
    place.clouds.fault("nul_tag", times=1, **place.where)
    run_id = place.clouds.record()
    assert place.clouds.attempt(run_id).of(place.target) == ("failed", "bad_data")
    place.clouds.emulator.faults.clear()
    result = place.clouds.attempt(run_id)  # compares the counts with the changes
    assert result.run["status"] == "success"
    assert result.items[place.target]["added"] == 2


@BOTH
def test_odd_names_come_through(place):
    names = ["O'Brien", 'say "hi"', "back\\slash", "🚀", "x" * 128, "  leading", "100% {x} %s"]
    ids = place.region.ids()[:7]
    for key, name in zip(ids, names, strict=True):
        place.region.edit(key, InstanceName=name)
    assert place.run()[0]["updated"] == 7
    living = place.living()
    assert [living[key]["name"] for key in ids] == names


@BOTH
def test_a_host_that_comes_twice_counts_once(place):
    place.clouds.fault("duplicate", **place.where)
    item, _ = place.run()
    assert (item["status"], item["total"], item["unchanged"]) == ("success", HOSTS, HOSTS)


# Data disks that are listed apart


@pytest.mark.parametrize("provider", ["aliyun"])
@pytest.mark.parametrize("kind", ["permission", "denied_empty", "unavailable", "broken_json"])
def test_unknown_disks_are_not_compared(place, kind):
    before = place.living()
    key = next(key for key, row in before.items() if row["data_disks"])
    place.region.change(key, "disks")
    place.region.change(key, "name")
    number = place.clouds.fault(kind, action="DescribeDisks", **place.where)
    item, _ = place.run()
    assert (item["status"], item["updated"]) == ("success", 1)
    assert item["details"]["data_disks"].startswith("unknown")
    after = place.living()
    assert after[key]["data_disks"] == before[key]["data_disks"]
    assert after[key]["name"] != before[key]["name"]
    place.clouds.emulator.faults.clear(number)
    item, _ = place.run()
    assert item["updated"] == 1
    assert place.living()[key]["data_disks"] != before[key]["data_disks"]


@BOTH
def test_hosts_without_disks_have_an_empty_list(place):
    disks = [row["data_disks"] for row in place.living().values()]
    assert all(isinstance(each, list) for each in disks)
    assert [] in disks


# Configuration


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


def test_a_region_that_is_not_open_is_skipped(clouds):
    clouds.world.accounts["aliyun-demo"].unopened = ("mars-1",)
    result = clouds.run()
    assert result.of("aliyun-demo/mars-1/host") == ("success", None)
    assert result.items["aliyun-demo/mars-1/host"]["details"]["incomplete"].startswith("skipped")
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


# Plans


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
    region.release(region.ids()[:60])
    before = clouds.dump()
    errors = {one.target: one.error for one in clouds.plan() if one.error}
    assert {target: error.error_class for target, error in errors.items()} == {
        "aliyun-demo/cn-hangzhou/host": "permission",
        "tencent-demo/ap-guangzhou/host": "guard",
    }
    assert clouds.dump() == before
