"""Make and change ECS instances and disks as DescribeInstances and DescribeDisks show them.

Shapes: https://help.aliyun.com/document_detail/25506.html (instances), 25514.html (disks).
"""

from random import Random
from typing import Final

from syncd.demo.emulator import oddities as odd
from syncd.demo.emulator.made import Made, Maker, Raw

TYPES: Final = {
    "ecs.g6.large": (2, 8192),
    "ecs.g6.xlarge": (4, 16384),
    "ecs.c7.2xlarge": (8, 16384),
    "ecs.r7.4xlarge": (16, 131072),
    "ecs.t6-c1m1.large": (2, 2048),
    "ecs.gn6i-c8g1.2xlarge": (8, 31744),
}
STATUSES: Final = ("Running", "Running", "Running", "Running", "Stopped", "Starting", "Stopping")
CATEGORIES: Final = ("cloud_essd", "cloud_efficiency", "cloud_ssd")
IMAGES: Final = (
    ("aliyun_3_x64_20G_alibase_20240528.vhd", "Alibaba Cloud Linux  3.2104 LTS 64位", "linux"),
    ("ubuntu_22_04_x64_20G_alibase_20240530.vhd", "Ubuntu  22.04 64位", "linux"),
    (
        "win2022_21H2_x64_dtc_zh-cn_40G_alibase.vhd",
        "Windows Server  2022 数据中心版 中文版",
        "windows",
    ),
)


def make(rng: Random, region: str) -> Made:
    """Make one instance with its data disks; no two draws are alike, and fields may lack."""
    kind = rng.choice(list(TYPES))
    host = _identity(rng, region) | _machine(rng, kind) | _billing(rng) | _network(rng)
    pairs = odd.tags(rng)
    if pairs:
        host["Tags"] = {"Tag": [{"TagKey": key, "TagValue": value} for key, value in pairs]}
    if rng.random() < 0.1:
        del host["HostName"]
    count = rng.choice((0, 0, 0, 1, 1, 2, 4))
    return Made(host, [_disk(rng, host, number) for number in range(count)])


def _identity(rng: Random, region: str) -> Raw:
    name = odd.name(rng)
    image, system, family = rng.choice(IMAGES)
    created = odd.day(rng, 2018, 2024)
    return {
        "InstanceId": f"i-bp1{rng.getrandbits(68):017x}",
        "InstanceName": name,
        "HostName": f"iZbp1{odd.code(rng, 12)}Z",
        "Description": rng.choice(("", "", "managed by terraform", "勿删 — do not delete")),
        "SerialNumber": f"{rng.getrandbits(128):032x}",
        "RegionId": region,
        "ZoneId": f"{region}-{rng.choice('abgh')}",
        "ClusterId": "",
        "ResourceGroupId": rng.choice(("", "rg-acfmx7vexample2y")),
        "ImageId": image,
        "OSName": system,
        "OSNameEn": system.replace("64位", "64 bit"),
        "OSType": family,
        "Status": rng.choice(STATUSES),
        "StoppedMode": "Not-applicable",
        "CreationTime": f"{created}T04:{rng.randrange(60):02d}Z",
        "StartTime": f"{created}T05:{rng.randrange(60):02d}Z",
        "AutoReleaseTime": "",
        "KeyPairName": rng.choice(("", "ops-key")),
        "Recyclable": False,
        "DeviceAvailable": True,
        "DeletionProtection": rng.random() < 0.2,
        "OperationLocks": {"LockReason": []},
    }


