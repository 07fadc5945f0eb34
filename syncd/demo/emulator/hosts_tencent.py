"""Make and change CVM instances as DescribeInstances shows them.

Shape: https://cloud.tencent.com/document/api/213/15753#Instance
"""

from random import Random
from typing import Final
from uuid import UUID

from syncd.demo.emulator import oddities as odd
from syncd.demo.emulator.made import Made, Maker, Raw

TYPES: Final = {
    "S5.MEDIUM4": (2, 4),
    "S5.LARGE8": (4, 8),
    "SA3.2XLARGE16": (8, 16),
    "M6.4XLARGE128": (16, 128),
    "GN7.2XLARGE32": (8, 32),
}
STATES: Final = ("RUNNING", "RUNNING", "RUNNING", "RUNNING", "STOPPED", "STARTING", "STOPPING")
DISK_TYPES: Final = ("CLOUD_PREMIUM", "CLOUD_BSSD", "CLOUD_HSSD", "CLOUD_SSD")
SYSTEMS: Final = (
    "TencentOS Server 3.2 (Final)",
    "Ubuntu Server 22.04 LTS 64位",
    "Windows Server 2022",
)


def make(rng: Random, region: str) -> Made:
    """Make one instance; its data disks are in it, fields may be null."""
    kind = rng.choice(list(TYPES))
    host = _identity(rng, region) | _machine(rng, kind) | _billing(rng) | _network(rng)
    host["Tags"] = [{"Key": key, "Value": value} for key, value in odd.tags(rng)]
    count = rng.choice((0, 0, 0, 1, 1, 2, 4))
    host["DataDisks"] = [_disk(rng) for _ in range(count)] or _nothing(rng)
    return Made(host, [])


def _identity(rng: Random, region: str) -> Raw:
    return {
        "Placement": {
            "Zone": f"{region}-{rng.randint(1, 7)}",
            "ProjectId": rng.choice((0, 0, 1210293)),
            "HostIds": None,
            "HostId": None,
            "DedicatedResourcePackTenancy": None,
            "DedicatedResourcePackIds": None,
            "RackId": None,
        },
        "InstanceId": f"ins-{odd.code(rng, 8)}",
        "InstanceName": odd.name(rng),
        "HostName": f"VM-{rng.randrange(256)}-{rng.randrange(256)}-tencentos",
        "Uuid": str(UUID(int=rng.getrandbits(128))),
        "ImageId": f"img-{odd.code(rng, 8)}",
        "OsName": rng.choice(SYSTEMS),
        "InstanceState": rng.choice(STATES),
        "CreatedTime": f"{odd.day(rng, 2019, 2024)}T11:27:{rng.randrange(60):02d}Z",
        "LoginSettings": {
            "Password": None,
            "KeepImageLogin": None,
            "KeyIds": rng.choice((None, [f"skey-{odd.code(rng, 8)}"])),
        },
        "CamRoleName": "",
        "DefaultLoginUser": "root",
        "DefaultLoginPort": 22,
        "LicenseType": "TencentCloud",
        "DisableApiTermination": rng.random() < 0.2,
        "LatestOperation": rng.choice((None, "StartInstances")),
        "LatestOperationState": "SUCCESS",
        "LatestOperationRequestId": str(UUID(int=rng.getrandbits(128))),
        "LatestOperationErrorMsg": None,
        "DisasterRecoverGroupId": "",
        "DisasterRecoverGroupIds": [],
        "PartitionNumber": None,
        "Metadata": {"Items": []},
    }


