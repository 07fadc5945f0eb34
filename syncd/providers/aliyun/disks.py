"""The data disks of ECS hosts, which DescribeInstances does not tell.

They are kept packed, a few dozen bytes a host, until their host is compared.
https://help.aliyun.com/document_detail/25514.html
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from aliyunsdkecs.request.v20140526.DescribeDisksRequest import DescribeDisksRequest

from syncd.context import RunContext
from syncd.errors import Authentication, Interrupted, SyncdError
from syncd.providers.aliyun.client import Client
from syncd.providers.aliyun.dry_run import allowed
from syncd.providers.base import RegionNotOpen
from syncd.providers.entries import Count

PAGE: Final = 500
PackedDisks = Mapping[str, bytes]


class _Attachment(msgspec.Struct, rename="pascal"):
    instance_id: str | None = None


class _Attachments(msgspec.Struct, rename="pascal"):
    attachment: list[_Attachment] | None = None


class _Disk(msgspec.Struct, rename="pascal"):
    disk_id: str
    type: str
    size: Count
    category: str | None = None
    performance_level: str | None = None
    instance_id: str | None = None
    attachments: _Attachments | None = None

    def hosts(self) -> set[str]:
        """Return the hosts that a disk is attached to: none, one, or several (multi-attach)."""
        several = (self.attachments.attachment if self.attachments else None) or []
        ids = {self.instance_id, *(one.instance_id for one in several)}
        return {host for host in ids if host}


class _DiskList(msgspec.Struct, rename="pascal"):
    disk: list[_Disk]


class _Disks(msgspec.Struct, rename="pascal"):
    disks: _DiskList
    next_token: str | None = None


_disks: Final = msgspec.json.Decoder(_Disks)
_packed: Final = msgspec.json.Decoder(list[tuple[str, int, str | None, str | None]])
_pack: Final = msgspec.json.Encoder().encode


def data_disks(client: Client, ctx: RunContext, region: str) -> PackedDisks | None:
    """Return the packed data disks of a region's hosts, None when they can't be read completely.

    Errors of the account, the region or the run itself are raised.
    """
    try:
        return _read_all(client, ctx, region)
    except (Authentication, RegionNotOpen, Interrupted):
        raise
    except SyncdError as error:
        ctx.check()
        ctx.report.detail("data_disks", f"unknown: {error}")
        return None


def confirmed(client: Client, ctx: RunContext, region: str) -> PackedDisks | None:
    """Return no disks if that is what an empty list means, None if a permission may be missing."""
    if may_list(client, ctx, region):
        return {}
    ctx.report.detail("data_disks", "unknown: the list is empty, maybe for lack of a permission")
    return None


def may_list(client: Client, ctx: RunContext, region: str) -> bool | None:
    """Tell whether the account may list its disks."""
    return allowed(client, ctx, DescribeDisksRequest(), region, _disks)


def unpack(packed: bytes) -> tuple[Mapping[str, object], ...]:
    """Return the data disks of one host, sorted by id."""
    if not packed:
        return ()
    names = ("id", "size_gib", "category", "performance_level")
    return tuple(
        {name: value for name, value in zip(names, disk, strict=True) if value is not None}
        for disk in sorted(_packed.decode(packed), key=lambda disk: disk[0])
    )


def _read_all(client: Client, ctx: RunContext, region: str) -> PackedDisks:
    found: dict[str, bytes] = {}
    token: str | None = None
    while True:
        request = DescribeDisksRequest()
        request.set_DiskType("data")
        request.set_MaxResults(PAGE)
        if token:
            request.set_NextToken(token)
        answer = client.call(ctx, request, region, _disks)
        for disk in answer.disks.disk:
            _keep(found, disk)
        if not (token := answer.next_token):
            return found


def _keep(found: dict[str, bytes], disk: _Disk) -> None:
    """Add a data disk to those of its hosts: a JSON list, open for another one at its end."""
    if disk.type != "data":
        return
    one = _pack((disk.disk_id, disk.size, disk.category, disk.performance_level))
    for host in disk.hosts():
        before = found.get(host)
        found[host] = before[:-1] + b"," + one + b"]" if before else b"[" + one + b"]"
