"""When the cloud job deletes, and above all when it does not."""

from datetime import timedelta

import pytest
from cloud_helpers import BOTH, HOSTS, Place

from syncd.model.run import Selection

HOUR = timedelta(hours=1)


def missing(place):
    return {key for key, row in place.living().items() if row["missing_since"]}


# What is missing is looked up first


@BOTH
def test_a_host_that_pages_lack_and_a_lookup_finds_stays(place):
    lost = place.region.ids()[4]
    place.region.change(lost, "name")
    place.clouds.fault("missing", hosts=(lost,), **place.where)
    item, result = place.run()
    place.others_are_well(result)
    assert item["deleted"] == 0
    assert lost in place.living()
    if place.account.startswith("aliyun"):
        assert (item["status"], item["updated"]) == ("success", 1)
        assert item["details"] == {"lossy": 1}
        assert item["total"] == HOSTS
        (scope,) = place.clouds.rows("select * from syncd.scope where lossy")
        assert scope["region"] == place.name


@BOTH
def test_half_of_the_hosts_lacking_in_pages_are_all_found(place):
    place.clouds.fault("missing", share=0.5, **place.where)
    item, _ = place.run()
    assert (item["status"], item["deleted"]) == ("success", 0)
    assert item["details"]["lossy"] > 5
    assert item["unchanged"] == HOSTS
    assert missing(place) == set()


@pytest.mark.parametrize("clouds", [210], indirect=True)
@BOTH
def test_a_host_that_hides_behind_a_release_between_pages_stays(place):
    ids = place.region.ids()
    once = iter([ids[0]])  # all others move up: with offsets, one is passed over
    place.clouds.emulator.on_page.append(
        lambda call: (
            place.region.release([key for key in [next(once, "")] if key])
            if call.region == place.name
            else None
        )
    )
    item, result = place.run()
    assert item["status"] == "success"
    place.others_are_well(result)
    assert set(place.living()) >= set(place.region.ids())
    place.run()
    place.equals_the_cloud()


@pytest.mark.parametrize("clouds", [210], indirect=True)
@pytest.mark.parametrize("provider", ["tencent"])
def test_a_host_that_hides_though_all_counts_agree_is_found_by_its_id(place):
    first, hidden = place.region.ids()[0], place.region.ids()[100]
    turned = []

    def shift(call):
        if call.region == place.name and not turned:
            turned.append(call)
            place.region.release([first])
            place.region.move(place.region.add(1)[0], to_front=False)

    place.clouds.emulator.on_page.append(shift)
    item, _ = place.run()
    assert (item["status"], item["details"]) == ("success", {"lossy": 1})
    assert (item["total"], item["added"], item["deleted"]) == (211, 1, 0)
    assert hidden in place.living()
    assert place.run()[0]["deleted"] == 1
    place.equals_the_cloud()


@pytest.mark.parametrize("clouds", [210], indirect=True)
@pytest.mark.parametrize("provider", ["tencent"])
def test_a_list_that_never_stands_still_is_incomplete_and_deletes_nothing(place):
    place.clouds.configure(retries=["1m"])
    before = set(place.living())
    place.clouds.fault("churn", releases=1, **place.where)
    run_id = place.clouds.record()
    item = place.clouds.attempt(run_id).items[place.target]
    assert (item["status"], item["error_class"]) == ("failed", "conflict")
    assert "in each of 3 readings" in item["error"]
    assert set(place.living()) == before
    place.clouds.emulator.faults.clear()
    item = place.clouds.attempt(run_id).items[place.target]
    assert (item["status"], item["error"]) == ("success", None)
    place.equals_the_cloud()


@pytest.mark.parametrize("provider", ["tencent"])
@pytest.mark.parametrize("by", [-3, 3])
def test_a_count_that_does_not_agree_deletes_nothing(place, by):
    place.region.release(place.region.ids()[:3])
    place.clouds.fault("total_count", by=by, **place.where)
    item, _ = place.run()
    assert (item["error_class"], item["deleted"]) == ("conflict", 0)
    assert len(place.living()) == HOSTS


@BOTH
def test_a_lookup_that_does_not_even_find_what_is_listed_is_no_ground(place, monkeypatch):
    place.region.release(place.region.ids()[:3])
    provider = place.clouds.specs["hosts"].build()._settings.accounts[place.account].provider
    monkeypatch.setattr(type(provider), "lookup", lambda self, ctx, scope, ids: dict.fromkeys(ids))
    item, _ = place.run()
    assert (item["status"], item["deleted"]) == ("success", 0)
    assert "does not find what is listed" in item["details"]["incomplete"]
    assert missing(place) == set()


