"""Both clouds under the one contract, and what is peculiar to each."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from provider_contract import HOSTS, ProviderContract, context

from syncd.context import CancelToken, Deadline
from syncd.demo.emulator.world import World
from syncd.errors import Authentication, ConfigurationError, Network
from syncd.http_client import HttpClient, Response
from syncd.model.resource import Scope
from syncd.providers.base import AccountAccess, ListMoved
from syncd.providers.registry import PROVIDERS, build


def utc(text: str | None) -> datetime | None:
    if text is None or (text[:2] in ("20", "29") and text[2:4] == "99"):
        return None
    pattern = "%Y-%m-%dT%H:%M:%SZ" if text.count(":") == 2 else "%Y-%m-%dT%H:%MZ"
    return datetime.strptime(text, pattern).replace(tzinfo=UTC)


def as_json(disks: list[dict[str, Any]]) -> bytes:
    ordered = sorted(disks, key=lambda disk: str(disk["id"]))
    return json.dumps(ordered, sort_keys=True, separators=(",", ":")).encode()


class TestAliyun(ProviderContract):
    name = "aliyun"
    cheap_call = "DescribeInstances"
    wrong_field = ("Memory", r"\$\.Memory")

    def expected(self, host: Mapping[str, Any], world: World, region: str) -> dict[str, object]:
        private = set(host["VpcAttributes"]["PrivateIpAddress"]["IpAddress"])
        for card in host["NetworkInterfaces"]["NetworkInterface"]:
            private |= {ip["PrivateIpAddress"] for ip in card["PrivateIpSets"]["PrivateIpSet"]}
            private |= {ip["Ipv6Address"] for ip in card.get("Ipv6Sets", {}).get("Ipv6Set", [])}
        public = {*host["PublicIpAddress"]["IpAddress"], host["EipAddress"].get("IpAddress", "")}
        disks = [
            {"id": disk["DiskId"], "size_gib": disk["Size"], "category": disk["Category"],
             "performance_level": disk["PerformanceLevel"]}
            for disk in world.disks(self.account, region)
            if disk["InstanceId"] == host["InstanceId"]
        ]  # fmt: skip
        words = {"Running": "running", "Stopped": "stopped"}
        return {
            "name": host["InstanceName"],
            "status": host["Status"],
            "state": words.get(host["Status"], "transient"),
            "instance_type": host["InstanceType"],
            "cpu": host["Cpu"],
            "memory_mib": host["Memory"],
            "zone": host["ZoneId"],
            "vpc_id": host["VpcAttributes"]["VpcId"],
            "image_id": host["ImageId"],
            "public_ips": tuple(sorted(public - {""})),
            "private_ips": tuple(sorted(private)),
            "security_groups": tuple(sorted(host["SecurityGroupIds"]["SecurityGroupId"])),
            "data_disks": as_json(disks),
            "tags": {t["TagKey"]: t["TagValue"] for t in host.get("Tags", {}).get("Tag", [])},
            "charge_type": host["InstanceChargeType"],
            "created_at": utc(host["CreationTime"]),
            "expires_at": utc(host["ExpiredTime"]),
        }

    @pytest.mark.parametrize("kind", ["permission", "unavailable", "broken_json", "throttled"])
    def test_hosts_go_on_when_their_disks_cannot_be_read(self, kind: str) -> None:
        sealed = {entry.key: entry.seal for entry in self.listed()}
        self.fault(kind, action="DescribeDisks")
        ctx = context()
        entries = self.listed(ctx)
        rows = [entry.row() for entry in entries]
        assert len(rows) == HOSTS
        assert {row.values["data_disks"] for row in rows} == {None}
        assert {row.digest.optional for row in rows} == {None}
        assert all(entry.seal != sealed[entry.key] for entry in entries)
        assert "unknown" in str(ctx.report.details["data_disks"])  # type: ignore[attr-defined]

    def test_disks_that_may_be_hidden_for_lack_of_permission_are_unknown(self) -> None:
        self.fault("denied_empty", action="DescribeDisks")
        assert {entry.row().values["data_disks"] for entry in self.listed()} == {None}

    def test_a_region_without_data_disks_is_confirmed_once(self) -> None:
        region = self.world.region(self.account, self.region)
        for disk in region.disk_truth():
            region.disks.remove(disk["DiskId"])
        assert {entry.row().values["data_disks"] for entry in self.listed()} == {b"[]"}
        assert self.asked("DescribeDisks") == 2

    def test_a_bad_key_is_told_by_the_disks_already(self) -> None:
        self.fault("authentication", action="DescribeDisks")
        with pytest.raises(Authentication):
            self.listed()

    def test_a_host_that_is_looked_up_has_unknown_disks(self) -> None:
        key = next(iter(self.truth()))
        entry = self.provider.lookup(context(), self.scope, [key])[key]
        assert entry is not None
        assert entry.row().values["data_disks"] is None

    @pytest.mark.parametrize("kind", ["dry_run_ignored", "dry_run_unsupported"])
    def test_a_gateway_without_dry_runs_leaves_it_unknown(self, kind: str) -> None:
        self.fault(kind)
        assert self.provider.can_list(context(), self.scope) is None

    def test_no_host_is_lost_while_the_list_moves(self) -> None:
        before = set(self.truth())
        self.fault("churn", adds=3, releases=3, moves=0, changes=3)
        listed = {entry.key for entry in self.listed()}
        assert before & set(self.truth()) <= listed

    @pytest.mark.parametrize("code", ["Throttling", "SignatureNonceUsed", "FlowControl"])
    def test_codes_that_pass_are_tried_again(self, code: str) -> None:
        kind = "throttled" if code != "SignatureNonceUsed" else "unavailable"
        self.fault(kind, code=code, times=2, action="DescribeInstances")
        assert len(self.listed()) == HOSTS


class TestTencent(ProviderContract):
    name = "tencent"
    cheap_call = "DescribeInstancesStatus"
    wrong_field = ("CPU", r"\$\.CPU")

    def expected(self, host: Mapping[str, Any], world: World, region: str) -> dict[str, object]:
        words = {"RUNNING": "running", "STOPPED": "stopped"}
        isolated = host["RestrictState"] != "NORMAL"
        state = "isolated" if isolated else words.get(host["InstanceState"], "transient")
        disks = [
            {"id": disk["DiskId"], "size_gib": disk["DiskSize"], "category": disk["DiskType"]}
            for disk in host["DataDisks"] or []
        ]
        inside = {*host["PrivateIpAddresses"], *(host["IPv6Addresses"] or [])}
        return {
            "name": host["InstanceName"],
            "status": host["InstanceState"],
            "state": state,
            "instance_type": host["InstanceType"],
            "cpu": host["CPU"],
            "memory_mib": host["Memory"] * 1024,
            "zone": host["Placement"]["Zone"],
            "vpc_id": host["VirtualPrivateCloud"]["VpcId"],
            "image_id": host["ImageId"],
            "public_ips": tuple(sorted(host["PublicIpAddresses"] or [])),
            "private_ips": tuple(sorted(inside)),
            "security_groups": tuple(sorted(host["SecurityGroupIds"])),
            "data_disks": as_json(disks),
            "tags": {tag["Key"]: tag["Value"] for tag in host["Tags"]},
            "charge_type": host["InstanceChargeType"],
            "created_at": utc(host["CreatedTime"]),
            "expires_at": utc(host["ExpiredTime"]),
        }

    def test_pages_tell_the_count(self) -> None:
        pages = list(self.provider.list(context(), self.scope, None))
        assert [page.total for page in pages] == [HOSTS, HOSTS]

    @pytest.mark.parametrize("by", [-1, 1])
    def test_a_count_that_does_not_fit_is_a_moved_list(self, by: int) -> None:
        self.fault("total_count", by=by)
        with pytest.raises(ListMoved):
            self.listed()

    def test_a_release_between_two_pages_is_a_moved_list(self) -> None:
        self.fault("churn", releases=1, times=1)
        with pytest.raises(ListMoved):
            self.listed()

    def test_the_last_page_comes_before_the_list_is_called_moved(self) -> None:
        self.fault("total_count", by=1)
        pages = self.provider.list(context(), self.scope, None)
        assert len(next(pages).entries) + len(next(pages).entries) == HOSTS
        with pytest.raises(ListMoved):
            next(pages)

    def test_an_empty_list_is_not_true_when_the_second_call_finds_hosts(self) -> None:
        self.fault("missing", share=1.0, action="DescribeInstances")
        assert self.listed() == []
        assert self.provider.can_list(context(), self.scope) is None

    def test_what_was_done_last_to_a_host_is_not_kept(self) -> None:
        before = self.listed()[0]
        self.world.region(self.account, self.region).change(before.key, "noise")
        after = self.listed()[0]
        assert before.seal != after.seal
        assert after.row().digest.matches(before.row().digest.pack())


class Deaf(HttpClient):
    """Reaches nobody and remembers where it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
        cancel: CancelToken,
    ) -> Response:
        self.urls.append(url.partition("?")[0])
        raise Network("nobody is there")


@pytest.mark.parametrize(
    ("name", "region", "url"),
    [
        ("aliyun", "cn-hangzhou", "https://ecs-cn-hangzhou.aliyuncs.com/"),
        ("aliyun", "eu-central-1", "https://ecs.eu-central-1.aliyuncs.com/"),
        ("tencent", "ap-guangzhou", "https://cvm.tencentcloudapi.com/"),
    ],
)
def test_the_official_endpoint_is_the_default(name: str, region: str, url: str) -> None:
    http = Deaf()
    provider = build(AccountAccess("a", name, "id", lambda: "secret"), http)
    with pytest.raises(Network):
        provider.lookup(context(seconds=0.05), Scope("a", region, "host"), ["i-1"])
    assert http.urls[0] == url


def test_an_unknown_provider_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="no provider 'clown'"):
        build(AccountAccess("a", "clown", "id", lambda: "secret"), HttpClient())


def test_no_sdk_is_imported_before_an_account_needs_it() -> None:
    program = (
        "import sys, syncd.providers.registry as r\n"
        "found = [m for m in sys.modules if m.startswith(('aliyun', 'tencent', 'requests'))]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert set(PROVIDERS) == {"aliyun", "tencent"}
