"""The cloud job against the emulator and the real store: what a fault does, and to whom."""

import pytest
from cloud_helpers import BOTH, HOSTS

from syncd.context import CancelSource
from syncd.errors import Cancelled
from syncd.model.run import Selection
from syncd.providers.tencent.provider import Tencent


def test_a_first_run_stores_all_hosts_and_says_so(clouds):
    result = clouds.run()
    assert result.run["status"] == "success"
    assert result.run["items_total"] == 4
    nothing = dict.fromkeys(("updated", "deleted", "unchanged", "errors"), 0)
    assert result.counts == {"total": 4 * HOSTS, "added": 4 * HOSTS} | nothing
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
    assert result.counts["unchanged"] == result.counts["total"] == 4 * HOSTS
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
    place.region.release(place.region.ids()[20:23])
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


@pytest.mark.parametrize("clouds", [110], indirect=True)
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


@pytest.mark.parametrize(("provider", "kind"), [("aliyun", "hang"), ("tencent", "drip")])
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
    listed = place.clouds.emulator.log.calls("DescribeInstances") - asked
    assert listed <= other + 1  # a page of each region of the other account, one try of this one


@BOTH
def test_refused_credentials_while_regions_are_asked_for_are_one_failed_item(clouds, provider):
    clouds.fault("authentication", provider=provider)
    result = clouds.run()
    assert result.of(f"{provider}-demo/*") == ("failed", "authentication")
    assert len(result.items) == 3
    assert result.counts["added"] == 2 * HOSTS


@BOTH
def test_an_account_that_is_held_is_not_asked(clouds, provider):
    held = f"{provider}-demo"
    result = clouds.run(held={held: "the key is refused"})
    assert clouds.emulator.log.calls(account=held) == 0
    assert result.items[f"{held}/*"]["error"] == "not tried: the key is refused"
    assert result.of(f"{held}/*") == ("failed", "authentication")
    others = [item for item in result.items.values() if item["account"] != held]
    assert [item["status"] for item in others] == ["success", "success"]


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
    assert place.clouds.emulator.log.calls("DescribeInstances") - asked == 2  # a page, and a lookup
    assert second.counts["total"] == 4 * HOSTS
    place.equals_the_cloud()


def test_a_selection_takes_its_regions_alone(clouds):
    chosen = Selection(frozenset({"aliyun-demo"}), frozenset({"cn-shanghai"}))
    result = clouds.run(selection=chosen)
    assert list(result.items) == ["aliyun-demo/cn-shanghai/host"]
    assert result.counts["added"] == HOSTS