@BOTH
@pytest.mark.parametrize("kind", ["permission", "unavailable", "throttled"])
def test_a_lookup_that_fails_fails_the_region(place, kind):
    place.region.release(place.region.ids()[:3])
    place.clouds.emulator.on_page.append(
        lambda call: place.clouds.fault(kind, **place.where) if call.region == place.name else None
    )
    item, _ = place.run()
    assert (item["status"], item["deleted"]) == ("failed", 0)
    assert len(place.living()) == HOSTS


@BOTH
def test_ids_that_the_cloud_refuses_to_know_are_gone(place):
    place.region.release(place.region.ids()[:3])
    place.clouds.fault("unknown_ids", **place.where)
    assert place.run()[0]["deleted"] == 3
    place.equals_the_cloud()


# Empty answers


@BOTH
def test_an_empty_answer_for_lack_of_permission_fails_and_deletes_nothing(place):
    place.clouds.fault("denied_empty", **place.where)
    item, result = place.run()
    assert (item["status"], item["error_class"]) == ("failed", "permission")
    place.others_are_well(result)
    assert len(place.living()) == HOSTS
    assert missing(place) == set()


@BOTH
def test_an_empty_answer_that_cannot_be_confirmed_deletes_nothing(place):
    region = place.region
    region.release(region.ids())
    place.clouds.fault("unsupported_action", action="DescribeInstancesStatus", **place.where)
    place.clouds.fault("dry_run_unsupported", **place.where)
    item, result = place.run()
    assert (item["status"], item["deleted"]) == ("success", 0)
    assert "could not be confirmed" in item["details"]["incomplete"]
    place.others_are_well(result)
    assert len(place.living()) == HOSTS


@pytest.mark.parametrize("provider", ["aliyun"])
def test_an_empty_answer_is_not_confirmed_by_a_dry_run_that_is_none(place):
    place.clouds.fault("denied_empty", action="DescribeInstances", **place.where)
    place.clouds.fault("dry_run_ignored", **place.where)
    item, _ = place.run()
    assert (item["status"], item["deleted"]) == ("success", 0)
    assert len(place.living()) == HOSTS


@pytest.mark.parametrize("clouds", [8], indirect=True)
@BOTH
def test_a_small_region_that_is_emptied_is_held_back_unless_all_may_go(place):
    place.region.release(place.region.ids())
    item, _ = place.run()
    assert (item["status"], item["error_class"], item["deleted"]) == ("failed", "guard", 0)
    assert len(place.living()) == 8
    place.clouds.configure(max_delete_percent=100)
    item, _ = place.run()
    assert (item["status"], item["deleted"]) == ("success", 8)
    assert place.living() == {}
    again, _ = place.run()
    assert (again["status"], again["total"], again["deleted"]) == ("success", 0, 0)


# Patience


@BOTH
def test_a_host_is_missing_in_so_many_runs_first(place):
    place.clouds.configure(delete_after_runs=3)
    (gone,) = place.region.ids()[:1]
    place.region.release([gone])
    for _ in range(2):
        item, _ = place.run()
        assert (item["status"], item["deleted"]) == ("success", 0)
        assert missing(place) == {gone}
    place.clouds.fault("no_id", times=1, **place.where)
    assert place.run()[0]["deleted"] == 0  # proves nothing, so it does not count
    assert place.run()[0]["deleted"] == 1
    place.equals_the_cloud()


@BOTH
def test_a_host_is_missing_for_so_long_first(place):
    place.clouds.configure(delete_after="2h")
    place.region.release(place.region.ids()[:2])
    place.run()
    place.clouds.execute("update syncd.resource set missing_since = missing_since - %s", 1.9 * HOUR)
    assert place.run()[0]["deleted"] == 0
    place.clouds.execute("update syncd.resource set missing_since = missing_since - %s", 0.2 * HOUR)
    assert place.run()[0]["deleted"] == 2


