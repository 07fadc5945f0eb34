"""The emulated world: as odd as the real one, repeatable, and steered from other processes."""

import json
import threading
from random import Random
from typing import Any

import pytest
from emulator_clients import GUANGZHOU, HANGZHOU, HOSTS, Ali, Raw, Tx, ids, send, tx_code

from syncd.demo.emulator import Emulator, World
from syncd.demo.emulator.made import CHANGES


def control(emulator: Emulator, operation: str, **body: Any) -> Any:
    status, answer = send(emulator, "POST", f"/_emulator/{operation}", body)
    assert status == 200, answer
    return answer


def test_another_process_can_steer_everything(emulator):
    where = dict(zip(("account", "region"), GUANGZHOU, strict=True))
    added = control(emulator, "add", **where, count=2)
    control(emulator, "change", **where, host=added[0], what="name")
    control(emulator, "edit", **where, host=added[1], fields={"InstanceName": "new"})
    assert control(emulator, "truth", **where) == emulator.world.truth(*GUANGZHOU)
    assert emulator.world.region(*GUANGZHOU).host(added[1])["InstanceName"] == "new"
    control(emulator, "release", **where, hosts=added)
    churned = control(emulator, "churn", **where, adds=1, changes=1, releases=1, seed=5)
    assert [len(churned[key]) for key in ("added", "changed", "released")] == [1, 1, 1]
    control(emulator, "faults", kind="throttled", region="ap-guangzhou")
    assert tx_code(Tx(emulator).page) == "RequestLimitExceeded"
    control(emulator, "clear_faults")
    assert len(Tx(emulator).hosts()) == HOSTS
    assert control(emulator, "log")["errors"] == {"RequestLimitExceeded": 1}
    assert {account["name"] for account in control(emulator, "accounts")} == {
        "aliyun-demo",
        "tencent-demo",
    }
    assert control(emulator, "disks", account="aliyun-demo", region="cn-hangzhou")
    assert send(emulator, "POST", "/_emulator/add", {"region": "nowhere"})[0] == 400


@pytest.mark.parametrize("place", [HANGZHOU, GUANGZHOU])
@pytest.mark.parametrize("what", [*CHANGES, "noise"])
def test_every_change_shows_in_the_truth(place, what):
    world = World.sized(5, 1)
    region = world.region(*place)
    host_id = region.ids()[2]
    rng = Random(1)
    for _ in range(8):
        before = truth_of(world, place)
        region.change(host_id, what, rng)
        after = truth_of(world, place)
        assert after != before
        assert [h["InstanceId"] for h in after[0]] == [h["InstanceId"] for h in before[0]]


def truth_of(world: World, place: tuple[str, str]) -> tuple[list[Raw], list[Raw]]:
    return world.truth(*place), world.disks(*place)


def test_a_seed_makes_the_same_world_and_churn_keeps_disks_with_their_hosts():
    one, two = World.sized(1200, 1, seed=9), World.sized(1200, 1, seed=9)
    for world in (one, two):
        region = world.region(*HANGZHOU)
        region.churn(Random(4), adds=40, changes=300, releases=200, moves=50)
    assert truth_of(one, HANGZHOU) == truth_of(two, HANGZHOU)
    assert truth_of(one, HANGZHOU) != truth_of(World.sized(1200, 1, seed=8), HANGZHOU)
    living = set(ids(one.truth(*HANGZHOU)))
    assert len(living) == 1040
    assert {disk["InstanceId"] for disk in one.disks(*HANGZHOU)} - living == {""}


def test_hosts_are_as_large_and_odd_as_real_ones():
    world = World.sized(400, 1)
    ali, tx = world.truth(*HANGZHOU), world.truth(*GUANGZHOU)
    for hosts in (ali, tx):
        size = sum(len(json.dumps(host, ensure_ascii=False).encode()) for host in hosts)
        assert 2_000 < size / len(hosts) < 3_500
        names = [host["InstanceName"] for host in hosts]
        assert any(len(name) == 128 for name in names)
        for odd in ("'", '"', "\\", "🚀", "  two"):
            assert any(odd in name for name in names)
    assert any("Tags" not in host for host in ali)
    assert max(len(host.get("Tags", {"Tag": []})["Tag"]) for host in ali) == 34
    assert any(host["EipAddress"] == {} for host in ali)
    assert any("HostName" not in host for host in ali)
    cards = [card for host in ali for card in host["NetworkInterfaces"]["NetworkInterface"]]
    assert any("Ipv6Sets" in card for card in cards)
    assert any("PrimaryIpAddress" not in card for card in cards)
    assert {host["RestrictState"] for host in tx} == {"NORMAL", "EXPIRED", "PROTECTIVELY_ISOLATED"}
    for field in ("PublicIpAddresses", "IPv6Addresses", "ExpiredTime"):
        assert {type(host[field]) for host in tx} >= {type(None)}
        assert any(host[field] for host in tx)


def test_churn_and_listings_of_many_threads_leave_a_whole_world(emulator):
    def churn(place: tuple[str, str]) -> None:
        for _ in range(40):
            emulator.world.region(*place).churn(adds=3, changes=3, releases=3, moves=2)

    def read(client: Any) -> None:
        for _ in range(4):
            client.hosts()

    works = [(churn, HANGZHOU), (churn, GUANGZHOU), (read, Ali(emulator)), (read, Tx(emulator))]
    threads = [threading.Thread(target=work, args=(with_,)) for work, with_ in works * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in (HANGZHOU, GUANGZHOU):
        assert len(set(ids(emulator.world.truth(*place)))) == HOSTS
    living = {"", *ids(emulator.world.truth(*HANGZHOU))}
    assert {disk["InstanceId"] for disk in emulator.world.disks(*HANGZHOU)} <= living