def _machine(rng: Random, kind: str) -> Raw:
    cpu, memory = TYPES[kind]
    gpu = {"GPUCount": 1.0, "GPUId": ["2004010032"], "GPUType": "NVIDIA T4"}
    return {
        "InstanceType": kind,
        "CPU": cpu,
        "Memory": memory,
        "CpuTopology": {"CoreCount": cpu // 2, "ThreadPerCore": 2},
        "GPUInfo": gpu if kind.startswith("GN") else None,
        "HpcClusterId": "",
        "DedicatedClusterId": "",
        "RdmaIpAddresses": None,
        "EnableJumboFrame": rng.random() < 0.1,
        "SystemDisk": {
            "DiskId": f"disk-{odd.code(rng, 8)}",
            "DiskType": rng.choice(DISK_TYPES),
            "DiskSize": rng.choice((50, 100)),
            "CdcId": None,
            "DiskName": f"system-{odd.code(rng, 6)}",
            "Encrypt": None,
            "KmsKeyId": None,
        },
    }


def _billing(rng: Random) -> Raw:
    prepaid = rng.random() < 0.4
    restricted = rng.random() < 0.06
    state = rng.choice(("EXPIRED", "PROTECTIVELY_ISOLATED")) if restricted else "NORMAL"
    return {
        "InstanceChargeType": "PREPAID" if prepaid else "POSTPAID_BY_HOUR",
        "RenewFlag": "NOTIFY_AND_AUTO_RENEW" if prepaid else None,
        "ExpiredTime": f"{odd.day(rng, 2027, 2029)}T11:27:30Z" if prepaid else None,
        "RestrictState": state,
        "IsolatedSource": "EXPIRE" if restricted else "NOTISOLATED",
        "StopChargingMode": "NOT_APPLICABLE",
    }


def _network(rng: Random) -> Raw:
    more = rng.choice((0, 0, 0, 0, 1, 3))
    public = [odd.public_ip(rng)] if rng.random() < 0.5 else _nothing(rng)
    return {
        "VirtualPrivateCloud": {
            "VpcId": f"vpc-{odd.code(rng, 8)}",
            "SubnetId": f"subnet-{odd.code(rng, 8)}",
            "AsVpcGateway": False,
            "PrivateIpAddresses": None,
            "Ipv6AddressCount": None,
        },
        "PrivateIpAddresses": [odd.private_ip(rng) for _ in range(1 + more)],
        "PublicIpAddresses": public,
        "IPv6Addresses": [odd.ipv6(rng)] if rng.random() < 0.15 else None,
        "PublicIPv6Addresses": None,
        "InternetAccessible": {
            "InternetChargeType": "TRAFFIC_POSTPAID_BY_HOUR",
            "InternetMaxBandwidthOut": rng.choice((0, 5, 100)),
            "PublicIpAssigned": None,
            "BandwidthPackageId": None,
            "InternetServiceProvider": "BGP",
            "IPv4AddressType": None,
            "IPv6AddressType": None,
            "AntiDDoSPackageId": None,
        },
        "SecurityGroupIds": [f"sg-{odd.code(rng, 8)}" for _ in range(rng.choice((1, 1, 2, 5)))],
    }


def _nothing(rng: Random) -> list[str] | None:
    return [] if rng.random() < 0.5 else None


def _disk(rng: Random) -> Raw:
    return {
        "DiskId": f"disk-{odd.code(rng, 8)}",
        "DiskType": rng.choice(DISK_TYPES),
        "DiskSize": rng.choice((20, 100, 500, 2000)),
        "DiskName": rng.choice(("", odd.name(rng))),
        "DeleteWithInstance": rng.random() < 0.7,
        "SnapshotId": None,
        "Encrypt": False,
        "KmsKeyId": None,
        "ThroughputPerformance": 0,
        "CdcId": None,
        "BurstPerformance": False,
    }


def _change_status(rng: Random, made: Made) -> None:
    made.host["InstanceState"] = odd.other(
        rng, ("RUNNING", "STOPPED", "STOPPING"), made.host["InstanceState"]
    )


def _change_name(rng: Random, made: Made) -> None:
    made.host["InstanceName"] = f"{odd.name(rng)[:120]} v{rng.randrange(1_000_000)}"


def _change_type(rng: Random, made: Made) -> None:
    kind = odd.other(rng, tuple(TYPES), made.host["InstanceType"])
    made.host.update(_machine(rng, kind) | {"SystemDisk": made.host["SystemDisk"]})


def _change_ips(rng: Random, made: Made) -> None:
    made.host["PublicIpAddresses"] = [odd.public_ip(rng)]
    if rng.random() < 0.5:
        made.host["PrivateIpAddresses"] = [odd.private_ip(rng)]


def _change_security_groups(rng: Random, made: Made) -> None:
    groups = made.host["SecurityGroupIds"]
    kept = groups[: rng.randint(0, min(3, len(groups)))]
    made.host["SecurityGroupIds"] = [*kept, f"sg-{odd.code(rng, 8)}"]


def _change_tags(rng: Random, made: Made) -> None:
    kept = [tag for tag in made.host["Tags"] if tag["Key"] != "release"]
    made.host["Tags"] = [*kept, {"Key": "release", "Value": odd.code(rng, 8)}]


def _change_disks(rng: Random, made: Made) -> None:
    disks = list(made.host["DataDisks"] or [])
    draw = rng.random()
    if disks and draw < 0.3:
        del disks[rng.randrange(len(disks))]
    elif disks and draw < 0.6:
        rng.choice(disks)["DiskSize"] += 100
    else:
        disks.append(_disk(rng))
    made.host["DataDisks"] = disks


def _shuffle(rng: Random, made: Made) -> None:
    for field in ("SecurityGroupIds", "Tags"):
        rng.shuffle(made.host[field])


def _alter_unseen(rng: Random, made: Made) -> None:
    made.host["LatestOperationRequestId"] = str(UUID(int=rng.getrandbits(128)))


TENCENT: Final = Maker(
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
    detach=lambda _: None,
)
