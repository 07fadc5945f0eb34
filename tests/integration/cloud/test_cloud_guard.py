"""Too many deletions at once are held back until somebody approves them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cloud_helpers import BOTH, HOSTS

HOUR = timedelta(hours=1)
MANY = HOSTS * 2 // 3  # more than the threshold lets go


def guarded(place):
    rows = place.clouds.rows("select * from syncd.guarded_deletion order by resource_id")
    return {row["resource_id"] for row in rows}


def missing(place):
    return {key for key, row in place.living().items() if row["missing_since"]}


@BOTH
def test_an_emptied_region_is_confirmed_and_guarded_until_it_is_approved(place):
    place.region.release(place.region.ids())
    item, _ = place.run()
    assert (item["status"], item["error_class"], item["deleted"]) == ("failed", "guard", 0)
    assert len(missing(place)) == HOSTS
    assert place.clouds.approve() == HOSTS
    item, _ = place.run()
    assert (item["status"], item["deleted"]) == ("success", HOSTS)
    place.equals_the_cloud()
    assert guarded(place) == set()


@BOTH
def test_too_many_at_once_are_guarded_and_the_rest_is_kept(place):
    gone = place.region.ids()[:MANY]
    place.region.release(gone)
    place.region.add(3)
    changed = place.region.ids()[-1]
    place.region.change(changed, "status")
    item, result = place.run()
    assert (item["status"], item["error_class"]) == ("failed", "guard")
    assert (item["added"], item["updated"], item["deleted"]) == (3, 1, 0)
    assert f"{MANY} of {HOSTS} resources" in item["error"]
    assert item["details"]["guarded"] == MANY
    assert guarded(place) == missing(place) == set(gone)
    assert result.run["error_class"] == "guard"
    place.others_are_well(result)
    again, _ = place.run()
    assert (again["error_class"], again["deleted"]) == ("guard", 0)


@BOTH
def test_an_approval_lets_exactly_those_go(place):
    gone = place.region.ids()[:MANY]
    place.region.release(gone)
    place.run()
    place.region.add(MANY)  # so that another as many can go
    assert place.run()[0]["deleted"] == 0
    assert place.clouds.approve() == MANY
    more = place.region.ids()[: MANY + 5]
    place.region.release(more)
    item, _ = place.run()
    assert (item["error_class"], item["deleted"]) == ("guard", MANY)
    assert guarded(place) == set(more)
    rows = place.clouds.rows("select resource_id from syncd.resource where deleted_at is not null")
    assert {row["resource_id"] for row in rows} == set(gone)


@BOTH
@pytest.mark.parametrize(("hours", "deleted"), [(23, MANY), (25, 0)])
def test_an_approval_holds_for_a_day(place, hours, deleted):
    place.region.release(place.region.ids()[:MANY])
    place.run()
    place.clouds.approve()
    place.clouds.execute(
        "update syncd.guarded_deletion set approved_at = approved_at - %s", hours * HOUR
    )
    assert place.run()[0]["deleted"] == deleted
    if not deleted:
        rows = place.clouds.rows("select distinct approved_at from syncd.guarded_deletion")
        assert [row["approved_at"] for row in rows] == [None]
        place.clouds.approve()
        assert place.run()[0]["deleted"] == MANY


@BOTH
def test_an_approved_host_that_is_back_stays_and_its_approval_is_used_up(place):
    gone = tuple(place.region.ids()[:MANY])
    number = place.clouds.fault("gone", hosts=gone, **place.where)
    place.run()
    assert guarded(place) == set(gone)
    place.clouds.approve()
    place.clouds.emulator.faults.clear(number)
    item, _ = place.run()
    assert (item["status"], item["deleted"], item["unchanged"]) == ("success", 0, HOSTS)
    assert guarded(place) == missing(place) == set()
    place.clouds.fault("gone", hosts=gone, **place.where)
    assert place.run()[0]["deleted"] == 0


@BOTH
def test_an_approval_waits_through_a_listing_that_proves_nothing(place):
    place.region.release(place.region.ids()[:MANY])
    place.run()
    place.clouds.approve()
    place.clouds.fault("no_id", times=1, **place.where)
    assert place.run()[0]["deleted"] == 0
    assert place.run()[0]["deleted"] == MANY


@BOTH
def test_an_approval_that_comes_while_the_region_is_listed_counts_for_the_next_run(place):
    place.region.release(place.region.ids()[:MANY])
    place.run()
    build = place.clouds.specs["hosts"].build

    class Late:
        """The job, with somebody who approves just before a region is written."""

        def __init__(self):
            self.job = build()

        def __getattr__(self, name):
            return getattr(self.job, name)

        def apply(self, tx, ctx, staged):
            if staged.scope.region == place.name:
                place.clouds.approve()
            return self.job.apply(tx, ctx, staged)

    place.clouds.specs = {"hosts": replace(place.clouds.specs["hosts"], build=Late)}
    assert place.run()[0]["deleted"] == 0
    place.clouds.configure()
    assert place.run()[0]["deleted"] == MANY