def _machine(rng: Random, kind: str) -> Raw:
    cpu, memory = TYPES[kind]
    return {
        "InstanceType": kind,
        "InstanceTypeFamily": kind.rsplit(".", 1)[0],
        "Cpu": cpu,
        "Memory": memory,
        "CpuOptions": {"Numa": "", "CoreCount": cpu // 2, "ThreadsPerCore": 2},
        "GPUAmount": int("gn6i" in kind),
        "GPUSpec": "NVIDIA T4" if "gn6i" in kind else "",
        "LocalStorageAmount": 0,
        "CreditSpecification": "Standard" if ".t6" in kind else "",
        "IoOptimized": True,
        "HpcClusterId": "",
        "DeploymentSetId": "",
        "DedicatedHostAttribute": {
            "DedicatedHostId": "", "DedicatedHostName": "", "DedicatedHostClusterId": "",
        },
        "DedicatedInstanceAttribute": {"Affinity": "", "Tenancy": ""},
        "EcsCapacityReservationAttr": {
            "CapacityReservationPreference": "", "CapacityReservationId": "",
        },
        "HibernationOptions": {"Configured": False},
        "ImageOptions": {"LoginAsNonRoot": rng.random() < 0.1},
        "MetadataOptions": {"HttpTokens": "optional", "HttpEndpoint": "enabled"},
    }  # fmt: skip


def _billing(rng: Random) -> Raw:
    prepaid = rng.random() < 0.4
    forever = rng.choice(("2099-12-31T15:59Z", "2999-09-08T16:00Z"))
    return {
        "InstanceChargeType": "PrePaid" if prepaid else "PostPaid",
        "SaleCycle": "Month" if prepaid else "",
        "ExpiredTime": f"{odd.day(rng, 2027, 2029)}T16:00Z" if prepaid else forever,
        "InternetChargeType": rng.choice(("PayByTraffic", "PayByBandwidth")),
        "InternetMaxBandwidthIn": rng.choice((100, 200, -1)),
        "InternetMaxBandwidthOut": rng.choice((0, 5, 100)),
        "SpotStrategy": "NoSpot",
        "SpotPriceLimit": 0.0,
        "SpotDuration": 0,
    }


def _network(rng: Random) -> Raw:
    address = odd.private_ip(rng)
    vpc = {
        "VpcId": f"vpc-bp1{odd.code(rng, 17)}",
        "VSwitchId": f"vsw-bp1{odd.code(rng, 17)}",
        "NatIpAddress": "",
        "PrivateIpAddress": {"IpAddress": [address]},
    }
    groups = [f"sg-bp1{odd.code(rng, 17)}" for _ in range(rng.choice((1, 1, 1, 2, 5)))]
    return {
        "InstanceNetworkType": "vpc",
        "VlanId": "",
        "VpcAttributes": vpc,
        "InnerIpAddress": {"IpAddress": []},
        "RdmaIpAddress": {"IpAddress": []},
        "SecurityGroupIds": {"SecurityGroupId": groups},
        "NetworkInterfaces": {"NetworkInterface": _cards(rng, address)},
    } | _public(rng)


def _public(rng: Random) -> Raw:
    draw = rng.random()
    blank = {"AllocationId": "", "IpAddress": "", "InternetChargeType": ""}
    eip = {
        "AllocationId": f"eip-bp1{odd.code(rng, 17)}",
        "IpAddress": odd.public_ip(rng),
        "InternetChargeType": "PayByTraffic",
        "IsSupportUnassociate": True,
        "Bandwidth": 100,
    }
    return {
        "PublicIpAddress": {"IpAddress": [odd.public_ip(rng)] if 0.3 < draw < 0.5 else []},
        "EipAddress": eip if draw < 0.3 else {} if draw > 0.8 else blank,
    }


def _cards(rng: Random, address: str) -> list[Raw]:
    cards = [_card(rng, address, "Primary", more=rng.choice((0, 0, 0, 0, 1, 3)))]
    if rng.random() < 0.12:
        second = _card(rng, odd.private_ip(rng), "Secondary", more=0)
        if rng.random() < 0.5:
            del second["PrimaryIpAddress"]
        cards.append(second)
    if rng.random() < 0.15:
        addresses = [{"Ipv6Address": odd.ipv6(rng)} for _ in range(rng.choice((1, 1, 2)))]
        cards[0]["Ipv6Sets"] = {"Ipv6Set": addresses}
    return cards


def _card(rng: Random, address: str, role: str, *, more: int) -> Raw:
    extra = [{"PrivateIpAddress": odd.private_ip(rng), "Primary": False} for _ in range(more)]
    return {
        "NetworkInterfaceId": f"eni-bp1{odd.code(rng, 17)}",
        "Type": role,
        "MacAddress": f"00:16:3e:{rng.randrange(256):02x}:{rng.randrange(256):02x}:0a",
        "PrimaryIpAddress": address,
        "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": address, "Primary": True}, *extra]},
    }


