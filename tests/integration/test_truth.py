"""Twenty random rounds of churn and faults, each followed by a look at the whole truth.

SYNCD_TRUTH_SEED repeats a failing test: it prints the seed.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest
from cloud_helpers import Clouds, emulated_clouds
from job_runs import Row

from syncd.demo.emulator import World
from syncd.demo.emulator.made import Raw
from syncd.model.resource import COLUMNS, Resource
from syncd.providers.aliyun.host import normalise as normalise_aliyun
from syncd.providers.tencent.host import normalise as normalise_tencent

ROUNDS = 20
REGIONS = 8
HOSTS = 250  # in each region: 2,000 an account

FAULTS: list[dict[str, Any]] = [
    {"kind": "throttled", "probability": 0.2},
    {"kind": "unavailable", "probability": 0.2},
    {"kind": "internal_error", "probability": 0.2},
    {"kind": "bad_gateway", "probability": 0.2},
    {"kind": "reset", "probability": 0.2},
    {"kind": "truncated", "probability": 0.2},
    {"kind": "reset_in_body", "probability": 0.2},
    {"kind": "broken_json", "probability": 0.2},
    {"kind": "permission"},
    {"kind": "denied_empty"},
    {"kind": "dry_run_ignored"},
    {"kind": "unsupported_action"},
    {"kind": "authentication", "times": 1},
    {"kind": "missing", "share": 0.2},
    {"kind": "missing", "share": 0.2, "after_pages": 1},
    {"kind": "duplicate"},
    {"kind": "total_count", "by": 2},
    {"kind": "total_count", "by": -2},
    {"kind": "wrong_type", "field": "SecurityGroupIds"},
    {"kind": "no_id"},
    {"kind": "nul_tag"},
    {"kind": "churn", "adds": 2, "changes": 3, "releases": 2, "moves": 3, "times": 40},
    {"kind": "churn", "releases": 1, "times": 4},
    {"kind": "unknown_ids"},
]
ACTIONS = [None, None, "DescribeInstances", "DescribeDisks", "DescribeInstancesStatus"]


def test_the_tables_equal_the_truth_after_each_round(migrated_dsn, tmp_path):
    seed = int(os.environ.get("SYNCD_TRUTH_SEED", "") or time.time_ns() % 1_000_000)
    print(f"SYNCD_TRUTH_SEED={seed}")
    rng = Random(seed)
    world = World.sized(HOSTS, REGIONS, seed)
    with emulated_clouds(world, migrated_dsn, tmp_path) as clouds:
        clouds.configure(max_concurrent_items=3, retries=["1m"], api_timeout="10s")
        assert clouds.run().run["status"] == "success"
        compare(clouds)
        for number in range(ROUNDS):
            print(f"round {number}")
            play(clouds, rng)
            compare(clouds)


def play(clouds: Clouds, rng: Random) -> None:
    """Churn, run among faults, and let the run's next attempt, or the next run, set it right."""
    churn(clouds, rng)
    faults = [dict(rng.choice(FAULTS)) for _ in range(rng.randint(1, 6))]
    for fault in faults:
        account = rng.choice(list(clouds.world.accounts.values()))
        region = rng.choice([None, *account.regions])
        fault |= {"account": account.name, "region": region, "action": rng.choice(ACTIONS)}
        fault["seed"] = rng.randrange(1000)
        print("  ", fault)
        clouds.fault(**fault)
    first = clouds.record()
    result = clouds.attempt(first)
    clouds.emulator.faults.clear()
    assert deleted(clouds) & alive(clouds) == set()
    if result.run["status"] == "pending" and rng.random() < 0.5:
        clouds.attempt(first)
    last = clouds.run()
    if last.run["status"] != "success":
        assert {item["error_class"] for item in last.items.values()} <= {None, "guard"}
        clouds.approve()
        last = clouds.run()
    assert (last.run["status"], last.counts["errors"]) == ("success", 0)


def deleted(clouds: Clouds) -> set[str]:
    rows = clouds.rows("select resource_id from syncd.resource where deleted_at is not null")
    return {row["resource_id"] for row in rows}


def alive(clouds: Clouds) -> set[str]:
    accounts = clouds.world.accounts.values()
    return {key for a in accounts for region in a.regions.values() for key in region.ids()}