@BOTH
def test_a_deleted_host_that_comes_back_is_restored(place):
    gone = tuple(place.region.ids()[:2])
    first = place.living()[gone[0]]["first_seen_at"]
    number = place.clouds.fault("gone", hosts=gone, **place.where)
    assert place.run()[0]["deleted"] == 2
    place.clouds.emulator.faults.clear(number)
    item, _ = place.run()
    assert (item["added"], item["status"]) == (2, "success")
    row = place.living()[gone[0]]
    assert (row["first_seen_at"], row["missing_since"], row["missing_runs"]) == (first, None, 0)
    assert isinstance(row["data_disks"], list)


# Whose account it is


@BOTH
@pytest.mark.parametrize("fresh", [True, False])
def test_another_account_behind_the_name_is_guarded(place, fresh):
    if not fresh:
        place.clouds.execute("update syncd.account_state set owner_at = owner_at - %s", 25 * HOUR)
    place.region.release(place.region.ids()[:3])
    place.clouds.fault("other_owner", account=place.account)
    result = place.clouds.run()
    target = place.target if fresh else f"{place.account}/*"
    assert result.of(target) == ("failed", "guard")
    assert "9999999999999999" in result.items[target]["error"]
    assert result.counts["deleted"] == 0
    assert len(place.living()) == HOSTS


def another_key(place):
    """Give the account another access key."""
    account = place.clouds.world.accounts[place.account]
    account.key_id = f"{account.key_id}2"
    place.clouds.configure()


@BOTH
def test_a_rotated_key_of_the_same_account_is_no_trouble(place):
    another_key(place)
    place.region.release(place.region.ids()[:3])
    item, _ = place.run()
    assert (item["status"], item["deleted"]) == ("success", 3)


@BOTH
@pytest.mark.parametrize("told_before", [True, False])
def test_another_key_whose_owner_cannot_be_told_deletes_with_evidence_alone(
    clouds, provider, told_before
):
    place = Place(clouds, provider)
    if not told_before:
        clouds.fault("unsupported_action", action="GetCallerIdentity")
    assert clouds.run().run["status"] == "success"
    if told_before:
        clouds.fault("unsupported_action", action="GetCallerIdentity")
    clouds.configure(max_delete_percent=100)
    another_key(place)
    second = clouds.world.region(place.account, place.second)
    second.release(second.ids())  # another account's region would look the same
    second.add(4)
    place.clouds.configure(max_delete_percent=100)
    for _ in range(2):
        _, result = place.run()
        other = result.items[f"{place.account}/{place.second}/host"]
        assert (other["status"], other["error_class"]) == ("failed", "guard")
        assert "owner can't be told" in other["error"]
    assert len(clouds.living(place.account, place.second)) == HOSTS
    place.region.release(place.region.ids()[:3])  # the others are those of before: it is the same
    place.run()
    _, result = place.run()
    assert result.run["status"] == "success"
    assert len(clouds.living(place.account, place.second)) == 4
    place.equals_the_cloud()


@BOTH
def test_the_owner_is_asked_for_once_in_a_run_that_deletes(place):
    place.clouds.configure(max_concurrent_items=1)
    asked = place.clouds.emulator.log.calls("GetCallerIdentity")
    for region in place.clouds.world.accounts[place.account].regions.values():
        region.release(region.ids()[:2])
    _, result = place.run()
    assert result.counts["deleted"] == 4
    assert place.clouds.emulator.log.calls("GetCallerIdentity") == asked + 1


# Two runs over the same scope


@BOTH
def test_a_run_that_another_has_overtaken_writes_nothing(place):
    jobs = {"late": {}, "hosts": {}}
    place.clouds.configure(jobs=jobs)
    listing, done = place.clouds.specs["late"].build(), []
    read = type(listing).read
    region = place.region
    host = region.ids()[0]
    region.change(host, "name")
    region.add(1)

    def overtaken(self, ctx, target):
        staged = read(self, ctx, target)
        if ctx.job_name == "late" and target.name == place.target and not done:
            done.append(True)
            region.release([host, *region.ids()[-2:]])
            # this region alone: the late run has its items of the others under way
            one = Selection(frozenset({place.account}), frozenset({place.name}))
            assert place.clouds.run("hosts", selection=one).run["status"] == "success"
        return staged

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(listing), "read", overtaken)
        result = place.clouds.run("late")
    assert result.of(place.target) == ("failed", "conflict")
    place.equals_the_cloud()


def test_the_owner_of_an_account_is_remembered(clouds):
    clouds.run()
    rows = clouds.rows("select account, owner_id from syncd.account_state order by 1")
    owners = [account.owner_id for account in clouds.world.accounts.values()]
    assert [row["owner_id"] for row in rows] == owners