def _disk(rng: Random, host: Raw, number: int) -> Raw:
    return {
        "DiskId": f"d-bp1{rng.getrandbits(68):017x}",
        "DiskName": rng.choice(("", odd.name(rng))),
        "Description": "",
        "RegionId": host["RegionId"],
        "ZoneId": host["ZoneId"],
        "InstanceId": host["InstanceId"],
        "Device": f"/dev/xvd{'bcdefgh'[number % 7]}",
        "Type": "data",
        "Category": rng.choice(CATEGORIES),
        "Size": rng.choice((20, 100, 500, 2048)),
        "PerformanceLevel": "PL1",
        "Status": "In_use",
        "Portable": True,
        "Encrypted": rng.random() < 0.2,
        "KMSKeyId": "",
        "DeleteWithInstance": rng.random() < 0.7,
        "DeleteAutoSnapshot": False,
        "EnableAutoSnapshot": True,
        "DiskChargeType": host["InstanceChargeType"],
        "CreationTime": f"{odd.day(rng, 2018, 2024)}T04:10:{rng.randrange(60):02d}Z",
        "AttachedTime": f"{odd.day(rng, 2024, 2025)}T04:10:{rng.randrange(60):02d}Z",
        "DetachedTime": "",
        "ExpiredTime": "2999-09-08T16:00:00Z",
        "ImageId": "",
        "SourceSnapshotId": "",
        "MultiAttach": "Disabled",
        "ResourceGroupId": "",
        "IOPS": 1960,
        "OperationLocks": {"OperationLock": []},
        "MountInstances": {"MountInstance": []},
        "Tags": {"Tag": []},
    }


def system_disk(host: Raw) -> Raw:
    """Return the system disk of an instance, made from it alone so that none need be kept."""
    disk = _disk(Random(host["InstanceId"]), host, 0)  # noqa: S311 - not for secrets
    return disk | {"Type": "system", "Device": "/dev/xvda", "Portable": False}


def _change_status(rng: Random, made: Made) -> None:
    made.host["Status"] = odd.other(rng, ("Running", "Stopped", "Stopping"), made.host["Status"])


def _change_name(rng: Random, made: Made) -> None:
    made.host["InstanceName"] = f"{odd.name(rng)[:120]} v{rng.randrange(1_000_000)}"


def _change_type(rng: Random, made: Made) -> None:
    kind = odd.other(rng, tuple(TYPES), made.host["InstanceType"])
    made.host.update(_machine(rng, kind))


def _change_ips(rng: Random, made: Made) -> None:
    made.host["PublicIpAddress"] = {"IpAddress": [odd.public_ip(rng)]}
    if rng.random() < 0.5:
        address = odd.private_ip(rng)
        made.host["VpcAttributes"]["PrivateIpAddress"] = {"IpAddress": [address]}
        made.host["NetworkInterfaces"] = {"NetworkInterface": _cards(rng, address)}


def _change_security_groups(rng: Random, made: Made) -> None:
    groups = made.host["SecurityGroupIds"]["SecurityGroupId"]
    kept = groups[: rng.randint(0, min(3, len(groups)))]
    made.host["SecurityGroupIds"]["SecurityGroupId"] = [*kept, f"sg-bp1{odd.code(rng, 17)}"]


def _change_tags(rng: Random, made: Made) -> None:
    present = made.host.get("Tags", {"Tag": []})["Tag"]
    kept = [tag for tag in present if tag["TagKey"] != "release"]
    made.host["Tags"] = {"Tag": [*kept, {"TagKey": "release", "TagValue": odd.code(rng, 8)}]}


def _change_disks(rng: Random, made: Made) -> None:
    draw = rng.random()
    if made.disks and draw < 0.3:
        del made.disks[rng.randrange(len(made.disks))]
    elif made.disks and draw < 0.6:
        rng.choice(made.disks)["Size"] += 100
    else:
        made.disks.append(_disk(rng, made.host, len(made.disks)))


def _shuffle(rng: Random, made: Made) -> None:
    rng.shuffle(made.host["SecurityGroupIds"]["SecurityGroupId"])
    rng.shuffle(made.host.get("Tags", {"Tag": []})["Tag"])


def _alter_unseen(rng: Random, made: Made) -> None:
    made.host["StartTime"] = f"{odd.day(rng, 2025, 2026)}T06:{rng.randrange(60):02d}Z"


def _detach(disk: Raw) -> Raw | None:
    if disk["DeleteWithInstance"]:
        return None
    return disk | {"InstanceId": "", "Device": "", "Status": "Available"}


ALIYUN: Final = Maker(
    make=make,
    changes={
        "status": _change_status,
        "name": _change_name,
        "type": _change_type,
        "ips": _change_ips,
        "security_groups": _change_security_groups,
        "tags": _change_tags,
        "disks": _change_disks,
        "order": _shuffle,
        "noise": _alter_unseen,
    },
    detach=_detach,
)
