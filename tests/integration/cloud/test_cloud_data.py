"""Hosts with bad data, disks that are not known: one host is never the others' trouble."""

import pytest
from cloud_helpers import BOTH, HOSTS, Place


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
    place.region.release(place.region.ids()[20:25])
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