def churn(clouds: Clouds, rng: Random) -> None:
    """Change some regions a little and now and then one a lot."""
    for account in clouds.world.accounts.values():
        for region in account.regions.values():
            if rng.random() < 0.5:
                region.churn(
                    rng,
                    adds=rng.randrange(12),
                    changes=rng.randrange(20),
                    releases=rng.randrange(12),
                    moves=rng.randrange(5),
                )
            for what in ("order", "noise"):
                if rng.random() < 0.2 and (ids := region.ids()):
                    region.change(rng.choice(ids), what, rng)
    region = rng.choice(list(rng.choice(list(clouds.world.accounts.values())).regions.values()))
    match rng.randrange(6):
        case 0:
            region.release(region.ids())
        case 1:
            region.release(region.pick(rng, len(region.ids()) * 2 // 3))
        case 2:
            region.add(HOSTS - min(HOSTS, len(region.ids())))


def compare(clouds: Clouds) -> None:
    """Compare every living host of the tables with the clouds, field by field."""
    for account in clouds.world.accounts.values():
        for name in account.regions:
            rows = clouds.living(account.name, name)
            raws = dict(account.regions[name].hosts)
            assert set(rows) == set(raws)
            attached = disks_by_host(clouds.world.disks(account.name, name))
            for key, raw in raws.items():
                simple = SIMPLE[account.provider](msgspec.json.decode(raw))
                assert {column: rows[key][column] for column in simple} == simple
                whole = NORMAL[account.provider](raw, attached.get(key, b""))
                assert stored(rows[key]) == expected(whole), key
                assert rows[key]["missing_since"] is None
    compare_changes(clouds)


def compare_changes(clouds: Clouds) -> None:
    """Compare the inventory with what all the changes so far make of nothing."""
    (row,) = clouds.rows(
        """select count(*) filter (where change in ('added', 'restored'))
                  - count(*) filter (where change = 'deleted') as standing
           from syncd.resource_change"""
    )
    (counted,) = clouds.rows("select count(*) from syncd.hosts")
    assert row["standing"] == counted["count"]


def stored(row: Row) -> Row:
    """Return the columns of a row that are normalised."""
    return {name: row[name] for name in COLUMNS}


def expected(resource: Resource) -> Row:
    """Return a normalised resource as its row comes out of the store."""
    values = {name: getattr(resource, name) for name in COLUMNS}
    lists = ("public_ips", "private_ips", "security_groups", "data_disks")
    values |= {name: list(values[name]) for name in lists}
    return values | {"attributes": msgspec.json.decode(values["attributes"])}


def disks_by_host(raws: list[Raw]) -> dict[str, bytes]:
    """Return Alibaba's data disks as the provider keeps them beside their hosts."""
    found: dict[str, list[Any]] = {}
    for raw in raws:
        one = (raw["DiskId"], raw["Size"], raw["Category"], raw["PerformanceLevel"])
        found.setdefault(raw["InstanceId"], []).append(one)
    return {host: msgspec.json.encode(packed) for host, packed in found.items()}


NORMAL: dict[str, Callable[[bytes, bytes], Resource]] = {
    "aliyun": normalise_aliyun,
    "tencent": lambda raw, _: normalise_tencent(raw, None),
}


# The same once more, by other code: what people look at first


def simple_aliyun(raw: Raw) -> Row:
    own = raw["PublicIpAddress"]["IpAddress"]
    elastic = raw.get("EipAddress", {}).get("IpAddress")
    private = set(raw["VpcAttributes"]["PrivateIpAddress"]["IpAddress"])
    for card in raw["NetworkInterfaces"]["NetworkInterface"]:
        private |= {card.get("PrimaryIpAddress")}
        private |= {ip["PrivateIpAddress"] for ip in card["PrivateIpSets"]["PrivateIpSet"]}
        private |= {ip["Ipv6Address"] for ip in card.get("Ipv6Sets", {}).get("Ipv6Set", [])}
    tags = raw.get("Tags", {}).get("Tag", [])
    return {
        "provider": "aliyun",
        "name": raw["InstanceName"],
        "status": raw["Status"],
        "instance_type": raw["InstanceType"],
        "memory_mib": raw["Memory"],
        "public_ips": sorted({*own, elastic} - {None, ""}),
        "private_ips": sorted(private - {None}),
        "security_groups": sorted(raw["SecurityGroupIds"]["SecurityGroupId"]),
        "tags": {tag["TagKey"]: tag["TagValue"] for tag in tags},
        "created_at": datetime.strptime(raw["CreationTime"], "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC),
    }


def simple_tencent(raw: Raw) -> Row:
    return {
        "provider": "tencent",
        "name": raw["InstanceName"],
        "status": raw["InstanceState"],
        "instance_type": raw["InstanceType"],
        "memory_mib": raw["Memory"] * 1024,
        "public_ips": sorted(raw["PublicIpAddresses"] or []),
        "private_ips": sorted({*raw["PrivateIpAddresses"], *(raw["IPv6Addresses"] or [])}),
        "security_groups": sorted(raw["SecurityGroupIds"]),
        "tags": {tag["Key"]: tag["Value"] for tag in raw["Tags"]},
        "data_disks": sorted(
            (
                {"id": disk["DiskId"], "size_gib": disk["DiskSize"], "category": disk["DiskType"]}
                for disk in raw["DataDisks"] or []
            ),
            key=lambda disk: disk["id"],
        ),
    }


SIMPLE = {"aliyun": simple_aliyun, "tencent": simple_tencent}


@pytest.mark.parametrize("change", ["name", "disks"])
def test_the_comparison_itself_can_fail(migrated_dsn, tmp_path, change):
    with emulated_clouds(World.sized(3, 1), migrated_dsn, tmp_path) as clouds:
        clouds.run()
        compare(clouds)
        region = clouds.world.region("tencent-demo", "ap-guangzhou")
        region.change(region.ids()[0], change)
        with pytest.raises(AssertionError):
            compare(clouds)
